package ear_test

import (
	"bytes"
	"crypto/ecdsa"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/verifier/ear"
)

func signCWT(t *testing.T, r attest.Result) []byte {
	t.Helper()
	signer, err := ear.NewSigner(key, "v1")
	if err != nil {
		t.Fatal(err)
	}
	token, err := signer.CWT(r)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// TestBothCarriersSayTheSame of every reason, and of a registration beside the device.
func TestBothCarriersSayTheSame(t *testing.T) {
	results := []attest.Result{sample(), {IssuedAt: attesttest.Now, ValidUntil: attesttest.Now.Add(time.Minute)}}
	for _, reason := range attest.Reasons() {
		slot := attest.Submod{Name: "slot1"}
		slot.Add(attest.ReasonIMEIConsistent, reason)
		results = append(results, attest.Result{IssuedAt: attesttest.Now, ValidUntil: attesttest.Now.Add(time.Minute), Submods: []attest.Submod{slot}})
	}
	for _, r := range results {
		fromJWT, err := ear.Verify(sign(t, r, ear.IETF), &key.PublicKey, attesttest.Now)
		fromCWT, cwtErr := ear.VerifyCWT(signCWT(t, r), &key.PublicKey, attesttest.Now)
		if err != nil || cwtErr != nil || !reflect.DeepEqual(fromCWT, fromJWT) || fromCWT.Status != r.Status() {
			t.Errorf("JWT %+v, %v\nCWT %+v, %v", fromJWT, err, fromCWT, cwtErr)
		}
	}
}

// TestLabelsOfACWT holds the labels and values that Relying Parties read.
func TestLabelsOfACWT(t *testing.T) {
	payload, err := attest.OpenCWT(signCWT(t, sample()), &key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	var got any
	if err := cbor.Unmarshal(payload, &got); err != nil {
		t.Fatal(err)
	}
	want := map[any]any{
		uint64(4): uint64(1772366700), uint64(6): uint64(1772366400), uint64(10): []byte(attesttest.Nonce()),
		uint64(265): "tag:ietf.org,2026:rats/ear#03", uint64(1004): map[any]any{uint64(0): "https://imei-attest.example", uint64(1): "v1"},
		uint64(266): map[any]any{
			"slot1": map[any]any{uint64(1000): uint64(2),
				uint64(1001):  map[any]any{uint64(0): uint64(2), uint64(2): uint64(3), uint64(4): uint64(2), uint64(6): uint64(2)},
				int64(-70031): []any{"imei-consistent", "hardware-vault", "boot-approved"}},
			"registration": map[any]any{uint64(1000): uint64(96), int64(-70031): []any{"registration-spoofed"}},
		},
	}
	if !reflect.DeepEqual(got, any(want)) {
		t.Errorf("got %v\nwant %v", got, want)
	}
}

// TestTheSameResultIsTheSameBytes, in either carrier: a retry gets what the first request got.
func TestTheSameResultIsTheSameBytes(t *testing.T) {
	inCBOR, inJSON := signCWT(t, sample()), sign(t, sample(), ear.Veraison)
	for range 3 {
		if !bytes.Equal(signCWT(t, sample()), inCBOR) || sign(t, sample(), ear.Veraison) != inJSON {
			t.Fatal("a result was signed to other bytes")
		}
	}
}

// claimsOf are an EAR's claims in which each can be changed.
func claimsOf(changes map[any]any) []byte {
	claims := map[any]any{4: attesttest.Now.Add(time.Minute).Unix(), 6: attesttest.Now.Unix(), 265: "tag:ietf.org,2026:rats/ear#03",
		266: map[string]any{"slot1": map[int]any{1000: 2, -70031: []string{}}}}
	for label, value := range changes {
		if claims[label] = value; value == nil {
			delete(claims, label)
		}
	}
	mode, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		panic(err)
	}
	raw, err := mode.Marshal(claims)
	if err != nil {
		panic(err)
	}
	return raw
}

func TestForgedCWTsAreRefused(t *testing.T) {
	good := signCWT(t, sample())
	forge := func(signer *ecdsa.PrivateKey, claims []byte) []byte {
		raw, err := attest.SignCWT(nil, claims, attesttest.Signer(signer), attest.KeyIDOf(&signer.PublicKey))
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	if _, err := ear.VerifyCWT(forge(key, claimsOf(nil)), &key.PublicKey, attesttest.Now); err != nil {
		t.Fatalf("unchanged: %v", err)
	}
	for name, c := range map[string]struct {
		token []byte
		key   *ecdsa.PublicKey
		now   time.Time
	}{
		"another key":                     {good, &attesttest.Key("other").PublicKey, attesttest.Now},
		"another signer":                  {forge(attesttest.Key("other"), claimsOf(nil)), &key.PublicKey, attesttest.Now},
		"expired":                         {good, &key.PublicKey, attesttest.Now.Add(5 * time.Minute)},
		"no expiry":                       {forge(key, claimsOf(map[any]any{4: nil})), &key.PublicKey, attesttest.Now},
		"an expiry of text":               {forge(key, claimsOf(map[any]any{4: "tomorrow"})), &key.PublicKey, attesttest.Now},
		"another profile":                 {forge(key, claimsOf(map[any]any{265: attest.EvidenceProfile})), &key.PublicKey, attesttest.Now},
		"no profile":                      {forge(key, claimsOf(map[any]any{265: nil})), &key.PublicKey, attesttest.Now},
		"submods as a list":               {forge(key, claimsOf(map[any]any{266: []int{1}})), &key.PublicKey, attesttest.Now},
		"a status of text":                {forge(key, claimsOf(map[any]any{266: map[string]any{"slot1": map[int]any{1000: "affirming"}}})), &key.PublicKey, attesttest.Now},
		"claims of another kind":          {forge(key, []byte{0x01}), &key.PublicKey, attesttest.Now},
		"a number longer than it need be": {forge(key, []byte{0xa1, 0x04, 0x18, 0x01}), &key.PublicKey, attesttest.Now},
		"evidence":                        {attesttest.Token(attesttest.Claims(), nil), &attesttest.DeviceKey.PublicKey, attesttest.Now},
		"a credential":                    {attesttest.SignedCredential(attesttest.Credential()), &attesttest.OEMKey.PublicKey, attesttest.Now},
		"a trailing byte":                 {append(bytes.Clone(good), 0), &key.PublicKey, attesttest.Now},
		"nothing":                         {nil, &key.PublicKey, attesttest.Now},
	} {
		if got, err := ear.VerifyCWT(c.token, c.key, c.now); err == nil || got != nil {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	for i := range good {
		if got, err := ear.VerifyCWT(good[:i], &key.PublicKey, attesttest.Now); err == nil {
			t.Errorf("the first %d bytes: %+v", i, got)
		}
		changed := slices.Clone(good)
		changed[i] ^= 1
		if got, err := ear.VerifyCWT(changed, &key.PublicKey, attesttest.Now); err == nil {
			t.Errorf("byte %d changed: %+v", i, got)
		}
	}
}

// TestWhatACWTLacksIsNotAffirmed: one that was signed, but does not say that things are well.
func TestWhatACWTLacksIsNotAffirmed(t *testing.T) {
	for name, submods := range map[string]any{
		"no submods":        nil,
		"empty submods":     map[string]any{},
		"no status":         map[string]any{"slot1": map[int]any{-70031: []string{}}},
		"an unknown status": map[string]any{"slot1": map[int]any{1000: 3}},
		"a missing status":  map[string]any{"slot1": map[int]any{1000: nil}},
		"one of two":        map[string]any{"slot1": map[int]any{1000: 2}, "slot2": map[int]any{}},
	} {
		token, err := attest.SignCWT(nil, claimsOf(map[any]any{266: submods}), attesttest.Signer(key), attest.KeyIDOf(&key.PublicKey))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := ear.VerifyCWT(token, &key.PublicKey, attesttest.Now); err != nil || got.Status == attest.StatusAffirming {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// FuzzVerifyCWT: what verifies was signed by the key, and is what CWT would make of it.
func FuzzVerifyCWT(f *testing.F) {
	signer, err := ear.NewSigner(key, "v1")
	if err != nil {
		f.Fatal(err)
	}
	good, err := signer.CWT(sample())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(attesttest.Token(attesttest.Claims(), nil))
	f.Fuzz(func(t *testing.T, token []byte) {
		// No claims can be signed by chance, so the fuzzer's bytes are also tried as claims under the right key.
		if got, err := ear.VerifyCWT(token, &key.PublicKey, attesttest.Now); err == nil && !bytes.Equal(token, good) {
			t.Errorf("%x: %+v", token, got)
		}
		if signed, err := attest.SignCWT(nil, token, attesttest.Signer(key), attest.KeyIDOf(&key.PublicKey)); err == nil {
			got, err := ear.VerifyCWT(signed, &key.PublicKey, attesttest.Now)
			if (err == nil) != (got != nil) {
				t.Errorf("%x: %+v, %v", token, got, err)
			}
			if err == nil && got.Status == attest.StatusAffirming && len(got.Submods) == 0 {
				t.Errorf("%x affirms nothing", token)
			}
		}
	})
}
