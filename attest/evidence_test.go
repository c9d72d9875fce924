package attest_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/attest/imei"
)

// source is a random source with a fixed seed; a failure names the round.
func source() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }

func randomBytes(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func randomText(r *rand.Rand, least, most int) string {
	const letters = "abcXYZ 0189-_/\\\"%\x00\t"
	b := make([]byte, least+r.IntN(most-least+1))
	for i := range b {
		b[i] = letters[r.IntN(len(letters))]
	}
	return string(b)
}

func randomIMEI(r *rand.Rand) imei.IMEI {
	for {
		if id, err := imei.FromBody(fmt.Sprintf("%014d", r.Int64N(1e14))); err == nil {
			return id
		}
	}
}

func randomIMEIs(r *rand.Rand) (ids []imei.IMEI) {
	for range 1 + r.IntN(attest.MaxSlots) {
		ids = append(ids, randomIMEI(r)) // two alike: once in 10^14
	}
	return ids
}

func randomClaims(r *rand.Rand) attest.Claims {
	c := attest.Claims{
		Nonce: randomBytes(r, 8+r.IntN(57)), Provisioned: randomIMEIs(r), Registration: r.IntN(2) == 0,
		ReadingAge: time.Duration(r.IntN(86400001)) * time.Millisecond,
	}
	if r.IntN(4) > 0 {
		c.IssuedAt = time.Unix(r.Int64N(1<<40), 0).UTC()
	}
	if r.IntN(2) == 0 {
		c.Modem = attest.ModemInfo{Manufacturer: randomText(r, 0, 32), Model: randomText(r, 0, 32), Revision: randomText(r, 0, 32)}
	}
	for slot := range 1 + r.IntN(attest.MaxSlots) {
		o := attest.Observed{Slot: slot + 1, Flags: attest.ReadingFlags(r.IntN(16)), Methods: uint(r.IntN(1 << 16))}
		switch r.IntN(3) {
		case 0:
			o.IMEI = randomIMEI(r)
		case 1:
			o.Text = "x" + randomText(r, 0, 31)
		default:
			o.Error = "e" + randomText(r, 0, 31)
		}
		if r.IntN(2) == 0 {
			o.SVN = imei.SVN(fmt.Sprintf("%02d", r.IntN(100)))
		}
		if r.IntN(2) == 0 {
			o.Subscriber = randomBytes(r, 32)
		}
		c.Measurements = append(c.Measurements, attest.Measurement(1+r.IntN(4)))
		c.Observed = append(c.Observed, o)
	}
	return c
}

func TestEvidenceRoundTrip(t *testing.T) {
	r, c := source(), grammar(t)
	for round := range 300 {
		want := randomClaims(r)
		token := attesttest.Token(want, nil)
		e, err := attest.DecodeEvidence(token)
		if err != nil {
			t.Fatalf("round %d: %v of %x", round, err, token)
		}
		if !reflect.DeepEqual(e.Claims, want) {
			t.Fatalf("round %d: got %+v, want %+v", round, e.Claims, want)
		}
		if err := e.Verify(&attesttest.DeviceKey.PublicKey); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if err := c.obeys(t, "evidence", token); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
	}
}

func TestEvidencePrefixesAreTruncated(t *testing.T) {
	r := source()
	for _, token := range [][]byte{
		attesttest.Token(attesttest.Claims(), nil),
		attesttest.Token(randomClaims(r), attesttest.SignedCredential(attesttest.Credential())),
	} {
		for n := range token {
			if _, err := attest.DecodeEvidence(token[:n]); attest.ClassOf(err) != attest.ClassTruncated {
				t.Errorf("%d of %d bytes: got %v, want class %s", n, len(token), err, attest.ClassTruncated)
			}
		}
	}
}

func TestSignEvidenceRefusesWhatItCouldNotRead(t *testing.T) {
	id := attesttest.MustIMEI(attesttest.IMEI1)
	for name, spoil := range map[string]func(*attest.Claims){
		"short nonce":              func(c *attest.Claims) { c.Nonce = c.Nonce[:7] },
		"no IMEI":                  func(c *attest.Claims) { c.Provisioned = nil },
		"five IMEIs":               func(c *attest.Claims) { c.Provisioned = make([]imei.IMEI, 5) },
		"an IMEI that is none":     func(c *attest.Claims) { c.Provisioned = []imei.IMEI{{}} },
		"one IMEI twice":           func(c *attest.Claims) { c.Provisioned = []imei.IMEI{id, id} },
		"no measurement":           func(c *attest.Claims) { c.Measurements = nil },
		"measurement 0":            func(c *attest.Claims) { c.Measurements = []attest.Measurement{0} },
		"one observation too few":  func(c *attest.Claims) { c.Observed = nil },
		"observation misnumbered":  func(c *attest.Claims) { c.Observed[0].Slot = 2 },
		"an IMEI as text":          func(c *attest.Claims) { c.Observed = []attest.Observed{{Slot: 1, Text: attesttest.IMEI1}} },
		"long text":                func(c *attest.Claims) { c.Observed = []attest.Observed{{Slot: 1, Text: strings.Repeat("x", 33)}} },
		"long error word":          func(c *attest.Claims) { c.Observed = []attest.Observed{{Slot: 1, Error: strings.Repeat("x", 33)}} },
		"unknown flag":             func(c *attest.Claims) { c.Observed[0].Flags = 16 },
		"software version of text": func(c *attest.Claims) { c.Observed[0].SVN = "0x" },
		"subscriber of 31 bytes":   func(c *attest.Claims) { c.Observed[0].Subscriber = make([]byte, 31) },
		"long modem name":          func(c *attest.Claims) { c.Modem.Model = strings.Repeat("x", 33) },
		"issued before 1970":       func(c *attest.Claims) { c.IssuedAt = time.Unix(-1, 0) },
		"reading from the future":  func(c *attest.Claims) { c.ReadingAge = -time.Millisecond },
	} {
		c := attesttest.Claims()
		spoil(&c)
		if token, err := attest.SignEvidence(nil, c, attesttest.Signer(attesttest.DeviceKey), attest.KeyID{}, attest.Enclosure{}); err == nil {
			t.Errorf("%s: signed as %x", name, token)
		}
	}
}

func TestEvidenceVerifiesUnderItsKeyOnly(t *testing.T) {
	e, err := attest.DecodeEvidence(attesttest.Token(attesttest.Claims(), nil))
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Verify(&attesttest.DeviceKey.PublicKey); err != nil {
		t.Error(err)
	}
	for name, key := range map[string]string{"the manufacturer's key": "oem credential", "a stranger's key": "stranger"} {
		if err := e.Verify(&attesttest.Key(key).PublicKey); !errors.Is(err, attest.ErrSignature) {
			t.Errorf("%s: got %v, want %v", name, err, attest.ErrSignature)
		}
	}
	if err := e.Verify(nil); !errors.Is(err, attest.ErrSignature) {
		t.Errorf("no key: got %v, want %v", err, attest.ErrSignature)
	}
}

func TestEvidenceKeepsItsEnclosure(t *testing.T) {
	credential := attesttest.SignedCredential(attesttest.Credential())
	proof := []byte{0x82, 0x01, 0x41, 0x78}
	token, err := attest.SignEvidence(nil, attesttest.Claims(), attesttest.Signer(attesttest.DeviceKey),
		attest.KeyIDOf(&attesttest.DeviceKey.PublicKey), attest.Enclosure{Credential: credential, Prove: func([32]byte) ([]byte, error) { return proof, nil }})
	if err != nil {
		t.Fatal(err)
	}
	e, err := attest.DecodeEvidence(token)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(e.Credential, credential) || !bytes.Equal(e.TPMProof, proof) {
		t.Errorf("got %x and %x, want %x and %x", e.Credential, e.TPMProof, credential, proof)
	}
	if e, err = attest.DecodeEvidence(attesttest.Token(attesttest.Claims(), nil)); err != nil || e.Credential != nil || e.TPMProof != nil {
		t.Errorf("a bare token: got %x, %x, %v", e.Credential, e.TPMProof, err)
	}
}

// longDigits is what an error must not hold: an IMEI, or most of one.
var longDigits = regexp.MustCompile(`\d{14}`)

func decode(kind string, raw []byte) error {
	if kind == "evidence" {
		_, err := attest.DecodeEvidence(raw)
		return err
	}
	_, err := attest.DecodeCredential(raw)
	return err
}

func checkDiscreet(t *testing.T, name string, raw []byte, err error) {
	t.Helper()
	if err == nil {
		return
	}
	var f *attest.FormatError
	if !errors.As(err, &f) || f.Class == "" || f.Part == "" || f.Problem == "" {
		t.Errorf("%s: %#v is no complete FormatError", name, err)
	}
	text := err.Error()
	if longDigits.MatchString(text) || len(text) > 300 {
		t.Errorf("%s: the error tells too much: %s", name, text)
	}
	if len(raw) >= 8 && (strings.Contains(text, hex.EncodeToString(raw[:8])) || strings.Contains(text, fmt.Sprint(raw[:8]))) {
		t.Errorf("%s: the error holds bytes of the token: %s", name, text)
	}
}

func TestErrorsHoldNoIMEI(t *testing.T) {
	failed := 0
	for _, v := range loadVectors(t) {
		err := decode(v.Kind, v.Bytes())
		checkDiscreet(t, v.ID, v.Bytes(), err)
		if err != nil {
			failed++
		}
	}
	if failed < 60 {
		t.Errorf("only %d vectors fail to decode", failed)
	}
}

func TestSubscriberHash(t *testing.T) {
	n := attesttest.Nonce()
	want := sha256.Sum256([]byte("imei-attest-sub-v1" + string(n) + "001010123456789"))
	if got := attest.SubscriberHash(n, "001010123456789"); !bytes.Equal(got, want[:]) {
		t.Errorf("got %x, want %x", got, want)
	}
}
