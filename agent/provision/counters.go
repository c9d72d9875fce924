package provision

import (
	"context"
	"fmt"

	"imei-attest/attest"
	"imei-attest/attest/tpmprofile"
)

// StepCounters comes between the Credential and the index: a record that is written means that the counters are there.
const StepCounters Step = "counters"

// counters makes the epoch counter and the attestation counter of the device. The epoch counter is first, so that the
// attestation counter, which rises with each token, cannot lift it.
func (j *job) counters(ctx context.Context) (err error) {
	if j.epoch, err = j.counter(ctx, tpmprofile.CounterEpoch); err != nil {
		return err
	}
	attestation, err := j.counter(ctx, tpmprofile.CounterAttestation)
	if err != nil {
		return err
	}
	if err := j.progress(StepCounters, "epoch %d, attestation %d", j.epoch, attestation); err != nil {
		return err
	}
	if j.epoch > 1 {
		return j.progress(StepCounters, "NOTE: the epoch counter is at %d: boot approvals of a lower epoch never serve on this device", j.epoch)
	}
	return nil
}

func (j *job) counter(ctx context.Context, which tpmprofile.Counter) (uint64, error) {
	state, value, err := j.tpm.PrepareCounter(ctx, which, j.profile.Variant)
	if err == nil && state == tpmprofile.IndexForeign {
		hierarchy := "p"
		if j.profile.Variant == attest.NVOwner {
			hierarchy = "o"
		}
		index := uint32(which.Index(j.profile.Variant))
		err = fmt.Errorf("%w: NV index %#x is another index than the %s counter; delete it (tpm2_nvundefine -C %s %#x) if nobody needs it",
			ErrRefused, index, which, hierarchy, index)
	}
	return value, err
}

// isRollbackProtected decides what the Credential says. Whoever reads it then asks for no proof that the counter rose. So it
// is said by itself only of a chip with the platform's counter: the owner's record and counter are deleted by TPM2_Clear
// and can be made again from recorded authorisations, the memory of a firmware TPM may be a file in flash that can be copied
// back, and an emulator's is one. Of a firmware TPM, or of the owner's variant, the manufacturer may say it in Options.
func (j *job) isRollbackProtected(kind attest.StorageKind) bool {
	if kind == attest.StorageTPMEmulated {
		return false
	}
	return j.RollbackProtected || kind == attest.StorageTPMDiscrete && j.profile.Variant == attest.NVPlatform
}

// findApproval looks for an approval that serves this device, its registers having this digest. Without one it is refused,
// but for a laboratory's, which gets nil. One that the device's epoch counter has ended is a refusal: to approve the same software anew
// would undo what was revoked.
func (j *job) findApproval(digest [32]byte) (*tpmprofile.BootApproval, error) {
	var refused error
	if !j.oem.Development {
		refused = j.notApproved(digest)
	}
	for _, a := range j.Approvals {
		fits := a.PCRs == j.PCRs && a.Keys.Equal(j.oem.BootKeys()) && a.Fits(digest)
		switch {
		case !fits || a.Variant != 0 && a.Variant != j.profile.Variant:
		case a.IsRevoked(j.epoch):
			refused = fmt.Errorf("%w: %s approves the software that runs up to epoch %d, and this device's epoch counter is at %d; "+
				"install newer software, or approve this one for a higher epoch", ErrRefused, a.Name, a.Epoch, j.epoch)
		default:
			return &a, nil
		}
	}
	return nil, refused
}

// notApproved says how the boot state is approved, by who has the boot key and has seen the state.
func (j *job) notApproved(digest [32]byte) error {
	if j.PCRs.IsEmpty() {
		return fmt.Errorf(`%w: there is no boot approval for devices whose boot is not measured; run imei-provision approve-boot --pcrs "" first`, ErrRefused)
	}
	return fmt.Errorf("%w: no boot approval fits what registers %s hold; if devices ship in this state, run imei-provision approve-boot --pcrs %s --digest %x --epoch N first",
		ErrRefused, j.PCRs, j.PCRs, digest)
}
