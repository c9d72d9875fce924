package ear_test

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/verifier/ear"
)

var key = attesttest.Key("results")

// sample is a good device behind a spoofed registration.
func sample() attest.Result {
	slot, registration := attest.Submod{Name: "slot1"}, attest.Submod{Name: attest.RegistrationSubmod}
	slot.Add(attest.ReasonIMEIConsistent, attest.ReasonHardwareVault, attest.ReasonBootApproved)
	registration.Add(attest.ReasonRegistrationSpoofed)
	return attest.Result{IssuedAt: attesttest.Now, ValidUntil: attesttest.Now.Add(5 * time.Minute), Nonce: attesttest.Nonce(),
		Submods: []attest.Submod{slot, registration}}
}

func sign(t *testing.T, r attest.Result, d ear.Dialect) string {
	t.Helper()
	signer, err := ear.NewSigner(key, "v1")
	if err != nil {
		t.Fatal(err)
	}
	token, err := signer.JWT(r, d)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestBothDialectsRoundTrip(t *testing.T) {
	want := &ear.Result{Status: attest.StatusContraindicated, Nonce: attesttest.Nonce().String(), Submods: map[string]ear.Submod{
		"slot1": {Status: attest.StatusAffirming,
			Reasons: []attest.Reason{attest.ReasonIMEIConsistent, attest.ReasonHardwareVault, attest.ReasonBootApproved}},
		"registration": {Status: attest.StatusContraindicated, Reasons: []attest.Reason{attest.ReasonRegistrationSpoofed}},
	}}
	for _, d := range []ear.Dialect{ear.IETF, ear.Veraison} {
		got, err := ear.Verify(sign(t, sample(), d), &key.PublicKey, attesttest.Now)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("dialect %d: %+v, %v; want %+v", d, got, err, want)
		}
	}
}

// TestClaimsAreAsAnEncoderWritesThem: the JSON is written by hand, with sorted names, so that the same result is the same bytes.
func TestClaimsAreAsAnEncoderWritesThem(t *testing.T) {
	results := []attest.Result{sample(), {}, {Submods: []attest.Submod{{Name: "slot1"}}}, {Nonce: attest.Nonce{0xff, 0xfe, 0xfd}, IssuedAt: attesttest.Now}}
	for _, reason := range attest.Reasons() {
		var all []attest.Submod
		for _, name := range []string{"slot1", "slot2", "slot3", "slot4", attest.RegistrationSubmod} {
			s := attest.Submod{Name: name}
			s.Add(attest.ReasonIMEIConsistent, reason)
			all = append(all, s)
		}
		results = append(results, attest.Result{ValidUntil: attesttest.Now, Submods: all})
	}
	signer, err := ear.NewSigner(key, `v1 "<&>" \\`)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		for _, d := range []ear.Dialect{ear.IETF, ear.Veraison} {
			token, err := signer.JWT(r, d)
			if err != nil {
				t.Fatal(err)
			}
			got, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
			if err != nil {
				t.Fatal(err)
			}
			var content any
			if err := json.Unmarshal(got, &content); err != nil {
				t.Fatalf("%s: %v", got, err)
			}
			if want, err := json.Marshal(content); err != nil || string(got) != string(want) {
				t.Errorf("\n got %s\nwant %s", got, want)
			}
		}
	}
}

func TestEveryStatusRoundTrips(t *testing.T) {
	for _, reason := range attest.Reasons() {
		slot := attest.Submod{Name: "slot1"}
		slot.Add(attest.ReasonIMEIConsistent, reason)
		result := attest.Result{IssuedAt: attesttest.Now, ValidUntil: attesttest.Now.Add(time.Minute), Submods: []attest.Submod{slot}}
		got, err := ear.Verify(sign(t, result, ear.IETF), &key.PublicKey, attesttest.Now)
		if err != nil || got.Status != result.Status() || !slices.Equal(got.Submods["slot1"].Reasons, slot.Reasons) {
			t.Errorf("%s: %+v, %v; want %s", reason, got, err, result.Status())
		}
	}
}

// TestClaimNames holds the names and values that Relying Parties read.
func TestClaimNames(t *testing.T) {
	for _, c := range []struct {
		dialect ear.Dialect
		want    string
	}{
		{ear.IETF, `{
			"eat_profile": "tag:ietf.org,2026:rats/ear#03", "iat": 1772366400, "exp": 1772366700,
			"eat_nonce": "WlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpa",
			"ear_verifier_id": {"developer": "https://imei-attest.example", "build": "v1"},
			"submods": {
				"slot1": {"ear_status": "affirming",
					"ear_trustworthiness_vector": {"instance-identity": 2, "executables": 3, "hardware": 2, "storage-opaque": 2},
					"imei_attest_reasons": ["imei-consistent", "hardware-vault", "boot-approved"]},
				"registration": {"ear_status": "contraindicated",
					"imei_attest_reasons": ["registration-spoofed"]}}}`},
		{ear.Veraison, `{
			"eat_profile": "tag:github.com,2023:veraison/ear", "iat": 1772366400, "exp": 1772366700,
			"eat_nonce": "WlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpa",
			"ear.verifier-id": {"developer": "https://imei-attest.example", "build": "v1"},
			"submods": {
				"slot1": {"ear.status": "affirming",
					"ear.trustworthiness-vector": {"instance-identity": 2, "executables": 3, "hardware": 2, "storage-opaque": 2},
					"imei-attest.reasons": ["imei-consistent", "hardware-vault", "boot-approved"]},
				"registration": {"ear.status": "contraindicated",
					"imei-attest.reasons": ["registration-spoofed"]}}}`},
	} {
		header, payload := parts(t, sign(t, sample(), c.dialect))
		var want any
		if err := json.Unmarshal([]byte(c.want), &want); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(payload, want) {
			t.Errorf("dialect %d:\n got %v\nwant %v", c.dialect, payload, want)
		}
		wantHeader := map[string]any{"alg": "ES256", "typ": "JWT", "kid": attest.KeyIDOf(&key.PublicKey).String()}
		if !reflect.DeepEqual(header, any(wantHeader)) {
			t.Errorf("header %v, want %v", header, wantHeader)
		}
	}
}

// parts decodes header and payload without a JWT library.
func parts(t *testing.T, token string) (header, payload any) {
	t.Helper()
	for i, into := range []*any{&header, &payload} {
		raw, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[i])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(raw, into); err != nil {
			t.Fatal(err)
		}
	}
	return header, payload
}

func TestAResultWithoutEvidenceHasNoNonceAndNoNull(t *testing.T) {
	_, payload := parts(t, sign(t, attest.Result{IssuedAt: attesttest.Now, ValidUntil: attesttest.Now, Submods: []attest.Submod{{Name: "registration"}}}, ear.IETF))
	claims := payload.(map[string]any)
	if _, found := claims["eat_nonce"]; found {
		t.Error("a nonce of no evidence")
	}
	want := map[string]any{"registration": map[string]any{"ear_status": "none", "imei_attest_reasons": []any{}}}
	if !reflect.DeepEqual(claims["submods"], any(want)) {
		t.Errorf("submods %v, want %v", claims["submods"], want)
	}
}

// TestForgeriesAreRefused: every token is one that somebody would like to pass for the verifier's.
func TestForgeriesAreRefused(t *testing.T) {
	good := sign(t, sample(), ear.IETF)
	forge := func(method jwt.SigningMethod, key any, change func(jwt.MapClaims)) string {
		changed := jwt.MapClaims{}
		if _, _, err := jwt.NewParser().ParseUnverified(good, changed); err != nil {
			t.Fatal(err)
		}
		change(changed)
		token, err := jwt.NewWithClaims(method, changed).SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	same := func(jwt.MapClaims) {}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	header, rest, _ := strings.Cut(good, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	otherPayload := strings.Split(forge(jwt.SigningMethodES256, key, func(c jwt.MapClaims) { delete(c["submods"].(map[string]any), "registration") }), ".")[1]
	for name, c := range map[string]struct {
		token string
		key   *ecdsa.PublicKey
		now   time.Time
	}{
		"another key":                     {good, &attesttest.Key("other").PublicKey, attesttest.Now},
		"another curve's key":             {good, &attesttest.Key384("results").PublicKey, attesttest.Now},
		"expired":                         {good, &key.PublicKey, attesttest.Now.Add(5 * time.Minute)},
		"no expiry":                       {forge(jwt.SigningMethodES256, key, func(c jwt.MapClaims) { delete(c, "exp") }), &key.PublicKey, attesttest.Now},
		"alg none":                        {forge(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, same), &key.PublicKey, attesttest.Now},
		"HS256 with the public key's DER": {forge(jwt.SigningMethodHS256, der, same), &key.PublicKey, attesttest.Now},
		"HS256 with the public point":     {forge(jwt.SigningMethodHS256, point, same), &key.PublicKey, attesttest.Now},
		"ES384":                           {forge(jwt.SigningMethodES384, attesttest.Key384("results"), same), &key.PublicKey, attesttest.Now},
		"another profile": {forge(jwt.SigningMethodES256, key, func(c jwt.MapClaims) { c["eat_profile"] = "tag:example,2026:other" }),
			&key.PublicKey, attesttest.Now},
		"a list of profiles": {forge(jwt.SigningMethodES256, key, func(c jwt.MapClaims) { c["eat_profile"] = []string{"tag:ietf.org,2026:rats/ear#03"} }),
			&key.PublicKey, attesttest.Now},
		"no profile": {forge(jwt.SigningMethodES256, key, func(c jwt.MapClaims) { delete(c, "eat_profile") }), &key.PublicKey, attesttest.Now},
		"a submod that is no object": {forge(jwt.SigningMethodES256, key, func(c jwt.MapClaims) { c["submods"] = map[string]any{"slot1": "affirming"} }),
			&key.PublicKey, attesttest.Now},
		"no signature":      {header + "." + payload + ".", &key.PublicKey, attesttest.Now},
		"another payload":   {header + "." + otherPayload + "." + signature, &key.PublicKey, attesttest.Now},
		"a part is missing": {header + "." + payload, &key.PublicKey, attesttest.Now},
		"nothing":           {"", &key.PublicKey, attesttest.Now},
	} {
		if got, err := ear.Verify(c.token, c.key, c.now); err == nil || got != nil {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// TestWhatIsMissingIsNotAffirmed: an EAR that was signed, but does not say that things are well.
func TestWhatIsMissingIsNotAffirmed(t *testing.T) {
	affirmed := map[string]any{"ear_status": "affirming"}
	for name, submods := range map[string]any{
		"no submods":             nil,
		"empty submods":          map[string]any{},
		"submods as a list":      []any{affirmed},
		"no status":              map[string]any{"slot1": map[string]any{}},
		"an unknown status":      map[string]any{"slot1": map[string]any{"ear_status": "splendid"}},
		"a numeric status":       map[string]any{"slot1": map[string]any{"ear_status": 2}},
		"the other dialect":      map[string]any{"slot1": map[string]any{"ear.status": "affirming"}},
		"one of two affirmed":    map[string]any{"slot1": affirmed, "slot2": map[string]any{}},
		"the registration fails": map[string]any{"slot1": affirmed, "registration": map[string]any{"ear_status": "contraindicated"}},
	} {
		claims := jwt.MapClaims{"eat_profile": "tag:ietf.org,2026:rats/ear#03", "exp": attesttest.Now.Add(time.Minute).Unix(), "submods": submods}
		token, err := jwt.NewWithClaims(jwt.SigningMethodES256, claims).SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := ear.Verify(token, &key.PublicKey, attesttest.Now); err != nil || got.Status == attest.StatusAffirming {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestJWKIsThePublicKey(t *testing.T) {
	signer, err := ear.NewSigner(key, "v1")
	if err != nil {
		t.Fatal(err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	want := ear.JWK{KeyType: "EC", Curve: "P-256", X: b64(point[1:33]), Y: b64(point[33:]), Algorithm: "ES256",
		KeyID: attest.KeyIDOf(&key.PublicKey).String(), Use: "sig"}
	if got, err := signer.JWK(); err != nil || got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
}

func TestASignerNeedsAKeyOnP256(t *testing.T) {
	for name, k := range map[string]*ecdsa.PrivateKey{"no key": nil, "P-384": attesttest.Key384("results")} {
		if s, err := ear.NewSigner(k, "v1"); err == nil {
			t.Errorf("%s: %v", name, s)
		}
	}
}
