package tpmvault

import (
	"fmt"

	"github.com/google/go-tpm/tpm2"

	"imei-attest/attest/tpmprofile"
)

// bootFacts is what approvals are compared with; nothing is asked of the TPM twice.
type bootFacts struct {
	t       contextTPM
	digests map[tpmprofile.PCRSelection][32]byte
}

// judge says why an approval does not serve now, or "" when it does.
func (f bootFacts) judge(a *approval) (problem string, err error) {
	if a.digest, err = f.digest(a.PCRs); err != nil {
		return "", err
	}
	if !a.Fits(a.digest) {
		return fmt.Sprintf("%s have other values", a.PCRs), nil
	}
	if a.Epoch == 0 {
		return "", nil
	}
	return f.judgeEpoch(a)
}

func (f bootFacts) judgeEpoch(a *approval) (problem string, err error) {
	c := counter{tpmprofile.CounterEpoch, a.Variant}
	state, err := c.state(f.t)
	if err != nil {
		return "", err
	}
	if state != tpmprofile.IndexWritten {
		return fmt.Sprintf("it ends with epoch %d, and %s is %s", a.Epoch, c, state), nil
	}
	value, err := c.read(f.t)
	if err == nil && a.IsRevoked(value) {
		problem = fmt.Sprintf("revoked: it ended with epoch %d, and the epoch counter is at %d", a.Epoch, value)
	}
	return problem, err
}

func (f bootFacts) digest(selection tpmprofile.PCRSelection) (digest [32]byte, err error) {
	digest, known := f.digests[selection]
	if !known {
		if digest, err = readPCRs(f.t, selection); err != nil {
			return digest, err
		}
		f.digests[selection] = digest
	}
	return digest, nil
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
