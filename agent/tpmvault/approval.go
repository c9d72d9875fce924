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
	digest  [32]byte             // of the registers when it was chosen
}

// chooseApproval finds the approval that fits the registers now.
func (v *Vault) chooseApproval(t contextTPM) (*approval, error) {
	digests := make(map[tpmprofile.PCRSelection][32]byte)
	tried := make([]string, 0, len(v.approvals))
	for _, a := range v.approvals {
		digest, known := digests[a.PCRs]
		if !known {
			var err error
			if digest, err = readPCRs(t, a.PCRs); err != nil {
				return nil, err
			}
			digests[a.PCRs] = digest
		}
		if a.Fits(digest) {
			a.digest = digest
			return a, nil
		}
		tried = append(tried, fmt.Sprintf("%s (%s)", a.Name, a.PCRs))
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

// readPCRs reads the registers and returns the digest of their values; zero for the empty selection, which needs none.
func readPCRs(t contextTPM, selection tpmprofile.PCRSelection) ([32]byte, error) {
	if selection.IsEmpty() {
		return [32]byte{}, nil
	}
	values := make([][]byte, 0, len(selection.Numbers()))
	for _, n := range selection.Numbers() {
		response, err := tpm2.PCRRead{PCRSelectionIn: tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{
			{Hash: tpm2.TPMAlgSHA256, PCRSelect: tpm2.PCClientCompatible.PCRs(n)},
		}}}.Execute(t)
		if err != nil {
			return [32]byte{}, explain(fmt.Sprintf("reading PCR %d", n), err)
		}
		if len(response.PCRValues.Digests) != 1 {
			return [32]byte{}, fmt.Errorf("reading PCR %d: the TPM has no SHA-256 bank; enable it in the firmware", n)
		}
		values = append(values, response.PCRValues.Digests[0].Buffer)
	}
	return tpmprofile.PCRDigest(values), nil
}
