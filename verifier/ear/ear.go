// Package ear writes attestation results as EAR, the EAT Attestation Result (draft-ietf-rats-ear), in a JWT signed
// with ES256. Start with [NewSigner]; a Relying Party reads one with [Verify].
package ear

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

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
	IETF:     {"tag:ietf.org,2026:rats/ear#03", "ear_status", "ear_trustworthiness_vector", "ear_verifier_id", "imei_attest_reasons"},
	Veraison: {"tag:github.com,2023:veraison/ear", "ear.status", "ear.trustworthiness-vector", "ear.verifier-id", "imei-attest.reasons"},
}

// developer names who made the verifier (draft-ietf-rats-ear, ear.verifier-id).
const developer = "https://imei-attest.example"

// Signer signs results.
type Signer struct {
	key   *ecdsa.PrivateKey
	kid   string
	build string
}

// NewSigner takes the verifier's result key, on P-256, and the build that results name as their origin.
func NewSigner(key *ecdsa.PrivateKey, build string) (*Signer, error) {
	if key == nil || key.Curve != elliptic.P256() {
		return nil, errors.New("results are signed with ES256: the key must be on P-256")
	}
	return &Signer{key: key, kid: attest.KeyIDOf(&key.PublicKey).String(), build: build}, nil
}

// JWT writes a result in a dialect and signs it.
func (s *Signer) JWT(r attest.Result, d Dialect) (string, error) {
	n := dialects[d]
	submods := make(map[string]any, len(r.Submods))
	for _, sub := range r.Submods {
		submods[sub.Name] = map[string]any{n.status: sub.Status.String(), n.vector: vector(sub.Vector), n.reasons: reasons(sub.Reasons)}
	}
	claims := jwt.MapClaims{
		"eat_profile": n.profile, "iat": r.IssuedAt.Unix(), "exp": r.ValidUntil.Unix(), "submods": submods,
		n.verifierID: map[string]string{"developer": developer, "build": s.build},
	}
	if len(r.Nonce) > 0 {
		claims["eat_nonce"] = r.Nonce.String()
	}
	token := jwt.NewWithClaims(jwt.SigningMethodES256, claims)
	token.Header["kid"] = s.kid
	return token.SignedString(s.key)
}

// vector leaves out the entries that claim nothing.
func vector(v attest.TrustVector) map[string]int {
	m := make(map[string]int)
	for i, value := range v {
		if value != attest.ClaimNone {
			m[attest.Entry(i).String()] = int(value)
		}
	}
	return m
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
	point, err := s.key.PublicKey.Bytes()
	if err != nil {
		return JWK{}, fmt.Errorf("result key: %w", err)
	}
	half := (len(point) - 1) / 2
	b64 := base64.RawURLEncoding.EncodeToString
	return JWK{KeyType: "EC", Curve: "P-256", X: b64(point[1 : 1+half]), Y: b64(point[1+half:]), Algorithm: "ES256", KeyID: s.kid, Use: "sig"}, nil
}

// Result is what a Relying Party reads in an EAR.
type Result struct {
	Status  attest.Status
	Nonce   string // base64url, empty when the result rests on no evidence
	Submods map[string]Submod
}

// Submod is one part of a Result.
type Submod struct {
	Status  attest.Status
	Reasons []attest.Reason
}

// Verify checks an EAR of either dialect under the verifier's key and reads it. A result that has expired at now is
// refused.
func Verify(token string, key *ecdsa.PublicKey, now time.Time) (*Result, error) {
	claims := jwt.MapClaims{}
	_, err := jwt.ParseWithClaims(token, claims, func(*jwt.Token) (any, error) { return key, nil },
		jwt.WithValidMethods([]string{"ES256"}), jwt.WithExpirationRequired(), jwt.WithTimeFunc(func() time.Time { return now }))
	if err != nil {
		return nil, fmt.Errorf("attestation result: %w", err)
	}
	for _, n := range dialects {
		if claims["eat_profile"] == n.profile {
			return n.read(claims)
		}
	}
	return nil, fmt.Errorf("attestation result: unknown eat_profile %v", claims["eat_profile"])
}

func (n names) read(claims jwt.MapClaims) (*Result, error) {
	r := &Result{Status: attest.StatusAffirming, Submods: make(map[string]Submod)}
	r.Nonce, _ = claims["eat_nonce"].(string)
	submods, _ := claims["submods"].(map[string]any)
	for name, value := range submods {
		fields, ok := value.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("attestation result: submod %q is no object", name)
		}
		status, _ := fields[n.status].(string)
		sub := Submod{Status: attest.ParseStatus(status)}
		codes, _ := fields[n.reasons].([]any)
		for _, code := range codes {
			if text, ok := code.(string); ok {
				sub.Reasons = append(sub.Reasons, attest.Reason(text))
			}
		}
		r.Submods[name] = sub
		r.Status = r.Status.Worse(sub.Status)
	}
	if len(submods) == 0 {
		r.Status = attest.StatusNone
	}
	return r, nil
}
