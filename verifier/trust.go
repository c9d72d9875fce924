package verifier

import (
	"cmp"
	"crypto/ecdsa"
	"slices"
	"strings"
	"sync"

	"imei-attest/attest"
	"imei-attest/attest/imei"
	"imei-attest/attest/tpmprofile"
)

// Trust is what the operator trusts, at one moment. It is not changed once it is made.
type Trust struct {
	// Generation is a digest of all that is trusted: what was judged under another one is judged again.
	Generation uint64
	// Keys are the manufacturers' credential keys, each with its Anchor.
	Keys attest.KeySet[*Anchor]
	// fleets are remembered, tpmprofile.Fleet by the tpmprofile.Profile that it follows from alone.
	fleets sync.Map
}

// Anchor is one manufacturer, or one laboratory that stands in for one.
type Anchor struct {
	Issuer string
	OEMID  attest.OEMID
	// TACs it may endorse; nil means all, as a laboratory's anchor may say.
	TACs []TACRange
	// StorageKinds it may vouch for. Only a laboratory's holds StorageTPMEmulated.
	StorageKinds []attest.StorageKind
	// NVKey writes the record in the secure storage; BootKey and its standby approve boot states.
	NVKey, BootKey, BootKeyStandby *ecdsa.PublicKey
	// Models are the reference values (RFC 9334 section 8.3). Nothing is said of the firmware of a model that is not listed.
	Models []Model
	// DeniedTPMFirmware are versions of TPM firmware with known faults, as TPM2_NV_Certify tells them (profile B).
	DeniedTPMFirmware []uint64
	Revoked           Revocations
	// Development marks an anchor that no operator should trust outside a laboratory.
	Development bool
}

// TACRange is the TACs from First to Last, both included.
type TACRange struct{ First, Last imei.TAC }

// Has reports whether a TAC is in the range.
func (r TACRange) Has(t imei.TAC) bool { return r.First <= t && t <= r.Last }

// Model is the reference values of one model of a manufacturer.
type Model struct {
	HWModel  string   // as the Credential says it, 1..32 bytes
	Firmware []string // the revisions that the manufacturer approves, as the modem tells them (TS 27.007 clause 5.3)
}

// Revocations are what a manufacturer vouches for no longer.
type Revocations struct {
	Credentials    map[[32]byte]bool     // by digest, as in a manifest: [attest.DigestOf]
	DeviceKeys     map[attest.KeyID]bool // keys of devices
	CredentialKeys map[attest.KeyID]bool // keys of the manufacturer: every Credential they signed
	Firmware       []FirmwareRange
}

// FirmwareRange is the revisions From to To, both included, of the devices with a TAC in a range. The order is that of
// [CompareRevisions].
type FirmwareRange struct {
	TACs     TACRange
	From, To string
}

// CompareRevisions orders two revisions of a firmware, as people number them: runs of digits by their value, everything
// else byte by byte. It returns -1, 0 or 1.
func CompareRevisions(a, b string) int {
	for a != "" && b != "" {
		an, bn := digits(a), digits(b)
		if an == 0 || bn == 0 {
			if a[0] != b[0] {
				return cmp.Compare(a[0], b[0])
			}
			a, b = a[1:], b[1:]
			continue
		}
		x, y := strings.TrimLeft(a[:an], "0"), strings.TrimLeft(b[:bn], "0")
		if order := cmp.Or(cmp.Compare(len(x), len(y)), strings.Compare(x, y)); order != 0 {
			return order
		}
		a, b = a[an:], b[bn:]
	}
	return cmp.Compare(len(a), len(b))
}

// digits is how many digits a text begins with.
func digits(text string) int {
	return len(text) - len(strings.TrimLeft(text, "0123456789"))
}

// permits reports whether the anchor may say what the Credential says. To say of a TPM that it is emulated needs no
// leave; to have it affirmed does, see judgeVault.
func (a *Anchor) permits(c *attest.Credential) bool {
	if c.Issuer != a.Issuer || c.OEMID != a.OEMID || !a.vouches(c.Storage.Kind) && c.Storage.Kind != attest.StorageTPMEmulated {
		return false
	}
	for _, id := range c.Slots {
		if a.TACs != nil && !slices.ContainsFunc(a.TACs, func(r TACRange) bool { return r.Has(id.TAC()) }) {
			return false
		}
	}
	return true
}

func (a *Anchor) vouches(kind attest.StorageKind) bool { return slices.Contains(a.StorageKinds, kind) }

// isOurKey recomputes the Name of the device key from the Credential's own key, the template and an anchor's keys.
// The Name covers the key's attributes and policy, so equality shows that the key cannot sign without the record in
// place and an approved boot. Storage that is no TPM has no Name and nothing to recompute.
func (t *Trust) isOurKey(c *attest.Credential, a *Anchor) bool {
	if !c.Storage.Kind.IsTPM() {
		return true
	}
	binding, err := attest.BindingHash(c.OEMID, c.Slots, c.Storage.RecordID)
	if err != nil {
		return false
	}
	fleet, err := t.fleet(tpmprofile.Profile{NVKey: a.NVKey, BootPrimary: a.BootKey, BootStandby: a.BootKeyStandby,
		Variant: c.Storage.NV, Boot: c.Storage.Boot})
	if err != nil {
		return false
	}
	name, err := fleet.KeyName(c.Key, binding)
	return err == nil && slices.Equal(name, c.Storage.KeyName)
}

func (t *Trust) fleet(p tpmprofile.Profile) (tpmprofile.Fleet, error) {
	if known, found := t.fleets.Load(p); found {
		return known.(tpmprofile.Fleet), nil
	}
	fleet, err := p.Fleet()
	if err == nil {
		t.fleets.Store(p, fleet)
	}
	return fleet, err
}

// judgeFirmware compares the revision of the modem's firmware, empty where the device never told it, with what is revoked and with the
// reference values. Nothing is said of a model that has neither.
func (a *Anchor) judgeFirmware(c *attest.Credential, revision string) attest.Reason {
	for _, r := range a.Revoked.Firmware {
		switch {
		case !r.concerns(c.Slots):
		case revision == "":
			return attest.ReasonFirmwareUnknown
		case r.has(revision):
			return attest.ReasonFirmwareRevoked
		}
	}
	if revision == "" {
		return ""
	}
	for _, m := range a.Models {
		if m.HWModel != string(c.HWModel) {
			continue
		}
		if slices.Contains(m.Firmware, revision) {
			return attest.ReasonFirmwareApproved
		}
		return attest.ReasonFirmwareUnlisted
	}
	return ""
}

func (r *FirmwareRange) concerns(slots []imei.IMEI) bool {
	return slices.ContainsFunc(slots, func(id imei.IMEI) bool { return r.TACs.Has(id.TAC()) })
}

func (r *FirmwareRange) has(revision string) bool {
	return CompareRevisions(r.From, revision) <= 0 && CompareRevisions(revision, r.To) <= 0
}

// deniesTPM judges the version of a TPM's firmware; 0 is of a device that never told it.
func (a *Anchor) deniesTPM(firmware uint64) bool {
	return firmware != 0 && slices.Contains(a.DeniedTPMFirmware, firmware)
}
