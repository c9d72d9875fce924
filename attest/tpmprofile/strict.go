package tpmprofile

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
)

// Unmarshal reads a TPM structure and refuses bytes behind it, which [tpm2.Unmarshal] lets pass: what is read must
// marshal back to the same bytes.
func Unmarshal[T tpm2.Marshallable, P interface {
	*T
	tpm2.Unmarshallable
}](raw []byte) (*T, error) {
	value, err := tpm2.Unmarshal[T, P](raw)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(tpm2.Marshal(*value), raw) {
		return nil, fmt.Errorf("TPM structure %T of %d bytes is not canonical", *value, len(raw))
	}
	return value, nil
}

// ParseAttest reads a TPMS_ATTEST (Part 2 section 10.12.12) and checks that it begins with TPM_GENERATED_VALUE, which
// [tpm2.Unmarshal] does not: without it a restricted key's signature says nothing. Who can should rather rebuild the
// structure from what it expects and compare.
func ParseAttest(raw []byte) (*tpm2.TPMSAttest, error) {
	attest, err := Unmarshal[tpm2.TPMSAttest](raw)
	if err != nil {
		return nil, err
	}
	if attest.Magic != tpm2.TPMGeneratedValue {
		return nil, errors.New("attestation structure does not begin with TPM_GENERATED_VALUE: no TPM made it")
	}
	return attest, nil
}
