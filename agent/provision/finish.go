package provision

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/big"

	"imei-attest/agent"
	"imei-attest/attest"
	"imei-attest/attest/tpmprofile"
)

// persist is a convenience of the device, so its failure is no failure of the unit.
func (j *job) persist(ctx context.Context) error {
	err := j.tpm.Persist(ctx, j.profile, j.record.Binding)
	if ctxErr := ctx.Err(); ctxErr != nil {
		return ctxErr
	}
	j.result.Persistent = err == nil
	if err != nil {
		return j.progress(StepPersist, "left out, the device derives its key at each start: %v", err)
	}
	return j.progress(StepPersist, "the device key is at handle %#x", uint32(tpmprofile.KeyHandle))
}

// requireFit refuses a TPM of a kind that the manufacturer does not vouch for, or in which nothing was measured, before
// anything is written.
func (j *job) requireFit(ctx context.Context) error {
	if err := j.oem.checkKind(j.storage().Kind); err != nil {
		return err
	}
	digest, err := j.tpm.ReadPCRs(ctx, j.PCRs)
	if err != nil {
		return err
	}
	return j.oem.checkMeasured(j.PCRs, digest)
}

// requireApproval refuses a boot state that nobody has approved, before anything is written.
func (j *job) requireApproval(ctx context.Context) error {
	digest, err := j.tpm.ReadPCRs(ctx, j.PCRs)
	if err == nil {
		_, err = j.findApproval(digest)
	}
	return err
}

// approve finds the approval of the boot state that the TPM is in. A laboratory's is signed now if there is none.
func (j *job) approve(ctx context.Context) error {
	digest, err := j.tpm.ReadPCRs(ctx, j.PCRs)
	if err != nil {
		return err
	}
	if isReset(j.PCRs, digest) {
		j.result.NothingMeasured = true
		if err := j.progress(StepApprove, "WARNING: %s hold their reset values: nothing measured this boot, and this approval opens every device of yours whose TPM is reset; never ship it", j.PCRs); err != nil {
			return err
		}
	}
	known, err := j.findApproval(digest)
	if err != nil {
		return err
	}
	if known != nil {
		j.result.Approval = *known
		return j.progress(StepApprove, "%s fits", known.Name)
	}
	a, err := j.oem.ApproveBoot(tpmprofile.RolePrimary, tpmprofile.BootState{PCRs: j.PCRs, Digest: digest})
	if err != nil {
		return err
	}
	a.Name = a.FileName()
	if err := j.SaveApproval(a); err != nil {
		return fmt.Errorf("keeping the boot approval: %w", err)
	}
	j.result.Approval, j.result.NewApproval = a, true
	if j.PCRs.IsEmpty() {
		return j.progress(StepApprove, "%s: boot UNMEASURED, any software may use the key", a.Name)
	}
	return j.progress(StepApprove, "%s: %s as they are now", a.Name, j.PCRs)
}

func (j *job) readBack(ctx context.Context) error {
	state, record, err := j.tpm.ReadIndex(ctx, j.profile)
	if err != nil {
		return err
	}
	if state != tpmprofile.IndexLocked || record.Binding != j.record.Binding || !bytes.Equal(record.Credential, j.record.Credential) {
		return fmt.Errorf("%w: the NV index is %s and does not hold what was written: the TPM is faulty", ErrRefused, state)
	}
	return j.progress(StepReadBack, "locked and as written")
}

// selfTest has the finished vault sign something, as it will on the device.
func (j *job) selfTest(ctx context.Context) error {
	vault, err := j.OpenVault(ctx, []tpmprofile.BootApproval{j.result.Approval})
	if err != nil {
		return fmt.Errorf("self-test: %w", err)
	}
	err = signAndVerify(vault.Signer(ctx), j.result.Credential.Key)
	if err := errors.Join(err, vault.Close()); err != nil {
		return fmt.Errorf("self-test: %w", err)
	}
	return j.progress(StepSelfTest, "the device key signs, and the signature verifies")
}

// SelfTestContent is what the device key signs in a self-test. Its first bytes keep it from ever being a Sig_structure,
// which begins with a CBOR array (RFC 9052 section 4.4), so that no token can be made of it.
func SelfTestContent(nonce []byte) []byte {
	return append([]byte("imei-attest-self-test-v1"), nonce...)
}

func signAndVerify(signer attest.Signer, key *ecdsa.PublicKey) error {
	nonce := make([]byte, 32)
	_, _ = rand.Read(nonce) // never fails (crypto/rand)
	content := SelfTestContent(nonce)
	raw, err := signer.Sign(rand.Reader, content)
	if err != nil {
		return err
	}
	return verifySelfTest(key, content, raw)
}

func verifySelfTest(key *ecdsa.PublicKey, content, raw []byte) error {
	half, digest := len(raw)/2, sha256.Sum256(content)
	if !ecdsa.Verify(key, digest[:], new(big.Int).SetBytes(raw[:half]), new(big.Int).SetBytes(raw[half:])) {
		return agent.ErrKeyMismatch
	}
	return nil
}
