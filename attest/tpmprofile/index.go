package tpmprofile

import (
	"bytes"

	"github.com/google/go-tpm/tpm2"

	"imei-attest/attest"
)

// IndexState is how far the NV index of a device has come. The zero value is the one nothing may be built upon.
type IndexState uint8

const (
	// IndexForeign: something holds the handle that is not the record of this Profile.
	IndexForeign IndexState = iota
	// IndexAbsent: the handle is free.
	IndexAbsent
	// IndexDefined: the index exists and was never written.
	IndexDefined
	// IndexWritten: the record is in it and could still be replaced with the manufacturer's signature.
	IndexWritten
	// IndexLocked: the record can only be deleted; the device key works from here on.
	IndexLocked
)

var indexStateNames = []string{"foreign", "absent", "defined", "written", "locked"}

// String is the name of the state.
func (s IndexState) String() string {
	if int(s) >= len(indexStateNames) {
		return "unknown"
	}
	return indexStateNames[s]
}

// NVPublic is the public area of the index (Part 2 section 13.5, TPMS_NV_PUBLIC) in one of the states defined,
// written and locked.
//
// POLICYWRITE without AUTHWRITE, OWNERWRITE and PPWRITE leaves the manufacturer's signature as the only way to write
// and to lock; WRITEDEFINE makes the lock last until deletion, POLICY_DELETE (platform variant) makes deletion need
// the manufacturer too. Anyone may read.
func (p Profile) NVPublic(state IndexState) (*tpm2.TPMSNVPublic, error) {
	area, err := p.nvArea(state)
	if err != nil {
		return nil, err
	}
	return structureOf[tpm2.TPMSNVPublic](area), nil
}

func (p Profile) nvArea(state IndexState) ([]byte, error) {
	branches, err := p.nvBranches()
	if err != nil {
		return nil, err
	}
	policy := policyOr(branches[:]...)
	attributes := nvPolicyWrite | nvWriteAll | nvWriteDefine | nvAuthRead | nvPPRead | nvNoDA
	if p.Variant == attest.NVPlatform {
		attributes |= nvPlatformCreate | nvPolicyDelete
	}
	if state >= IndexWritten {
		attributes |= nvWritten
	}
	if state == IndexLocked {
		attributes |= nvWriteLocked
	}
	return nvArea(p.Index(), attributes, policy[:], RecordSize), nil
}

// NVName is the Name of the index in a state (Part 1 section 16): the algorithm and the SHA-256 of the public area, 34
// bytes. It does not depend on the content, so all devices of a manufacturer share it.
func (p Profile) NVName(state IndexState) ([]byte, error) {
	area, err := p.nvArea(state)
	if err != nil {
		return nil, err
	}
	return nameOf(area), nil
}

// StateOf tells the state of the index from the Name it has in a TPM; [IndexForeign] if it is none of this Profile's.
func (p Profile) StateOf(name []byte) (IndexState, error) {
	for _, state := range []IndexState{IndexDefined, IndexWritten, IndexLocked} {
		want, err := p.NVName(state)
		if err != nil {
			return IndexForeign, err
		}
		if bytes.Equal(name, want) {
			return state, nil
		}
	}
	return IndexForeign, nil
}

func (p Profile) namedIndex(state IndexState) (tpm2.NamedHandle, error) {
	name, err := p.NVName(state)
	return tpm2.NamedHandle{Handle: p.Index(), Name: tpm2.TPM2BName{Buffer: name}}, err
}
