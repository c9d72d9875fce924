// Package provision is the manufacturer's side: its keys, and the steps that put a signed IMEI into a device.
//
// Start with [GenerateOEM] once per manufacturer, with [LoadOEM] afterwards, and with [TPM] or [Software] for each unit.
// The steps for a TPM can be interrupted anywhere and run again: they look at what the TPM holds and go on from
// there; a record that is written is never replaced.
//
// The package opens no TPM: it declares the [Provisioner] it needs, which tpmvault's Factory is.
package provision

import (
	"crypto"
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

	"imei-attest/agent/softvault/privatefile"
	"imei-attest/attest"
	"imei-attest/attest/tpmprofile"
)

// OEM is a manufacturer with its four private keys, each with one duty, so that losing one loses no other. A key may
// be any crypto.Signer, such as one in an HSM.
type OEM struct {
	Issuer string       // URI, 1..64 bytes
	ID     attest.OEMID // in every Credential and binding hash
	// Development: the anchor is a laboratory's.
	Development bool
	TACs        []string // Type Allocation Codes that its anchor lets it endorse; "*" stands for all

	Credential crypto.Signer // signs Credentials; P-256 or P-384
	NV         crypto.Signer // allows to write and to lock records; P-256
	Boot       crypto.Signer // approves boot states; P-256
	Standby    crypto.Signer // approves them when Boot is lost or compromised; P-256; nil where it is kept elsewhere
	// StandbyPublic is the public half of Standby, which every device's policy holds. P-256.
	StandbyPublic *ecdsa.PublicKey
}

const standbyFile = "boot-standby.key"

// keyFiles are the names of the private keys in a folder of the manufacturer.
var keyFiles = []struct {
	name string
	key  func(*OEM) *crypto.Signer
}{
	{"credential.key", func(o *OEM) *crypto.Signer { return &o.Credential }},
	{"nv.key", func(o *OEM) *crypto.Signer { return &o.NV }},
	{"boot.key", func(o *OEM) *crypto.Signer { return &o.Boot }},
	{standbyFile, func(o *OEM) *crypto.Signer { return &o.Standby }},
}

const pemPrivate, pemPublic = "PRIVATE KEY", "PUBLIC KEY" // RFC 7468 sections 10 and 13

// GenerateOEM makes the keys of a manufacturer and its anchor in a private folder. It refuses a folder that holds any
// of the files: keys that signed devices are never overwritten.
func GenerateOEM(folder string, a Anchor) (*OEM, error) {
	if err := a.check(); err != nil {
		return nil, err
	}
	if err := privatefile.MakeFolder(folder); err != nil {
		return nil, err
	}
	for _, name := range append(keyNames(), AnchorFile) {
		if _, err := os.Lstat(filepath.Join(folder, name)); err == nil {
			return nil, fmt.Errorf("%s exists: keys are never overwritten; choose another folder: %w", filepath.Join(folder, name), os.ErrExist)
		}
	}
	o := &OEM{Issuer: a.Issuer, ID: a.OEMID, TACs: a.TACs, Development: a.Development}
	for _, f := range keyFiles {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		if err := writeKey(filepath.Join(folder, f.name), key); err != nil {
			return nil, err
		}
		*f.key(o) = key
	}
	o.StandbyPublic = publicKey(o.Standby)
	text, err := a.encode(o)
	if err != nil {
		return nil, err
	}
	// Operators' verifiers run as other users: unlike its folder, a copy of the anchor is for everybody.
	const publicMode = 0o644
	return o, privatefile.Replace(filepath.Join(folder, AnchorFile), text, publicMode)
}

// LoadOEM reads what [GenerateOEM] wrote. It refuses keys that others may read, and an anchor that is not theirs. The
// standby key may be kept elsewhere: only its public half is needed, until it must approve a boot state.
func LoadOEM(folder string) (*OEM, error) {
	o := new(OEM)
	for _, f := range keyFiles {
		key, err := readKey(filepath.Join(folder, f.name))
		switch {
		case errors.Is(err, fs.ErrNotExist) && f.name == standbyFile:
		case err != nil:
			return nil, err
		default:
			*f.key(o) = key
		}
	}
	text, err := os.ReadFile(filepath.Join(folder, AnchorFile))
	if err != nil {
		return nil, fmt.Errorf("the manufacturer's anchor: %w (made by imei-provision oem-key)", err)
	}
	if err := o.adoptAnchor(text); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(folder, AnchorFile), err)
	}
	return o, nil
}

// Profile is the TPM profile of this manufacturer's devices.
func (o *OEM) Profile(variant attest.NVVariant, boot attest.BootKind) tpmprofile.Profile {
	keys := o.BootKeys()
	return tpmprofile.Profile{
		NVKey: publicKey(o.NV), BootPrimary: keys.Primary, BootStandby: keys.Standby, Variant: variant, Boot: boot,
	}
}

// BootKeys are the public halves of the two boot keys.
func (o *OEM) BootKeys() tpmprofile.BootKeys {
	return tpmprofile.BootKeys{Primary: publicKey(o.Boot), Standby: o.StandbyPublic}
}

// ApproveBoot signs a boot state with the key of a role.
func (o *OEM) ApproveBoot(role tpmprofile.BootRole, pcrs tpmprofile.PCRSelection, digest [32]byte) (tpmprofile.BootApproval, error) {
	key := o.Boot
	if role == tpmprofile.RoleStandby {
		key = o.Standby
	}
	if key == nil {
		return tpmprofile.BootApproval{}, fmt.Errorf("the %s boot key is not here: bring it from where it is kept", role)
	}
	signer, err := attest.NewSigner(key)
	if err != nil {
		return tpmprofile.BootApproval{}, fmt.Errorf("%s boot key: %w", role, err)
	}
	return tpmprofile.Approve(rand.Reader, o.BootKeys(), role, signer, tpmprofile.BootState{PCRs: pcrs, Digest: digest})
}

// signNV signs an authorisation with the NV key.
func (o *OEM) signNV(content []byte) (signature [tpmprofile.SignatureBytes]byte, err error) {
	signer, err := attest.NewSigner(o.NV)
	if err != nil {
		return signature, fmt.Errorf("NV key: %w", err)
	}
	raw, err := signer.Sign(rand.Reader, content)
	if err == nil && copy(signature[:], raw) != len(raw) {
		err = errors.New("the NV key is not on P-256")
	}
	return signature, err
}

// signCredential signs a Credential with the credential key.
func (o *OEM) signCredential(c attest.Credential) ([]byte, error) {
	signer, err := attest.NewSigner(o.Credential)
	if err != nil {
		return nil, fmt.Errorf("credential key: %w", err)
	}
	return attest.SignCredential(rand.Reader, c, signer, attest.KeyIDOf(publicKey(o.Credential)))
}

// publicKey is nil for a key that is not ECDSA; who uses it refuses nil.
func publicKey(key crypto.Signer) *ecdsa.PublicKey {
	if key == nil {
		return nil
	}
	public, _ := key.Public().(*ecdsa.PublicKey)
	return public
}

func keyNames() []string {
	names := make([]string, 0, len(keyFiles)+1)
	for _, f := range keyFiles {
		names = append(names, f.name)
	}
	return names
}

func writeKey(path string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return privatefile.Create(path, pem.EncodeToMemory(&pem.Block{Type: pemPrivate, Bytes: der}))
}

func readKey(path string) (*ecdsa.PrivateKey, error) {
	text, err := privatefile.Read(path)
	if err != nil {
		return nil, fmt.Errorf("the manufacturer's keys: %w (made by imei-provision oem-key)", err)
	}
	block, rest := pem.Decode(text)
	if block == nil || block.Type != pemPrivate || len(rest) != 0 {
		return nil, fmt.Errorf("%s is not one %q in PEM", path, pemPrivate)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s is not a PKCS #8 key", path)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s is not an ECDSA key", path)
	}
	return key, nil
}
