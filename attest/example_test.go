package attest_test

import (
	"crypto/rand"
	"fmt"
	"time"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/attest/imei"
)

// A device signs what its modem said; a verifier reads the token and checks it under the key that it found for the
// token's key id.
func ExampleSignEvidence() {
	provisioned := attesttest.MustIMEI("490154203237518")
	device := attesttest.DeviceKey // stands for a key that a TPM keeps
	signer, err := attest.NewSigner(device)
	if err != nil {
		fmt.Println(err)
		return
	}
	claims := attest.Claims{
		Nonce:        attest.NonceFrom401("dcd98b7102dd2f0e8b11d0f600bfb0c093"),
		Provisioned:  []imei.IMEI{provisioned},
		Measurements: []attest.Measurement{attest.MeasuredEqual},
		Registration: true,
		Observed:     []attest.Observed{{Slot: 1, IMEI: provisioned, Methods: 1}},
		ReadingAge:   12 * time.Millisecond,
	}
	token, err := attest.SignEvidence(rand.Reader, claims, signer, attest.KeyIDOf(&device.PublicKey), attest.Enclosure{})
	if err != nil {
		fmt.Println(err)
		return
	}

	evidence, err := attest.DecodeEvidence(token)
	if err != nil {
		fmt.Println(err) // it is no Evidence of this profile
		return
	}
	if err := evidence.Verify(&device.PublicKey); err != nil {
		fmt.Println(err) // somebody else signed it
		return
	}
	observed := evidence.Claims.Observed[0]
	fmt.Println(observed.IMEI, observed.IMEI == provisioned)
	// Output: 49015420*****18 true
}

// What is wrong with bytes that are no Evidence is a class that a caller may branch on.
func ExampleDecodeEvidence() {
	token := attesttest.Token(attesttest.Claims(), nil)
	_, err := attest.DecodeEvidence(token[:len(token)-1])
	fmt.Println(attest.ClassOf(err))
	_, err = attest.DecodeEvidence(append(token, 0))
	fmt.Println(attest.ClassOf(err))
	// Output:
	// truncated
	// trailing
}

// A verifier trusts each manufacturer's key for something, here a range of models, and gets that back with the
// Credential.
func ExampleKeySet_VerifyCredential() {
	type scope struct{ Manufacturer, TACs string }
	var keys attest.KeySet[scope]
	if err := keys.Add(&attesttest.OEMKey.PublicKey, scope{"ACME", "49015420"}); err != nil {
		fmt.Println(err)
		return
	}
	credential, trusted, err := keys.VerifyCredential(attesttest.SignedCredential(attesttest.Credential()))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(trusted.Manufacturer, credential.Storage.Kind, string(credential.Slots[0].TAC()) == trusted.TACs)

	var nobody attest.KeySet[scope]
	_, _, err = nobody.VerifyCredential(credential.Raw)
	fmt.Println(err)
	// Output:
	// ACME software true
	// no trusted key has this key id
}

// Each reason has its effect: the status is the worst that any of them allows.
func ExampleSubmod_Add() {
	s := attest.Submod{Name: attest.SlotName(1)}
	fmt.Println(s.Status)
	s.Add(attest.ReasonIMEIConsistent, attest.ReasonHardwareVault, attest.ReasonBootApproved)
	fmt.Println(s.Status)
	s.Add(attest.ReasonWeaknessOpen)
	fmt.Println(s.Status, s.Vector[attest.Configuration])
	// Output:
	// none
	// affirming
	// warning 32
}
