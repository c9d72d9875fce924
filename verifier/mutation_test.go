package verifier_test

import (
	"bytes"
	"context"
	"crypto/elliptic"
	"math/big"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
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

// TestOnlyWhatTheDeviceSignedIsAffirmed mutates good tokens of devices that the verifier knows. What a token carries
// unprotected may differ: a mutation that only spoils the label of the Credential leaves a token without one.
func TestOnlyWhatTheDeviceSignedIsAffirmed(t *testing.T) {
	mutations := 100_000
	switch {
	case os.Getenv("IMEI_ATTEST_SOAK") == "1":
		mutations = 10_000_000
	case testing.Short():
		mutations = 2_000
	}
	var workers sync.WaitGroup
	for seed := range runtime.GOMAXPROCS(0) {
		workers.Go(func() { mutateAll(t, mutations/runtime.GOMAXPROCS(0), uint64(seed)) })
	}
	workers.Wait()
}

// mutateAll judges mutations of tokens of profile A, with the Credential and without, and of profile B, by themselves and in the
// name of a subscriber with an earlier result to rest on.
func mutateAll(t *testing.T, mutations int, seed uint64) {
	l, device, random := newLab(t), newTPM(), rand.New(rand.NewPCG(seed, 2))
	originals := []func() []byte{
		func() []byte { return l.token(credential()) },
		func() []byte { return l.token(nil) },
		func() []byte { return device.token(l.mint()) },
	}
	l.judge(originals[0](), registering(id1, by("alice@example")))
	asked := []*verifier.Registration{nil, registering(id1, by("alice@example"), again)}
	const ofOneToken = 500 // a mutation that is affirmed uses the nonce up, and the rest are replays
	for done := 0; done < mutations && !t.Failed(); done += ofOneToken {
		original := originals[done/ofOneToken%len(originals)]()
		for i := range min(ofOneToken, mutations-done) {
			m := mutate(random, original)
			verdict, err := l.Appraise(context.Background(), verifier.Input{Evidence: m, Registration: asked[i%2], Now: l.now})
			if err != nil {
				t.Errorf("%v: %x", err, m)
			}
			if verdict.Status() == attest.StatusAffirming && !isSignedAlike(m, original) {
				t.Errorf("affirmed: %x of %x", m, original)
			}
		}
	}
	for i, original := range originals {
		if got := l.judge(original(), nil); got != affirmed {
			t.Errorf("after all mutations honest token %d got %s, want %s", i, got, affirmed)
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
