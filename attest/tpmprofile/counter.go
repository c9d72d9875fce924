package tpmprofile

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/google/go-tpm/tpm2"

	"imei-attest/attest"
)

// Counter is one of the two NV counters that a device has beside its record. A counter that exists only rises. Its first
// value is one more than the highest that any deleted counter of the TPM had (Part 1 section 37.2.4): 1 on a fresh TPM,
// anything on a used one.
//
// One that TPM2_Clear deletes may come back lower all the same: on swtpm 0.7.1 an ORDERLY counter of the owner stood at 1102
// and was 102 when it was made again after the Clear, because what it had gained in RAM was not remembered. So a counter of
// the owner proves nothing across a Clear; the platform's is not deleted by it.
type Counter uint8

const (
	// CounterEpoch ends boot approvals: one that names an epoch is good while the counter is not above it. The platform's
	// is raised by boot firmware, the owner's by the owner. On a TPM where counters were used and deleted it starts above 1,
	// and approvals of an epoch below that never serve there.
	CounterEpoch Counter = iota
	// CounterAttestation rises with each proof of profile B. Anybody on the device may raise it: that harms nobody, for a
	// verifier asks only that it never falls. The platform's survives TPM2_Clear, the owner's does not.
	CounterAttestation
)

var counters = [...]struct {
	platform, owner tpm2.TPMHandle
	name            string
}{
	CounterEpoch:       {0x01400E11, 0x01800E11, "epoch"},
	CounterAttestation: {0x01400E12, 0x01800E12, "attestation"},
}

// String is the counter's name.
func (c Counter) String() string { return counters[c].name }

// Index is the handle of the counter, as the platform or the owner creates it.
func (c Counter) Index(variant attest.NVVariant) tpm2.TPMHandle {
	if variant == attest.NVOwner {
		return counters[c].owner
	}
	return counters[c].platform
}

// counterSize is the size of a counter in bytes (Part 2 section 13.2, TPM_NT_COUNTER).
const counterSize = 8

// Public is the public area of the counter (Part 2 section 13.5), before or after it was raised the first time.
//
// The attestation counter is ORDERLY: it lives in RAM and is saved at shutdown, so that a token wears out no flash; after a
// crash it skips forward, never back (Part 1 section 37.7.3).
func (c Counter) Public(variant attest.NVVariant, written bool) *tpm2.TPMSNVPublic {
	return structureOf[tpm2.TPMSNVPublic](c.area(variant, written))
}

func (c Counter) area(variant attest.NVVariant, written bool) []byte {
	platform := variant != attest.NVOwner
	attributes := nvCounter | nvAuthRead | nvNoDA
	switch {
	case c == CounterAttestation:
		attributes |= nvAuthWrite | nvOrderly
	case platform:
		attributes |= nvPPWrite | nvPPRead
	default:
		attributes |= nvOwnerWrite
	}
	if platform {
		attributes |= nvPlatformCreate
	}
	if written {
		attributes |= nvWritten
	}
	return nvArea(c.Index(variant), attributes, nil, counterSize)
}

// Name is the Name of the counter, 34 bytes: the same in all devices of a variant.
func (c Counter) Name(variant attest.NVVariant, written bool) ([]byte, error) {
	return nameOf(c.area(variant, written)), nil
}

// StateOf tells the state of a counter from the Name it has in a TPM: defined before its first rise, written after it;
// [IndexForeign] if it is another index.
func (c Counter) StateOf(name []byte, variant attest.NVVariant) (IndexState, error) {
	for _, state := range []IndexState{IndexDefined, IndexWritten} {
		want, err := c.Name(variant, state == IndexWritten)
		if err != nil {
			return IndexForeign, err
		}
		if bytes.Equal(name, want) {
			return state, nil
		}
	}
	return IndexForeign, nil
}

// AttestationOf builds what the TPM signed in a proof of profile B: a TPMS_ATTEST of TPM2_NV_Certify over the whole
// attestation counter (Part 2 sections 10.12.8 and 10.12.12). Nothing of it is parsed: magic, type, signer, index and
// selection are what they must be, or the signature does not verify. keyName is the device key's Name, binding what
// [attest.Evidence.Binding] gives.
func AttestationOf(keyName []byte, variant attest.NVVariant, binding [32]byte, proof attest.CounterProof) ([]byte, error) {
	index, err := CounterAttestation.Name(variant, true)
	if err != nil {
		return nil, err
	}
	if len(keyName) != NameBytes {
		return nil, fmt.Errorf("a Name of %d bytes, want %d", len(keyName), NameBytes)
	}
	b := make([]byte, 0, 149)
	b = binary.BigEndian.AppendUint32(b, uint32(tpm2.TPMGeneratedValue))
	b = binary.BigEndian.AppendUint16(b, uint16(tpm2.TPMSTAttestNV))
	b = appendSized(b, qualifiedName(keyName))
	b = appendSized(b, binding[:])
	b = append(b, proof.Carried()...)
	b = appendSized(b, index)
	b = binary.BigEndian.AppendUint16(b, 0) // offset
	return appendSized(b, binary.BigEndian.AppendUint64(nil, proof.Counter)), nil
}

// VerifyCounterProof checks that the device key of a Credential signed the proof for evidence with this binding.
func VerifyCounterProof(c *attest.Credential, binding [32]byte, proof attest.CounterProof) error {
	attestation, err := AttestationOf(c.Storage.KeyName, c.Storage.NV, binding, proof)
	if err != nil {
		return err
	}
	return attest.Verify(c.Key, attestation, proof.Signature[:])
}

// qualifiedName is the Qualified Name of a primary key in the endorsement hierarchy (Part 1 section 16.3).
func qualifiedName(keyName []byte) []byte {
	return nameOf(append(binary.BigEndian.AppendUint32(make([]byte, 0, longestArea), uint32(tpm2.TPMRHEndorsement)), keyName...))
}
