// Package softvault keeps the device key and the Credential in two files. It is the vault of devices without secure
// storage and of development: anyone who becomes the device's user copies the key, so its Credential says "software" and no
// verifier affirms it.
//
// Start with [Open] on a device; [Create] and [Folder.Install] are the factory's.
package softvault

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"imei-attest/agent"
	"imei-attest/agent/softvault/privatefile"
	"imei-attest/attest"
)

// Names of the files in the folder of a vault.
const (
	KeyFile        = "device.key"      // the private scalar of P-256, 64 hex digits
	CredentialFile = "credential.cose" // as the manufacturer signed it
)

// Folder is a vault that may lack its Credential.
type Folder struct {
	path string
	key  *ecdsa.PrivateKey
}

// Create opens a folder for provisioning: it makes the folder and the device key where they are absent, and keeps
// the key that is there.
func Create(path string) (*Folder, error) {
	if err := privatefile.MakeFolder(path); err != nil {
		return nil, fmt.Errorf("software vault: %w", err)
	}
	key, err := readKey(path)
	if err == nil {
		return &Folder{path, key}, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, err
	}
	scalar, err := key.Bytes()
	if err != nil {
		return nil, err
	}
	text := []byte(hex.EncodeToString(scalar) + "\n")
	if err := privatefile.Create(filepath.Join(path, KeyFile), text); err != nil {
		return nil, fmt.Errorf("software vault: %w", err)
	}
	return &Folder{path, key}, nil
}

// Key is the device key's public half.
func (f *Folder) Key() *ecdsa.PublicKey { return &f.key.PublicKey }

// Credential returns what is installed; [agent.ErrNotProvisioned] if nothing is.
func (f *Folder) Credential() ([]byte, error) {
	raw, err := privatefile.Read(filepath.Join(f.path, CredentialFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, agent.ErrNotProvisioned
	}
	return raw, err
}

// Install puts a Credential for this vault's key into the folder and replaces an older one.
func (f *Folder) Install(raw []byte) error {
	if err := checkCredential(raw, f.Key()); err != nil {
		return err
	}
	return privatefile.Replace(filepath.Join(f.path, CredentialFile), raw, privatefile.FileMode)
}

// Vault is an [agent.Vault] in a folder.
type Vault struct {
	key    *ecdsa.PrivateKey
	signer attest.Signer
	raw    []byte // Credential
}

// Open reads the vault in a folder. It refuses a folder or a key that others may use, and a Credential for another
// key ([agent.ErrKeyMismatch]).
func Open(path string) (*Vault, error) {
	if err := privatefile.CheckFolder(path); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("software vault %s: no such folder: %w", path, agent.ErrNotProvisioned)
	} else if err != nil {
		return nil, fmt.Errorf("software vault: %w", err)
	}
	key, err := readKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("software vault %s: no key: %w", path, agent.ErrNotProvisioned)
	} else if err != nil {
		return nil, err
	}
	raw, err := (&Folder{path, key}).Credential()
	if err != nil {
		return nil, fmt.Errorf("software vault: %w", err)
	}
	if err := checkCredential(raw, &key.PublicKey); err != nil {
		return nil, err
	}
	signer, err := attest.NewSigner(key)
	if err != nil {
		return nil, err
	}
	return &Vault{key: key, signer: signer, raw: raw}, nil
}

func checkCredential(raw []byte, key *ecdsa.PublicKey) error {
	c, err := attest.DecodeCredential(raw)
	if err != nil {
		return fmt.Errorf("software vault: credential: %w", err)
	}
	if !c.Key.Equal(key) {
		return fmt.Errorf("software vault: %w", agent.ErrKeyMismatch)
	}
	if c.Storage.Kind != attest.StorageSoftware {
		return fmt.Errorf("software vault: the credential claims storage kind %s: %w", c.Storage.Kind, agent.ErrKeyMismatch)
	}
	return nil
}

func readKey(folder string) (*ecdsa.PrivateKey, error) {
	path := filepath.Join(folder, KeyFile)
	text, err := privatefile.Read(path)
	if err != nil {
		return nil, fmt.Errorf("software vault: %w", err)
	}
	scalar, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, fmt.Errorf("software vault: %s is not a key in hex", path)
	}
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), scalar)
	if err != nil {
		return nil, fmt.Errorf("software vault: %s is not a key on P-256", path)
	}
	return key, nil
}

// Credential implements [agent.Vault].
func (v *Vault) Credential(context.Context) ([]byte, error) {
	return append([]byte(nil), v.raw...), nil
}

// Signer implements [agent.Vault]; software does not wait.
func (v *Vault) Signer(context.Context) attest.Signer { return v.signer }

// Evidence implements [agent.Vault]: software has no proof.
func (v *Vault) Evidence(context.Context, [32]byte) ([]byte, error) { return nil, nil }

// Describe implements [agent.Vault].
func (v *Vault) Describe() agent.Description {
	return agent.Description{Kind: attest.StorageSoftware, Key: &v.key.PublicKey}
}

// Close implements [agent.Vault].
func (v *Vault) Close() error { return nil }
