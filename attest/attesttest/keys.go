// Package attesttest holds fixed keys, sample evidence and test vectors, for this project's tests and for other
// implementations' tests. Nothing here is secret: no shipped program may import it.
package attesttest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha512"

	"imei-attest/attest"
)

// Key derives the fixed P-256 key of a name. Everybody knows these keys.
func Key(name string) *ecdsa.PrivateKey { return key(elliptic.P256(), name) }

// Key384 derives the fixed P-384 key of a name.
func Key384(name string) *ecdsa.PrivateKey { return key(elliptic.P384(), name) }

func key(curve elliptic.Curve, name string) *ecdsa.PrivateKey {
	size := (curve.Params().BitSize + 7) / 8
	seed := sha512.Sum512([]byte("imei-attest test key " + name))
	seed[0] &= 0x7f // below the order of either curve
	k, err := ecdsa.ParseRawPrivateKey(curve, seed[:size])
	if err != nil {
		panic(err)
	}
	return k
}

// Signer makes signatures that are the same at each run (RFC 6979), when called with a nil source of randomness.
func Signer(key *ecdsa.PrivateKey) attest.Signer {
	s, err := attest.NewSigner(key)
	if err != nil {
		panic(err)
	}
	return s
}
