package eirfront

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"slices"
)

// Algorithms that are taken (RFC 7518 section 3.1). Those with a shared secret are not: with one, this program could make tokens itself.
var (
	ofP256 = []string{"ES256"}
	ofP384 = []string{"ES384"}
	ofRSA  = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
)

// minRSABits is the least that counts as safe (NIST SP 800-131A).
const minRSABits = 2048

// ParseNRFKey reads a public key: PEM, of a key (PUBLIC KEY) or of a certificate that holds it, or a JWK (RFC 7517). Its algorithm is ES256
// on P-256, ES384 on P-384, and RS256 of an RSA key; a JWK with alg may name another one of an RSA key.
func ParseNRFKey(text []byte) (NRFKey, error) {
	if bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
		return parseJWK(text)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return NRFKey{}, errors.New("it holds no key: want PEM (PUBLIC KEY or CERTIFICATE) or a JWK")
	}
	switch block.Type {
	case "PUBLIC KEY":
		public, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return NRFKey{}, fmt.Errorf("its PUBLIC KEY: %w", err)
		}
		return newNRFKey(public, "")
	case "CERTIFICATE":
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return NRFKey{}, fmt.Errorf("its CERTIFICATE: %w", err)
		}
		return newNRFKey(c.PublicKey, "")
	}
	return NRFKey{}, fmt.Errorf("it holds a %.40s: want the NRF's public key, PUBLIC KEY or CERTIFICATE", block.Type)
}

// newNRFKey pins an algorithm of those of a key; the first if none is wanted.
func newNRFKey(public crypto.PublicKey, wanted string) (NRFKey, error) {
	var all []string
	switch key := public.(type) {
	case *ecdsa.PublicKey:
		switch key.Curve {
		case elliptic.P256():
			all = ofP256
		case elliptic.P384():
			all = ofP384
		}
	case *rsa.PublicKey:
		if key.N.BitLen() < minRSABits {
			return NRFKey{}, fmt.Errorf("its RSA key has %d bits: want at least %d", key.N.BitLen(), minRSABits)
		}
		all = ofRSA
	}
	switch {
	case all == nil:
		return NRFKey{}, errors.New("its key is of another kind than is taken: want P-256, P-384 or RSA")
	case wanted == "":
		wanted = all[0]
	case !slices.Contains(all, wanted):
		return NRFKey{}, fmt.Errorf("its key cannot sign by alg %.20q: want one of %q", wanted, all)
	}
	return NRFKey{public, wanted}, nil
}

// jwk is a public key (RFC 7517 section 4, RFC 7518 section 6).
type jwk struct {
	Kty, Crv, X, Y, N, E, Alg string
	D                         string // of a private key, which must not be here
	Keys                      json.RawMessage
}

func parseJWK(text []byte) (NRFKey, error) {
	var k jwk
	if err := json.Unmarshal(text, &k); err != nil {
		return NRFKey{}, fmt.Errorf("it is no JWK: %w", err)
	}
	switch {
	case k.Keys != nil:
		return NRFKey{}, errors.New("it is a set of keys: give the one that the NRF signs with")
	case k.D != "":
		return NRFKey{}, errors.New("it holds a private key: give the public one, without d")
	case k.Kty == "EC":
		return k.ec()
	case k.Kty == "RSA":
		return k.rsa()
	}
	return NRFKey{}, fmt.Errorf("its kty is %.20q: want EC or RSA", k.Kty)
}

func (k *jwk) ec() (NRFKey, error) {
	curve, known := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384()}[k.Crv]
	if !known {
		return NRFKey{}, fmt.Errorf("its crv is %.20q: want P-256 or P-384", k.Crv)
	}
	x, errX := base64.RawURLEncoding.DecodeString(k.X)
	y, errY := base64.RawURLEncoding.DecodeString(k.Y)
	if err := errors.Join(errX, errY); err != nil {
		return NRFKey{}, fmt.Errorf("its x and y: %w", err)
	}
	const uncompressed = 4 // SEC 1 section 2.3.3
	public, err := ecdsa.ParseUncompressedPublicKey(curve, slices.Concat([]byte{uncompressed}, x, y))
	if err != nil {
		return NRFKey{}, fmt.Errorf("its x and y are no point of %s: %w", k.Crv, err)
	}
	return newNRFKey(public, k.Alg)
}

func (k *jwk) rsa() (NRFKey, error) {
	n, errN := base64.RawURLEncoding.DecodeString(k.N)
	e, errE := base64.RawURLEncoding.DecodeString(k.E)
	if err := errors.Join(errN, errE); err != nil {
		return NRFKey{}, fmt.Errorf("its n and e: %w", err)
	}
	const maxExponentBytes = 4
	exponent := new(big.Int).SetBytes(e)
	if len(e) > maxExponentBytes || exponent.Bit(0) == 0 || exponent.Cmp(big.NewInt(3)) < 0 {
		return NRFKey{}, errors.New("its e is no exponent: want an odd number such as 65537")
	}
	return newNRFKey(&rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(exponent.Int64())}, k.Alg)
}
