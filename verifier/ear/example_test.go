package ear_test

import (
	"crypto/ecdsa"
	"errors"
	"fmt"
	"time"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/verifier/ear"
)

// region: relying party

// admit is what a Relying Party makes of a result: key is the verifier's, nonce the one the device was asked with.
func admit(token string, key *ecdsa.PublicKey, nonce attest.Nonce, now time.Time) (bool, error) {
	result, err := ear.Verify(token, key, now)
	if err != nil {
		return false, err // not this verifier's, altered, or expired
	}
	if result.Nonce != nonce.String() {
		return false, errors.New("the result answers another question")
	}
	for name, part := range result.Submods {
		fmt.Println(name, part.Status, part.Reasons)
	}
	return result.Status == attest.StatusAffirming, nil // the worst of all parts
}

// admitCWT is the same for a result in CBOR.
func admitCWT(token []byte, key *ecdsa.PublicKey, nonce attest.Nonce, now time.Time) (bool, error) {
	result, err := ear.VerifyCWT(token, key, now)
	return err == nil && result.Nonce == nonce.String() && result.Status == attest.StatusAffirming, err
}

// end of region

// A Relying Party checks who signed the result and what it answers before it reads the status.
func ExampleVerify() {
	key, nonce, now := attesttest.Key("results"), attesttest.Nonce(), attesttest.Now
	verifier, err := ear.NewSigner(key, "v1")
	if err != nil {
		fmt.Println(err)
		return
	}
	slot := attest.Submod{Name: attest.SlotName(1)}
	slot.Add(attest.ReasonIMEIConsistent, attest.ReasonHardwareVault, attest.ReasonBootApproved)
	result := attest.Result{IssuedAt: now, ValidUntil: now.Add(time.Minute), Nonce: nonce, Submods: []attest.Submod{slot}}
	token, err := verifier.JWT(result, ear.IETF)
	if err != nil {
		fmt.Println(err)
		return
	}
	inCBOR, err := verifier.CWT(result)
	if err != nil {
		fmt.Println(err)
		return
	}

	fmt.Println(admit(token, &key.PublicKey, nonce, now))
	fmt.Println(admitCWT(inCBOR, &key.PublicKey, nonce, now))
	fmt.Println(admit(token, &key.PublicKey, attest.Nonce("another question"), now))
	// Output:
	// slot1 affirming [imei-consistent hardware-vault boot-approved]
	// true <nil>
	// true <nil>
	// false the result answers another question
}
