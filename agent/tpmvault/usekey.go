package tpmvault

import (
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
)

// maxRecoveries bounds the repetitions of one use of the key: after TPM2_Clear the ticket and the key have to be made
// again, registers may be extended meanwhile, and the epoch counter may be raised.
const maxRecoveries = 5

// useKey runs use with the device key, authorised by its policy, and repeats that after a failure which can be repaired.
// The policy takes 5 commands, one less where the boot is unmeasured, one more where the approval names an epoch.
func (v *Vault) useKey(t contextTPM, doing string, use func(key tpm2.AuthHandle) error) error {
	var err error
	for range maxRecoveries {
		if err = v.useKeyOnce(t, use); err == nil {
			return nil
		}
		again, reason := v.repair(t, doing, err)
		if !again {
			return reason
		}
	}
	return fmt.Errorf("%s, tried %d times: %w", doing, maxRecoveries, err)
}

func (v *Vault) useKeyOnce(t contextTPM, use func(key tpm2.AuthHandle) error) (err error) {
	if v.current == nil {
		if v.current, err = v.chooseApproval(t); err != nil {
			return err
		}
	}
	if err := v.current.obtainTicket(t); err != nil {
		return err
	}
	return withPolicy(t,
		func(session tpm2.TPMHandle) error { return v.runPolicy(t, session) },
		func(session tpm2.Session) error {
			err := use(tpm2.AuthHandle{Handle: v.key, Name: tpm2.TPM2BName{Buffer: v.keyName}, Auth: session})
			if err != nil && failedStep(err) == stepPrepare { // go-tpm runs the policy in there too
				return &stepError{stepUse, err}
			}
			return err
		})
}

// repair prepares another attempt after a failure that one can repair, or says why there is none.
func (v *Vault) repair(t contextTPM, doing string, err error) (again bool, reason error) {
	step := failedStep(err)
	switch {
	case step == stepPrepare:
		return false, err
	case errors.Is(err, tpm2.TPMRCPCRChanged):
		return true, nil // a register was extended between policy and signature
	case step == stepRegisters && errors.Is(err, tpm2.TPMRCValue),
		step == stepEpoch && (errors.Is(err, tpm2.TPMRCPolicy) || isAbsent(err)):
		v.current = nil // registers or epoch counter moved on: another approval may serve
		return true, nil
	case step == stepAuthorize && errors.Is(err, tpm2.TPMRCValue):
		v.event("the TPM was cleared: the ticket of the boot approval is made again")
		v.current.ticket, v.current = nil, nil // it may also be that the epoch counter is another index now
		return true, nil
	case step == stepUse && isAbsent(err):
		v.event("the TPM was cleared: the device key is derived again")
		_, err := v.locateKey(t) // of the same Name, so it is the same key
		return err == nil, err
	case step == stepRecord && (isAbsent(err) || errors.Is(err, tpm2.TPMRCPolicy)),
		step == stepUse && errors.Is(err, tpm2.TPMRCPolicyFail):
		return false, fmt.Errorf("%w (%w)", ErrRecordChanged, err)
	}
	return false, explain(doing, err)
}
