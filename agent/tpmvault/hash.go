package tpmvault

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
)

// maxHashInput is how much TPM2_Hash takes, in bytes: MAX_DIGEST_BUFFER, 1024 in every PC Client TPM.
const maxHashInput = 1024

// hash has the TPM hash content and vouch, with a ticket, that it does not look like a structure of its own: a
// restricted key signs nothing else. The ticket, a TPMT_TK_HASHCHECK, is of the endorsement hierarchy, the key's. No
// HMAC is over these commands, so the digest shows whether the content got there as it is.
func hash(t contextTPM, content []byte) (digest, ticket []byte, err error) {
	if len(content) > maxHashInput {
		digest, ticket, err = hashSequence(t, content)
	} else {
		digest, ticket, err = hashAtOnce(t, content)
	}
	if own := sha256.Sum256(content); err == nil && !bytes.Equal(digest, own[:]) {
		err = fmt.Errorf("hashing in the TPM: %w", ErrTampered)
	}
	return digest, ticket, err
}

func hashAtOnce(t contextTPM, content []byte) (digest, ticket []byte, err error) {
	command := newCommand(tpm2.TPMSTNoSessions, tpm2.TPMCCHash) // Part 3 section 15.4
	a, err := t.run(command.sized(content).algorithm(tpm2.TPMAlgSHA256).handle(tpm2.TPMRHEndorsement))
	if err == nil {
		digest, ticket, err = readHash(a)
	}
	return digest, ticket, explain("hashing in the TPM", err)
}

// readHash takes a TPM2B_DIGEST of SHA-256 and a TPMT_TK_HASHCHECK (Part 2 section 10.7.6) that nothing may follow.
func readHash(a *answer) (digest, ticket []byte, err error) {
	digest, ticket = a.sized(), a.rest
	tag, _, _ := a.number(2), a.take(4), a.sized() // the TPM itself judges hierarchy and HMAC
	if len(digest) != sha256.Size || tpm2.TPMST(tag) != tpm2.TPMSTHashCheck {
		return nil, nil, errForm
	}
	return digest, ticket, a.end()
}

// hashSequence is hashAtOnce for longer content: one command to start, one for each full piece, one to end (Part 3
// section 17.2.3).
func hashSequence(t contextTPM, content []byte) (digest, ticket []byte, err error) {
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
	return end.Result.Buffer, tpm2.Marshal(end.Validation), nil
}
