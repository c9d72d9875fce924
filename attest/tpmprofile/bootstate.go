package tpmprofile

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"

	"imei-attest/attest"
)

// BootState is what a boot key approves: the values that registers have and, if wanted, until when.
type BootState struct {
	PCRs   PCRSelection
	Digest [32]byte // [PCRDigest] of their values; of no meaning for the empty selection
	// Epoch ends the approval: it is good while the device's [CounterEpoch] is not above it. 0 means that no counter is
	// asked, so that the approval never ends. A counter starts at 1 on a fresh TPM, on a used one it may start higher.
	Epoch uint64
	// Variant says whose epoch counter is asked, the platform's or the owner's: their Names differ, so devices of the two
	// kinds need an approval each. 0 exactly where Epoch is.
	Variant attest.NVVariant
}

// Check reports an epoch without a counter, or a counter without an epoch.
func (s BootState) Check() error {
	switch {
	case s.Epoch == 0 && s.Variant != 0:
		return errors.New("a boot state names whose epoch counter is asked, and no epoch: name both or neither")
	case s.Epoch != 0 && s.Variant != attest.NVPlatform && s.Variant != attest.NVOwner:
		return fmt.Errorf("epoch %d of whose counter? NV variant %d is neither platform (1) nor owner (2)", s.Epoch, s.Variant)
	}
	return nil
}

// BootPolicy is the policy digest that a boot key signs: TPM2_PolicyPCR over the selection with that digest, then
// TPM2_PolicyNV that the epoch counter is not above the epoch (Part 3 sections 23.7 and 23.9). What the state leaves out is
// not asked; where it leaves out both, the digest is zero, the policy of a session in which nothing was asked.
func BootPolicy(s BootState) (policy [32]byte, err error) {
	if err := s.Check(); err != nil {
		return policy, err
	}
	var digest policyDigest
	if !s.PCRs.IsEmpty() {
		digest = digest.pcr(s.PCRs, s.Digest)
	}
	if s.Epoch != 0 {
		asked, err := EpochPolicy(s.Epoch, s.Variant)
		if err != nil {
			return policy, err
		}
		digest = digest.nv(asked.NVIndex.KnownName().Buffer, asked.OperandB.Buffer, asked.Offset, asked.Operation)
	}
	return digest, nil
}

// EpochPolicy is the TPM2_PolicyNV that asks for the epoch counter of a variant to be at most epoch; the session is the
// caller's to fill in. The Name is that of the counter after its first rise: one that never rose is refused.
func EpochPolicy(epoch uint64, variant attest.NVVariant) (tpm2.PolicyNV, error) {
	name, err := CounterEpoch.Name(variant, true)
	if err != nil {
		return tpm2.PolicyNV{}, err
	}
	counter := tpm2.NamedHandle{Handle: CounterEpoch.Index(variant), Name: tpm2.TPM2BName{Buffer: name}}
	return tpm2.PolicyNV{
		AuthHandle: counter, NVIndex: counter,
		OperandB:  tpm2.TPM2BOperand{Buffer: binary.BigEndian.AppendUint64(nil, epoch)},
		Operation: tpm2.TPMEOUnsignedLE,
	}, nil
}
