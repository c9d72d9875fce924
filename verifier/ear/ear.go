// Package ear writes attestation results as EAR, the EAT Attestation Result (draft-ietf-rats-ear), in a JWT or a CWT signed
// with ES256. Start with [NewSigner]; a Relying Party reads one with [Verify] or [VerifyCWT].
package ear

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"imei-attest/attest"
)

// Dialect is one of the two spellings of EAR in use.
type Dialect uint8

// The dialects: the working group's draft, and the one of Veraison's clients.
const (
	IETF Dialect = iota
	Veraison
)

// names are the claim names that differ between the dialects.
type names struct{ profile, status, vector, verifierID, reasons string }

var dialects = map[Dialect]names{
	IETF:     {ietfProfile, "ear_status", "ear_trustworthiness_vector", "ear_verifier_id", "imei_attest_reasons"},
	Veraison: {"tag:github.com,2023:veraison/ear", "ear.status", "ear.trustworthiness-vector", "ear.verifier-id", "imei-attest.reasons"},
}

// ietfProfile is the eat_profile of the working group's dialect.
const ietfProfile = "tag:ietf.org,2026:rats/ear#03"

// Media types of results in the IETF dialect (RFC 9782).
const (
	MediaTypeJWT = `application/eat+jwt; eat_profile="` + ietfProfile + `"`
	MediaTypeCWT = `application/eat+cwt; eat_profile="` + ietfProfile + `"`
)

// developer names who made the verifier (draft-ietf-rats-ear, ear.verifier-id).
const developer = "https://imei-attest.example"

// Signer signs results. The same result is signed to the same bytes, at whatever node and however often: the signatures are
// deterministic (RFC 6979).
type Signer struct {
	public *ecdsa.PublicKey
	signer attest.Signer
	kid    attest.KeyID
	header string // of each JWT, in base64url
	build  string
	// verifier says in JSON who made the result.
	verifier []byte
}

// NewSigner takes the verifier's result key, on P-256, and the build that results name as their origin.
func NewSigner(key *ecdsa.PrivateKey, build string) (*Signer, error) {
	if key == nil || key.Curve != elliptic.P256() {
		return nil, errors.New("results are signed with ES256: the key must be on P-256")
	}
	signer, err := attest.NewSigner(key)
	if err != nil {
		return nil, err
	}
	s := &Signer{public: &key.PublicKey, signer: signer, kid: attest.KeyIDOf(&key.PublicKey), build: build}
	header, err := json.Marshal(map[string]string{"alg": "ES256", "kid": s.kid.String(), "typ": "JWT"})
	if err == nil {
		s.verifier, err = json.Marshal(map[string]string{"developer": developer, "build": build})
	}
	s.header = base64.RawURLEncoding.EncodeToString(header)
	return s, err
}

func reasons(rs []attest.Reason) []attest.Reason {
	if rs == nil {
		return []attest.Reason{} // an empty list in JSON, not null
	}
	return rs
}

// JWK is the public key that verifies the results, as RFC 7517 writes it.
type JWK struct {
	KeyType   string `json:"kty"`
	Curve     string `json:"crv"`
	X         string `json:"x"`
	Y         string `json:"y"`
	Algorithm string `json:"alg"`
	KeyID     string `json:"kid"`
	Use       string `json:"use"`
}

// JWK returns the public key.
func (s *Signer) JWK() (JWK, error) {
	point, err := s.public.Bytes()
	if err != nil {
		return JWK{}, fmt.Errorf("result key: %w", err)
	}
	half := (len(point) - 1) / 2
	b64 := base64.RawURLEncoding.EncodeToString
	return JWK{KeyType: "EC", Curve: "P-256", X: b64(point[1 : 1+half]), Y: b64(point[1+half:]), Algorithm: "ES256", KeyID: s.kid.String(), Use: "sig"}, nil
}
