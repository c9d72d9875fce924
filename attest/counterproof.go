package attest

import (
	"encoding/binary"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// CounterProof is the tpmproof of profile B: what of a TPM2_NV_Certify over the attestation counter, made by the device
// key with the SHA-256 of the claims as qualifying data, cannot be known beforehand (TPM 2.0 Part 3 section 31.16). The
// rest of the structure that the TPM signed is computed by who verifies it: tpmprofile.AttestationOf.
type CounterProof struct {
	Clock        uint64   // milliseconds that the TPM was powered since it was last cleared (Part 2 section 10.11.1)
	ResetCount   uint32   // resets since it was last cleared
	RestartCount uint32   // resumptions since the last reset
	Safe         bool     // no higher Clock than this one was told before
	Firmware     uint64   // TPM_PT_FIRMWARE_VERSION_1 and _2
	Counter      uint64   // of the attestation counter
	Signature    [64]byte // R||S by the device key, each half padded on the left
}

// carriedBytes is the length of TPMS_CLOCK_INFO and the firmware version.
const carriedBytes = 8 + 4 + 4 + 1 + 8

// counterBytes is the length of a counter in NV.
const counterBytes = 8

// proofCounter says that a tpmproof is a CounterProof.
const proofCounter = 1

type wireCounterProof struct {
	_         struct{} `cbor:",toarray"`
	Kind      uint64
	Carried   []byte
	Counter   []byte
	Signature []byte
}

// Carried is TPMS_CLOCK_INFO and the firmware version as they stand in the TPM's structure (Part 2 section 10.12.12).
func (p CounterProof) Carried() []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, carriedBytes), p.Clock)
	b = binary.BigEndian.AppendUint32(b, p.ResetCount)
	b = binary.BigEndian.AppendUint32(b, p.RestartCount)
	safe := byte(0)
	if p.Safe {
		safe = 1
	}
	return binary.BigEndian.AppendUint64(append(b, safe), p.Firmware)
}

// Encode gives the bytes for [Enclosure.TPMProof].
func (p CounterProof) Encode() ([]byte, error) {
	return encMode.Marshal(wireCounterProof{
		Kind: proofCounter, Carried: p.Carried(), Counter: binary.BigEndian.AppendUint64(nil, p.Counter), Signature: p.Signature[:],
	})
}

// DecodeCounterProof reads [Evidence.TPMProof] strictly; the signature is not checked. The error is a [*FormatError], of
// [ClassProfile] where it is a proof of another kind.
func DecodeCounterProof(raw []byte) (p CounterProof, err error) {
	const part = "header parameter tpmproof"
	if !isCounterProof(raw) {
		return p, formatError(ClassProfile, part, "a proof of another kind than %d", proofCounter)
	}
	var w wireCounterProof
	if err := decMode.Unmarshal(raw, &w); err != nil {
		return p, decodeError(part, err)
	}
	switch {
	case len(w.Carried) != carriedBytes, len(w.Counter) != counterBytes, len(w.Signature) != len(p.Signature):
		return p, formatError(ClassClaim, part, "parts of %d, %d and %d bytes, want %d, %d and %d", len(w.Carried), len(w.Counter),
			len(w.Signature), carriedBytes, counterBytes, len(p.Signature))
	case w.Carried[16] > 1:
		return p, formatError(ClassClaim, part, "safe is %d, want 0 or 1", w.Carried[16])
	}
	p.Clock = binary.BigEndian.Uint64(w.Carried)
	p.ResetCount = binary.BigEndian.Uint32(w.Carried[8:])
	p.RestartCount = binary.BigEndian.Uint32(w.Carried[12:])
	p.Safe = w.Carried[16] == 1
	p.Firmware = binary.BigEndian.Uint64(w.Carried[17:])
	p.Counter = binary.BigEndian.Uint64(w.Counter)
	copy(p.Signature[:], w.Signature)
	if again, err := p.Encode(); err != nil || string(again) != string(raw) {
		return CounterProof{}, formatError(ClassNonPreferred, part, "not in deterministic encoding")
	}
	return p, nil
}

// isCounterProof looks at the kind alone: what a proof of another kind looks like behind it is not for this package to say.
func isCounterProof(raw []byte) bool {
	var parts []cbor.RawMessage
	var kind uint64
	_, err := decMode.UnmarshalFirst(raw, &parts)
	return err == nil && len(parts) > 0 && decMode.Unmarshal(parts[0], &kind) == nil && kind == proofCounter
}

// String shows the values without the signature.
func (p CounterProof) String() string {
	return fmt.Sprintf("counter %d, reset %d, restart %d, clock %d ms, firmware %#x", p.Counter, p.ResetCount, p.RestartCount, p.Clock, p.Firmware)
}
