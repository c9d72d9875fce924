package tpmvault

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"fmt"
	"io"
	"math/big"

	"github.com/google/go-tpm/tpm2"

	"imei-attest/agent"
	"imei-attest/attest"
	"imei-attest/attest/tpmprofile"
)

// signer is the device key as a COSE signer, for as long as a context lasts.
type signer struct {
	vault *Vault
	ctx   context.Context // attest.Signer has no context of its own
}

// Algorithm implements [attest.Signer].
func (signer) Algorithm() attest.Algorithm { return attest.ES256 }

// Sign implements [attest.Signer]. The randomness comes from the TPM.
func (s signer) Sign(_ io.Reader, content []byte) ([]byte, error) {
	return s.vault.sign(s.ctx, content)
}

func (v *Vault) sign(ctx context.Context, content []byte) ([]byte, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	t := withContext(ctx, v.tpm)
	digest, ticket, err := hash(t, content)
	if err != nil {
		return nil, err
	}
	var response *tpm2.SignResponse
	err = v.useKey(t, "signing with the device key", func(key tpm2.AuthHandle) error {
		response, err = tpm2.Sign{KeyHandle: key, Digest: digest, Validation: ticket}.Execute(t)
		return err
	})
	if err != nil {
		return nil, err
	}
	signature, err := tpmprofile.SignatureOf(&response.Signature)
	if err != nil {
		return nil, err
	}
	return signature[:], v.checkSignature(content, signature)
}

// checkSignature makes sure that what leaves the vault verifies under the Credential's key. It costs some 100 us
// beside a chip's 50 ms, and catches a faulty chip and a key that was exchanged.
func (v *Vault) checkSignature(content []byte, raw [tpmprofile.SignatureBytes]byte) error {
	const half = tpmprofile.SignatureBytes / 2
	digest := sha256.Sum256(content)
	r, s := new(big.Int).SetBytes(raw[:half]), new(big.Int).SetBytes(raw[half:])
	if !ecdsa.Verify(v.credential.Key, digest[:], r, s) {
		return fmt.Errorf("the TPM's signature does not verify: %w", agent.ErrKeyMismatch)
	}
	return nil
}
