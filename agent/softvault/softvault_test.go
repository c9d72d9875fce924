package softvault_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"errors"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"testing"

	"imei-attest/agent"
	"imei-attest/agent/softvault"
	"imei-attest/agent/softvault/privatefile"
	"imei-attest/attest"
	"imei-attest/attest/attesttest"
)

var _ agent.Vault = (*softvault.Vault)(nil)

// provisioned is a vault's folder with a credential.
func provisioned(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "vault")
	folder, err := softvault.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := folder.Install(credentialFor(folder.Key())); err != nil {
		t.Fatal(err)
	}
	return path
}

func credentialFor(key *ecdsa.PublicKey) []byte {
	c := attesttest.Credential()
	c.Key = key
	return attesttest.SignedCredential(c)
}

// claimingTPM endorses a key as one of a TPM.
func claimingTPM(key *ecdsa.PublicKey) []byte {
	c := attesttest.Credential()
	c.Key = key
	c.Storage.Kind, c.Storage.NV = attest.StorageTPMDiscrete, attest.NVPlatform
	c.Storage.KeyName = append([]byte{0x00, 0x0B}, make([]byte, sha256.Size)...) // TPM_ALG_SHA256
	return attesttest.SignedCredential(c)
}

func TestVault(t *testing.T) {
	path := provisioned(t)
	v, err := softvault.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	d := v.Describe()
	if d.Kind != attest.StorageSoftware || d.BootBound || d.StorageBound || d.RollbackProtected {
		t.Errorf("Describe claims more than software can: %+v", d)
	}
	raw, err := v.Credential(t.Context())
	if err != nil || !bytes.Equal(raw, credentialFor(d.Key)) {
		t.Errorf("Credential = %d bytes, %v", len(raw), err)
	}
	content := []byte("content")
	signature, err := v.Signer(t.Context()).Sign(nil, content)
	if err != nil || len(signature) != 64 {
		t.Fatalf("Sign = %d bytes, %v", len(signature), err)
	}
	digest := sha256.Sum256(content)
	if !ecdsa.Verify(d.Key, digest[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])) {
		t.Error("the signature does not verify")
	}
	if proof, err := v.Evidence(t.Context(), [32]byte{}); proof != nil || err != nil {
		t.Errorf("Evidence = %x, %v", proof, err)
	}
	for _, file := range []string{softvault.KeyFile, softvault.CredentialFile} {
		if info, err := os.Stat(filepath.Join(path, file)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v; want mode 0600", file, info, err)
		}
	}
}

func TestCreateKeepsTheKey(t *testing.T) {
	path := provisioned(t)
	before, err := softvault.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	again, err := softvault.Create(path)
	if err != nil || !again.Key().Equal(before.Describe().Key) {
		t.Errorf("Create on a vault made another key, %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(path string) error
		want  error
	}{
		"no folder":                        {os.RemoveAll, agent.ErrNotProvisioned},
		"no key":                           {func(p string) error { return os.Remove(filepath.Join(p, softvault.KeyFile)) }, agent.ErrNotProvisioned},
		"no credential":                    {func(p string) error { return os.Remove(filepath.Join(p, softvault.CredentialFile)) }, agent.ErrNotProvisioned},
		"a folder others may enter":        {func(p string) error { return os.Chmod(p, 0o755) }, privatefile.ErrExposed},
		"a folder others may write":        {func(p string) error { return os.Chmod(p, 0o702) }, privatefile.ErrExposed},
		"a key others may read":            {func(p string) error { return os.Chmod(filepath.Join(p, softvault.KeyFile), 0o604) }, privatefile.ErrExposed},
		"a credential the group may write": {func(p string) error { return os.Chmod(filepath.Join(p, softvault.CredentialFile), 0o620) }, privatefile.ErrExposed},
		"another device's credential": {func(p string) error {
			return os.WriteFile(filepath.Join(p, softvault.CredentialFile), credentialFor(&attesttest.Key("other").PublicKey), 0o600)
		}, agent.ErrKeyMismatch},
		"a credential that claims a TPM": {func(p string) error {
			v, err := softvault.Open(p)
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(p, softvault.CredentialFile), claimingTPM(v.Describe().Key), 0o600)
		}, agent.ErrKeyMismatch},
	} {
		t.Run(name, func(t *testing.T) {
			path := provisioned(t)
			if err := c.spoil(path); err != nil {
				t.Fatal(err)
			}
			if _, err := softvault.Open(path); !errors.Is(err, c.want) {
				t.Errorf("Open: %v; want %v", err, c.want)
			}
		})
	}
}

func TestOpenRefusesBrokenFiles(t *testing.T) {
	for _, file := range []string{softvault.KeyFile, softvault.CredentialFile} {
		path := provisioned(t)
		if err := os.WriteFile(filepath.Join(path, file), []byte("rubbish"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := softvault.Open(path); err == nil {
			t.Errorf("a vault with a broken %s was opened", file)
		}
	}
}

func TestOpenRefusesALinkInPlaceOfTheKey(t *testing.T) {
	path := provisioned(t)
	key := filepath.Join(path, softvault.KeyFile)
	elsewhere := filepath.Join(t.TempDir(), "key")
	if err := errors.Join(os.Rename(key, elsewhere), os.Symlink(elsewhere, key)); err != nil {
		t.Fatal(err)
	}
	if _, err := softvault.Open(path); err == nil {
		t.Error("a key behind a symbolic link was opened")
	}
}

func TestInstallRefusesACredentialThatIsNotThisVaults(t *testing.T) {
	folder, err := softvault.Create(filepath.Join(t.TempDir(), "vault"))
	if err != nil {
		t.Fatal(err)
	}
	for name, raw := range map[string][]byte{
		"for another key": credentialFor(&attesttest.Key("other").PublicKey),
		"for a TPM":       claimingTPM(folder.Key()),
	} {
		if err := folder.Install(raw); !errors.Is(err, agent.ErrKeyMismatch) {
			t.Errorf("Install of a credential %s: %v; want %v", name, err, agent.ErrKeyMismatch)
		}
		if _, err := folder.Credential(); !errors.Is(err, agent.ErrNotProvisioned) {
			t.Errorf("the refused credential %s was installed: %v", name, err)
		}
	}
}

func TestReplaceLeavesNothingBehind(t *testing.T) {
	path := provisioned(t)
	entries, err := os.ReadDir(path)
	if err != nil || len(entries) != 2 {
		t.Errorf("the folder holds %v, %v; want key and credential", entries, err)
	}
	if err := privatefile.Create(filepath.Join(path, softvault.KeyFile), nil); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Create over a key: %v; want %v", err, fs.ErrExist)
	}
}
