package attacktest

import (
	"errors"
	"fmt"
	"strings"

	"github.com/google/go-tpm/tpm2"

	"imei-attest/agent"
	"imei-attest/agent/provision"
	"imei-attest/agent/tpmvault"
)

// Outcomes that are no return code.
const (
	succeeds         = "succeeds"
	signs            = "signs"
	refusesRun       = "`provision.ErrRefused`"
	refusesKey       = "`agent.ErrKeyMismatch`"
	notProvisioned   = "`agent.ErrNotProvisioned`"
	refusesBoot      = "`tpmvault.ErrBootState`"
	refusesRecord    = "`tpmvault.ErrRecordChanged`"
	refusesHierarchy = "`tpmvault.ErrAuthClosed`"
)

var sentinels = []struct {
	err  error
	says string
}{
	{provision.ErrRefused, refusesRun},
	{agent.ErrKeyMismatch, refusesKey},
	{agent.ErrNotProvisioned, notProvisioned},
	{tpmvault.ErrBootState, refusesBoot},
	{tpmvault.ErrRecordChanged, refusesRecord},
	{tpmvault.ErrAuthClosed, refusesHierarchy},
}

// outcome says what came of an attack: what the vault said, or which command the TPM refused with which code, with the
// handle, parameter or session at fault where the code tells (Part 2 section 6.6).
func (d *device) outcome(err error) string {
	if err == nil {
		return succeeds
	}
	for _, s := range sentinels {
		if errors.Is(err, s.err) {
			return s.says
		}
	}
	var code tpm2.TPMRC
	if !errors.As(err, &code) {
		return err.Error()
	}
	text, _, _ := strings.Cut(code.Error(), ":")
	return fmt.Sprintf("%s: %s", commandName(d.wire.refused), strings.TrimSuffix(text, " (handle 0)")) // 0 is "unspecified"
}

var commandNames = map[tpm2.TPMCC]string{
	tpm2.TPMCCActivateCredential: "ActivateCredential", tpm2.TPMCCCertify: "Certify", tpm2.TPMCCClear: "Clear", tpm2.TPMCCContextLoad: "ContextLoad",
	tpm2.TPMCCCreatePrimary: "CreatePrimary", tpm2.TPMCCDuplicate: "Duplicate", tpm2.TPMCCEvictControl: "EvictControl",
	tpm2.TPMCCHierarchyControl: "HierarchyControl", tpm2.TPMCCLoad: "Load", tpm2.TPMCCNVCertify: "NV_Certify", tpm2.TPMCCNVChangeAuth: "NV_ChangeAuth",
	tpm2.TPMCCNVDefineSpace: "NV_DefineSpace", tpm2.TPMCCNVExtend: "NV_Extend", tpm2.TPMCCNVGlobalWriteLock: "NV_GlobalWriteLock",
	tpm2.TPMCCNVIncrement: "NV_Increment", tpm2.TPMCCNVRead: "NV_Read", tpm2.TPMCCNVReadLock: "NV_ReadLock",
	tpm2.TPMCCNVUndefineSpace: "NV_UndefineSpace", tpm2.TPMCCNVUndefineSpaceSpecial: "NV_UndefineSpaceSpecial",
	tpm2.TPMCCNVWrite: "NV_Write", tpm2.TPMCCNVWriteLock: "NV_WriteLock", tpm2.TPMCCObjectChangeAuth: "ObjectChangeAuth",
	tpm2.TPMCCPCRReset: "PCR_Reset", tpm2.TPMCCPolicyAuthorize: "PolicyAuthorize", tpm2.TPMCCPolicyNV: "PolicyNV",
	tpm2.TPMCCPolicyOR: "PolicyOR", tpm2.TPMCCPolicyPCR: "PolicyPCR", tpm2.TPMCCPolicySigned: "PolicySigned", tpm2.TPMCCQuote: "Quote",
	tpm2.TPMCCReadPublic: "ReadPublic", tpm2.TPMCCSign: "Sign", tpm2.TPMCCStartup: "Startup", tpm2.TPMCCVerifySignature: "VerifySignature",
	tpm2.TPMCCPolicySecret: "PolicySecret", tpm2.TPMCCPolicyCommandCode: "PolicyCommandCode", tpm2.TPMCCHash: "Hash",
}

func commandName(code tpm2.TPMCC) string {
	if name, ok := commandNames[code]; ok {
		return "TPM2_" + name
	}
	return fmt.Sprintf("command %#x", uint32(code))
}
