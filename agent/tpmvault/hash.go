package tpmvault

import (
	"errors"

	"github.com/google/go-tpm/tpm2"
)

// maxHashInput is how much TPM2_Hash takes, in bytes: MAX_DIGEST_BUFFER, 1024 in every PC Client TPM.
const maxHashInput = 1024

// hash has the TPM hash content and vouch, with a ticket, that it does not look like a structure of its own: a
// restricted key signs nothing else. The ticket is of the endorsement hierarchy, the key's.
func hash(t contextTPM, content []byte) (tpm2.TPM2BDigest, tpm2.TPMTTKHashCheck, error) {
	if len(content) > maxHashInput {
		return hashSequence(t, content)
	}
	response, err := tpm2.Hash{
		Data: tpm2.TPM2BMaxBuffer{Buffer: content}, HashAlg: tpm2.TPMAlgSHA256, Hierarchy: tpm2.TPMRHEndorsement,
	}.Execute(t)
	if err != nil {
		return tpm2.TPM2BDigest{}, tpm2.TPMTTKHashCheck{}, explain("hashing in the TPM", err)
	}
	return response.OutHash, response.Validation, nil
}

// hashSequence is hash for longer content: one command to start, one for each full piece, one to end (Part 3
// section 17.2.3).
func hashSequence(t contextTPM, content []byte) (digest tpm2.TPM2BDigest, ticket tpm2.TPMTTKHashCheck, err error) {
	start, err := tpm2.HashSequenceStart{HashAlg: tpm2.TPMAlgSHA256}.Execute(t)
	if err != nil {
		return digest, ticket, explain("hashing in the TPM", err)
	}
	sequence := tpm2.AuthHandle{Handle: start.SequenceHandle, Auth: tpm2.PasswordAuth(nil)}
	defer func() {
		if err != nil {
			err = errors.Join(err, flush(t.uncancelled(), start.SequenceHandle))
		}
	}()
	for ; len(content) > maxHashInput; content = content[maxHashInput:] {
		_, err = tpm2.SequenceUpdate{SequenceHandle: sequence, Buffer: tpm2.TPM2BMaxBuffer{Buffer: content[:maxHashInput]}}.Execute(t)
		if err != nil {
			return digest, ticket, explain("hashing in the TPM", err)
		}
	}
	end, err := tpm2.SequenceComplete{
		SequenceHandle: sequence, Buffer: tpm2.TPM2BMaxBuffer{Buffer: content}, Hierarchy: tpm2.TPMRHEndorsement,
	}.Execute(t)
	if err != nil {
		return digest, ticket, explain("hashing in the TPM", err)
	}
	return end.Result, end.Validation, nil
}
