package tpmprofile

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
)

// coordinateBytes is the length of a coordinate and of half a signature on P-256.
const coordinateBytes = 32

// NameBytes is the length of a Name of this profile: the algorithm and a SHA-256 (Part 1 section 16).
const NameBytes = 34

// KeyTemplate is what a TPM makes the device key from, with TPM2_CreatePrimary in the endorsement hierarchy: the
// same template gives the same key again, also after TPM2_Clear, and another one in every other TPM.
//
// Restricted signing: the TPM signs only what it hashed itself, never a forged attestation structure. With
// USERWITHAUTH clear the policy is the only way to a signature; ADMINWITHPOLICY stays clear with an empty auth value, so that
// TPM2_ActivateCredential works without a policy branch of its own (Part 2 section 8.3).
func KeyTemplate(authPolicy []byte) tpm2.TPMTPublic {
	return *structureOf[tpm2.TPMTPublic](deviceArea(authPolicy, nil))
}

// KeyTemplateBytes is [Profile.KeyTemplate] as a TPM takes it (TPMT_PUBLIC, Part 2 section 12.2.4).
func (p Profile) KeyTemplateBytes(binding [32]byte) ([]byte, error) {
	policy, err := p.AuthPolicy(binding)
	if err != nil {
		return nil, err
	}
	return deviceArea(policy, nil), nil
}

// deviceArea is the public area of a device key, or its template when there is no point.
func deviceArea(authPolicy, point []byte) []byte {
	const attributes = keyFixedTPM | keyFixedParent | keySensitiveDataOrigin | keyNoDA | keyRestricted | keySign
	return keyArea(attributes, authPolicy, []tpm2.TPMAlgID{tpm2.TPMAlgECDSA, tpm2.TPMAlgSHA256}, point)
}

// KeyTemplate is [KeyTemplate] with the policy of this Profile for a device.
func (p Profile) KeyTemplate(binding [32]byte) (tpm2.TPMTPublic, error) {
	policy, err := p.AuthPolicy(binding)
	if err != nil {
		return tpm2.TPMTPublic{}, err
	}
	return KeyTemplate(policy), nil
}

// KeyName is the Name (34 bytes) that a device key must have: it covers the key's public half, its attributes and,
// through the policy, the NV index, the boot keys and the binding hash. A Credential whose storage claim gives
// another Name describes a key that is not bound as this Profile says.
func (p Profile) KeyName(device *ecdsa.PublicKey, binding [32]byte) ([]byte, error) {
	fleet, err := p.Fleet()
	if err != nil {
		return nil, err
	}
	return fleet.KeyName(device, binding)
}

// DeviceKeyName is the Name of a device key with an authPolicy.
func DeviceKeyName(device *ecdsa.PublicKey, authPolicy []byte) ([]byte, error) {
	point, err := pointOf("device", device)
	if err != nil {
		return nil, err
	}
	return nameOf(deviceArea(authPolicy, point)), nil
}

// VerificationKey is the public area under which a TPM loads a public key of the manufacturer to check its
// signatures: the one that `tpm2_loadexternal -G ecc -u FILE` of tpm2-tools gives, so that Names can be compared
// with stock tools.
func VerificationKey(key *ecdsa.PublicKey) (tpm2.TPMTPublic, error) {
	area, err := verificationArea("public", key)
	if err != nil {
		return tpm2.TPMTPublic{}, err
	}
	return *structureOf[tpm2.TPMTPublic](area), nil
}

func verificationArea(duty string, key *ecdsa.PublicKey) ([]byte, error) {
	point, err := pointOf(duty, key)
	if err != nil {
		return nil, err
	}
	return keyArea(keyUserWithAuth|keyDecrypt|keySign, nil, []tpm2.TPMAlgID{tpm2.TPMAlgNull}, point), nil
}

// KeyNameOf is the Name (34 bytes) of a public key of the manufacturer, loaded as [VerificationKey].
func KeyNameOf(key *ecdsa.PublicKey) ([]byte, error) {
	area, err := verificationArea("public", key)
	if err != nil {
		return nil, err
	}
	return nameOf(area), nil
}

// PublicKeyOf returns the key on P-256 in a public area that a TPM answered.
func PublicKeyOf(public *tpm2.TPMTPublic) (*ecdsa.PublicKey, error) {
	if public.Type != tpm2.TPMAlgECC {
		return nil, errors.New("the TPM's key is not on an elliptic curve")
	}
	parameters, err := public.Parameters.ECCDetail()
	if err != nil {
		return nil, err
	}
	point, err := public.Unique.ECC()
	if err != nil {
		return nil, err
	}
	if parameters.CurveID != tpm2.TPMECCNistP256 {
		return nil, fmt.Errorf("the TPM's key is on curve %#x, want NIST P-256", uint16(parameters.CurveID))
	}
	raw := append([]byte{4}, leftPad(point.X.Buffer)...)
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(raw, leftPad(point.Y.Buffer)...))
	if err != nil {
		return nil, errors.New("the TPM's key is not a point on P-256")
	}
	return key, nil
}

// pointOf is X and Y, both in their full length (Part 1 Annex C.8: ECC points are padded to the size of the curve), of a key
// that is on P-256 as it must be.
func pointOf(duty string, key *ecdsa.PublicKey) ([]byte, error) {
	if key == nil || key.Curve == nil {
		return nil, fmt.Errorf("the %s key is missing", duty)
	}
	if key.Curve != elliptic.P256() {
		return nil, fmt.Errorf("the %s key is on %s: a TPM checks it, so it must be on P-256", duty, key.Curve.Params().Name)
	}
	raw, err := key.Bytes() // 0x04, X, Y
	if err != nil {
		return nil, fmt.Errorf("the %s key is not a point on P-256", duty)
	}
	return raw[1:], nil
}

// leftPad restores leading zeros that some chips leave out of a coordinate.
func leftPad(b []byte) []byte {
	if len(b) >= coordinateBytes {
		return b
	}
	return append(bytes.Repeat([]byte{0}, coordinateBytes-len(b)), b...)
}
