// Package provision is the manufacturer's side: its keys, and the steps that put a signed IMEI into a device.
//
// Start with [NewOEM] once per manufacturer, with [OpenOEM] afterwards, and with [TPM] or [Software] for each unit. Where
// the keys are not on the production line, [NewRequest], [OEM.Sign], [Install] and [Lock] are the same steps apart.
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
	// StorageKinds are those that its anchor lets it vouch for.
	StorageKinds []attest.StorageKind

	Credential crypto.Signer // signs Credentials; P-256 or P-384
	NV         crypto.Signer // allows to write and to lock records; P-256
	Boot       crypto.Signer // approves boot states; P-256
	Standby    crypto.Signer // approves them when Boot is lost or compromised; P-256; nil where it is kept elsewhere
	// StandbyPublic is the public half of Standby, which every device's policy holds. P-256.
	StandbyPublic *ecdsa.PublicKey

	endorsers []*ecdsa.PublicKey // credential keys that the anchor lists, more than one after a roll-over
}

// Keys says how the private keys of a new manufacturer are kept.
type Keys struct {
	// Passphrase encrypts the files; empty leaves them unencrypted.
	Passphrase []byte
	// Tokens are keys that exist in a PKCS #11 token already: the file holds the URI instead of a key.
	Tokens map[Duty]TokenKey
}

// TokenKey is a key in a PKCS #11 token.
type TokenKey struct {
	URI    string // RFC 7512, without PIN
	Signer crypto.Signer
}

// GenerateOEM is [NewOEM] with unencrypted keys.
func GenerateOEM(folder string, a Anchor) (*OEM, error) { return NewOEM(folder, a, Keys{}) }

// NewOEM makes the keys of a manufacturer and its anchor in a private folder. It refuses a folder that holds any
// of the files: keys that signed devices are never overwritten.
func NewOEM(folder string, a Anchor, keys Keys) (*OEM, error) {
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
	o := &OEM{Issuer: a.Issuer, ID: a.OEMID, TACs: a.TACs, StorageKinds: a.storageKinds(), Development: a.Development}
	for _, duty := range Duties() {
		key, err := keys.make(filepath.Join(folder, duty.File()), duty)
		if err != nil {
			return nil, err
		}
		*duty.of(o) = key
	}
	o.StandbyPublic = publicKey(o.Standby)
	o.endorsers = []*ecdsa.PublicKey{publicKey(o.Credential)}
	text, err := a.encode(o)
	if err != nil {
		return nil, err
	}
	// Operators' verifiers run as other users: unlike its folder, a copy of the anchor is for everybody.
	const publicMode = 0o644
	return o, privatefile.Replace(filepath.Join(folder, AnchorFile), text, publicMode)
}

// make generates a key, or takes the one in a token, and writes its file.
func (k Keys) make(path string, duty Duty) (crypto.Signer, error) {
	if token, ok := k.Tokens[duty]; ok {
		return token.Signer, privatefile.Create(path, []byte(token.URI+"\n"))
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return key, writeKey(path, key, k.Passphrase)
}

// LoadOEM reads what [GenerateOEM] wrote. It refuses keys that others may read, and an anchor that is not theirs. The
// boot keys may be kept elsewhere: only their public halves are needed, until one must approve a boot state.
func LoadOEM(folder string) (*OEM, error) { return OpenOEM(folder, KeyOpener{}, Duties()...) }

// OpenOEM reads the anchor in a folder and opens the private keys of some duties. Those of the others may be kept
// elsewhere, and so may the boot keys; what needs them says so.
func OpenOEM(folder string, opener KeyOpener, wanted ...Duty) (*OEM, error) {
	path := filepath.Join(folder, AnchorFile)
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("the manufacturer's anchor: %w (made by imei-provision oem-key)", err)
	}
	o, err := ReadAnchor(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for _, duty := range wanted {
		key, err := opener.open(filepath.Join(folder, duty.File()))
		if errors.Is(err, fs.ErrNotExist) && (duty == DutyBoot || duty == DutyStandby) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := o.adopt(duty, key); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	return o, nil
}

// adopt takes a private key that the anchor lists the public half of.
func (o *OEM) adopt(duty Duty, key crypto.Signer) error {
	listed := []*ecdsa.PublicKey{o.StandbyPublic}
	switch duty {
	case DutyCredential:
		listed = o.endorsers
	case DutyNV, DutyBoot:
		listed[0] = publicKey(*duty.of(o))
	}
	for _, public := range listed {
		if public.Equal(key.Public()) {
			*duty.of(o) = key
			return nil
		}
	}
	return fmt.Errorf("the anchor lists other public keys than that of the %s key beside it: verifiers would refuse the devices", duty)
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

// ApproveBoot signs a boot state with the key of a role. [ErrRefused] is a state in which nothing was measured: its approval
// would open every device of the manufacturer whose TPM somebody resets, so only a laboratory signs it.
func (o *OEM) ApproveBoot(role tpmprofile.BootRole, state tpmprofile.BootState) (tpmprofile.BootApproval, error) {
	if err := o.checkMeasured(state.PCRs, state.Digest); err != nil {
		return tpmprofile.BootApproval{}, err
	}
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
	return tpmprofile.Approve(rand.Reader, o.BootKeys(), role, signer, state)
}

func (o *OEM) checkMeasured(registers tpmprofile.PCRSelection, digest [32]byte) error {
	if o.Development || !isReset(registers, digest) {
		return nil
	}
	return fmt.Errorf("%w: registers %s hold their reset values, so nothing measured that boot; enable measured boot, or say with an empty list of registers that the boot is not measured",
		ErrRefused, registers)
}

func isReset(registers tpmprofile.PCRSelection, digest [32]byte) bool {
	return !registers.IsEmpty() && digest == registers.ResetDigest()
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

// signCredential signs a Credential with the credential key, if the anchor lists its kind of storage.
func (o *OEM) signCredential(c attest.Credential) ([]byte, error) {
	if err := o.checkKind(c.Storage.Kind); err != nil {
		return nil, err
	}
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
	var names []string
	for _, duty := range Duties() {
		names = append(names, duty.File())
	}
	return names
}
