package tpmvault

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/big"

	"github.com/google/go-tpm/tpm2"

	"imei-attest/agent"
	"imei-attest/attest"
	"imei-attest/attest/tpmprofile"
)

// maxRecoveries bounds the repetitions of one signature: after TPM2_Clear the ticket and the key have to be made
// again, and registers may be extended meanwhile.
const maxRecoveries = 5

// signer is the device key as a COSE signer, for as long as a context lasts.
type signer struct {
	vault *Vault
	ctx   context.Context // attest.Signer has no context of its own
}

// Algorithm implements [attest.Signer].
func (signer) Algorithm() attest.Algorithm { return attest.ES256 }

// Sign implements [attest.Signer]. The randomness comes from the TPM.
func (s signer) Sign(_ io.Reader, content []byte) ([]byte, error) {
	return s.vault.sign(s.ctx, content)
}

func (v *Vault) sign(ctx context.Context, content []byte) ([]byte, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	t := withContext(ctx, v.tpm)
	digest, ticket, err := hash(t, content)
	if err != nil {
		return nil, err
	}
	for range maxRecoveries {
		var signature [tpmprofile.SignatureBytes]byte
		if signature, err = v.signOnce(t, digest, ticket); err == nil {
			if err := v.checkSignature(content, signature); err != nil {
				return nil, err
			}
			return signature[:], nil
		}
		again, reason := v.repair(t, err)
		if !again {
			return nil, reason
		}
	}
	return nil, fmt.Errorf("signing with the device key, tried %d times: %w", maxRecoveries, err)
}

// signOnce runs the policy and signs: 6 commands, one less where the boot is unmeasured.
func (v *Vault) signOnce(t contextTPM, digest tpm2.TPM2BDigest, ticket tpm2.TPMTTKHashCheck) (raw [tpmprofile.SignatureBytes]byte, err error) {
	if v.current == nil {
		if v.current, err = v.chooseApproval(t); err != nil {
			return raw, err
		}
	}
	if err := v.current.obtainTicket(t); err != nil {
		return raw, err
	}
	var response *tpm2.SignResponse
	err = withPolicy(t,
		func(session tpm2.TPMHandle) error { return v.runPolicy(t, session) },
		func(session tpm2.Session) error {
			response, err = tpm2.Sign{
				KeyHandle:  tpm2.AuthHandle{Handle: v.key, Name: tpm2.TPM2BName{Buffer: v.keyName}, Auth: session},
				Digest:     digest,
				Validation: ticket,
			}.Execute(t)
			return err
		})
	if err != nil {
		return raw, err
	}
	return tpmprofile.SignatureOf(&response.Signature)
}

// checkSignature makes sure that what leaves the vault verifies under the Credential's key. It costs some 100 us
// beside a chip's 50 ms, and catches a faulty chip and a key that was exchanged.
func (v *Vault) checkSignature(content []byte, raw [tpmprofile.SignatureBytes]byte) error {
	const half = tpmprofile.SignatureBytes / 2
	digest := sha256.Sum256(content)
	r, s := new(big.Int).SetBytes(raw[:half]), new(big.Int).SetBytes(raw[half:])
	if !ecdsa.Verify(v.credential.Key, digest[:], r, s) {
		return fmt.Errorf("the TPM's signature does not verify: %w", agent.ErrKeyMismatch)
	}
	return nil
}

// policyStep is a failure with the part of the policy it happened in: the TPM's codes alone do not tell.
type policyStep struct {
	command tpm2.TPMCC
	err     error
}

func (e *policyStep) Error() string { return fmt.Sprintf("policy of the device key: %v", e.err) }
func (e *policyStep) Unwrap() error { return e.err }

// runPolicy satisfies the device key's policy in a session.
func (v *Vault) runPolicy(t contextTPM, session tpm2.TPMHandle) error {
	a := v.current
	if !a.PCRs.IsEmpty() {
		_, err := tpm2.PolicyPCR{PolicySession: session, PcrDigest: tpm2.TPM2BDigest{Buffer: a.digest[:]}, Pcrs: a.PCRs.TPM()}.Execute(t)
		if err != nil {
			return &policyStep{tpm2.TPMCCPolicyPCR, err}
		}
	}
	_, err := tpm2.PolicyAuthorize{
		PolicySession:  session,
		ApprovedPolicy: tpm2.TPM2BDigest{Buffer: a.Policy[:]},
		PolicyRef:      tpm2.TPM2BDigest{Buffer: []byte(a.PolicyRef())},
		KeySign:        tpm2.TPM2BName{Buffer: a.keyName},
		CheckTicket:    *a.ticket,
	}.Execute(t)
	if err != nil {
		return &policyStep{tpm2.TPMCCPolicyAuthorize, err}
	}
	if _, err := (tpm2.PolicyOr{PolicySession: session, PHashList: tpm2.TPMLDigest{Digests: v.branches}}).Execute(t); err != nil {
		return &policyStep{tpm2.TPMCCPolicyOR, err}
	}
	index := tpm2.NamedHandle{Handle: v.record.index, Name: tpm2.TPM2BName{Buffer: v.record.name}}
	_, err = tpm2.PolicyNV{
		AuthHandle: index, NVIndex: index, PolicySession: session,
		OperandB: tpm2.TPM2BOperand{Buffer: v.record.Binding[:]}, Offset: tpmprofile.BindingOffset, Operation: tpm2.TPMEOEq,
	}.Execute(t)
	if err != nil {
		return &policyStep{tpm2.TPMCCPolicyNV, err}
	}
	return nil
}

// repair prepares another attempt after a failure that one can repair, or says why there is none.
func (v *Vault) repair(t contextTPM, err error) (again bool, reason error) {
	var step *policyStep
	command := tpm2.TPMCCSign
	if errors.As(err, &step) {
		command = step.command
	}
	switch {
	case errors.Is(err, ErrBootState):
		return false, err
	case errors.Is(err, tpm2.TPMRCPCRChanged):
		return true, nil // a register was extended between policy and signature
	case command == tpm2.TPMCCPolicyPCR && errors.Is(err, tpm2.TPMRCValue):
		v.current = nil // the registers moved on: another approval may fit
		return true, nil
	case command == tpm2.TPMCCPolicyAuthorize && errors.Is(err, tpm2.TPMRCValue):
		v.event("the TPM was cleared: the ticket of the boot approval is made again")
		v.current.ticket = nil
		return true, nil
	case command == tpm2.TPMCCSign && isAbsent(err):
		v.event("the TPM was cleared: the device key is derived again")
		_, err := v.locateKey(t) // of the same Name, so it is the same key
		return err == nil, err
	case command == tpm2.TPMCCPolicyNV && (isAbsent(err) || errors.Is(err, tpm2.TPMRCPolicy)),
		command == tpm2.TPMCCSign && errors.Is(err, tpm2.TPMRCPolicyFail):
		return false, fmt.Errorf("%w (%w)", ErrRecordChanged, err)
	}
	return false, explain("signing with the device key", err)
}
