package eirfront

import (
	"crypto"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// scope is what an access token for this service has (TS 29.510 clause 6.3.5.2.4), and nfType how a token names all 5G-EIRs.
const (
	scope  = "n5g-eir-eic"
	nfType = "5G_EIR"
)

// Tokens checks the access tokens of an NRF: JWTs with the claims of TS 29.510 clause 6.3.5.2.4, as TS 33.501 clause 13.4.1 has it. It is
// safe for use by many goroutines.
type Tokens struct {
	issuer   string
	instance string

	mu    sync.Mutex
	key   NRFKey
	known map[string]time.Time // tokens that verified under the key, and when they expire
}

// maxKnownTokens bounds those that are remembered. A network has some AMFs, each with one token for some minutes or hours.
const maxKnownTokens = 1024

// maxTokenBytes bounds a token before anything of it is read.
const maxTokenBytes = 8 << 10

// NewTokens accepts the tokens that an issuer, an NF instance id, signed with the key for this NF instance, or for all of its type.
func NewTokens(key NRFKey, issuer, instance string) *Tokens {
	t := &Tokens{issuer: issuer, instance: instance}
	t.Use(key)
	return t
}

// Use exchanges the key. What verified under the one of before counts no longer.
func (t *Tokens) Use(key NRFKey) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.key, t.known = key, make(map[string]time.Time)
}

// claims of an access token.
type claims struct {
	jwt.RegisteredClaims
	Scope string `json:"scope"`
}

// check returns nil if a request may be answered.
func (t *Tokens) check(authorization []string, now time.Time) *problem {
	if len(authorization) == 0 {
		return unauthorized("", "an access token of the NRF is needed: send Authorization: Bearer")
	}
	kind, token, _ := strings.Cut(authorization[0], " ")
	if len(authorization) > 1 || !strings.EqualFold(kind, "Bearer") || token == "" || len(token) > maxTokenBytes {
		return unauthorized("invalid_request", "one access token of the NRF is needed: send Authorization: Bearer")
	}
	key, isKnown := t.recall(token, now)
	if isKnown {
		return nil
	}
	c, err := t.verify(token, key, now)
	if err != nil {
		return unauthorized("invalid_token", "the access token is not the NRF's for this network function, or has expired: ask the NRF for another")
	}
	if !slices.Contains(strings.Fields(c.Scope), scope) {
		return forbidden
	}
	t.remember(token, key, c.ExpiresAt.Time)
	return nil
}

// recall returns the key in force, and whether the token verified under it already.
func (t *Tokens) recall(token string, now time.Time) (NRFKey, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	expires, found := t.known[token]
	return t.key, found && now.Before(expires)
}

func (t *Tokens) remember(token string, under NRFKey, expires time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if under != t.key {
		return // it was exchanged meanwhile
	}
	if len(t.known) >= maxKnownTokens {
		clear(t.known)
	}
	t.known[token] = expires
}

// verify checks signature, issuer, audience and expiry. The algorithm is the key's, whatever the token says.
func (t *Tokens) verify(token string, key NRFKey, now time.Time) (*claims, error) {
	parser := jwt.NewParser(jwt.WithValidMethods([]string{key.algorithm}), jwt.WithIssuer(t.issuer), jwt.WithAudience(t.instance, nfType),
		jwt.WithExpirationRequired(), jwt.WithTimeFunc(func() time.Time { return now }), jwt.WithStrictDecoding())
	c := new(claims)
	parsed, err := parser.ParseWithClaims(token, c, func(*jwt.Token) (any, error) { return key.public, nil })
	if err == nil && parsed.Header["crit"] != nil {
		err = jwt.ErrTokenUnverifiable // an extension that must be understood (RFC 7515 section 4.1.11)
	}
	return c, err
}

// unauthorized names the mistake as RFC 6750 section 3 does.
func unauthorized(code, detail string) *problem {
	challenge := `Bearer realm="` + scope + `"`
	if code != "" {
		challenge += `, error="` + code + `"`
	}
	return refusal(http.StatusUnauthorized, "", detail).with("WWW-Authenticate", challenge)
}

var forbidden = refusal(http.StatusForbidden, "", "the access token is for another service: ask the NRF for one with scope "+scope).
	with("WWW-Authenticate", `Bearer realm="`+scope+`", error="insufficient_scope", scope="`+scope+`"`)

// NRFKey is the public key of an NRF, and the one algorithm that it signs with.
type NRFKey struct {
	public    crypto.PublicKey
	algorithm string
}
