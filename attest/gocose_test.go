package attest_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"testing"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"

	"github.com/veraison/go-cose"
)

// go-cose shares the CBOR decoder with this package and nothing else. It judges the frame, the headers that RFC 9052 knows and the
// signature; the profile is ours alone.

// laxer lists the classes of refusal that go-cose need not share. What it verifies and we refuse has one of them.
var laxer = map[attest.Class]string{
	attest.ClassOversized:    "it has no limit of size",
	attest.ClassDuplicate:    "it does not read the claims",
	attest.ClassIndefinite:   "it does not read the claims",
	attest.ClassNonPreferred: "it demands no deterministic encoding, of headers or claims",
	attest.ClassNotCBOR:      "it does not read the claims",
	attest.ClassTag:          "it does not read the claims",
	attest.ClassLimits:       "it does not read the claims",
	attest.ClassStructure:    "it lets parameters stand unprotected that must be protected here",
	attest.ClassCritical:     "it leaves what is critical to its caller",
	attest.ClassKeyID:        "it does not look at the key id",
	attest.ClassProfile:      "it does not know the profile",
	attest.ClassClaim:        "it does not read the claims",
}

// otherKeyID is the vector that verifies under the key and has another one's key id, at which go-cose does not look.
const otherKeyID = "E067"

// goCOSE is go-cose's verdict on a message under a key.
func goCOSE(raw []byte, key *ecdsa.PublicKey) error {
	var m cose.Sign1Message
	if err := m.UnmarshalCBOR(raw); err != nil {
		return err
	}
	alg, err := attest.AlgorithmOf(key)
	if err != nil {
		return err
	}
	verifier, err := cose.NewVerifier(cose.Algorithm(alg), key)
	if err != nil {
		return err
	}
	return m.Verify(nil, verifier)
}

// verified is our verdict on a message under a key.
func verified(kind string, raw []byte, key *ecdsa.PublicKey) error {
	if kind == "evidence" {
		e, err := attest.DecodeEvidence(raw)
		if err != nil {
			return err
		}
		return e.Verify(key)
	}
	c, err := attest.DecodeCredential(raw)
	if err != nil {
		return err
	}
	return c.Verify(key)
}

// TestGoCOSEJudgesTheVectorsAsWeDo: what we accept it verifies. What it verifies and we refuse breaks a rule of the profile, and not
// the signature.
func TestGoCOSEJudgesTheVectorsAsWeDo(t *testing.T) {
	vectors, keys, err := attesttest.Load()
	if err != nil {
		t.Fatal(err)
	}
	both, keyIDSeen, seen := 0, false, make(map[attest.Class]bool)
	for _, v := range vectors {
		if v.Kind == "profile-b" {
			continue // the proof of profile B is no COSE
		}
		key := keys[v.Kind]
		if v.Expected == "ok" || v.Expected == "signature" {
			if algorithmOf(t, v) == int64(attest.ES384) {
				key = keys[v.Kind+"-es384"]
			}
		}
		ours, theirs := verified(v.Kind, v.Bytes(), key), goCOSE(v.Bytes(), key)
		var f *attest.FormatError
		switch {
		case ours == nil && theirs == nil:
			both++
		case ours == nil:
			t.Errorf("%s (%s): we accept it, go-cose says %v", v.ID, v.Title, theirs)
		case theirs != nil:
		case v.ID == otherKeyID && errors.Is(ours, attest.ErrSignature):
			keyIDSeen = true
		case !errors.As(ours, &f) || laxer[f.Class] == "":
			t.Errorf("%s (%s): go-cose verifies it, we say %v", v.ID, v.Title, ours)
		default:
			seen[f.Class] = true
		}
	}
	if both < 20 || !keyIDSeen {
		t.Errorf("both accept %d vectors; go-cose verifies one with another key's id: %v", both, keyIDSeen)
	}
	for class, why := range laxer {
		if !seen[class] {
			t.Errorf("no vector of class %q is verified by go-cose, though %s: take it out of the list", class, why)
		}
	}
}

// coseSample is a message of ours, and whether we accept other bytes in its place.
type coseSample struct {
	name   string
	raw    []byte
	key    *ecdsa.PrivateKey
	accept func(raw []byte) error
}

// coseSamples has each thing that this package signs, on both curves where both are allowed.
func coseSamples(t testing.TB) (all []coseSample) {
	t.Helper()
	device := attesttest.DeviceKey
	add := func(name string, key *ecdsa.PrivateKey, raw []byte, accept func([]byte, *ecdsa.PublicKey) error) {
		all = append(all, coseSample{name, raw, key, func(raw []byte) error { return accept(raw, &key.PublicKey) }})
	}
	evidence := func(raw []byte, key *ecdsa.PublicKey) error { return verified("evidence", raw, key) }
	credential := func(raw []byte, key *ecdsa.PublicKey) error { return verified("credential", raw, key) }
	manifest := func(raw []byte, key *ecdsa.PublicKey) error {
		m, err := attest.DecodeManifest(raw)
		if err != nil {
			return err
		}
		return m.Verify(key)
	}
	result := func(raw []byte, key *ecdsa.PublicKey) error { return second(attest.OpenCWT(raw, key)) }
	claims := []byte{0xa1, 0x01, 0x61, 'v'} // an issuer, as a result and a checkpoint have
	add("evidence", device, attesttest.Token(attesttest.Claims(), nil), evidence)
	add("evidence with its credential", device, attesttest.Token(attesttest.Claims(), attesttest.SignedCredential(attesttest.Credential())), evidence)
	for _, key := range []*ecdsa.PrivateKey{attesttest.OEMKey, attesttest.Key384("oem credential")} {
		signer, kid := attesttest.Signer(key), attest.KeyIDOf(&key.PublicKey)
		named := func(kind string) string { return fmt.Sprint(kind, ", algorithm ", signer.Algorithm()) }
		trusted := trusting(t, key)
		signedCredential, err := attest.SignCredential(nil, attesttest.Credential(), signer, kid)
		signedClaims, cwtErr := attest.SignCWT(nil, claims, signer, kid)
		if err := errors.Join(err, cwtErr); err != nil {
			t.Fatal(err)
		}
		add(named("credential"), key, signedCredential, credential)
		add(named("CWT"), key, signedClaims, result)
		add(named("manifest"), key, signManifest(t, manifestOf(70), key), manifest)
		add(named("manifest longer than 64 KiB"), key, signManifest(t, manifestOf(3000), key), manifest)
		add(named("CoRIM"), key, signCoRIM(t, corimPayload, key), func(raw []byte, _ *ecdsa.PublicKey) error {
			_, _, err := trusted.VerifyCoRIM(raw)
			return err
		})
	}
	return all
}

func TestGoCOSEVerifiesAllThatWeSign(t *testing.T) {
	for _, s := range coseSamples(t) {
		if ours, theirs := s.accept(s.raw), goCOSE(s.raw, &s.key.PublicKey); ours != nil || theirs != nil {
			t.Errorf("%s: we say %v, go-cose %v", s.name, ours, theirs)
		}
		changed := slices.Clone(s.raw)
		changed[len(changed)-1] ^= 1 // in the signature
		if ours, theirs := s.accept(changed), goCOSE(changed, &s.key.PublicKey); !errors.Is(ours, attest.ErrSignature) || !errors.Is(theirs, cose.ErrVerification) {
			t.Errorf("%s with another signature: we say %v, go-cose %v", s.name, ours, theirs)
		}
		stranger := attesttest.Key("stranger")
		if s.key.Curve != stranger.Curve {
			stranger = attesttest.Key384("stranger")
		}
		if err := goCOSE(s.raw, &stranger.PublicKey); !errors.Is(err, cose.ErrVerification) {
			t.Errorf("%s under another key: go-cose says %v", s.name, err)
		}
	}
}

// TestGoCOSESignsWhatWeAccept has go-cose encode and sign our headers and claims: with our signer it gives the same bytes, with its own,
// which is random, what differs is the signature.
func TestGoCOSESignsWhatWeAccept(t *testing.T) {
	for _, s := range coseSamples(t) {
		if got := signAgain(t, s, coseSigner{attesttest.Signer(s.key)}); !bytes.Equal(got, s.raw) {
			t.Errorf("%s: go-cose made\n%x\nwe\n%x", s.name, got, s.raw)
		}
		own, err := cose.NewSigner(coseSigner{attesttest.Signer(s.key)}.Algorithm(), s.key)
		if err != nil {
			t.Fatal(err)
		}
		got := signAgain(t, s, own)
		signed := len(s.raw) - 2*((s.key.Curve.Params().BitSize+7)/8)
		if err := s.accept(got); err != nil || len(got) != len(s.raw) || !bytes.Equal(got[:signed], s.raw[:signed]) {
			t.Errorf("%s, signed by go-cose: %v", s.name, err)
		}
	}
}

// signAgain takes the encoded headers and the signature off a message, and has go-cose make both.
func signAgain(t *testing.T, s coseSample, signer cose.Signer) []byte {
	t.Helper()
	var m cose.Sign1Message
	if err := m.UnmarshalCBOR(s.raw); err != nil {
		t.Fatalf("%s: %v", s.name, err)
	}
	headers := cose.Headers{Protected: m.Headers.Protected, Unprotected: m.Headers.Unprotected}
	raw, err := cose.Sign1(rand.Reader, signer, headers, m.Payload, nil)
	if err != nil {
		t.Fatalf("%s: %v", s.name, err)
	}
	return raw
}

// BenchmarkSecondOpinion verifies one token: our decoding includes its claims, go-cose's does not.
func BenchmarkSecondOpinion(b *testing.B) {
	raw, key := attesttest.Token(attesttest.Claims(), nil), &attesttest.DeviceKey.PublicKey
	for _, c := range []struct {
		name   string
		verify func() error
	}{
		{"ours", func() error { return verified("evidence", raw, key) }},
		{"go-cose", func() error { return goCOSE(raw, key) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := c.verify(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
