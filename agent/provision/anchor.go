package provision

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"

	"go.yaml.in/yaml/v4"

	"imei-attest/attest"
	"imei-attest/attest/imei"
)

// AnchorFile is the name of the manufacturer's anchor: what a verifier's trust folder takes.
const AnchorFile = "oem-anchor.yaml"

// Anchor is what a manufacturer declares beside its keys.
type Anchor struct {
	Issuer string // URI, 1..64 bytes
	OEMID  attest.OEMID
	TACs   []string // Type Allocation Codes it may endorse, 8 digits each; "*" stands for all
	// Development adds the kinds "software" and "tpm-emulated" to those it may vouch for, and marks the anchor.
	Development bool
}

// anchorFile is the text form, strict YAML with these keys.
type anchorFile struct {
	Issuer         string   `yaml:"issuer"`
	OEMID          string   `yaml:"oemid"`
	CredentialKeys []string `yaml:"credential_keys"`
	NVKey          string   `yaml:"nv_key"`
	BootKey        string   `yaml:"boot_key"`
	BootKeyStandby string   `yaml:"boot_key_standby"`
	TACs           []string `yaml:"tacs"`
	StorageKinds   []string `yaml:"storage_kinds"`
	Development    bool     `yaml:"development,omitempty"`
}

// ErrAnchor means that what a manufacturer declares of itself is not well formed.
var ErrAnchor = errors.New("the manufacturer's anchor")

func (a Anchor) check() error {
	const maxIssuer = 64
	if a.Issuer == "" || len(a.Issuer) > maxIssuer {
		return fmt.Errorf("%w: issuer of %d bytes: want a URI of 1 to %d", ErrAnchor, len(a.Issuer), maxIssuer)
	}
	if a.OEMID.IsZero() {
		return fmt.Errorf("%w: the OEM id is missing", ErrAnchor)
	}
	if len(a.TACs) == 0 {
		return fmt.Errorf("%w: no TAC: want 8 digits each, or *", ErrAnchor)
	}
	for _, tac := range a.TACs {
		if tac != "*" && !isTAC(tac) {
			return fmt.Errorf("%w: TAC %q: want 8 digits, or * for all", ErrAnchor, tac)
		}
	}
	return nil
}

// isTAC asks the IMEI reader whether the text begins an IMEI (TS 23.003 clause 6.2.1).
func isTAC(text string) bool {
	const anySerial = "000001"
	id, err := imei.FromBody(text + anySerial)
	return err == nil && string(id.TAC()) == text
}

func (a Anchor) storageKinds() []attest.StorageKind {
	kinds := []attest.StorageKind{attest.StorageTPMDiscrete, attest.StorageTPMFirmware}
	if a.Development {
		kinds = append(kinds, attest.StorageSoftware, attest.StorageTPMEmulated)
	}
	return kinds
}

// encode gives the anchor's file for the keys of o.
func (a Anchor) encode(o *OEM) ([]byte, error) {
	f := anchorFile{
		Issuer: a.Issuer, OEMID: a.OEMID.String(), CredentialKeys: make([]string, 1),
		TACs: a.TACs, Development: a.Development,
	}
	for _, kind := range o.StorageKinds {
		f.StorageKinds = append(f.StorageKinds, kind.String())
	}
	for _, k := range []struct {
		into *string
		key  *ecdsa.PublicKey
	}{
		{&f.CredentialKeys[0], publicKey(o.Credential)},
		{&f.NVKey, publicKey(o.NV)},
		{&f.BootKey, publicKey(o.Boot)},
		{&f.BootKeyStandby, o.StandbyPublic},
	} {
		text, err := publicPEM(k.key)
		if err != nil {
			return nil, err
		}
		*k.into = text
	}
	body, err := yaml.Dump(f)
	if err != nil {
		return nil, err
	}
	return append([]byte(anchorComment(a.Development)), body...), nil
}

func anchorComment(development bool) string {
	if development {
		return "# Anchor for development: it vouches for software and emulated storage. Never put it into an operator's trust folder.\n"
	}
	return "# Anchor of a manufacturer: put it into the trust folder of a verifier. It holds public keys only.\n"
}

// ReadAnchor gives the manufacturer of an anchor, without private keys: enough to compute and to check everything.
func ReadAnchor(text []byte) (*OEM, error) {
	var f anchorFile
	if err := yaml.Load(text, &f, yaml.WithKnownFields()); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAnchor, err)
	}
	id, err := attest.ParseOEMID(f.OEMID)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAnchor, err)
	}
	a := Anchor{Issuer: f.Issuer, OEMID: id, TACs: f.TACs, Development: f.Development}
	if err := a.check(); err != nil {
		return nil, err
	}
	o := &OEM{Issuer: f.Issuer, ID: id, TACs: f.TACs, Development: f.Development}
	for _, name := range f.StorageKinds {
		kind, err := attest.ParseStorageKind(name)
		if err != nil {
			return nil, fmt.Errorf("%w: storage_kinds: %w", ErrAnchor, err)
		}
		o.StorageKinds = append(o.StorageKinds, kind)
	}
	if err := f.publicKeys(o); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAnchor, err)
	}
	return o, o.Profile(attest.NVPlatform, attest.BootMeasured).Check()
}

// publicKeys gives o the public halves of all keys.
func (f anchorFile) publicKeys(o *OEM) error {
	if len(f.CredentialKeys) == 0 {
		return errors.New("credential_keys is empty")
	}
	for i, text := range f.CredentialKeys {
		key, err := parsePublicPEM(text)
		if err != nil {
			return fmt.Errorf("credential_keys entry %d: %w", i+1, err)
		}
		o.endorsers = append(o.endorsers, key)
	}
	nv, err := parsePublicPEM(f.NVKey)
	if err != nil {
		return fmt.Errorf("nv_key: %w", err)
	}
	boot, err := parsePublicPEM(f.BootKey)
	if err != nil {
		return fmt.Errorf("boot_key: %w", err)
	}
	if o.StandbyPublic, err = parsePublicPEM(f.BootKeyStandby); err != nil {
		return fmt.Errorf("boot_key_standby: %w", err)
	}
	o.Credential, o.NV, o.Boot = absentKey{DutyCredential, o.endorsers[0]}, absentKey{DutyNV, nv}, absentKey{DutyBoot, boot}
	return nil
}

// checkTACs refuses a unit that verifiers would refuse, before anything is written that cannot be undone.
func (o *OEM) checkTACs(u Unit) error {
	if slices.Contains(o.TACs, "*") {
		return nil
	}
	for i, id := range u.Slots {
		if !slices.Contains(o.TACs, string(id.TAC())) {
			return fmt.Errorf("%w does not list the TAC of slot %d (%s): verifiers would refuse the device; add it to tacs in %s there and at the operators, or check the IMEI",
				ErrAnchor, i+1, id, AnchorFile)
		}
	}
	return nil
}

// checkKind keeps the manufacturer from vouching for storage that its anchor does not list.
func (o *OEM) checkKind(kind attest.StorageKind) error {
	if slices.Contains(o.StorageKinds, kind) {
		return nil
	}
	return fmt.Errorf("%w does not list storage kind %s: verifiers would refuse the device; "+
		"trials take keys of imei-provision oem-key --development, other storage an entry in storage_kinds of %s there and at the operators",
		ErrAnchor, kind, AnchorFile)
}

func parsePublicPEM(text string) (*ecdsa.PublicKey, error) {
	block, rest := pem.Decode([]byte(text))
	if block == nil || block.Type != pemPublic || len(bytes.TrimSpace(rest)) != 0 {
		return nil, fmt.Errorf("not one %q in PEM", pemPublic)
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	public, ok := key.(*ecdsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("an ECDSA key is wanted, not %T", key)
	}
	return public, nil
}

func publicPEM(key *ecdsa.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return "", fmt.Errorf("public key: %w", err)
	}
	var text bytes.Buffer
	err = pem.Encode(&text, &pem.Block{Type: pemPublic, Bytes: der})
	return text.String(), err
}
