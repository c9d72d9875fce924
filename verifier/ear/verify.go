package ear

import (
	"crypto/ecdsa"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"imei-attest/attest"
)

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

// Verify checks an EAR in a JWT, of either dialect, under the verifier's key and reads it. A result that has expired at now is
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
	r := &Result{Submods: make(map[string]Submod)}
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
		r.add(name, sub)
	}
	return r, nil
}

// add takes a part in; the status is the worst of all parts, none without any.
func (r *Result) add(name string, sub Submod) {
	if len(r.Submods) == 0 {
		r.Status = attest.StatusAffirming
	}
	r.Submods[name] = sub
	r.Status = r.Status.Worse(sub.Status)
}
