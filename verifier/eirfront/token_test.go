package eirfront_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"imei-attest/verifier/eirfront"
)

const (
	nrfID    = "b4f4a6a0-5a1e-4c3e-9f7e-000000000001"
	instance = "b4f4a6a0-5a1e-4c3e-9f7e-000000000002"
)

var (
	p256key = mustKey(elliptic.P256())
	p384key = mustKey(elliptic.P384())
	rsaKey  = func() *rsa.PrivateKey {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		return key
	}()
)

func mustKey(curve elliptic.Curve) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}

func pemOf(t testing.TB, kind string, public crypto.PublicKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func nrfKey(t testing.TB, public crypto.PublicKey) eirfront.NRFKey {
	t.Helper()
	key, err := eirfront.ParseNRFKey(pemOf(t, "PUBLIC KEY", public))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// access are the claims of a token for us, changed as the edits say; a claim that is nil is left out.
func access(edits jwt.MapClaims) jwt.MapClaims {
	c := jwt.MapClaims{"iss": nrfID, "sub": "b4f4a6a0-5a1e-4c3e-9f7e-000000000003", "aud": "5G_EIR", "scope": "n5g-eir-eic", "exp": noon.Add(time.Hour).Unix()}
	maps.Copy(c, edits)
	maps.DeleteFunc(c, func(_ string, value any) bool { return value == nil })
	return c
}

func signed(t testing.TB, method jwt.SigningMethod, key any, claims jwt.MapClaims, header ...string) string {
	t.Helper()
	token := jwt.NewWithClaims(method, claims)
	for i := 0; i < len(header); i += 2 {
		token.Header[header[i]] = header[i+1]
	}
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func withTokens(t testing.TB, now *time.Time) (*front, *eirfront.Tokens) {
	tokens := eirfront.NewTokens(nrfKey(t, &p256key.PublicKey), nrfID, instance)
	return newFront(t, func(c *eirfront.Config) {
		c.Tokens = tokens
		c.Now = func() time.Time { return *now }
	}), tokens
}

func TestAccessTokens(t *testing.T) {
	es256 := func(edits jwt.MapClaims) string {
		return "Bearer " + signed(t, jwt.SigningMethodES256, p256key, access(edits))
	}
	const refused, invalid = "Unauthorized", `Bearer realm="n5g-eir-eic", error="invalid_token"`
	const wrongRequest = `Bearer realm="n5g-eir-eic", error="invalid_request"`
	good := es256(nil)
	for _, c := range []struct {
		name      string
		headers   []string
		want      string
		challenge string
	}{
		{"for all 5G-EIRs", []string{good}, "OK WHITELISTED", ""},
		{"for this one", []string{es256(jwt.MapClaims{"aud": []string{"b4f4a6a0-5a1e-4c3e-9f7e-000000000009", instance}})}, "OK WHITELISTED", ""},
		{"for other services too", []string{es256(jwt.MapClaims{"scope": "nudm-sdm n5g-eir-eic"})}, "OK WHITELISTED", ""},
		{"the scheme in small letters", []string{"bearer " + good[7:]}, "OK WHITELISTED", ""},
		{"no token", nil, refused, `Bearer realm="n5g-eir-eic"`},
		{"an empty one", []string{"Bearer "}, refused, wrongRequest},
		{"two", []string{good, good}, refused, wrongRequest},
		{"another scheme", []string{"Basic YTpi"}, refused, wrongRequest},
		{"one that is too long", []string{"Bearer " + strings.Repeat("a", 9000)}, refused, wrongRequest},
		{"no JWT", []string{"Bearer abc"}, refused, invalid},
		{"one that has expired", []string{es256(jwt.MapClaims{"exp": noon.Unix()})}, refused, invalid},
		{"one that never expires", []string{es256(jwt.MapClaims{"exp": nil})}, refused, invalid},
		{"one that does not hold yet", []string{es256(jwt.MapClaims{"nbf": noon.Add(time.Minute).Unix()})}, refused, invalid},
		{"of another NRF", []string{es256(jwt.MapClaims{"iss": instance})}, refused, invalid},
		{"of nobody", []string{es256(jwt.MapClaims{"iss": nil})}, refused, invalid},
		{"for another network function", []string{es256(jwt.MapClaims{"aud": "UDM"})}, refused, invalid},
		{"for another instance", []string{es256(jwt.MapClaims{"aud": []string{nrfID}})}, refused, invalid},
		{"for nobody", []string{es256(jwt.MapClaims{"aud": nil})}, refused, invalid},
		{"by another key", []string{"Bearer " + signed(t, jwt.SigningMethodES256, mustKey(elliptic.P256()), access(nil))}, refused, invalid},
		{"by another curve", []string{"Bearer " + signed(t, jwt.SigningMethodES384, p384key, access(nil))}, refused, invalid},
		{"by no key", []string{"Bearer " + signed(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, access(nil))}, refused, invalid},
		{"by the public key as a secret", []string{"Bearer " + signed(t, jwt.SigningMethodHS256, pemOf(t, "PUBLIC KEY", &p256key.PublicKey), access(nil))}, refused, invalid},
		{"with an extension that must be understood", []string{"Bearer " + signed(t, jwt.SigningMethodES256, p256key, access(nil), "crit", "x")}, refused, invalid},
		{"with a byte changed", []string{good[:len(good)-20] + flip(good[len(good)-20:])}, refused, invalid},
		{"cut", []string{good[:len(good)-1]}, refused, invalid},
		{"for another service", []string{es256(jwt.MapClaims{"scope": "nudm-sdm"})}, "Forbidden", `Bearer realm="n5g-eir-eic", error="insufficient_scope", scope="n5g-eir-eic"`},
		{"for a service with a longer name", []string{es256(jwt.MapClaims{"scope": "n5g-eir-eic2 xn5g-eir-eic"})}, "Forbidden", `Bearer realm="n5g-eir-eic", error="insufficient_scope", scope="n5g-eir-eic"`},
		{"for no service", []string{es256(jwt.MapClaims{"scope": nil})}, "Forbidden", `Bearer realm="n5g-eir-eic", error="insufficient_scope", scope="n5g-eir-eic"`},
	} {
		now := noon
		f, _ := withTokens(t, &now)
		var headers []string
		for _, h := range c.headers {
			headers = append(headers, "Authorization", h)
		}
		for range 2 { // the second time it may be known
			got := f.ask("GET", about("pei="+peiGood+"&supi="+alice), headers...)
			if got.String() != c.want || got.header.Get("WWW-Authenticate") != c.challenge {
				t.Errorf("%s: got %s, %q; want %s, %q", c.name, got, got.header.Get("WWW-Authenticate"), c.want, c.challenge)
			}
		}
		if c.challenge != "" && len(f.judge.asked) > 0 {
			t.Errorf("%s: the verifier was asked", c.name)
		}
	}
}

func flip(text string) string {
	other := byte('A')
	if text[0] == other {
		other = 'B'
	}
	return string(other) + text[1:]
}

func TestAKnownTokenEnds(t *testing.T) {
	now := noon
	f, tokens := withTokens(t, &now)
	bearer := "Bearer " + signed(t, jwt.SigningMethodES256, p256key, access(nil))
	ask := func() string { return f.ask("GET", about("pei="+peiGood), "Authorization", bearer).String() }
	first := ask()
	now = noon.Add(time.Hour)
	if expired := ask(); first != "OK GREYLISTED" || expired != "Unauthorized" {
		t.Errorf("got %s, and when it expires %s", first, expired)
	}
	now = noon
	tokens.Use(nrfKey(t, &p384key.PublicKey))
	if exchanged := ask(); exchanged != "Unauthorized" {
		t.Errorf("after the key was exchanged: %s", exchanged)
	}
	bearer = "Bearer " + signed(t, jwt.SigningMethodES384, p384key, access(nil))
	if other := ask(); other != "OK GREYLISTED" {
		t.Errorf("by the other key: %s", other)
	}
}

// TestManyTokens: what is remembered is bounded, and all are taken.
func TestManyTokens(t *testing.T) {
	now := noon
	f, _ := withTokens(t, &now)
	for i := range 1030 {
		bearer := "Bearer " + signed(t, jwt.SigningMethodES256, p256key, access(jwt.MapClaims{"jti": fmt.Sprint(i)}))
		if got := f.ask("GET", about("pei="+peiGood), "Authorization", bearer).String(); got != "OK GREYLISTED" {
			t.Fatalf("token %d: %s", i, got)
		}
	}
}

func b64(n *big.Int, size int) string {
	return base64.RawURLEncoding.EncodeToString(n.FillBytes(make([]byte, size)))
}

func jwkOf(t testing.TB, edits map[string]any) []byte {
	t.Helper()
	raw, err := p256key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	k := map[string]any{"kty": "EC", "crv": "P-256", "x": base64.RawURLEncoding.EncodeToString(raw[1:33]), "y": base64.RawURLEncoding.EncodeToString(raw[33:]), "use": "sig"}
	maps.Copy(k, edits)
	text, err := json.Marshal(k)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func rsaJWK(alg string) map[string]any {
	return map[string]any{"kty": "RSA", "n": b64(rsaKey.N, 256), "e": "AQAB", "alg": alg}
}

func TestKeysOfAnNRF(t *testing.T) {
	certificate := func() []byte {
		template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: noon, NotAfter: noon.Add(time.Hour)}
		der, err := x509.CreateCertificate(rand.Reader, template, template, &rsaKey.PublicKey, rsaKey)
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	}
	for _, c := range []struct {
		name   string
		text   []byte
		method jwt.SigningMethod
		key    any
	}{
		{"P-256 in PEM", pemOf(t, "PUBLIC KEY", &p256key.PublicKey), jwt.SigningMethodES256, p256key},
		{"P-384 in PEM", pemOf(t, "PUBLIC KEY", &p384key.PublicKey), jwt.SigningMethodES384, p384key},
		{"RSA in PEM", pemOf(t, "PUBLIC KEY", &rsaKey.PublicKey), jwt.SigningMethodRS256, rsaKey},
		{"a certificate", certificate(), jwt.SigningMethodRS256, rsaKey},
		{"a JWK of P-256", jwkOf(t, nil), jwt.SigningMethodES256, p256key},
		{"a JWK of RSA that says how", jwkOf(t, rsaJWK("RS512")), jwt.SigningMethodRS512, rsaKey},
		{"a JWK of RSA by PSS", jwkOf(t, rsaJWK("PS256")), jwt.SigningMethodPS256, rsaKey},
	} {
		key, err := eirfront.ParseNRFKey(c.text)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		f := newFront(t, func(config *eirfront.Config) { config.Tokens = eirfront.NewTokens(key, nrfID, instance) })
		if got := f.ask("GET", about("pei="+peiGood), "Authorization", "Bearer "+signed(t, c.method, c.key, access(nil))).String(); got != "OK GREYLISTED" {
			t.Errorf("%s: a token by it gets %s", c.name, got)
		}
		if c.key == any(rsaKey) {
			if got := f.ask("GET", about("pei="+peiGood), "Authorization", "Bearer "+signed(t, jwt.SigningMethodRS384, rsaKey, access(nil))).String(); got != "Unauthorized" {
				t.Errorf("%s: a token by another algorithm gets %s", c.name, got)
			}
		}
	}
}

func TestKeysThatAreRefused(t *testing.T) {
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	edwards, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(p256key)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		text []byte
		want string
	}{
		{"nothing", nil, "holds no key"},
		{"text", []byte("key"), "holds no key"},
		{"a private key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), "holds a PRIVATE KEY"},
		{"a block that is none", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte("x")}), "PUBLIC KEY: "},
		{"a certificate that is none", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}), "CERTIFICATE: "},
		{"a short RSA key", pemOf(t, "PUBLIC KEY", &short.PublicKey), "1024 bits"},
		{"another curve", pemOf(t, "PUBLIC KEY", &mustKey(elliptic.P521()).PublicKey), "want P-256, P-384 or RSA"},
		{"Ed25519", pemOf(t, "PUBLIC KEY", edwards), "want P-256, P-384 or RSA"},
		{"JSON that ends early", []byte(`{"kty":`), "no JWK"},
		{"a JWK of a secret", []byte(`{"kty":"oct","k":"AAAA"}`), `kty is "oct"`},
		{"a private JWK", jwkOf(t, map[string]any{"d": "AAAA"}), "private key"},
		{"a set of JWKs", []byte(`{"keys":[]}`), "set of keys"},
		{"a JWK of a curve that nobody knows", jwkOf(t, map[string]any{"crv": "P-192"}), `crv is "P-192"`},
		{"a point off the curve", jwkOf(t, map[string]any{"y": b64(big.NewInt(1), 32)}), "no point"},
		{"a coordinate that is short", jwkOf(t, map[string]any{"y": "AA"}), "no point"},
		{"a coordinate in other letters", jwkOf(t, map[string]any{"y": "%%"}), "x and y"},
		{"an algorithm of another key", jwkOf(t, map[string]any{"alg": "RS256"}), "cannot sign"},
		{"an algorithm with a secret", jwkOf(t, map[string]any{"alg": "HS256"}), "cannot sign"},
		{"no algorithm", jwkOf(t, map[string]any{"alg": "none"}), "cannot sign"},
		{"an exponent of one", jwkOf(t, map[string]any{"kty": "RSA", "n": b64(rsaKey.N, 256), "e": "AQ"}), "exponent"},
		{"an exponent that is too long", jwkOf(t, map[string]any{"kty": "RSA", "n": b64(rsaKey.N, 256), "e": "AQABAQAB"}), "exponent"},
		{"a modulus in other letters", jwkOf(t, map[string]any{"kty": "RSA", "n": "%%", "e": "AQAB"}), "n and e"},
		{"a modulus of nothing", jwkOf(t, map[string]any{"kty": "RSA", "n": "", "e": "AQAB"}), "0 bits"},
	} {
		if _, err := eirfront.ParseNRFKey(c.text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}
