package tpmprofile

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"sync"

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
	platform := variant != attest.NVOwner
	attributes := tpm2.TPMANV{NT: tpm2.TPMNTCounter, AuthRead: true, NoDA: true, PlatformCreate: platform, Written: written}
	switch {
	case c == CounterAttestation:
		attributes.AuthWrite, attributes.Orderly = true, true
	case platform:
		attributes.PPWrite, attributes.PPRead = true, true
	default:
		attributes.OwnerWrite = true
	}
	return &tpm2.TPMSNVPublic{NVIndex: c.Index(variant), NameAlg: tpm2.TPMAlgSHA256, Attributes: attributes, DataSize: counterSize}
}

// Name is the Name of the counter, 34 bytes: the same in all devices of a variant.
func (c Counter) Name(variant attest.NVVariant, written bool) ([]byte, error) {
	names, err := counterNames()
	return bytes.Clone(names[counterArea{c, variant == attest.NVOwner, written}]), err
}

// counterArea is what the public area of a counter depends on.
type counterArea struct {
	counter        Counter
	owner, written bool
}

// counterNames are computed once: a token needs up to four, and computing them was a seventh of our time for it.
var counterNames = sync.OnceValues(func() (map[counterArea][]byte, error) {
	names := make(map[counterArea][]byte)
	for c := range counters {
		for _, variant := range []attest.NVVariant{attest.NVPlatform, attest.NVOwner} {
			for _, written := range []bool{false, true} {
				name, err := nameOfIndex(Counter(c).Public(variant, written))
				if err != nil {
					return nil, err
				}
				names[counterArea{Counter(c), variant == attest.NVOwner, written}] = name
			}
		}
	}
	return names, nil
})

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
	return verify(c.Key, attestation, proof.Signature[:])
}

// qualifiedName is the Qualified Name of a primary key in the endorsement hierarchy (Part 1 section 16.3).
func qualifiedName(keyName []byte) []byte {
	digest := sha256.Sum256(append(binary.BigEndian.AppendUint32(nil, uint32(tpm2.TPMRHEndorsement)), keyName...))
	return append(binary.BigEndian.AppendUint16(nil, uint16(tpm2.TPMAlgSHA256)), digest[:]...)
}

// appendSized appends a TPM2B (Part 2 section 10.4).
func appendSized(b, content []byte) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(content))), content...)
}
