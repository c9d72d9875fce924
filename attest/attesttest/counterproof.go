package attesttest

import (
	"crypto/ecdsa"

	"imei-attest/attest"
	"imei-attest/attest/tpmprofile"
)

// Proof is a counter proof of a TPM in its third year, without its signature.
func Proof() attest.CounterProof {
	return attest.CounterProof{Clock: 75_000_000_000, ResetCount: 40, Safe: true, Firmware: 0x2023010700120034, Counter: 300}
}

// Prove makes proofs for [attest.Enclosure] as a TPM would whose counter and clock stand as p says, with key as the device
// key of the Credential.
func Prove(key *ecdsa.PrivateKey, c attest.Credential, p attest.CounterProof) func(binding [32]byte) ([]byte, error) {
	return func(binding [32]byte) ([]byte, error) {
		attestation, err := tpmprofile.AttestationOf(c.Storage.KeyName, c.Storage.NV, binding, p)
		if err != nil {
			return nil, err
		}
		signature, err := Signer(key).Sign(nil, attestation)
		if err != nil {
			return nil, err
		}
		signed := p
		copy(signed.Signature[:], signature)
		return signed.Encode()
	}
}

// ProvedToken is [Token] in profile B: with a proof by DeviceKey, the device key of the Credential c. The Credential goes
// beside it if carried is not nil.
func ProvedToken(claims attest.Claims, c attest.Credential, p attest.CounterProof, carried []byte) []byte {
	raw, err := attest.SignEvidence(nil, claims, Signer(DeviceKey), attest.KeyIDOf(&DeviceKey.PublicKey),
		attest.Enclosure{Credential: carried, Prove: Prove(DeviceKey, c, p)})
	if err != nil {
		panic(err)
	}
	return raw
}
