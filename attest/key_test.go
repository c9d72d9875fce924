package attest_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/hex"
	"errors"
	"io"
	"math/big"
	"testing"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"
)

// TestThumbprint has the example of RFC 9679 section 6.
func TestThumbprint(t *testing.T) {
	point, err := hex.DecodeString("04" + "65eda5a12577c2bae829437fe338701a10aaa375e1bb5b5de108de439c08551d" +
		"1e52ed75701163f7f9e40ddf9f341b3dc9ba860af7e0ca7ca7e9eecd0084d19c")
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		t.Fatal(err)
	}
	const want = "496bd8afadf307e5b08c64b0421bf9dc01528a344a43bda88fadd1669da253ec"
	if got := attest.Thumbprint(key); hex.EncodeToString(got[:]) != want {
		t.Errorf("got %x, want %s", got, want)
	}
	if got := attest.KeyIDOf(key); got.String() != want[:32] {
		t.Errorf("key id %s, want %s", got, want[:32])
	}
	if got := attest.Thumbprint(nil); got != [32]byte{} {
		t.Errorf("no key has the thumbprint %x", got)
	}
}

func TestKeySet(t *testing.T) {
	var keys attest.KeySet[string]
	raw := attesttest.SignedCredential(attesttest.Credential())
	if _, scope, err := keys.VerifyCredential(raw); !errors.Is(err, attest.ErrKeyUnknown) || scope != "" {
		t.Errorf("the zero value: got scope %q, %v, want %v", scope, err, attest.ErrKeyUnknown)
	}
	if err := keys.Add(&attesttest.OEMKey.PublicKey, "ACME"); err != nil {
		t.Fatal(err)
	}
	if err := keys.Add(&attesttest.Key384("other").PublicKey, "other"); err != nil {
		t.Fatal(err)
	}
	if err := keys.Add(&attesttest.OEMKey.PublicKey, "again"); err == nil || keys.Len() != 2 {
		t.Errorf("a key that stands twice: got %v, %d keys", err, keys.Len())
	}
	c, scope, err := keys.VerifyCredential(raw)
	if err != nil || scope != "ACME" || c.Issuer != attesttest.Credential().Issuer || !bytes.Equal(c.Raw, raw) {
		t.Errorf("got %+v, scope %q, %v", c, scope, err)
	}
	for _, tt := range []struct {
		name string
		raw  []byte
		want error
	}{
		{"a stranger's key", signedBy(t, "stranger", attest.KeyIDOf(&attesttest.Key("stranger").PublicKey)), attest.ErrKeyUnknown},
		{"a stranger's key under the manufacturer's id", signedBy(t, "stranger", attest.KeyIDOf(&attesttest.OEMKey.PublicKey)), attest.ErrSignature},
		{"the algorithm of another key", signedBy(t, "oem credential", attest.KeyIDOf(&attesttest.Key384("other").PublicKey)), attest.ErrSignature},
	} {
		if _, scope, err := keys.VerifyCredential(tt.raw); !errors.Is(err, tt.want) || scope != "" {
			t.Errorf("%s: got scope %q, %v, want %v", tt.name, scope, err, tt.want)
		}
	}
	if c, scope, err := keys.VerifyCredential(raw[:9]); attest.ClassOf(err) != attest.ClassTruncated || c != nil || scope != "" {
		t.Errorf("truncated: got %v, %q, %v", c, scope, err)
	}
}

func signedBy(t *testing.T, name string, kid attest.KeyID) []byte {
	t.Helper()
	raw, err := attest.SignCredential(nil, attesttest.Credential(), attesttest.Signer(attesttest.Key(name)), kid)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestOtherKeysAreRefused(t *testing.T) {
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p521, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []crypto.Signer{p224, p521, rsaKey} {
		if _, err := attest.NewSigner(key); err == nil {
			t.Errorf("NewSigner took %T", key)
		}
		public, ok := key.Public().(*ecdsa.PublicKey)
		if !ok {
			continue
		}
		if alg, err := attest.AlgorithmOf(public); err == nil {
			t.Errorf("%s signs with %d", public.Params().Name, alg)
		}
		if err := new(attest.KeySet[int]).Add(public, 1); err == nil {
			t.Errorf("KeySet took %s", public.Params().Name)
		}
	}
	//lint:ignore SA1019 only raw coordinates make a point that is not on the curve
	offCurve := &ecdsa.PublicKey{Curve: elliptic.P256(), X: big.NewInt(1), Y: big.NewInt(1)}
	if err := new(attest.KeySet[int]).Add(offCurve, 1); err == nil {
		t.Error("KeySet took a point that is not on its curve")
	}
	if _, err := attest.AlgorithmOf(nil); err == nil {
		t.Error("no key has an algorithm")
	}
	for key, want := range map[*ecdsa.PrivateKey]attest.Algorithm{attesttest.DeviceKey: attest.ES256, attesttest.Key384("x"): attest.ES384} {
		if got, err := attest.AlgorithmOf(&key.PublicKey); err != nil || got != want {
			t.Errorf("%s: got %d, %v, want %d", key.Params().Name, got, err, want)
		}
	}
}

// device is an HSM or TPM that answers as told.
type device struct {
	crypto.Signer
	answer string // hex
}

func (d device) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return hex.DecodeString(d.answer)
}

func TestSignerChecksAndPadsWhatADeviceAnswers(t *testing.T) {
	for _, tt := range []struct{ answer, want string }{
		{"3006020101020102", hex.EncodeToString(append(append(make([]byte, 31), 1), append(make([]byte, 31), 2)...))},
		{"", ""},
		{"300602010102010200", ""}, // a byte behind
		{"30060201ff020102", ""},   // R is negative
		{"3026022101" + "0000000000000000000000000000000000000000000000000000000000000000" + "020102", ""}, // R is longer than the curve
	} {
		signer, err := attest.NewSigner(device{attesttest.DeviceKey, tt.answer})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := signer.Sign(nil, []byte("content")); hex.EncodeToString(got) != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%s: got %x, %v, want %s", tt.answer, got, err, tt.want)
		}
	}
	if _, err := attest.NewSigner(noECDSA{}); err == nil {
		t.Error("a signer without a public key was taken")
	}
}

type noECDSA struct{ crypto.Signer }

func (noECDSA) Public() crypto.PublicKey { return nil }

// brokenSigner answers signatures and algorithms that do not belong together.
type brokenSigner struct {
	alg  attest.Algorithm
	size int
	err  error
}

func (b brokenSigner) Algorithm() attest.Algorithm            { return b.alg }
func (b brokenSigner) Sign(io.Reader, []byte) ([]byte, error) { return make([]byte, b.size), b.err }

func TestSignEvidenceChecksItsSigner(t *testing.T) {
	failed := errors.New("the TPM is busy")
	for _, s := range []brokenSigner{{attest.ES256, 63, nil}, {attest.ES256, 64, failed}, {attest.ES384, 96, nil}, {-8, 64, nil}, {0, 0, nil}} {
		_, err := attest.SignEvidence(nil, attesttest.Claims(), s, attest.KeyID{}, attest.Enclosure{})
		if err == nil || s.err != nil && !errors.Is(err, s.err) {
			t.Errorf("%+v: got %v", s, err)
		}
	}
}
