package tpmvault

import (
	"context"
	"crypto/ecdsa"

	"github.com/google/go-tpm/tpm2"
)

// BelieveCredentialFor has the vault take its Credential for one of another key.
func (v *Vault) BelieveCredentialFor(key *ecdsa.PublicKey) { v.credential.Key = key }

// CheckCertification has the TPM certify the attestation counter, spoils the answer, and checks it as Evidence does.
func (v *Vault) CheckCertification(ctx context.Context, binding [32]byte, spoil func(*tpm2.NVCertifyResponse)) error {
	response, err := v.certifyCounter(withContext(ctx, v.tpm), binding)
	if err != nil {
		return err
	}
	spoil(response)
	_, err = v.counterProof(binding, response)
	return err
}
