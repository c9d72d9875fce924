package tpmvault

import (
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"

	"imei-attest/attest/tpmprofile"
)

// keyStep is a step of using the device key. The TPM's codes alone do not tell what failed: both the epoch and the record
// are asked for with TPM2_PolicyNV.
type keyStep uint8

const (
	stepPrepare   keyStep = iota // choosing an approval and obtaining its ticket
	stepRegisters                // TPM2_PolicyPCR
	stepEpoch                    // TPM2_PolicyNV over the epoch counter
	stepAuthorize                // TPM2_PolicyAuthorize by a boot key
	stepBranch                   // TPM2_PolicyOR of the boot keys
	stepRecord                   // TPM2_PolicyNV over the record
	stepUse                      // the command that the key was wanted for
)

// stepError is a failure with the step it happened in.
type stepError struct {
	step keyStep
	err  error
}

func (e *stepError) Error() string {
	if e.step == stepUse {
		return e.err.Error()
	}
	return fmt.Sprintf("policy of the device key: %v", e.err)
}
func (e *stepError) Unwrap() error { return e.err }

func failedStep(err error) keyStep {
	var failed *stepError
	if errors.As(err, &failed) {
		return failed.step
	}
	return stepPrepare
}

// runPolicy satisfies the device key's policy in a session.
func (v *Vault) runPolicy(t contextTPM, session tpm2.TPMHandle) error {
	for _, step := range []struct {
		name keyStep
		run  func(contextTPM, tpm2.TPMHandle) error
	}{
		{stepRegisters, v.current.checkRegisters},
		{stepEpoch, v.current.checkEpoch},
		{stepAuthorize, v.current.authorize},
		{stepBranch, v.chooseBranch},
		{stepRecord, v.checkRecord},
	} {
		if err := step.run(t, session); err != nil {
			return &stepError{step.name, err}
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
