package tpmprofile

import (
	"crypto/ecdsa"
	"errors"
	"fmt"
	"io"

	"imei-attest/attest"
)

// BootRole says which of the two boot keys signed.
type BootRole string

// The roles.
const (
	RolePrimary BootRole = "primary"
	RoleStandby BootRole = "standby"
)

// Key is the boot key of a role, nil for a role that is none.
func (k BootKeys) Key(role BootRole) *ecdsa.PublicKey {
	switch role {
	case RolePrimary:
		return k.Primary
	case RoleStandby:
		return k.Standby
	}
	return nil
}

// BootApproval is the manufacturer's signature under one boot state: devices whose registers have those values may
// use their key, until the epoch counter rises above the epoch that it names. It is public and the same for all devices
// of a firmware release; each device keeps a folder of them.
//
// It carries both boot keys, because a device key depends on both and the device knows neither otherwise. Nobody has
// to trust them: the TPM refuses a key that is not in the device key's policy.
type BootApproval struct {
	Name      string // where it came from, for messages: a file name; not signed, not encoded
	Keys      BootKeys
	PCRs      PCRSelection
	Epoch     uint64           // as in [BootState]; 0 for an approval that never ends
	Variant   attest.NVVariant // as in [BootState]
	Policy    [32]byte         // the approved policy digest, [BootPolicy]; registers and epoch are signed through it
	SignedBy  BootRole
	Signature [SignatureBytes]byte // ECDSA on P-256 over [BootApproval.Content]
}

// Approve signs a boot state with the key of a role. A state without registers approves every state of devices with an
// unmeasured boot, and of no others.
func Approve(rand io.Reader, keys BootKeys, role BootRole, signer attest.Signer, state BootState) (BootApproval, error) {
	a := BootApproval{Keys: keys, PCRs: state.PCRs, Epoch: state.Epoch, Variant: state.Variant, SignedBy: role}
	var err error
	if a.Policy, err = BootPolicy(state); err != nil {
		return BootApproval{}, err
	}
	signature, err := signer.Sign(rand, a.Content())
	if err != nil {
		return BootApproval{}, fmt.Errorf("signing the boot approval: %w", err)
	}
	if copy(a.Signature[:], signature) != len(signature) {
		return BootApproval{}, errors.New("signing the boot approval: the boot key is not on P-256")
	}
	return a, a.Verify()
}

// Boot says which devices the approval is for.
func (a BootApproval) Boot() attest.BootKind {
	if a.PCRs.IsEmpty() {
		return attest.BootUnmeasured
	}
	return attest.BootMeasured
}

// PolicyRef is the policyRef that is signed with the policy.
func (a BootApproval) PolicyRef() string { return bootRef(a.Boot()) }

// Content is the message whose SHA-256 is the aHash of TPM2_PolicyAuthorize (Part 3 section 23.16): approvedPolicy, policyRef.
func (a BootApproval) Content() []byte { return append(a.Policy[:], a.PolicyRef()...) }

// Fits reports whether the approval is for registers with this digest. A device with an unmeasured boot gives any.
func (a BootApproval) Fits(digest [32]byte) bool {
	policy, err := BootPolicy(a.state(digest))
	return err == nil && policy == a.Policy
}

// IsRevoked reports whether an epoch counter with this value has ended the approval.
func (a BootApproval) IsRevoked(counter uint64) bool { return a.Epoch != 0 && counter > a.Epoch }

func (a BootApproval) state(digest [32]byte) BootState {
	return BootState{PCRs: a.PCRs, Digest: digest, Epoch: a.Epoch, Variant: a.Variant}
}

// Verify checks the keys and that the one of the role signed.
func (a BootApproval) Verify() error {
	if err := a.Keys.Check(); err != nil {
		return err
	}
	key := a.Keys.Key(a.SignedBy)
	if key == nil {
		return fmt.Errorf("signed_by %q is neither %s nor %s", a.SignedBy, RolePrimary, RoleStandby)
	}
	if err := a.state([32]byte{}).Check(); err != nil {
		return err
	}
	if a.PCRs.IsEmpty() && !a.Fits([32]byte{}) {
		return errors.New("the policy is not that of an approval without PCRs: it could never be met")
	}
	if err := attest.Verify(key, a.Content(), a.Signature[:]); err != nil {
		return fmt.Errorf("%s boot key: %w", a.SignedBy, err)
	}
	return nil
}
