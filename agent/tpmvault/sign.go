package tpmvault

import (
	"bytes"
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
	defer v.endSession(t) // where something fails before TPM2_Sign, which ends it
	digest, ticket, err := hash(t, content)
	if err != nil {
		return nil, err
	}
	const doing = "signing with the device key"
	parameters, err := v.useKey(t, doing, keyCommand{
		code: tpm2.TPMCCSign,
		// Part 3 section 20.2: digest, the key's own scheme, ticket
		parameters: append(command(nil).sized(digest).algorithm(tpm2.TPMAlgNull), ticket...),
	})
	if err != nil {
		return nil, err
	}
	signature, err := readSignature(parameters)
	if err != nil {
		return nil, explain(doing, err)
	}
	return signature[:], v.checkSignature(content, signature)
}

// readSignature takes a TPMT_SIGNATURE (Part 2 section 11.3.4) that nothing may follow: R||S of ECDSA on P-256 with SHA-256. A TPM
// may leave leading zeros out or put some before, so each half is made as long as it has to be.
func readSignature(a *answer) (raw [tpmprofile.SignatureBytes]byte, err error) {
	const half = tpmprofile.SignatureBytes / 2
	algorithm, hash := tpm2.TPMAlgID(a.number(2)), tpm2.TPMAlgID(a.number(2))
	r, s := bytes.TrimLeft(a.sized(), "\x00"), bytes.TrimLeft(a.sized(), "\x00")
	if err := a.end(); err != nil {
		return raw, err
	}
	if algorithm != tpm2.TPMAlgECDSA || hash != tpm2.TPMAlgSHA256 || len(r) > half || len(s) > half {
		return raw, fmt.Errorf("the TPM's signature is not one of ECDSA on P-256 with SHA-256 (algorithms %#x, %#x)", uint16(algorithm), uint16(hash))
	}
	copy(raw[half-len(r):], r)
	copy(raw[2*half-len(s):], s)
	return raw, nil
}

// checkSignature makes sure that the first signature of a key that was located, and the first after a use that failed, verifies
// under the Credential's key: a chip may be broken, or the key another. For each signature it would be most of our time for a
// token and find little more: the TPM refuses another key, whose Name the HMAC of each use covers, and what an accident
// changes on the way has another digest or HMAC. A chip that breaks later, and whoever stands before it and makes these fit,
// give tokens that no verifier takes.
func (v *Vault) checkSignature(content []byte, raw [tpmprofile.SignatureBytes]byte) error {
	if v.keyProven {
		return nil
	}
	const half = tpmprofile.SignatureBytes / 2
	digest := sha256.Sum256(content)
	r, s := new(big.Int).SetBytes(raw[:half]), new(big.Int).SetBytes(raw[half:])
	if !ecdsa.Verify(v.credential.Key, digest[:], r, s) {
		return fmt.Errorf("the TPM's signature does not verify: %w", agent.ErrKeyMismatch)
	}
	v.keyProven = true
	return nil
}
