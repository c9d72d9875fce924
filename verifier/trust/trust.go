// Package trust reads the operator's trust folder: one YAML file per manufacturer. Start with [Load].
//
// A file that cannot be read, or that says something unknown, refuses the whole folder: half a folder of trust would
// refuse honest people or trust too much.
package trust

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"imei-attest/attest"
	"imei-attest/attest/imei"
	"imei-attest/attest/tpmprofile"
	"imei-attest/verifier"
)

// file is one manufacturer's anchor as written.
type file struct {
	Issuer         string   `yaml:"issuer"`
	OEMID          string   `yaml:"oemid"`
	CredentialKeys []string `yaml:"credential_keys"` // PEM
	NVKey          string   `yaml:"nv_key"`
	BootKey        string   `yaml:"boot_key"`
	BootKeyStandby string   `yaml:"boot_key_standby"`
	TACs           []string `yaml:"tacs"` // 8 digits each, two with a hyphen for a range, or "*" alone
	StorageKinds   []string `yaml:"storage_kinds"`
	Development    bool     `yaml:"development"`
}

// Load reads every NAME.yaml of the folder. The anchors come in the order of their file names.
func Load(dir string) (*verifier.Trust, []*verifier.Anchor, error) {
	const remedy = "put one YAML file per manufacturer there, as imei-provision oem-key writes it (oem-anchor.yaml)"
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the trust folder: %w: %s", err, remedy)
	}
	trust := &verifier.Trust{Generation: 1}
	var anchors []*verifier.Anchor
	for _, entry := range entries {
		switch filepath.Ext(entry.Name()) {
		case ".yaml":
		case ".yml", ".YAML", ".YML":
			return nil, nil, fmt.Errorf("trust file %s: only names that end in .yaml are read: rename it, or remove it", filepath.Join(dir, entry.Name()))
		default:
			continue
		}
		path := filepath.Join(dir, entry.Name())
		anchor, err := loadFile(path, &trust.Keys)
		if err != nil {
			return nil, nil, fmt.Errorf("trust file %s: %w; no file of the folder is trusted until it is mended or removed", path, err)
		}
		anchors = append(anchors, anchor)
	}
	if len(anchors) == 0 {
		return nil, nil, fmt.Errorf("the trust folder %s holds no .yaml file: %s", dir, remedy)
	}
	return trust, anchors, nil
}

func loadFile(path string, keys *attest.KeySet[*verifier.Anchor]) (*verifier.Anchor, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	f, err := decode(raw)
	if err != nil {
		return nil, err
	}
	anchor, err := f.anchor()
	if err != nil {
		return nil, err
	}
	if len(f.CredentialKeys) == 0 {
		return nil, errors.New("credential_keys is empty")
	}
	for i, text := range f.CredentialKeys {
		key, err := parseKey(text)
		if err != nil {
			return nil, fmt.Errorf("credential_keys entry %d: %w", i+1, err)
		}
		if err := keys.Add(key, anchor); err != nil {
			return nil, fmt.Errorf("credential_keys entry %d: %w", i+1, err)
		}
	}
	return anchor, nil
}

// decode refuses unknown keys, keys that stand twice, and anything but one document.
func decode(raw []byte) (*file, error) {
	f := new(file)
	if err := yaml.Load(raw, f, yaml.WithKnownFields(), yaml.WithUniqueKeys()); err != nil {
		return nil, err
	}
	return f, nil
}

func (f *file) anchor() (*verifier.Anchor, error) {
	const maxIssuerBytes = 64
	a := &verifier.Anchor{Issuer: f.Issuer, Development: f.Development}
	if f.Issuer == "" || len(f.Issuer) > maxIssuerBytes {
		return nil, fmt.Errorf("issuer must have 1 to %d bytes", maxIssuerBytes)
	}
	var err error
	if a.OEMID, err = attest.ParseOEMID(f.OEMID); err != nil {
		return nil, fmt.Errorf("oemid: %w", err)
	}
	if a.TACs, err = parseTACs(f.TACs); err != nil {
		return nil, fmt.Errorf("tacs: %w", err)
	}
	if a.StorageKinds, err = parseKinds(f.StorageKinds, f.Development); err != nil {
		return nil, fmt.Errorf("storage_kinds: %w", err)
	}
	for _, k := range []struct {
		name string
		text string
		key  **ecdsa.PublicKey
	}{{"nv_key", f.NVKey, &a.NVKey}, {"boot_key", f.BootKey, &a.BootKey}, {"boot_key_standby", f.BootKeyStandby, &a.BootKeyStandby}} {
		if *k.key, err = parseKey(k.text); err != nil {
			return nil, fmt.Errorf("%s: %w", k.name, err)
		}
	}
	// Keys that no TPM takes would make every honest device's key Name a mismatch.
	profile := tpmprofile.Profile{NVKey: a.NVKey, BootPrimary: a.BootKey, BootStandby: a.BootKeyStandby, Variant: attest.NVPlatform}
	if err := profile.Check(); err != nil {
		return nil, fmt.Errorf("nv_key, boot_key, boot_key_standby: %w", err)
	}
	return a, nil
}

// parseTACs gives nil for "*", which must stand alone and quoted.
func parseTACs(texts []string) ([]verifier.TACRange, error) {
	if slices.Equal(texts, []string{"*"}) {
		return nil, nil
	}
	if len(texts) == 0 {
		return nil, errors.New("empty: list the TACs this manufacturer may endorse, or \"*\"")
	}
	var ranges []verifier.TACRange
	for _, text := range texts {
		r, err := parseTACRange(text)
		if err != nil {
			return nil, err
		}
		ranges = append(ranges, r)
	}
	return ranges, nil
}

// parseTACRange takes 8 digits, or two times 8 with a hyphen between.
func parseTACRange(text string) (verifier.TACRange, error) {
	first, last, isRange := strings.Cut(text, "-")
	if !isRange {
		last = first
	}
	if !isTAC(first) || !isTAC(last) || first > last {
		return verifier.TACRange{}, fmt.Errorf("%q: want 8 digits in quotes, or the first and last of a range as \"35693803-35693899\", or \"*\" alone", text)
	}
	return verifier.TACRange{First: imei.TAC(first), Last: imei.TAC(last)}, nil
}

func isTAC(text string) bool {
	const tacDigits = 8
	return len(text) == tacDigits && strings.Trim(text, "0123456789") == ""
}

// parseKinds lets only a development anchor vouch for an emulated TPM.
func parseKinds(names []string, development bool) ([]attest.StorageKind, error) {
	var kinds []attest.StorageKind
	for _, name := range names {
		kind, err := attest.ParseStorageKind(name)
		if err != nil {
			return nil, err
		}
		if kind == attest.StorageTPMEmulated && !development {
			return nil, fmt.Errorf("%s needs development: true, because only a laboratory may vouch for it", kind)
		}
		kinds = append(kinds, kind)
	}
	if len(kinds) == 0 {
		return nil, errors.New("empty: list the kinds of storage this manufacturer may vouch for")
	}
	return kinds, nil
}

func parseKey(text string) (*ecdsa.PublicKey, error) {
	block, rest := pem.Decode([]byte(text))
	if block == nil || block.Type != "PUBLIC KEY" || len(bytes.TrimSpace(rest)) != 0 {
		return nil, errors.New("want one PEM block PUBLIC KEY")
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	public, ok := key.(*ecdsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("want an ECDSA key on P-256 or P-384, not %T", key)
	}
	_, err = attest.AlgorithmOf(public)
	return public, err
}
