package tpmvault

import (
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
)

// maxRecoveries bounds the repetitions of one use of the key: after TPM2_Clear the ticket and the key have to be made
// again, registers may be extended meanwhile, and the epoch counter may be raised.
const maxRecoveries = 5

// useKey runs a command with the device key, authorised by its policy, and repeats that after a failure which can be
// repaired. It returns the parameters of the response. The policy takes 5 commands, one less where the boot is unmeasured, one
// more where the approval names an epoch; the first of them starts a session, unless one stayed.
func (v *Vault) useKey(t contextTPM, doing string, c keyCommand) (*answer, error) {
	var err error
	for range maxRecoveries {
		var parameters *answer
		if parameters, err = v.useKeyOnce(t, c); err == nil {
			return parameters, nil
		}
		v.keyProven = false // what failed, or is repaired now, may have to do with the key
		again, reason := v.repair(t, doing, err)
		if !again {
			return nil, reason
		}
	}
	return nil, fmt.Errorf("%s, tried %d times: %w", doing, maxRecoveries, err)
}

// useKeyOnce leaves no session behind after a failure: three of them shut everybody out of the TPM.
func (v *Vault) useKeyOnce(t contextTPM, c keyCommand) (parameters *answer, err error) {
	if err := v.preparePolicy(t); err != nil {
		return nil, err
	}
	if v.session.handle == 0 {
		v.session, err = startKeySession(t)
	}
	if err == nil {
		err = v.runPolicy(t, v.session.handle)
	}
	if err == nil {
		key := tpm2.NamedHandle{Handle: v.key, Name: tpm2.TPM2BName{Buffer: v.keyName}}
		parameters, err = v.session.run(t, key, c)
	}
	if err != nil {
		v.endSession(t)
	}
	if err != nil && failedStep(err) == stepPrepare {
		err = &stepError{stepUse, err}
	}
	return parameters, err
}

// endSession frees the slot of a session that was started or stayed.
func (v *Vault) endSession(t contextTPM) {
	if v.session.handle != 0 {
		// It fails where the session is gone and the vault was not told, which is well.
		_ = flush(t.uncancelled(), v.session.handle)
		v.session = keySession{}
	}
}

// preparePolicy has the commands of the policy ready. They change with the approval that serves and with its ticket.
func (v *Vault) preparePolicy(t contextTPM) (err error) {
	if v.current == nil {
		v.policy = nil
		if v.current, err = v.chooseApproval(t); err != nil {
			return err
		}
	}
	if err := v.current.obtainTicket(t); err != nil {
		return err
	}
	if v.policy == nil {
		v.policy, err = v.marshalPolicy()
	}
	return err
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
	case isOtherSession(err):
		return true, nil
	case step == stepRecord && (isAbsent(err) || errors.Is(err, tpm2.TPMRCPolicy)),
		step == stepUse && errors.Is(err, tpm2.TPMRCPolicyFail):
		return false, fmt.Errorf("%w (%w)", ErrRecordChanged, err)
	}
	return false, explain(doing, err)
}
