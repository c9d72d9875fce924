package trust

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"imei-attest/attest"
	"imei-attest/verifier"
)

// Additions are what a manufacturer adds to its file in the course of time, in the words of [File]. What makes it the manufacturer it
// is - name, TACs, storage kinds, keys for TPMs - is none of it.
type Additions struct {
	CredentialKeys    []string `json:"credential_keys,omitempty"`
	Models            []Model  `json:"models,omitempty"`
	DeniedTPMFirmware []string `json:"denied_tpm_firmware,omitempty"`
	Revoked           Revoked  `json:"revoked,omitzero"`
}

// IsEmpty reports whether nothing is said.
func (a *Additions) IsEmpty() bool { return a.count() == 0 }

func (a *Additions) count() int {
	r := &a.Revoked
	return len(a.CredentialKeys) + len(a.Models) + len(a.DeniedTPMFirmware) + len(r.Credentials) + len(r.DeviceKeys) + len(r.CredentialKeys) + len(r.Firmware)
}

// Additions is what the file says of that kind, each in the one form that says it. The error is that of [File.Anchor].
func (f *File) Additions() (*Additions, error) {
	if _, err := f.Anchor(); err != nil {
		return nil, err
	}
	return (&Additions{f.CredentialKeys, f.Models, f.DeniedTPMFirmware, f.Revoked}).canonical()
}

// Check refuses what no file may say, what stands twice, and what is not written in the one form that says it.
func (a *Additions) Check() error {
	form, err := a.canonical()
	if err == nil && !reflect.DeepEqual(form, a) {
		err = errors.New("a key, model, id or range is written in another form than the one this takes")
	}
	return err
}

func (a *Additions) canonical() (*Additions, error) {
	var form Additions
	var err error
	if form.CredentialKeys, err = list(a.CredentialKeys, canonicalKey); err != nil {
		return nil, fmt.Errorf("credential_keys: %w", err)
	}
	models, err := parseModels(a.Models)
	if err != nil {
		return nil, fmt.Errorf("models: %w", err)
	}
	form.Models = each(models, func(m verifier.Model) Model { return Model{FormatHWModel([]byte(m.HWModel)), m.Firmware} })
	versions, err := list(a.DeniedTPMFirmware, parseTPMFirmware)
	if err != nil {
		return nil, fmt.Errorf("denied_tpm_firmware: %w", err)
	}
	form.DeniedTPMFirmware = each(versions, func(version uint64) string { return fmt.Sprintf("0x%016x", version) })
	form.Revoked, err = a.Revoked.canonical()
	return &form, err
}

// canonical does not know whose keys and TACs these are: that is for [Revoked.parse].
func (r *Revoked) canonical() (form Revoked, err error) {
	digests, err := list(r.Credentials, parseDigest)
	if err != nil {
		return form, fmt.Errorf("revoked.credentials: %w", err)
	}
	form.Credentials = each(digests, func(digest [32]byte) string { return hex.EncodeToString(digest[:]) })
	for _, keys := range []struct {
		name string
		from []string
		to   *[]string
	}{{"device_keys", r.DeviceKeys, &form.DeviceKeys}, {"credential_keys", r.CredentialKeys, &form.CredentialKeys}} {
		ids, err := list(keys.from, parseKeyID)
		if err != nil {
			return form, fmt.Errorf("revoked.%s: %w", keys.name, err)
		}
		*keys.to = each(ids, attest.KeyID.String)
	}
	ranges, err := shortList(r.Firmware, func(r FirmwareRange) (verifier.FirmwareRange, error) { return r.parse(nil) })
	if err != nil {
		return form, fmt.Errorf("revoked.firmware: %w", err)
	}
	form.Firmware = each(ranges, func(r verifier.FirmwareRange) FirmwareRange { return FirmwareRange{formatTACs(r.TACs), r.From, r.To} })
	return form, nil
}

// each keeps nil, so that an empty list is left out.
func each[E, T any](values []E, f func(E) T) []T {
	var all []T
	for _, value := range values {
		all = append(all, f(value))
	}
	return all
}

func formatTACs(r verifier.TACRange) string {
	if r.First == r.Last {
		return string(r.First)
	}
	return string(r.First) + "-" + string(r.Last)
}

// FormatKey writes a public key as [File] holds it: a PEM block PUBLIC KEY.
func FormatKey(key *ecdsa.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	return string(pem.EncodeToMemory(&pem.Block{Type: pemKey, Bytes: der})), err
}

// ParseKey reads what [FormatKey] writes, a key on P-256 or P-384.
func ParseKey(text string) (*ecdsa.PublicKey, error) { return parseKey(text) }

func canonicalKey(text string) (string, error) {
	key, err := parseCredentialKey(text)
	if err != nil {
		return "", err
	}
	return FormatKey(key)
}

// Add adds to the file what it does not say yet, and returns that. Nothing is ever taken away. What [Additions.Check] refuses is not
// added, nor what would make the file say something wrong: it stays as it was.
func (f *File) Add(more *Additions) (added *Additions, err error) {
	if err := more.Check(); err != nil {
		return nil, err
	}
	has, err := f.Additions()
	if err != nil {
		return nil, err
	}
	changed, r := *f, &f.Revoked
	added = &Additions{Models: addModels(&changed, has.Models, more.Models)}
	changed.CredentialKeys, added.CredentialKeys = extend(f.CredentialKeys, has.CredentialKeys, more.CredentialKeys)
	changed.DeniedTPMFirmware, added.DeniedTPMFirmware = extend(f.DeniedTPMFirmware, has.DeniedTPMFirmware, more.DeniedTPMFirmware)
	into, revoked := &changed.Revoked, &added.Revoked
	into.Credentials, revoked.Credentials = extend(r.Credentials, has.Revoked.Credentials, more.Revoked.Credentials)
	into.DeviceKeys, revoked.DeviceKeys = extend(r.DeviceKeys, has.Revoked.DeviceKeys, more.Revoked.DeviceKeys)
	into.CredentialKeys, revoked.CredentialKeys = extend(r.CredentialKeys, has.Revoked.CredentialKeys, more.Revoked.CredentialKeys)
	into.Firmware, revoked.Firmware = extend(r.Firmware, has.Revoked.Firmware, more.Revoked.Firmware)
	if _, err := changed.Anchor(); err != nil {
		return nil, err
	}
	*f = changed
	return added, nil
}

// extend returns a list with the entries of more that are not among those it has, and these.
func extend[T comparable](list, has, more []T) (extended, added []T) {
	known := make(map[T]bool, len(has))
	for _, entry := range has {
		known[entry] = true
	}
	for _, entry := range more {
		if !known[entry] {
			added = append(added, entry)
		}
	}
	return slices.Concat(list, added), added
}

// addModels extends the models that the file has, which stand in the same order in has, and appends the others.
func addModels(f *File, has, more []Model) (added []Model) {
	f.Models = slices.Clone(f.Models)
	place := make(map[string]int, len(has))
	for i, m := range has {
		place[m.HWModel] = i
	}
	for _, m := range more {
		i, known := place[m.HWModel]
		if !known {
			f.Models, added = append(f.Models, m), append(added, m)
			continue
		}
		extended, revisions := extend(f.Models[i].Firmware, has[i].Firmware, m.Firmware)
		f.Models[i].Firmware = extended
		if revisions != nil {
			added = append(added, Model{HWModel: m.HWModel, Firmware: revisions})
		}
	}
	return added
}
