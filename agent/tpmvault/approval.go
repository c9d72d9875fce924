package tpmvault

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"github.com/google/go-tpm/tpm2"

	"imei-attest/attest/tpmprofile"
)

// approval is a boot approval with what this TPM made of it.
type approval struct {
	tpmprofile.BootApproval
	keyName []byte               // of the boot key that signed
	ticket  *tpm2.TPMTTKVerified // the TPM's word that it did; dies at TPM2_Clear
	digest  [32]byte             // of the registers when it was judged last
}

// chooseApproval finds the approval that serves now: for the registers' values, and not ended by the epoch counter.
func (v *Vault) chooseApproval(t contextTPM) (*approval, error) {
	now := bootFacts{t: t, digests: make(map[tpmprofile.PCRSelection][32]byte)}
	tried := make([]string, 0, len(v.approvals))
	for _, a := range v.approvals {
		problem, err := now.judge(a)
		if err != nil {
			return nil, err
		}
		if problem == "" {
			return a, nil
		}
		tried = append(tried, fmt.Sprintf("%s (%s)", a.Name, problem))
	}
	return nil, fmt.Errorf("%w: tried %s; boot the approved software, or install the approval of the software that runs",
		ErrBootState, strings.Join(tried, ", "))
}

// obtainTicket has the TPM check the boot key's signature once; the ticket spares it the check for every token.
func (a *approval) obtainTicket(t contextTPM) error {
	if a.ticket != nil {
		return nil
	}
	const doing = "checking a boot approval in the TPM"
	key := a.Keys.Key(a.SignedBy)
	handle, name, err := loadVerificationKey(t, key, tpm2.TPMRHEndorsement)
	if err != nil {
		return explain(doing, err)
	}
	digest := sha256.Sum256(a.Content())
	response, err := tpm2.VerifySignature{
		KeyHandle: handle,
		Digest:    tpm2.TPM2BDigest{Buffer: digest[:]},
		Signature: tpmprofile.TPMSignature(a.Signature),
	}.Execute(t)
	if err := errors.Join(explain(doing, err), flush(t.uncancelled(), handle)); err != nil {
		return err
	}
	a.keyName, a.ticket = name, &response.Validation
	return nil
}
