package tpmvault

import (
	"context"
	"crypto/ecdsa"

	"github.com/google/go-tpm/tpm2"

	"imei-attest/attest/tpmprofile"
)

// BelieveCredentialFor has the vault take its Credential for one of another key.
func (v *Vault) BelieveCredentialFor(key *ecdsa.PublicKey) { v.credential.Key = key }

// CheckCertification has the TPM certify the attestation counter, spoils the answer, and checks it as Evidence does.
func (v *Vault) CheckCertification(ctx context.Context, binding [32]byte, spoil func(*tpm2.NVCertifyResponse)) error {
	a, err := v.certifyCounter(withContext(ctx, v.tpm), binding)
	if err != nil {
		return err
	}
	response := tpm2.NVCertifyResponse{CertifyInfo: tpm2.BytesAs2B[tpm2.TPMSAttest](a.sized())}
	signature, err := tpmprofile.Unmarshal[tpm2.TPMTSignature](a.rest)
	if err != nil {
		return err
	}
	response.Signature = *signature
	spoil(&response)
	ecc, err := response.Signature.Signature.ECDSA()
	if err != nil {
		return err
	}
	spoiled := command(nil).sized(response.CertifyInfo.Bytes()).algorithm(response.Signature.SigAlg).algorithm(ecc.Hash).
		sized(ecc.SignatureR.Buffer).sized(ecc.SignatureS.Buffer)
	_, err = v.counterProof(binding, &answer{rest: spoiled})
	return err
}

// DoubtKey has the vault verify the next signature.
func (v *Vault) DoubtKey() { v.keyProven = false }

// ReadSignature takes a TPMT_SIGNATURE as the vault does.
func ReadSignature(raw []byte) ([tpmprofile.SignatureBytes]byte, error) {
	return readSignature(&answer{rest: raw})
}
