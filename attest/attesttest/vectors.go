package attesttest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
)

// Vector is one input with what a decoder or a verification must say of it.
type Vector struct {
	ID     string `json:"id"`
	Kind   string `json:"kind"` // "evidence", "credential" or "profile-b", evidence with a counter proof and its Credential
	Title  string `json:"title"`
	Clause string `json:"clause"`
	Hex    string `json:"hex"`
	// Expected is "ok", a class of attest.FormatError, or "signature" when only the signature is wrong.
	Expected string `json:"expected"`
}

// Bytes is the input.
func (v Vector) Bytes() []byte {
	b, err := hex.DecodeString(v.Hex)
	if err != nil {
		panic(fmt.Sprintf("vector %s: %v", v.ID, err))
	}
	return b
}

// VectorFile is the shape of a file of vectors. Keys are uncompressed points in hex: each vector is verified under
// the key of its kind, or "credential-es384" where the message says ES384.
type VectorFile struct {
	Description string            `json:"description"`
	Keys        map[string]string `json:"keys"`
	Vectors     []Vector          `json:"vectors"`
}

// MinVectors is the floor under which Load refuses: a folder that moved must not make a test pass.
const MinVectors = 200

//go:embed vectors
var vectorFiles embed.FS

// Load returns all vectors, and the keys under which they verify.
func Load() ([]Vector, map[string]*ecdsa.PublicKey, error) {
	var all []Vector
	keys := make(map[string]*ecdsa.PublicKey)
	names, err := fs.Glob(vectorFiles, "vectors/*.json")
	if err != nil {
		return nil, nil, err
	}
	for _, name := range names {
		raw, err := vectorFiles.ReadFile(name)
		if err != nil {
			return nil, nil, err
		}
		var f VectorFile
		if err := json.Unmarshal(raw, &f); err != nil {
			return nil, nil, fmt.Errorf("reading %s: %w", name, err)
		}
		all = append(all, f.Vectors...)
		for use, text := range f.Keys {
			if keys[use], err = parsePoint(text); err != nil {
				return nil, nil, fmt.Errorf("reading key %s of %s: %w", use, name, err)
			}
		}
	}
	if len(all) < MinVectors {
		return nil, nil, fmt.Errorf("%d vectors, there must be at least %d", len(all), MinVectors)
	}
	return all, keys, nil
}

func parsePoint(text string) (*ecdsa.PublicKey, error) {
	const p256PointBytes = 65
	point, err := hex.DecodeString(text)
	if err != nil {
		return nil, err
	}
	if len(point) == p256PointBytes {
		return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	}
	return ecdsa.ParseUncompressedPublicKey(elliptic.P384(), point)
}
