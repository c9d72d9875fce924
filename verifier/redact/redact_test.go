package redact_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"imei-attest/attest"
	"imei-attest/verifier/redact"
)

func TestText(t *testing.T) {
	key := make([]byte, 32)
	rand.Read(key)
	token := make([]byte, 400)
	rand.Read(token)
	for _, c := range []struct{ name, text, want string }{
		{"a sentence stays", "the policy was refused: line 3", "the policy was refused: line 3"},
		{"a time stays", "until 2026-12-24T00:00:00Z", "until 2026-12-24T00:00:00Z"},
		{"a file name stays", "/var/lib/imei-attest/STATE-2026/a-rather-long-folder-name/result.key", "/var/lib/imei-attest/STATE-2026/a-rather-long-folder-name/result.key"},
		{"a file name with all kinds of letters stays", "/tmp/TestTheLogNamesManufacturersAndFaults123456/001/oem.yaml", "/tmp/TestTheLogNamesManufacturersAndFaults123456/001/oem.yaml"},
		{"an IMEI shows its TAC", "IMEI 490154203237518 in line 3", "IMEI 49015420*****18 in line 3"},
		{"a SUPI is hidden", "imsi-001010123456789 is unknown", "imsi[hidden] is unknown"},
		{"an IMPI is hidden", "001010123456789@ims.mnc001.mcc001.3gppnetwork.org", "[hidden]@ims.mnc001.mcc001.3gppnetwork.org"},
		{"a key in hex is hidden", "key " + hex.EncodeToString(key) + " is short", "key [hidden] is short"},
		{"a token in base64url is hidden", "nonce " + base64.RawURLEncoding.EncodeToString(token), "nonce [hidden]"},
		{"a private key is hidden", "got -----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY----- there", "got [hidden] there"},
		{"half a private key is hidden", "got -----BEGIN EC PRIVATE KEY-----\nAAAA", "got [hidden]"},
	} {
		if got := redact.Text(c.text); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

// TestATokenThatBeginsAsAPathIsHidden: one in some ten thousand does.
func TestATokenThatBeginsAsAPathIsHidden(t *testing.T) {
	const text = "/gbjw/kxZt8/fo4/CRvJU+e94xW0G2muyswQcXJMxLJa1wwVTHkVRWyVuiWjOoR7vW64wK7262qGVrklv/EtxQM5v0KlHyphSEDoi8kZQV22LVvcZqtVqoiqeWZe2aMyQcoBVdfcV5ddUUq1IzqVrBCpCTzvZ33najvty6nIDSz3O"
	if got := redact.Text("evidence " + text); strings.Contains(got, text[20:60]) {
		t.Errorf("%q became %q", text, got)
	}
}

func TestTokensInBase64AreHidden(t *testing.T) {
	for range 1000 {
		token := make([]byte, 264)
		rand.Read(token)
		text := base64.StdEncoding.EncodeToString(token)
		if got := redact.Text("evidence " + text); strings.Contains(got, text[:40]) {
			t.Fatalf("%q became %q", text, got)
		}
	}
}

func TestHandler(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(redact.NewHandler(slog.NewJSONHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})))
	log.With("from", "490154203237518").WithGroup("g").Info("IMEI 490154203237518", "error", errors.New("no 490154203237518 here"), "subscriber", "alice",
		"list", []string{"490154203237518"}, "reasons", []attest.Reason{"imei-tampered", "stale"}, "none", []attest.Reason(nil), "id", "12345678901234", "count", 15,
		slog.Group("in", "nonce", "x", "deep", "490154203237518"))
	const want = `{"level":"INFO","msg":"IMEI 49015420*****18","from":"49015420*****18","g":{"error":"no 49015420*****18 here","subscriber":"[hidden]",` +
		`"list":["49015420*****18"],"reasons":["imei-tampered","stale"],"none":[],"id":"12345678901234","count":15,"in":{"nonce":"[hidden]","deep":"49015420*****18"}}}` + "\n"
	if out.String() != want {
		t.Errorf("got  %s\nwant %s", &out, want)
	}
}

// FuzzText: what is hidden stays hidden, and hiding again changes nothing.
func FuzzText(f *testing.F) {
	f.Add("IMEI 490154203237518")
	f.Add("imsi-001010123456789 49-015420-323751-8@")
	f.Fuzz(func(t *testing.T, text string) {
		once := redact.Text(text)
		if twice := redact.Text(once); twice != once {
			t.Errorf("%q, and again %q", once, twice)
		}
	})
}

// BenchmarkText is of what is logged with each decision.
func BenchmarkText(b *testing.B) {
	for b.Loop() {
		redact.Text("[imei-consistent hardware-vault boot-approved subscriber-bound]")
	}
}
