package tpmvault

import (
	"encoding/binary"
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

// policyStep is one command of the policy.
type policyStep struct {
	name    keyStep
	command command
	session int // where the command has the session's handle, in bytes from its beginning
}

// anySession stands in a [policyStep] until the session is known.
const anySession = tpm2.TPMHandle(0x03000000)

// marshalPolicy gives the commands that satisfy the device key's policy now, to be sent for each token.
func (v *Vault) marshalPolicy() ([]policyStep, error) {
	const first, third = headerBytes, headerBytes + 2*4 // TPM2_PolicyNV has two handles before the session's
	var steps []policyStep
	for _, step := range []struct {
		name    keyStep
		marshal func() (command, error)
		session int
	}{
		{stepRegisters, v.current.checkRegisters, first},
		{stepEpoch, v.current.checkEpoch, third},
		{stepAuthorize, v.current.authorize, first},
		{stepBranch, v.chooseBranch, first},
		{stepRecord, v.checkRecord, third},
	} {
		command, err := step.marshal()
		if err != nil {
			return nil, err
		}
		if command != nil {
			steps = append(steps, policyStep{step.name, command, step.session})
		}
	}
	return steps, nil
}

// runPolicy satisfies the device key's policy in a session.
func (v *Vault) runPolicy(t contextTPM, session tpm2.TPMHandle) error {
	for _, step := range v.policy {
		binary.BigEndian.PutUint32(step.command[step.session:], uint32(session))
		if err := t.runSilent(step.command); err != nil {
			return &stepError{step.name, err}
		}
	}
	return nil
}

func (a *approval) checkRegisters() (command, error) {
	if a.PCRs.IsEmpty() {
		return nil, nil
	}
	return marshalled(tpm2.PolicyPCR{PolicySession: anySession, PcrDigest: tpm2.TPM2BDigest{Buffer: a.digest[:]}, Pcrs: a.PCRs.TPM()})
}

func (a *approval) checkEpoch() (command, error) {
	if a.Epoch == 0 {
		return nil, nil
	}
	command, err := tpmprofile.EpochPolicy(a.Epoch, a.Variant)
	if err != nil {
		return nil, err
	}
	command.PolicySession = anySession
	return marshalled(command)
}

func (a *approval) authorize() (command, error) {
	return marshalled(tpm2.PolicyAuthorize{
		PolicySession:  anySession,
		ApprovedPolicy: tpm2.TPM2BDigest{Buffer: a.Policy[:]},
		PolicyRef:      tpm2.TPM2BDigest{Buffer: []byte(a.PolicyRef())},
		KeySign:        tpm2.TPM2BName{Buffer: a.keyName},
		CheckTicket:    *a.ticket,
	})
}

func (v *Vault) chooseBranch() (command, error) {
	return marshalled(tpm2.PolicyOr{PolicySession: anySession, PHashList: tpm2.TPMLDigest{Digests: v.branches}})
}

func (v *Vault) checkRecord() (command, error) {
	index := tpm2.NamedHandle{Handle: v.record.index, Name: tpm2.TPM2BName{Buffer: v.record.name}}
	return marshalled(tpm2.PolicyNV{
		AuthHandle: index, NVIndex: index, PolicySession: anySession,
		OperandB: tpm2.TPM2BOperand{Buffer: v.record.Binding[:]}, Offset: tpmprofile.BindingOffset, Operation: tpm2.TPMEOEq,
	})
}
