// Package trust reads the operator's trust folder: one YAML file per manufacturer. Start with [Load]; [Watch] tells
// of changes. [ReadFile] and [File.Encode] are for programs that change a file.
//
// A file that cannot be read, or that says something unknown, refuses the whole folder: half a folder of trust would
// refuse honest people or trust too much.
package trust

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"imei-attest/attest"
	"imei-attest/verifier"
)

const remedy = "put one YAML file per manufacturer there, as imei-provision oem-key writes it (oem-anchor.yaml)"

// Load reads every NAME.yaml of the folder but those whose name begins with a dot, which editors and copying programs
// leave for a moment. The anchors come in the order of their file names.
func Load(dir string) (*verifier.Trust, []*verifier.Anchor, error) {
	files, err := read(dir)
	if err != nil {
		return nil, nil, err
	}
	return parse(files)
}

// written is a file of the folder.
type written struct {
	path string
	raw  []byte
}

// read returns the manufacturers' files, by name.
func read(dir string) ([]written, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, unreadable(err)
	}
	var files []written
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), ".") {
			continue
		}
		path := filepath.Join(dir, entry.Name())
		switch filepath.Ext(path) {
		case ".yaml":
		case ".yml", ".YAML", ".YML":
			return nil, inFile(path, errors.New("only names that end in .yaml are read: rename it, or remove it"))
		default:
			continue
		}
		raw, err := readBounded(path)
		if err != nil {
			return nil, refused(path, err)
		}
		files = append(files, written{path, raw})
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("the trust folder %s holds no .yaml file: %s", dir, remedy)
	}
	return files, nil
}

// unreadable is about the folder itself. Who lacks the right to it need not be told what to put there.
func unreadable(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("reading the trust folder: %w", err)
	}
	return fmt.Errorf("reading the trust folder: %w: %s", err, remedy)
}

func refused(path string, err error) error {
	return fmt.Errorf("%w; the whole folder is refused until it is mended or removed", inFile(path, err))
}

func parse(files []written) (*verifier.Trust, []*verifier.Anchor, error) {
	trust := &verifier.Trust{Generation: generation(files)}
	var anchors []*verifier.Anchor
	keys := make(holders)
	for _, file := range files {
		f, err := decode(file.raw)
		if err == nil {
			err = keys.enter(file.path, f.CredentialKeys)
		}
		if err != nil {
			return nil, nil, refused(file.path, err)
		}
		anchor, err := f.addTo(&trust.Keys)
		if err != nil {
			return nil, nil, refused(file.path, err)
		}
		anchors = append(anchors, anchor)
	}
	return trust, anchors, nil
}

// holders are the files by the credential keys in them.
type holders map[attest.KeyID]string

// enter refuses a key that another file has. What is no key is for whoever reads the file.
func (h holders) enter(path string, texts []string) error {
	for i, text := range texts {
		key, err := parseCredentialKey(text)
		if err != nil {
			continue
		}
		id := attest.KeyIDOf(key)
		if other, taken := h[id]; taken && other != path {
			return fmt.Errorf("credential_keys: entry %d: key %s stands in %s already: remove it from one of the two", i+1, id, filepath.Base(other))
		}
		h[id] = path
	}
	return nil
}

// generation is the first 8 bytes of the SHA-256 of names and contents, so that all verifiers with the same folder, and
// the same verifier after a restart, agree on it. It is never 0.
func generation(files []written) uint64 {
	digest := sha256.New()
	for _, file := range files {
		for _, part := range [][]byte{[]byte(filepath.Base(file.path)), file.raw} {
			digest.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
			digest.Write(part)
		}
	}
	return max(1, binary.BigEndian.Uint64(digest.Sum(nil)))
}
