package tpmprofile

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"io"

	"github.com/google/go-tpm/tpm2"
)

// CheckEndorsementKey reads the public area of an endorsement key of the TCG's templates L-1 (RSA-2048) and L-2 (ECC P-256; EK
// Credential Profile section B.3) and returns its Name and public key. All but the key itself must be the template's: a
// key with other attributes could be one that its holder can use for more than to open challenges.
func CheckEndorsementKey(raw []byte) (name []byte, key crypto.PublicKey, err error) {
	public, err := Unmarshal[tpm2.TPMTPublic](raw)
	if err != nil {
		return nil, nil, fmt.Errorf("endorsement key: %w", err)
	}
	template := tpm2.ECCEKTemplate
	if public.Type == tpm2.TPMAlgRSA {
		template = tpm2.RSAEKTemplate
	}
	template.Unique = public.Unique
	if public.Type != template.Type || !bytes.Equal(tpm2.Marshal(template), raw) {
		return nil, nil, errors.New("the endorsement key is not of the TCG's template for RSA-2048 or ECC P-256")
	}
	if key, err = tpm2.Pub(*public); err != nil {
		return nil, nil, fmt.Errorf("endorsement key: %w", err)
	}
	return nameOf(raw), key, nil
}

// CheckDeviceKey reads the public area of a device key and returns the key. All but the point must be what this Profile's template
// says, the policy among it: a TPM that then opens a challenge for this Name holds a key that is bound so.
func (p Profile) CheckDeviceKey(raw []byte, binding [32]byte) (*ecdsa.PublicKey, error) {
	public, err := Unmarshal[tpm2.TPMTPublic](raw)
	if err != nil {
		return nil, fmt.Errorf("device key: %w", err)
	}
	key, err := PublicKeyOf(public)
	if err != nil {
		return nil, err
	}
	policy, err := p.AuthPolicy(binding)
	if err != nil {
		return nil, err
	}
	point, err := pointOf("device", key)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(deviceArea(policy, point), raw) {
		return nil, errors.New("the device key's public area is not that of the template: other attributes or another policy")
	}
	return key, nil
}

// MakeChallenge encrypts a secret so that only the TPM that holds an endorsement key gives it, and only while it
// holds an object of a Name (TPM2_MakeCredential in software, Part 1 section 24).
func MakeChallenge(rand io.Reader, ekPublic, keyName, secret []byte) (idObject, encryptedSecret []byte, err error) {
	public, err := Unmarshal[tpm2.TPMTPublic](ekPublic)
	if err != nil {
		return nil, nil, err
	}
	key, err := tpm2.ImportEncapsulationKey(public)
	if err != nil {
		return nil, nil, fmt.Errorf("endorsement key: %w", err)
	}
	return tpm2.CreateCredential(rand, key, keyName, secret)
}
