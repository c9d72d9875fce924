package tpmvault

import (
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"

	"imei-attest/agent"
)

// Conditions a caller tells apart, beside [agent.ErrNotProvisioned] and [agent.ErrKeyMismatch].
var (
	// ErrBootState: the device is in no boot state that its manufacturer approved, so its key refuses to sign.
	ErrBootState = errors.New("the device's boot state is not approved by its manufacturer")
	// ErrRecordChanged: the record was deleted or replaced after the vault was opened; the old key is dead.
	ErrRecordChanged = errors.New("the IMEI record in the TPM is no longer the one this key belongs to: " +
		"provision the device again, or open the vault again")
	// ErrTampered: the TPM, or what stands before it, answered for something else than was asked.
	ErrTampered = errors.New("the TPM's answer is not one to what was asked: something changes what it says, " +
		"or the TPM is faulty; restart the device, and look for what stands between")
	// ErrLockout: the TPM refuses authorisations for a while after too many wrong ones.
	ErrLockout = errors.New("the TPM is locked out after wrong authorisations: " +
		"wait for its recovery time, or reset it with tpm2_dictionarylockout --clear-lockout")
	// ErrAuthClosed: a hierarchy has an authorisation value that this program does not know.
	ErrAuthClosed = errors.New("the TPM's hierarchy is closed: its authorisation value was set")
)

// remedies say what to do about refusals that have little to do with this project.
var remedies = []struct {
	code   tpm2.TPMRC
	remedy string
}{
	{tpm2.TPMRCObjectMemory, "another program occupies the TPM's few slots; use /dev/tpmrm0"},
	{tpm2.TPMRCSessionMemory, "another program occupies the TPM's few session slots; use /dev/tpmrm0"},
	{tpm2.TPMRCSessionHandles, "another program occupies the TPM's sessions; use /dev/tpmrm0, or restart the device"},
	{tpm2.TPMRCInitialize, "the TPM was not started; the firmware, or swtpm with --flags startup-clear, has to"},
	{tpm2.TPMRCFailure, "the TPM is in failure mode; power the device off and on"},
	{tpm2.TPMRCReboot, "the TPM wants a restart of the device"},
	{tpm2.TPMRCNVRate, "the TPM limits writing to its NV memory; wait a minute"},
	{tpm2.TPMRCNVUnavailable, "the TPM's NV memory cannot be written at the moment; try again"},
	{tpm2.TPMRCNVSpace, "the TPM's NV memory is full; delete an index that nobody uses (tpm2_nvundefine)"},
	{tpm2.TPMRCHierarchy, "the TPM's hierarchy is switched off; enable the TPM in the firmware"},
}

// explain says what was being done and, where it is known, what to do.
func explain(doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, tpm2.TPMRCLockout):
		return fmt.Errorf("%s: %w", doing, ErrLockout)
	case errors.Is(err, tpm2.TPMRCBadAuth), errors.Is(err, tpm2.TPMRCAuthFail):
		return fmt.Errorf("%s: %w (%w)", doing, ErrAuthClosed, err)
	case isUnintelligible(err):
		return fmt.Errorf("%s: %w (%w)", doing, ErrTampered, err)
	}
	for _, r := range remedies {
		if errors.Is(err, r.code) {
			return fmt.Errorf("%s: %s (%w)", doing, r.remedy, err)
		}
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// isUnintelligible reports an error that neither the TPM nor the transport gave, nor this package: go-tpm could not read
// the response, or its HMAC is wrong. Its key is empty, so that finds accidents and no attackers.
func isUnintelligible(err error) bool {
	for _, own := range []error{ErrBootState, ErrRecordChanged, ErrTampered, ErrLockout, agent.ErrKeyMismatch} {
		if errors.Is(err, own) {
			return false
		}
	}
	return !errors.As(err, new(tpm2.TPMRC)) && !errors.As(err, new(*sendError))
}

// isOtherSession reports that the device key's session is gone, flushed by somebody else or lost at a restart of the TPM: its
// handle refers to nothing, to a session with another nonce, or to a trial session.
func isOtherSession(err error) bool {
	for _, code := range []tpm2.TPMRC{
		tpm2.TPMRCReferenceH0, tpm2.TPMRCReferenceH2, tpm2.TPMRCReferenceS0, tpm2.TPMRCBadAuth, tpm2.TPMRCAttributes,
	} {
		if errors.Is(err, code) {
			return true
		}
	}
	return false
}

// isAbsent reports that a handle refers to nothing: TPM_RC_HANDLE for a persistent object or an index, TPM_RC_REFERENCE_H0 for a
// transient object.
func isAbsent(err error) bool {
	return errors.Is(err, tpm2.TPMRCHandle) || errors.Is(err, tpm2.TPMRCReferenceH0)
}
