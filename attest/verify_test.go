package attest_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/sha512"
	"math/big"
	"testing"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"
)

// TestVerify has enough signatures that one has a half with leading zeros and many one whose first bit is set.
func TestVerify(t *testing.T) {
	for _, key := range []*ecdsa.PrivateKey{attesttest.Key("device"), attesttest.Key384("oem")} {
		signer := attesttest.Signer(key)
		short := 0
		for n := byte(0); short < 1 && n < 255; n++ {
			content := bytes.Repeat([]byte{n}, 100)
			signature, err := signer.Sign(nil, content)
			if err != nil {
				t.Fatal(err)
			}
			if signature[0] == 0 || signature[len(signature)/2] == 0 {
				short++
			}
			checkAsNumbers(t, &key.PublicKey, content, signature)
			signature[int(n)%len(signature)] ^= 1
			checkAsNumbers(t, &key.PublicKey, content, signature)
		}
		size := 64
		if signer.Algorithm() == attest.ES384 {
			size = 96
		}
		for _, bad := range [][]byte{nil, make([]byte, size), make([]byte, size-1), bytes.Repeat([]byte{0xFF}, size)} {
			if attest.Verify(&key.PublicKey, []byte("content"), bad) == nil {
				t.Errorf("the signature %x was accepted", bad)
			}
		}
	}
}

// checkAsNumbers compares with crypto/ecdsa on the numbers R and S.
func checkAsNumbers(t *testing.T, key *ecdsa.PublicKey, content, signature []byte) {
	t.Helper()
	half := len(signature) / 2
	r, s := new(big.Int).SetBytes(signature[:half]), new(big.Int).SetBytes(signature[half:])
	digest256, digest384 := sha256.Sum256(content), sha512.Sum384(content)
	digest := digest256[:]
	if half == 48 {
		digest = digest384[:]
	}
	if err, want := attest.Verify(key, content, signature), ecdsa.Verify(key, digest, r, s); (err == nil) != want {
		t.Errorf("signature %x: %v, but crypto/ecdsa says %t", signature, err, want)
	}
}

// The library encodes the same COSE_Key, on either curve.
func TestThumbprintAsEncoded(t *testing.T) {
	for curve, key := range []*ecdsa.PublicKey{&attesttest.Key("device").PublicKey, &attesttest.Key384("oem").PublicKey} {
		point, err := key.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		half := len(point) / 2
		raw, err := deterministic.Marshal(map[int]any{1: 2, -1: 1 + curve, -2: point[1 : 1+half], -3: point[1+half:]})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := attest.Thumbprint(key), sha256.Sum256(raw); got != want {
			t.Errorf("thumbprint %x, want %x", got, want)
		}
	}
}
