package verifier_test

import (
	"bytes"
	"context"
	"crypto/elliptic"
	"math/big"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/verifier"
	"imei-attest/verifier/store"
)

// mutate flips bits, drops bytes and swaps bytes, one to four times.
func mutate(random *rand.Rand, token []byte) []byte {
	m := bytes.Clone(token)
	for range 1 + random.IntN(4) {
		i, j := random.IntN(len(m)), random.IntN(len(m))
		switch random.IntN(3) {
		case 0:
			m[i] ^= 1 << random.IntN(8)
		case 1:
			m = append(m[:i], m[i+1:]...)
		default:
			m[i], m[j] = m[j], m[i]
		}
	}
	return m
}

// TestOnlyWhatTheDeviceSignedIsAffirmed mutates good tokens of a device that the verifier knows. What a token carries
// unprotected may differ: a mutation that only spoils the label of the Credential leaves a token without one.
func TestOnlyWhatTheDeviceSignedIsAffirmed(t *testing.T) {
	mutations := 20_000
	switch {
	case os.Getenv("IMEI_ATTEST_SOAK") == "1":
		mutations = 1_000_000
	case testing.Short():
		mutations = 2_000
	}
	l := newLab(t)
	if got := l.judge(l.token(credential()), nil); got != affirmed {
		t.Fatalf("first contact: %s", got)
	}
	originals := [][]byte{l.token(credential()), l.token(nil)}
	random := rand.New(rand.NewPCG(1, 2))
	for i := range mutations {
		original := originals[i%len(originals)]
		m := mutate(random, original)
		if bytes.Equal(m, original) {
			continue
		}
		result := l.appraise(m, nil)
		if result.Status() == attest.StatusAffirming && !isSignedAlike(m, original) {
			t.Fatalf("mutation %d is affirmed: %x of %x", i, m, original)
		}
	}
	for _, carried := range [][]byte{credential(), nil} {
		if got := l.judge(l.token(carried), nil); got != affirmed {
			t.Errorf("after all mutations an honest token got %s, want %s", got, affirmed)
		}
	}
}

// FuzzAppraise: only what the device signed is affirmed, whatever is registered.
func FuzzAppraise(f *testing.F) {
	nonces, err := attest.NewNonceKeys(0, make([]byte, 32), nil)
	if err != nil {
		f.Fatal(err)
	}
	nonce, err := nonces.Mint(rand.NewChaCha8([32]byte{}), attesttest.Now, attest.DefaultNonceBytes)
	if err != nil {
		f.Fatal(err)
	}
	original := answering(nonce, credential())
	f.Add(original, "")
	f.Add(answering(nonce, nil), "urn:gsma:imei:49015420-323751-0")
	f.Add(forged(nonce, credential()), "urn:uuid:0")
	vectors, _, err := attesttest.Load()
	if err != nil {
		f.Fatal(err)
	}
	for _, v := range vectors {
		f.Add(v.Bytes(), "")
	}
	f.Fuzz(func(t *testing.T, token []byte, instanceID string) {
		v, err := verifier.New(verifier.Config{Store: store.NewMemory(), Nonces: nonces, Trust: trusting(anchor())})
		if err != nil {
			t.Fatal(err)
		}
		in := verifier.Input{Evidence: token, Now: attesttest.Now}
		if instanceID != "" {
			in.Registration = &verifier.Registration{InstanceID: instanceID}
		}
		result, err := v.Appraise(context.Background(), in)
		if err != nil {
			t.Fatal(err)
		}
		if result.Status() == attest.StatusAffirming && !isSignedAlike(token, original) {
			t.Errorf("affirmed: %x", token)
		}
	})
}

// isSignedAlike reports that two tokens have the same signed content under the same signature.
func isSignedAlike(a, b []byte) bool {
	x, y := partsOf(a), partsOf(b)
	half := len(y.Signature) / 2
	return bytes.Equal(x.Protected, y.Protected) && bytes.Equal(x.Payload, y.Payload) && len(x.Signature) == len(y.Signature) &&
		bytes.Equal(x.Signature[:half], y.Signature[:half]) &&
		(bytes.Equal(x.Signature[half:], y.Signature[half:]) || bytes.Equal(x.Signature[half:], negated(y.Signature[half:])))
}

type parts struct {
	_                  struct{} `cbor:",toarray"`
	Protected          []byte
	Unprotected        map[any]cbor.RawMessage
	Payload, Signature []byte
}

func partsOf(token []byte) (p parts) {
	if err := cbor.Unmarshal(token, &p); err != nil {
		panic(err)
	}
	return p
}

// negated is n - s: with it (r, s) verifies too, for any ECDSA signature.
func negated(s []byte) []byte {
	n := elliptic.P256().Params().N
	return new(big.Int).Sub(n, new(big.Int).SetBytes(s)).FillBytes(make([]byte, len(s)))
}
