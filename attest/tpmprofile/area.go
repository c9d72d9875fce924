package tpmprofile

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/google/go-tpm/tpm2"
)

// The public areas of this profile are few and fixed, so they are written as bytes; where a TPM is to be given one, the
// structure is read from these. A Name is computed from them at every first contact with a device, and go-tpm,
// which walks its structures by reflection, took twice as long for it as both signatures take to verify.

// Bits of TPMA_NV (Part 2 section 13.4) that an index of this profile may have.
const (
	nvPPWrite        uint32 = 1 << 0
	nvOwnerWrite     uint32 = 1 << 1
	nvAuthWrite      uint32 = 1 << 2
	nvPolicyWrite    uint32 = 1 << 3
	nvCounter        uint32 = 1 << 4 // TPM_NT_COUNTER in the bits 7:4
	nvPolicyDelete   uint32 = 1 << 10
	nvWriteLocked    uint32 = 1 << 11
	nvWriteAll       uint32 = 1 << 12
	nvWriteDefine    uint32 = 1 << 13
	nvPPRead         uint32 = 1 << 16
	nvAuthRead       uint32 = 1 << 18
	nvNoDA           uint32 = 1 << 25
	nvOrderly        uint32 = 1 << 26
	nvWritten        uint32 = 1 << 29
	nvPlatformCreate uint32 = 1 << 30
)

// Bits of TPMA_OBJECT (Part 2 section 8.3) that a key of this profile may have.
const (
	keyFixedTPM            uint32 = 1 << 1
	keyFixedParent         uint32 = 1 << 4
	keySensitiveDataOrigin uint32 = 1 << 5
	keyUserWithAuth        uint32 = 1 << 6
	keyNoDA                uint32 = 1 << 10
	keyRestricted          uint32 = 1 << 16
	keyDecrypt             uint32 = 1 << 17
	keySign                uint32 = 1 << 18
)

// longestArea has room for every area of this profile.
const longestArea = 128

// nvArea is a TPMS_NV_PUBLIC (Part 2 section 13.5).
func nvArea(index tpm2.TPMHandle, attributes uint32, policy []byte, size uint16) []byte {
	b := binary.BigEndian.AppendUint32(make([]byte, 0, longestArea), uint32(index))
	b = appendU16(b, uint16(tpm2.TPMAlgSHA256))
	b = binary.BigEndian.AppendUint32(b, attributes)
	return appendU16(appendSized(b, policy), size)
}

// keyArea is a TPMT_PUBLIC of a key on P-256 (Part 2 section 12.2.4), without symmetric algorithm and key derivation. The
// point is X and Y, or nothing in a template.
func keyArea(attributes uint32, policy []byte, scheme []tpm2.TPMAlgID, point []byte) []byte {
	b := appendU16(make([]byte, 0, longestArea), uint16(tpm2.TPMAlgECC), uint16(tpm2.TPMAlgSHA256))
	b = binary.BigEndian.AppendUint32(b, attributes)
	b = appendU16(appendSized(b, policy), uint16(tpm2.TPMAlgNull))
	for _, alg := range scheme {
		b = appendU16(b, uint16(alg))
	}
	b = appendU16(b, uint16(tpm2.TPMECCNistP256), uint16(tpm2.TPMAlgNull))
	half := len(point) / 2
	return appendSized(appendSized(b, point[:half]), point[half:])
}

// nameOf is the Name of an object or index with a public area (Part 1 section 16).
func nameOf(area []byte) []byte {
	digest := sha256.Sum256(area)
	return append(appendU16(make([]byte, 0, NameBytes), uint16(tpm2.TPMAlgSHA256)), digest[:]...)
}

// structureOf is an area of this package as a TPM is given it.
func structureOf[T tpm2.Marshallable, P interface {
	*T
	tpm2.Unmarshallable
}](area []byte) *T {
	structure, err := Unmarshal[T, P](area)
	if err != nil {
		panic(err) // the area is not of this package
	}
	return structure
}

func appendU16(b []byte, numbers ...uint16) []byte {
	for _, n := range numbers {
		b = binary.BigEndian.AppendUint16(b, n)
	}
	return b
}

// appendSized appends a TPM2B (Part 2 section 10.4).
func appendSized(b, content []byte) []byte {
	return append(appendU16(b, uint16(len(content))), content...)
}
