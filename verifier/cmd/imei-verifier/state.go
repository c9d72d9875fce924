package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Files of the state folder beside those of the store. Both are secrets of this server.
const (
	resultKeyFile = "result.key" // PKCS #8 in PEM: signs results, and checkpoints of the audit chain
	nonceKeyFile  = "nonce.key"  // 64 hex digits: proves that a nonce is ours; once it was exchanged, more lines: see nonceRing
	pemType       = "PRIVATE KEY"
)

// state is what the state folder holds beside the store.
type state struct {
	dir    string
	result *ecdsa.PrivateKey
	nonces nonceRing
}

// openState reads the keys, making those that are missing.
func openState(dir string) (*state, error) {
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
	s := &state{dir: dir}
	if s.result, err = parseResultKey(result); err != nil {
		return nil, fmt.Errorf("state file %s: %w; remove it to make a new one, which Relying Parties must then learn", resultKeyFile, err)
	}
	text, err := keep(filepath.Join(dir, nonceKeyFile), newNonceKey)
	if err != nil {
		return nil, err
	}
	if s.nonces, err = parseNonceRing(text); err != nil {
		return nil, fmt.Errorf("state file %s: %w; remove it to make a new one, which ends open sessions", nonceKeyFile, err)
	}
	return s, nil
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
	if err := private(path, info); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

// private refuses a secret that others can read.
func private(path string, info fs.FileInfo) error {
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("%s can be read by others (mode %#o): run chmod 600 on it, and replace the key if others may have read it", path, mode)
	}
	return nil
}

// readSecret reads a secret that is there.
func readSecret(path string) ([]byte, error) {
	return keep(path, func() ([]byte, error) { return nil, fmt.Errorf("%s is gone: put it back", path) })
}

func writeSecret(path string, content []byte) error {
	// It appears whole or not at all, and never replaces a key in use.
	return putSecret(path, content, os.Link)
}

// replaceSecret puts a secret in the place of another in one step.
func replaceSecret(path string, content []byte) error {
	return putSecret(path, content, os.Rename)
}

func putSecret(path string, content []byte, put func(from, to string) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return fmt.Errorf("state folder: %w", err)
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = put(f.Name(), path)
	}
	if gone := os.Remove(f.Name()); !errors.Is(gone, fs.ErrNotExist) {
		err = errors.Join(err, gone)
	}
	if err != nil {
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
