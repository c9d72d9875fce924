package verifier

import (
	"crypto/ecdsa"
	"slices"

	"imei-attest/attest"
	"imei-attest/attest/imei"
	"imei-attest/attest/tpmprofile"
)

// Trust is what the operator trusts, at one moment. It is not changed once it is made.
type Trust struct {
	// Generation rises with every change: what was judged under an earlier one is judged again.
	Generation uint64
	// Keys are the manufacturers' credential keys, each with its Anchor.
	Keys attest.KeySet[*Anchor]
}

// Anchor is one manufacturer, or one laboratory that stands in for one.
type Anchor struct {
	Issuer string
	OEMID  attest.OEMID
	// TACs it may endorse; nil means all, as a laboratory's anchor may say.
	TACs map[imei.TAC]bool
	// StorageKinds it may vouch for. Only a laboratory's holds StorageTPMEmulated.
	StorageKinds []attest.StorageKind
	// NVKey writes the record in the secure storage; BootKey and its standby approve boot states.
	NVKey, BootKey, BootKeyStandby *ecdsa.PublicKey
	// Development marks an anchor that no operator should trust outside a laboratory.
	Development bool
}

// permits reports whether the anchor may say what the Credential says. To say of a TPM that it is emulated needs no
// leave; to have it affirmed does, see judgeVault.
func (a *Anchor) permits(c *attest.Credential) bool {
	if c.Issuer != a.Issuer || c.OEMID != a.OEMID || !a.vouches(c.Storage.Kind) && c.Storage.Kind != attest.StorageTPMEmulated {
		return false
	}
	for _, id := range c.Slots {
		if a.TACs != nil && !a.TACs[id.TAC()] {
			return false
		}
	}
	return true
}

func (a *Anchor) vouches(kind attest.StorageKind) bool { return slices.Contains(a.StorageKinds, kind) }

// isOurKey recomputes the Name of the device key from the Credential's own key, the template and the anchor's keys.
// The Name covers the key's attributes and policy, so equality shows that the key cannot sign without the record in
// place and an approved boot. Storage that is no TPM has no Name and nothing to recompute.
func (a *Anchor) isOurKey(c *attest.Credential) bool {
	if !c.Storage.Kind.IsTPM() {
		return true
	}
	binding, err := attest.BindingHash(c.OEMID, c.Slots, c.Storage.RecordID)
	if err != nil {
		return false
	}
	profile := tpmprofile.Profile{NVKey: a.NVKey, BootPrimary: a.BootKey, BootStandby: a.BootKeyStandby,
		Variant: c.Storage.NV, Boot: c.Storage.Boot}
	name, err := profile.KeyName(c.Key, binding)
	return err == nil && slices.Equal(name, c.Storage.KeyName)
}
