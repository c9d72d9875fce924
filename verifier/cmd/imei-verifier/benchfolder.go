package main

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"imei-attest/verifier/bench"
)

// Files of the folder that bench makes.
const (
	benchFile       = "bench.json"   // says that bench made the folder, and how many devices are in its store
	benchSecretFile = "crowd.key"    // 64 hex digits: all keys of the devices and of their manufacturer follow from it
	benchTrust      = "trust"        // the trust folder, with that manufacturer
	benchServer     = "server"       // the server's state folder
	benchLog        = "server.log"   // of the last run
	benchPolicy     = "enforce.yaml" // of runs over S13
	benchAnchor     = "bench.yaml"   // in the trust folder
)

// benchFolder is what bench keeps between runs.
type benchFolder struct {
	path   string
	secret []byte
	// Registered is how many devices the store knows: those with the lowest numbers.
	Registered int `json:"registered"`
}

// openBenchFolder makes the folder, or takes one that bench made.
func openBenchFolder(path string) (*benchFolder, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("state folder: %w", err)
	}
	f := &benchFolder{path: path}
	text, err := os.ReadFile(f.file(benchFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := f.mustBeEmpty(); err != nil {
			return nil, err
		}
		if err := f.save(); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, fmt.Errorf("state folder: %w", err)
	default:
		if err := json.Unmarshal(text, f); err != nil || f.Registered < 0 || f.Registered > bench.MaxDevices {
			return nil, fmt.Errorf("state folder: %s is not as bench wrote it: remove %s and start anew", benchFile, path)
		}
	}
	return f, f.keys()
}

// mustBeEmpty refuses the folder of somebody else: its store would be filled with devices that do not exist.
func (f *benchFolder) mustBeEmpty() error {
	found, err := os.ReadDir(f.path)
	if err == nil && len(found) > 0 {
		err = fmt.Errorf("%s holds other things, and bench did not make it: give a folder that is new, or empty; nothing was changed", f.path)
	}
	return err
}

// keys reads the secret, or draws it, and writes the manufacturer's anchor.
func (f *benchFolder) keys() error {
	text, err := keep(f.file(benchSecretFile), newNonceKey)
	if err != nil {
		return err
	}
	if f.secret, err = hex.DecodeString(strings.TrimSpace(string(text))); err != nil {
		return fmt.Errorf("%s is not as bench wrote it: remove %s and start anew", benchSecretFile, f.path)
	}
	crowd, err := bench.NewCrowd(f.secret)
	if err != nil {
		return err
	}
	anchor, err := crowd.Anchor()
	if err == nil {
		err = os.MkdirAll(f.file(benchTrust), 0o700)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(f.file(benchTrust), benchAnchor), anchor, 0o600)
	}
	return err
}

// save writes down how many devices are registered, so that a crash leaves this number or the one before.
func (f *benchFolder) save() error {
	text, err := json.Marshal(f)
	if err == nil {
		err = replaceSecret(f.file(benchFile), append(text, '\n'))
	}
	return err
}

func (f *benchFolder) file(name string) string { return filepath.Join(f.path, name) }
