// Package tpmprofile says what the secure storage of a device looks like on a TPM 2.0, computed without one: the NV
// index that holds the manufacturer's record, the device key whose policy depends on it, and the signatures that
// the manufacturer gives.
//
// Start with [Profile]: from the manufacturer's public keys it computes the Name of the index, the policy of the
// device key and, with a Credential's cnf, the Name of the device key. A verifier recomputes that Name and compares
// it with the one the Credential carries; the factory signs what [Profile.WriteContent], [Profile.LockContent] and
// [BootApproval] give; the vault on the device checks itself against the same values.
//
// The package promises that whatever it decodes encodes back to the same bytes, and that it opens no TPM: every
// value is a hash that tpm2-tools, or a TPM, gives too.
//
// "Part 1", "Part 2" and "Part 3" are parts of the TPM 2.0 Library Specification of the Trusted Computing Group.
package tpmprofile

import (
	"crypto/ecdsa"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"

	"imei-attest/attest"
)

// The NV indices of the record (TCG Registry of Reserved TPM 2.0 Handles and Localities: 0x01400000-0x017FFFFF is the
// platform manufacturer's, 0x01800000-0x01BFFFFF the owner's) and the persistent handle of the device key (0x81000000-0x817FFFFF is the
// owner's).
const (
	PlatformIndex tpm2.TPMHandle = 0x01400E10
	OwnerIndex    tpm2.TPMHandle = 0x01800E10
	KeyHandle     tpm2.TPMHandle = 0x81000E10
)

// RecordSize is the size of the NV index in bytes. It is part of the index's Name and so the same in every device;
// the smallest NV buffer of the TPMs on sale is 768 bytes, and TPMA_NV_WRITEALL wants one write.
const RecordSize = 768

// BindingOffset is where the binding hash stands in the record, in bytes: TPM2_PolicyNV compares it there.
const BindingOffset = 8

// The policyRef of each signature that the manufacturer gives (Part 3, TPM2_PolicySigned and TPM2_PolicyAuthorize).
// It keeps a signature given for one purpose from serving another.
const (
	RefWrite  = "imei-write"
	RefLock   = "imei-lock"
	RefDelete = "imei-delete"
	// RefBoot stands in an approval of PCR values.
	RefBoot = "imei-boot"
	// RefBootUnmeasured stands in an approval that asks for no PCR. Were it RefBoot too, the one approval made for a
	// device without measured boot would open every measured device of the fleet in any state.
	RefBootUnmeasured = "imei-boot-unmeasured"
)

// Profile is what the secure storage of one manufacturer's devices has in common: three public keys on P-256 and
// two choices. The zero value of Variant is refused.
type Profile struct {
	NVKey       *ecdsa.PublicKey // signs the authorisations to write, lock and delete the record
	BootPrimary *ecdsa.PublicKey // approves boot states
	BootStandby *ecdsa.PublicKey // approves them when the primary is lost or compromised
	Variant     attest.NVVariant // who creates the index
	Boot        attest.BootKind  // 0 means measured, the stricter one
}

// Check reports a key that is missing, not on P-256 or used twice, and a choice that is none.
func (p Profile) Check() error {
	if err := p.BootKeys().Check(); err != nil {
		return err
	}
	if _, err := pointOf("NV", p.NVKey); err != nil {
		return err
	}
	if p.NVKey.Equal(p.BootPrimary) || p.NVKey.Equal(p.BootStandby) {
		return errors.New("the NV key is a boot key too: their duties must stay apart")
	}
	if p.Variant != attest.NVPlatform && p.Variant != attest.NVOwner {
		return fmt.Errorf("NV variant %d is neither platform (1) nor owner (2)", p.Variant)
	}
	if p.Boot > attest.BootUnmeasured {
		return fmt.Errorf("boot kind %d is neither measured (1) nor unmeasured (2)", p.Boot)
	}
	return nil
}

// BootKeys are the two keys that approve boot states.
func (p Profile) BootKeys() BootKeys { return BootKeys{Primary: p.BootPrimary, Standby: p.BootStandby} }

// Index is the handle of the NV index.
func (p Profile) Index() tpm2.TPMHandle {
	if p.Variant == attest.NVOwner {
		return OwnerIndex
	}
	return PlatformIndex
}

// BootKeys are the keys that approve boot states, both on P-256. Either may sign; a device key depends on both.
type BootKeys struct{ Primary, Standby *ecdsa.PublicKey }

// Check reports a key that is missing or not on P-256, and a standby that is none.
func (k BootKeys) Check() error {
	if _, err := pointOf("primary boot", k.Primary); err != nil {
		return err
	}
	if _, err := pointOf("standby boot", k.Standby); err != nil {
		return err
	}
	if k.Primary.Equal(k.Standby) {
		return errors.New("the standby boot key is the primary: it would be lost with it")
	}
	return nil
}

// Equal compares both keys.
func (k BootKeys) Equal(other BootKeys) bool {
	return k.Primary.Equal(other.Primary) && k.Standby.Equal(other.Standby)
}
