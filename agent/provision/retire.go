package provision

import (
	"context"
	"fmt"

	"imei-attest/attest"
	"imei-attest/attest/imei"
	"imei-attest/attest/tpmprofile"
)

// Retirer is what [Retire] needs of a TPM.
type Retirer interface {
	// ReadIndex tells how far the index has come, with the record once it is written.
	ReadIndex(ctx context.Context, p tpmprofile.Profile) (tpmprofile.IndexState, tpmprofile.Record, error)
	// Evict removes the persistent copy of the device key; false if there is none.
	Evict(ctx context.Context, p tpmprofile.Profile, binding [32]byte) (bool, error)
	// Delete deletes the index; for the platform's, sign gives the NV key's signature for a nonce of the TPM.
	Delete(ctx context.Context, p tpmprofile.Profile, state tpmprofile.IndexState, sign func(nonceTPM []byte) ([tpmprofile.SignatureBytes]byte, error)) error
}

// Holding is a record of the manufacturer that a TPM holds.
type Holding struct {
	Profile tpmprofile.Profile
	State   tpmprofile.IndexState
	Slots   []imei.IMEI // empty for an index that was never written
	Serial  uint64      // of its Credential
	record  tpmprofile.Record
}

// Steps of retiring, for progress.
const (
	StepEvict  Step = "evict key"
	StepDelete Step = "delete record"
)

// FindHolding looks for the manufacturer's record, first in the platform's index. [ErrRefused] means that there is none.
func FindHolding(ctx context.Context, tpm Retirer, oem *OEM) (Holding, error) {
	for _, variant := range []attest.NVVariant{attest.NVPlatform, attest.NVOwner} {
		h := Holding{Profile: oem.Profile(variant, attest.BootMeasured)}
		var err error
		if h.State, h.record, err = tpm.ReadIndex(ctx, h.Profile); err != nil {
			return h, err
		}
		switch h.State {
		case tpmprofile.IndexAbsent:
			continue
		case tpmprofile.IndexForeign:
			return h, fmt.Errorf("%w: NV index %#x is not this manufacturer's; it is left alone", ErrRefused, uint32(h.Profile.Index()))
		case tpmprofile.IndexDefined:
			return h, nil
		}
		held, err := attest.DecodeCredential(h.record.Credential)
		if err != nil {
			return h, fmt.Errorf("%w: its record cannot be read: %w", ErrRefused, err)
		}
		h.Slots, h.Serial, h.Profile.Boot = held.Slots, held.Serial, held.Storage.Boot
		return h, nil
	}
	return Holding{}, fmt.Errorf("%w: it holds no record: there is nothing to retire", ErrRefused)
}

// Retire takes what [FindHolding] found out of a TPM: the key's persistent copy first, because the record tells which
// it is, then the record. Run again after an interruption, it goes on. The key cannot be destroyed, but without its
// record it never signs again; the counters stay, as they must never fall.
func Retire(ctx context.Context, tpm Retirer, oem *OEM, h Holding, progress Progress) error {
	if h.State >= tpmprofile.IndexWritten {
		evicted, err := tpm.Evict(ctx, h.Profile, h.record.Binding)
		if err != nil {
			return err
		}
		detail := "it had no persistent handle"
		if evicted {
			detail = fmt.Sprintf("handle %#x is free", uint32(tpmprofile.KeyHandle))
		}
		if err := progress(StepEvict, detail); err != nil {
			return err
		}
	}
	err := tpm.Delete(ctx, h.Profile, h.State, func(nonceTPM []byte) (signature [tpmprofile.SignatureBytes]byte, err error) {
		content, err := h.Profile.DeleteContent(h.State, nonceTPM)
		if err != nil {
			return signature, err
		}
		return oem.signNV(content)
	})
	if err != nil {
		return err
	}
	return progress(StepDelete, fmt.Sprintf("NV index %#x is gone; the device key of this record is dead", uint32(h.Profile.Index())))
}
