package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"imei-attest/attest"
	"imei-attest/verifier"
	"imei-attest/verifier/store/sqlite"
)

// Files of the store in the state folder. The keys are secrets; without them the store is of no use.
const (
	storeFile         = "store.db"
	deviceKeyFile     = "imei.key"       // 64 hex digits: names IMEIs in the store and seals Credentials; during a rotation, a second line with the former
	subscriberKeyFile = "subscriber.key" // as imei.key, for subscribers
)

// openStore opens the store of a state folder, making it and its keys if there is none. Result is the server's key, which signs the
// audit chain's checkpoints. Began is as in sqlite.Config.
func openStore(ctx context.Context, dir string, result *ecdsa.PrivateKey, retention sqlite.Retention, began func() func(int)) (*sqlite.Store, error) {
	if err := makeStoreKeys(dir); err != nil {
		return nil, err
	}
	c, err := storeConfig(dir)
	if err != nil {
		return nil, err
	}
	if c.Signer, err = attest.NewSigner(result); err != nil {
		return nil, err
	}
	c.KeyID, c.Keep, c.Program = attest.KeyIDOf(&result.PublicKey), retention, programText(versionText())
	c.Began = began
	return sqlite.Open(ctx, c)
}

// makeStoreKeys makes the keys of a new store. Those of a store that is there are never made anew: every device would be forgotten.
func makeStoreKeys(dir string) error {
	_, err := os.Stat(filepath.Join(dir, storeFile))
	for _, name := range []string{deviceKeyFile, subscriberKeyFile} {
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if _, err := keep(filepath.Join(dir, name), newNonceKey); err != nil {
			return err
		}
	}
	return nil
}

// storeConfig is the store of a state folder with the keys that are there.
func storeConfig(dir string) (c sqlite.Config, err error) {
	c.Path = filepath.Join(dir, storeFile)
	if c.Devices, err = readStoreKeys(filepath.Join(dir, deviceKeyFile)); err != nil {
		return c, err
	}
	c.Subscribers, err = readStoreKeys(filepath.Join(dir, subscriberKeyFile))
	return c, err
}

func readStoreKeys(path string) (k verifier.PseudonymKeys, err error) {
	content, err := keep(path, func() ([]byte, error) {
		return nil, fmt.Errorf("%s is missing, and the store is of no use without it: put it back from where it is kept", path)
	})
	if err != nil {
		return k, err
	}
	lines := strings.Fields(string(content))
	if len(lines) < 1 || len(lines) > 2 {
		return k, fmt.Errorf("%s: want one line with the key, and during a rotation a second one with the former key", path)
	}
	keys := make([]verifier.PseudonymKey, len(lines))
	for i, line := range lines {
		if n, err := hex.Decode(keys[i][:], []byte(line[:min(len(line), 2*len(keys[i]))])); err != nil || n != len(keys[i]) || len(line) != 2*n {
			return k, fmt.Errorf("%s: line %d is no key: want %d hex digits", path, i+1, 2*len(keys[i]))
		}
	}
	if k.Current = keys[0]; len(keys) > 1 {
		k.Former = &keys[1]
	}
	return k, nil
}

// writeStoreKeys replaces a key file, so that a crash leaves the one or the other.
func writeStoreKeys(path string, k verifier.PseudonymKeys) error {
	text := hex.EncodeToString(k.Current[:]) + "\n"
	if k.Former != nil {
		text += hex.EncodeToString(k.Former[:]) + "\n"
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return fmt.Errorf("state folder: %w", err)
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("state folder: %w", errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}

// beginRotation makes a new key; the one until now becomes the former.
func beginRotation(k verifier.PseudonymKeys) (verifier.PseudonymKeys, error) {
	if k.Former != nil {
		return k, errors.New("a rotation is under way: end it first, with --finish")
	}
	former := k.Current
	k.Former = &former
	_, _ = rand.Read(k.Current[:]) // crypto/rand.Read never fails
	return k, nil
}
