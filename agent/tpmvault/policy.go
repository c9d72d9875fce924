package tpmvault

import (
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"

	"imei-attest/attest/tpmprofile"
)

// policyPart is a part of the device key's policy. The TPM's codes alone do not tell what failed: both the epoch and the
// record are asked for with TPM2_PolicyNV.
type policyPart uint8

const (
	partUse       policyPart = iota // after the policy: the command that the key was wanted for
	partRegisters                   // TPM2_PolicyPCR
	partEpoch                       // TPM2_PolicyNV over the epoch counter
	partAuthorize                   // TPM2_PolicyAuthorize by a boot key
	partBranch                      // TPM2_PolicyOR of the boot keys
	partRecord                      // TPM2_PolicyNV over the record
)

// policyError is a failure with the part of the policy it happened in.
type policyError struct {
	part policyPart
	err  error
}

func (e *policyError) Error() string { return fmt.Sprintf("policy of the device key: %v", e.err) }
func (e *policyError) Unwrap() error { return e.err }

func failedPart(err error) policyPart {
	var failed *policyError
	if errors.As(err, &failed) {
		return failed.part
	}
	return partUse
}

// runPolicy satisfies the device key's policy in a session.
func (v *Vault) runPolicy(t contextTPM, session tpm2.TPMHandle) error {
	for _, step := range []struct {
		part policyPart
		run  func(contextTPM, tpm2.TPMHandle) error
	}{
		{partRegisters, v.current.checkRegisters},
		{partEpoch, v.current.checkEpoch},
		{partAuthorize, v.current.authorize},
		{partBranch, v.chooseBranch},
		{partRecord, v.checkRecord},
	} {
		if err := step.run(t, session); err != nil {
			return &policyError{step.part, err}
		}
	}
	return nil
}

func (a *approval) checkRegisters(t contextTPM, session tpm2.TPMHandle) error {
	if a.PCRs.IsEmpty() {
		return nil
	}
	_, err := tpm2.PolicyPCR{PolicySession: session, PcrDigest: tpm2.TPM2BDigest{Buffer: a.digest[:]}, Pcrs: a.PCRs.TPM()}.Execute(t)
	return err
}

func (a *approval) checkEpoch(t contextTPM, session tpm2.TPMHandle) error {
	if a.Epoch == 0 {
		return nil
	}
	command, err := tpmprofile.EpochPolicy(a.Epoch, a.Variant)
	if err != nil {
		return err
	}
	command.PolicySession = session
	_, err = command.Execute(t)
	return err
}

func (a *approval) authorize(t contextTPM, session tpm2.TPMHandle) error {
	_, err := tpm2.PolicyAuthorize{
		PolicySession:  session,
		ApprovedPolicy: tpm2.TPM2BDigest{Buffer: a.Policy[:]},
		PolicyRef:      tpm2.TPM2BDigest{Buffer: []byte(a.PolicyRef())},
		KeySign:        tpm2.TPM2BName{Buffer: a.keyName},
		CheckTicket:    *a.ticket,
	}.Execute(t)
	return err
}

func (v *Vault) chooseBranch(t contextTPM, session tpm2.TPMHandle) error {
	_, err := tpm2.PolicyOr{PolicySession: session, PHashList: tpm2.TPMLDigest{Digests: v.branches}}.Execute(t)
	return err
}

func (v *Vault) checkRecord(t contextTPM, session tpm2.TPMHandle) error {
	index := tpm2.NamedHandle{Handle: v.record.index, Name: tpm2.TPM2BName{Buffer: v.record.name}}
	_, err := tpm2.PolicyNV{
		AuthHandle: index, NVIndex: index, PolicySession: session,
		OperandB: tpm2.TPM2BOperand{Buffer: v.record.Binding[:]}, Offset: tpmprofile.BindingOffset, Operation: tpm2.TPMEOEq,
	}.Execute(t)
	return err
}
