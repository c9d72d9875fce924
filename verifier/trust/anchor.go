package trust

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"imei-attest/attest"
	"imei-attest/attest/imei"
	"imei-attest/attest/tpmprofile"
	"imei-attest/verifier"
)

// maxEntries bounds the lists that a judgement searches one by one.
const maxEntries = 10_000

// Anchor is what the file says, checked: all but the keys in CredentialKeys.
func (f *File) Anchor() (*verifier.Anchor, error) {
	return f.addTo(new(attest.KeySet[*verifier.Anchor]))
}

// addTo adds the credential keys, with the anchor, to the keys that are trusted.
func (f *File) addTo(keys *attest.KeySet[*verifier.Anchor]) (*verifier.Anchor, error) {
	const maxIssuerBytes = 64
	if f.Issuer == "" || len(f.Issuer) > maxIssuerBytes {
		return nil, fmt.Errorf("issuer must have 1 to %d bytes", maxIssuerBytes)
	}
	a := &verifier.Anchor{Issuer: f.Issuer, Development: f.Development}
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
	if err := f.setTPMKeys(a); err != nil {
		return nil, err
	}
	if a.Models, err = parseModels(f.Models); err != nil {
		return nil, fmt.Errorf("models: %w", err)
	}
	if a.DeniedTPMFirmware, err = list(f.DeniedTPMFirmware, parseTPMFirmware); err != nil {
		return nil, fmt.Errorf("denied_tpm_firmware: %w", err)
	}
	own, err := addKeys(keys, f.CredentialKeys, a)
	if err != nil {
		return nil, fmt.Errorf("credential_keys: %w", err)
	}
	if a.Revoked, err = f.Revoked.parse(a, own); err != nil {
		return nil, fmt.Errorf("revoked.%w", err)
	}
	return a, nil
}

// setTPMKeys refuses keys that no TPM takes: they would make every honest device's key Name a mismatch.
func (f *File) setTPMKeys(a *verifier.Anchor) (err error) {
	for _, k := range []struct {
		name string
		text string
		key  **ecdsa.PublicKey
	}{{"nv_key", f.NVKey, &a.NVKey}, {"boot_key", f.BootKey, &a.BootKey}, {"boot_key_standby", f.BootKeyStandby, &a.BootKeyStandby}} {
		if *k.key, err = parseKey(k.text); err != nil {
			return fmt.Errorf("%s: %w", k.name, err)
		}
	}
	profile := tpmprofile.Profile{NVKey: a.NVKey, BootPrimary: a.BootKey, BootStandby: a.BootKeyStandby, Variant: attest.NVPlatform}
	if err := profile.Check(); err != nil {
		return fmt.Errorf("nv_key, boot_key, boot_key_standby: %w", err)
	}
	return nil
}

// addKeys returns the ids of the keys that it adds.
func addKeys(keys *attest.KeySet[*verifier.Anchor], texts []string, a *verifier.Anchor) ([]attest.KeyID, error) {
	if len(texts) == 0 {
		return nil, errors.New("empty: list the keys that sign Credentials")
	}
	return list(texts, func(text string) (attest.KeyID, error) {
		key, err := parseCredentialKey(text)
		if err == nil {
			err = keys.Add(key, a)
		}
		return attest.KeyIDOf(key), err
	})
}

// list parses the entries of a list, of which none may stand twice.
func list[E any, T comparable](entries []E, parse func(E) (T, error)) ([]T, error) {
	var parsed []T
	seen := make(map[T]int)
	for i, entry := range entries {
		value, err := parse(entry)
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", i+1, err)
		}
		if first, twice := seen[value]; twice {
			return nil, fmt.Errorf("entry %d says the same as entry %d: remove one", i+1, first+1)
		}
		seen[value] = i
		parsed = append(parsed, value)
	}
	return parsed, nil
}

// shortList is a list of at most maxEntries.
func shortList[E any, T comparable](entries []E, parse func(E) (T, error)) ([]T, error) {
	if len(entries) > maxEntries {
		return nil, fmt.Errorf("%d entries, at most %d are taken", len(entries), maxEntries)
	}
	return list(entries, parse)
}

// set is a list in which only membership counts.
func set[T comparable](texts []string, parse func(string) (T, error)) (map[T]bool, error) {
	values, err := list(texts, parse)
	if err != nil || values == nil {
		return nil, err
	}
	members := make(map[T]bool, len(values))
	for _, value := range values {
		members[value] = true
	}
	return members, nil
}

// parseTACs gives nil for "*", which must stand alone and quoted.
func parseTACs(texts []string) ([]verifier.TACRange, error) {
	const all = "*"
	switch {
	case slices.Equal(texts, []string{all}):
		return nil, nil
	case slices.Contains(texts, all):
		return nil, errors.New("\"*\" means all: write \"*\" alone, or leave it out")
	case len(texts) == 0:
		return nil, errors.New("empty: list the TACs this manufacturer may endorse, or \"*\" alone")
	}
	return shortList(texts, parseTACRange)
}

// parseTACRange takes 8 digits, or two times 8 with a hyphen between.
func parseTACRange(text string) (verifier.TACRange, error) {
	first, last, isRange := strings.Cut(text, "-")
	if !isRange {
		last = first
	}
	if !isTAC(first) || !isTAC(last) || first > last {
		return verifier.TACRange{}, fmt.Errorf("%q: want 8 digits in quotes, or the first and last of a range as \"35693803-35693899\"", text)
	}
	return verifier.TACRange{First: imei.TAC(first), Last: imei.TAC(last)}, nil
}

func isTAC(text string) bool {
	const tacDigits = 8
	return len(text) == tacDigits && strings.Trim(text, "0123456789") == ""
}

// parseKinds lets only a development anchor vouch for an emulated TPM.
func parseKinds(names []string, development bool) ([]attest.StorageKind, error) {
	if len(names) == 0 {
		return nil, errors.New("empty: list the kinds of storage this manufacturer may vouch for")
	}
	return list(names, func(name string) (attest.StorageKind, error) {
		kind, err := attest.ParseStorageKind(name)
		if err == nil && kind == attest.StorageTPMEmulated && !development {
			err = fmt.Errorf("%s needs development: true, because only a laboratory may vouch for it", kind)
		}
		return kind, err
	})
}

func parseModels(entries []Model) ([]verifier.Model, error) {
	names, err := shortList(entries, func(m Model) (string, error) { return parseHWModel(m.HWModel) })
	if err != nil {
		return nil, err
	}
	var models []verifier.Model
	for i, name := range names {
		if len(entries[i].Firmware) == 0 {
			return nil, fmt.Errorf("entry %d: firmware: empty: list the approved revisions, or remove the model", i+1)
		}
		firmware, err := shortList(entries[i].Firmware, parseRevision)
		if err != nil {
			return nil, fmt.Errorf("entry %d: firmware: %w", i+1, err)
		}
		models = append(models, verifier.Model{HWModel: name, Firmware: firmware})
	}
	return models, nil
}

const hexPrefix = "hex:"

// FormatHWModel writes the hwmodel of a Credential: as it is where that is printable text, else "hex:" and its bytes.
func FormatHWModel(model []byte) string {
	if text := string(model); isPrintable(text) && !strings.HasPrefix(text, hexPrefix) {
		return text
	}
	return hexPrefix + hex.EncodeToString(model)
}

// parseHWModel reads what [FormatHWModel] writes, and the hex of text as well.
func parseHWModel(text string) (string, error) {
	const maxBytes = 32 // attest/profile.cddl: hwmodel
	model := text
	if digits, isHex := strings.CutPrefix(text, hexPrefix); isHex {
		raw, err := hex.DecodeString(digits)
		if err != nil {
			return "", fmt.Errorf("hwmodel %q: want pairs of hex digits after %s", text, hexPrefix)
		}
		model = string(raw)
	} else if !isPrintable(text) {
		return "", fmt.Errorf("hwmodel %q is no printable text: write %s and its bytes", text, hexPrefix)
	}
	if model == "" || len(model) > maxBytes {
		return "", fmt.Errorf("hwmodel must have 1 to %d bytes, not %d", maxBytes, len(model))
	}
	return model, nil
}

// parseRevision takes what a token can say of the modem's firmware: agents cut it to 32 bytes.
func parseRevision(text string) (string, error) {
	const maxBytes = 32 // attest/profile.cddl: modem
	if text == "" || len(text) > maxBytes || !isPrintable(text) {
		return "", fmt.Errorf("revision %q: want 1 to %d bytes of printable text, as a token says it", text, maxBytes)
	}
	return text, nil
}

func isPrintable(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
}

// parseTPMFirmware wants all 64 bits, so that nobody takes the upper half for the whole.
func parseTPMFirmware(text string) (uint64, error) {
	const size = len("0x0123456789abcdef")
	version, err := strconv.ParseUint(text, 0, 64)
	if err != nil || len(text) != size || !strings.HasPrefix(text, "0x") || strings.Contains(text, "_") {
		return 0, fmt.Errorf("%q: want 0x and 16 hex digits", text)
	}
	return version, nil
}

// parse checks the revocations against the anchor, whose credential keys are own.
func (r *Revoked) parse(a *verifier.Anchor, own []attest.KeyID) (parsed verifier.Revocations, err error) {
	if parsed.Credentials, err = set(r.Credentials, parseDigest); err != nil {
		return parsed, fmt.Errorf("credentials: %w", err)
	}
	if parsed.DeviceKeys, err = set(r.DeviceKeys, parseKeyID); err != nil {
		return parsed, fmt.Errorf("device_keys: %w", err)
	}
	if parsed.CredentialKeys, err = set(r.CredentialKeys, func(text string) (attest.KeyID, error) { return parseOwnKeyID(text, own) }); err != nil {
		return parsed, fmt.Errorf("credential_keys: %w", err)
	}
	if parsed.Firmware, err = shortList(r.Firmware, func(r FirmwareRange) (verifier.FirmwareRange, error) { return r.parse(a.TACs) }); err != nil {
		return parsed, fmt.Errorf("firmware: %w", err)
	}
	return parsed, nil
}

func parseDigest(text string) (digest [32]byte, err error) {
	err = parseHex(text, digest[:])
	return digest, err
}

func parseKeyID(text string) (id attest.KeyID, err error) {
	err = parseHex(text, id[:])
	return id, err
}

func parseHex(text string, into []byte) error {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != len(into) {
		return fmt.Errorf("%q: want %d hex digits", text, hex.EncodedLen(len(into)))
	}
	copy(into, raw)
	return nil
}

// parseOwnKeyID demands that a revoked key is still listed: of a Credential by a stranger's key it could not be told
// that the key is revoked.
func parseOwnKeyID(text string, own []attest.KeyID) (attest.KeyID, error) {
	id, err := parseKeyID(text)
	if err == nil && !slices.Contains(own, id) {
		err = fmt.Errorf("%s is none of the file's credential_keys, whose ids are %s: leave the key there, or remove this entry", text, own)
	}
	return id, err
}

// parse demands that the TACs are some that the manufacturer may endorse; nil stands for all.
func (r FirmwareRange) parse(tacs []verifier.TACRange) (parsed verifier.FirmwareRange, err error) {
	if parsed.TACs, err = parseTACRange(r.TACs); err != nil {
		return parsed, fmt.Errorf("tacs: %w", err)
	}
	within := func(t verifier.TACRange) bool { return t.Has(parsed.TACs.First) && t.Has(parsed.TACs.Last) }
	if tacs != nil && !slices.ContainsFunc(tacs, within) {
		return parsed, fmt.Errorf("tacs: %s lies within no entry of the file's own tacs: correct it, or list it there", r.TACs)
	}
	if parsed.From, err = parseRevision(r.From); err != nil {
		return parsed, fmt.Errorf("from: %w", err)
	}
	if parsed.To, err = parseRevision(r.To); err != nil {
		return parsed, fmt.Errorf("to: %w", err)
	}
	if verifier.CompareRevisions(r.From, r.To) > 0 {
		return parsed, fmt.Errorf("from %q comes after to %q: exchange them", r.From, r.To)
	}
	return parsed, nil
}

const (
	pemKey         = "PUBLIC KEY"
	pemCertificate = "CERTIFICATE"
)

func parseKey(text string) (*ecdsa.PublicKey, error) {
	block, err := onePEM(text)
	if err != nil || block.Type != pemKey {
		return nil, errors.New("want one PEM block " + pemKey)
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, errors.New("the PEM block holds no public key that can be read: copy it anew")
	}
	return ecdsaKey(key)
}

// parseCredentialKey takes a certificate for the key in it. Its chain, its dates and its names are not looked at: what
// the operator puts into the folder is trusted.
func parseCredentialKey(text string) (*ecdsa.PublicKey, error) {
	block, err := onePEM(text)
	if err != nil || block.Type != pemCertificate {
		return parseKey(text)
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, errors.New("the PEM block holds no certificate that can be read: copy it anew")
	}
	return ecdsaKey(certificate.PublicKey)
}

func onePEM(text string) (*pem.Block, error) {
	block, rest := pem.Decode([]byte(text))
	if block == nil || len(bytes.TrimSpace(rest)) != 0 {
		return nil, errors.New("not one PEM block")
	}
	return block, nil
}

func ecdsaKey(key any) (*ecdsa.PublicKey, error) {
	public, ok := key.(*ecdsa.PublicKey)
	if !ok {
		return nil, errors.New("want an ECDSA key on P-256 or P-384, not one of another kind")
	}
	_, err := attest.AlgorithmOf(public)
	return public, err
}
