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
	return keyPublic(authPolicy, tpm2.TPMSECCPoint{})
}

// KeyTemplateBytes is [Profile.KeyTemplate] as a TPM takes it (TPMT_PUBLIC, Part 2 section 12.2.4).
func (p Profile) KeyTemplateBytes(binding [32]byte) ([]byte, error) {
	template, err := p.KeyTemplate(binding)
	if err != nil {
		return nil, err
	}
	return tpm2.Marshal(template), nil
}

func keyPublic(authPolicy []byte, point tpm2.TPMSECCPoint) tpm2.TPMTPublic {
	return tpm2.TPMTPublic{
		Type:    tpm2.TPMAlgECC,
		NameAlg: tpm2.TPMAlgSHA256,
		ObjectAttributes: tpm2.TPMAObject{
			FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true,
			NoDA: true, Restricted: true, SignEncrypt: true,
		},
		AuthPolicy: tpm2.TPM2BDigest{Buffer: authPolicy},
		Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{
			Scheme: tpm2.TPMTECCScheme{
				Scheme:  tpm2.TPMAlgECDSA,
				Details: tpm2.NewTPMUAsymScheme(tpm2.TPMAlgECDSA, &tpm2.TPMSSigSchemeECDSA{HashAlg: tpm2.TPMAlgSHA256}),
			},
			CurveID: tpm2.TPMECCNistP256,
		}),
		Unique: tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &point),
	}
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
	policy, err := p.AuthPolicy(binding)
	if err != nil {
		return nil, err
	}
	return DeviceKeyName(device, policy)
}

// DeviceKeyName is the Name of a device key with an authPolicy.
func DeviceKeyName(device *ecdsa.PublicKey, authPolicy []byte) ([]byte, error) {
	point, err := tpmPoint(device)
	if err != nil {
		return nil, fmt.Errorf("device key: %w", err)
	}
	return nameOfKey(keyPublic(authPolicy, point))
}

// VerificationKey is the public area under which a TPM loads a public key of the manufacturer to check its
// signatures: the one that `tpm2_loadexternal -G ecc -u FILE` of tpm2-tools gives, so that Names can be compared
// with stock tools.
func VerificationKey(key *ecdsa.PublicKey) (tpm2.TPMTPublic, error) {
	point, err := tpmPoint(key)
	if err != nil {
		return tpm2.TPMTPublic{}, err
	}
	return tpm2.TPMTPublic{
		Type:             tpm2.TPMAlgECC,
		NameAlg:          tpm2.TPMAlgSHA256,
		ObjectAttributes: tpm2.TPMAObject{UserWithAuth: true, Decrypt: true, SignEncrypt: true},
		Parameters:       tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{CurveID: tpm2.TPMECCNistP256}),
		Unique:           tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &point),
	}, nil
}

// KeyNameOf is the Name (34 bytes) of a public key of the manufacturer, loaded as [VerificationKey].
func KeyNameOf(key *ecdsa.PublicKey) ([]byte, error) {
	public, err := VerificationKey(key)
	if err != nil {
		return nil, err
	}
	return nameOfKey(public)
}

func namedKey(key *ecdsa.PublicKey) (tpm2.NamedHandle, error) {
	name, err := KeyNameOf(key)
	return tpm2.NamedHandle{Name: tpm2.TPM2BName{Buffer: name}}, err
}

func nameOfKey(public tpm2.TPMTPublic) ([]byte, error) {
	name, err := tpm2.ObjectName(&public)
	if err != nil {
		return nil, err
	}
	return name.Buffer, nil
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

// tpmPoint gives both coordinates their full length (Part 1 Annex C.8: ECC points are padded to the size of the curve).
func tpmPoint(key *ecdsa.PublicKey) (tpm2.TPMSECCPoint, error) {
	if err := checkKey("public", key); err != nil {
		return tpm2.TPMSECCPoint{}, err
	}
	raw, err := key.Bytes() // 0x04, X, Y
	if err != nil {
		return tpm2.TPMSECCPoint{}, err
	}
	return tpm2.TPMSECCPoint{
		X: tpm2.TPM2BECCParameter{Buffer: raw[1 : 1+coordinateBytes]},
		Y: tpm2.TPM2BECCParameter{Buffer: raw[1+coordinateBytes:]},
	}, nil
}

// leftPad restores leading zeros that some chips leave out of a coordinate.
func leftPad(b []byte) []byte {
	if len(b) >= coordinateBytes {
		return b
	}
	return append(bytes.Repeat([]byte{0}, coordinateBytes-len(b)), b...)
}
