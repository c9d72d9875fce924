package ear

import (
	"crypto/ecdsa"
	"errors"
	"fmt"
	"time"

	"github.com/fxamacker/cbor/v2"

	"imei-attest/attest"
)

// cwtClaims are the claims of an EAR in a CWT, with the labels of RFC 8392, RFC 9711 and draft-ietf-rats-ear.
type cwtClaims struct {
	Expiry   int64                `cbor:"4,keyasint"` // seconds
	IssuedAt int64                `cbor:"6,keyasint"` // seconds
	Nonce    []byte               `cbor:"10,keyasint,omitempty"`
	Profile  string               `cbor:"265,keyasint"`
	Submods  map[string]cwtSubmod `cbor:"266,keyasint"`
	Verifier map[int]string       `cbor:"1004,keyasint"`
}

// cwtSubmod is one part. The label of the reasons is private.
type cwtSubmod struct {
	Status  attest.Status                 `cbor:"1000,keyasint"`
	Vector  map[attest.Entry]attest.Claim `cbor:"1001,keyasint,omitempty"`
	Reasons []attest.Reason               `cbor:"-70031,keyasint"`
}

// Labels within the verifier's identity (draft-ietf-rats-ar4si).
const (
	labelDeveloper = 0
	labelBuild     = 1
)

// encMode writes core deterministic CBOR (RFC 8949 section 4.2.1).
var encMode = func() cbor.EncMode {
	mode, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		panic(err) // only constants come here
	}
	return mode
}()

// CWT writes a result in the IETF dialect and signs it.
func (s *Signer) CWT(r attest.Result) ([]byte, error) {
	claims := cwtClaims{Expiry: r.ValidUntil.Unix(), IssuedAt: r.IssuedAt.Unix(), Nonce: r.Nonce, Profile: ietfProfile,
		Submods: make(map[string]cwtSubmod, len(r.Submods)), Verifier: map[int]string{labelDeveloper: developer, labelBuild: s.build}}
	for _, sub := range r.Submods {
		part := cwtSubmod{Status: sub.Status, Vector: make(map[attest.Entry]attest.Claim), Reasons: reasons(sub.Reasons)}
		for i, value := range sub.Vector {
			if value != attest.ClaimNone {
				part.Vector[attest.Entry(i)] = value
			}
		}
		claims.Submods[sub.Name] = part
	}
	payload, err := encMode.Marshal(claims)
	if err != nil {
		return nil, fmt.Errorf("encoding a result: %w", err)
	}
	return attest.SignCWT(nil, payload, s.signer, s.kid)
}

// VerifyCWT checks an EAR in a CWT under the verifier's key and reads it. A result that has expired at now is refused.
func VerifyCWT(token []byte, key *ecdsa.PublicKey, now time.Time) (*Result, error) {
	payload, err := attest.OpenCWT(token, key)
	if err != nil {
		return nil, fmt.Errorf("attestation result: %w", err)
	}
	var claims cwtClaims
	if err := cbor.Unmarshal(payload, &claims); err != nil {
		return nil, errors.New("attestation result: its claims are none of an EAR")
	}
	switch {
	case claims.Profile != ietfProfile:
		return nil, fmt.Errorf("attestation result: unknown eat_profile %q", claims.Profile)
	case !now.Before(time.Unix(claims.Expiry, 0)):
		return nil, errors.New("attestation result: it has expired, or says no expiry")
	}
	r := &Result{Nonce: attest.Nonce(claims.Nonce).String(), Submods: make(map[string]Submod)}
	for name, part := range claims.Submods {
		r.add(name, Submod{Status: attest.ParseStatus(part.Status.String()), Reasons: part.Reasons})
	}
	return r, nil
}
