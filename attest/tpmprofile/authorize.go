package tpmprofile

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/big"

	"github.com/google/go-tpm/tpm2"
)

// SignatureBytes is the length of a signature of the manufacturer's NV and boot keys: R||S, each padded on the left.
const SignatureBytes = 2 * coordinateBytes

// WriteCPHash is the cpHash of the first TPM2_NV_Write of a record (Part 1 section 18.7: command code, Names of the handles,
// parameters). The Names are those of the defined, unwritten index: once written, the Name changes and the
// authorisation is dead.
func (p Profile) WriteCPHash(record []byte) ([32]byte, error) {
	if len(record) != RecordSize {
		return [32]byte{}, fmt.Errorf("record of %d bytes, want %d", len(record), RecordSize)
	}
	index, err := p.namedIndex(IndexDefined)
	if err != nil {
		return [32]byte{}, err
	}
	return cpHash(tpm2.NVWrite{AuthHandle: index, NVIndex: index, Data: tpm2.TPM2BMaxNVBuffer{Buffer: record}})
}

// LockCPHash is the cpHash of TPM2_NV_WriteLock of a written index.
func (p Profile) LockCPHash() ([32]byte, error) {
	index, err := p.namedIndex(IndexWritten)
	if err != nil {
		return [32]byte{}, err
	}
	return cpHash(tpm2.NVWriteLock{AuthHandle: index, NVIndex: index})
}

func cpHash[R any](command tpm2.Command[R, *R]) ([32]byte, error) {
	digest, err := tpm2.CPHash(tpm2.TPMAlgSHA256, command)
	if err != nil {
		return [32]byte{}, err
	}
	return [32]byte(digest.Buffer), nil
}

// WriteContent is what the NV key signs to allow the first write of exactly this record; see [AuthorizationContent].
func (p Profile) WriteContent(record []byte) ([]byte, error) {
	hash, err := p.WriteCPHash(record)
	return AuthorizationContent(BranchWrite, hash), err
}

// LockContent is what the NV key signs to allow the lock. All devices of a manufacturer share it: who replays it
// can only lock a record that the manufacturer wrote.
func (p Profile) LockContent() ([]byte, error) {
	hash, err := p.LockCPHash()
	return AuthorizationContent(BranchLock, hash), err
}

// AuthorizationContent is the message whose SHA-256 is the aHash of TPM2_PolicySigned (Part 3 section 23.3): no nonceTPM, expiration 0,
// cpHashA, policyRef. Without a nonce the factory needs no dialogue with the OEM; the cpHash is what
// keeps the authorisation from serving any other command or data.
func AuthorizationContent(branch Branch, cpHash [32]byte) []byte {
	const expiration = 4 // bytes of an INT32, all zero
	content := make([]byte, expiration, expiration+len(cpHash)+len(branch.Ref()))
	content = append(content, cpHash[:]...)
	return append(content, branch.Ref()...)
}

// CheckAuthorization checks the NV key's signature over [Profile.WriteContent] or [Profile.LockContent], as the TPM will.
func (p Profile) CheckAuthorization(content []byte, signature [SignatureBytes]byte) error {
	if err := p.Check(); err != nil {
		return err
	}
	return verify(p.NVKey, content, signature[:])
}

// DeleteCPHash is the cpHash of TPM2_NV_UndefineSpaceSpecial of the platform's index in a state.
func (p Profile) DeleteCPHash(state IndexState) ([32]byte, error) {
	index, err := p.namedIndex(state)
	if err != nil {
		return [32]byte{}, err
	}
	platform := tpm2.NamedHandle{Handle: tpm2.TPMRHPlatform, Name: tpm2.HandleName(tpm2.TPMRHPlatform)}
	return cpHash(tpm2.NVUndefineSpaceSpecial{NVIndex: index, Platform: platform})
}

// DeleteContent is what the NV key signs to allow the deletion of the platform's index in a state. The nonce is the
// TPM's, of the session that will delete: without one, whoever saw the signature once could delete every device's record.
func (p Profile) DeleteContent(state IndexState, nonceTPM []byte) ([]byte, error) {
	hash, err := p.DeleteCPHash(state)
	return append(bytes.Clone(nonceTPM), AuthorizationContent(BranchDelete, hash)...), err
}

// verify checks an ECDSA signature R||S over the SHA-256 of content.
func verify(key *ecdsa.PublicKey, content, signature []byte) error {
	if len(signature) != SignatureBytes {
		return fmt.Errorf("signature of %d bytes, want %d", len(signature), SignatureBytes)
	}
	r, s := splitSignature(signature)
	digest := sha256.Sum256(content)
	if !ecdsa.Verify(key, digest[:], r, s) {
		return errors.New("the signature does not verify")
	}
	return nil
}

func splitSignature(signature []byte) (r, s *big.Int) {
	return new(big.Int).SetBytes(signature[:coordinateBytes]), new(big.Int).SetBytes(signature[coordinateBytes:])
}

// TPMSignature puts R||S into the form a TPM takes (Part 2 section 11.3.4).
func TPMSignature(signature [SignatureBytes]byte) tpm2.TPMTSignature {
	return tpm2.TPMTSignature{
		SigAlg: tpm2.TPMAlgECDSA,
		Signature: tpm2.NewTPMUSignature(tpm2.TPMAlgECDSA, &tpm2.TPMSSignatureECC{
			Hash:       tpm2.TPMAlgSHA256,
			SignatureR: tpm2.TPM2BECCParameter{Buffer: signature[:coordinateBytes]},
			SignatureS: tpm2.TPM2BECCParameter{Buffer: signature[coordinateBytes:]},
		}),
	}
}
