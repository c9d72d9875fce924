package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Files of the state folder. Both are secrets of this server.
const (
	resultKeyFile = "result.key" // PKCS #8 in PEM: signs results
	nonceKeyFile  = "nonce.key"  // 64 hex digits: proves that a nonce is ours
	nonceKeyBytes = 32
	pemType       = "PRIVATE KEY"
)

// serverKeys are the server's own keys.
type serverKeys struct {
	result *ecdsa.PrivateKey
	nonce  []byte
}

// openState reads the keys, making those that are missing.
func openState(dir string) (*serverKeys, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("state folder: %w", err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm()&0o022 != 0 {
		return nil, fmt.Errorf("state folder %s: others may write in it, and so exchange the keys: run chmod 700 on it (%v)", dir, err)
	}
	result, err := keep(filepath.Join(dir, resultKeyFile), newResultKey)
	if err != nil {
		return nil, err
	}
	nonce, err := keep(filepath.Join(dir, nonceKeyFile), newNonceKey)
	if err != nil {
		return nil, err
	}
	keys := &serverKeys{}
	if keys.result, err = parseResultKey(result); err != nil {
		return nil, fmt.Errorf("state file %s: %w; remove it to make a new one, which Relying Parties must then learn", resultKeyFile, err)
	}
	if keys.nonce, err = hex.DecodeString(strings.TrimSpace(string(nonce))); err != nil || len(keys.nonce) != nonceKeyBytes {
		return nil, fmt.Errorf("state file %s: want %d hex digits; remove it to make a new one, which ends open sessions", nonceKeyFile, 2*nonceKeyBytes)
	}
	return keys, nil
}

// keep returns the file's content, or makes the file, readable by its owner only, so that a crash leaves all of it or
// nothing. A secret that others can read is refused.
func keep(path string, fresh func() ([]byte, error)) ([]byte, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		content, err := fresh()
		if err != nil {
			return nil, err
		}
		if err := writeSecret(path, content); !errors.Is(err, fs.ErrExist) {
			return content, err
		}
		return os.ReadFile(path) // another server made it meanwhile
	}
	if err != nil {
		return nil, fmt.Errorf("state folder: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s can be read by others (mode %#o): run chmod 600 on it, and replace the key if others may have read it", path, info.Mode().Perm())
	}
	return os.ReadFile(path)
}

func writeSecret(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return fmt.Errorf("state folder: %w", err)
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Link(f.Name(), path) // appears whole or not at all, and never replaces a key in use
	}
	if err = errors.Join(err, os.Remove(f.Name())); err != nil {
		return fmt.Errorf("state folder: %w", err)
	}
	return nil
}

func newResultKey() ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der}), nil
}

func newNonceKey() ([]byte, error) {
	key := make([]byte, nonceKeyBytes)
	if _, err := rand.Read(key); err != nil {
		return nil, err
	}
	return []byte(hex.EncodeToString(key) + "\n"), nil
}

func parseResultKey(content []byte) (*ecdsa.PrivateKey, error) {
	block, _ := pem.Decode(content)
	if block == nil || block.Type != pemType {
		return nil, errors.New("want a PEM block " + pemType)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	private, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("want an ECDSA key, not %T", key)
	}
	return private, nil
}
