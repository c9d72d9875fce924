package attest_test

import (
	"bytes"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"strings"
	"testing"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/testbench/peertest"

	"github.com/fxamacker/cbor/v2"
)

const corimIssuer = "tag:example,2026:oem"

var corimPayload = []byte{0xd9, 0x01, 0xf5, 0xa0} // tag 501, an empty map: what it says is read elsewhere

func signCoRIM(t testing.TB, payload []byte, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	raw, err := attest.SignCoRIM(nil, corimIssuer, payload, attesttest.Signer(key), attest.KeyIDOf(&key.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func trusting(t testing.TB, keys ...*ecdsa.PrivateKey) *attest.KeySet[string] {
	t.Helper()
	set := new(attest.KeySet[string])
	for i, key := range keys {
		if err := set.Add(&key.PublicKey, fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	return set
}

func TestCoRIMRoundTrip(t *testing.T) {
	c, keys := grammar(t), []*ecdsa.PrivateKey{attesttest.OEMKey, attesttest.Key384("oem credential")}
	set := trusting(t, keys...)
	for i, key := range keys {
		for _, size := range []int{0, 23, 255, 65535, 65536, 1 << 20} {
			payload := make([]byte, size)
			raw := signCoRIM(t, payload, key)
			got, scope, err := set.VerifyCoRIM(raw)
			if err != nil || scope != fmt.Sprint(i) || got.Signer != corimIssuer || !bytes.Equal(got.Payload, payload) || got.KeyID != attest.KeyIDOf(&key.PublicKey) {
				t.Errorf("%d bytes: %+v, %q, %v", size, got, scope, err)
			}
			if err := c.obeys(t, "signed-corim", raw); err != nil {
				t.Errorf("%d bytes: %v", size, err)
			}
		}
	}
}

func TestCoRIMIsVerifiedUnderATrustedKeyOnly(t *testing.T) {
	raw := signCoRIM(t, corimPayload, attesttest.OEMKey)
	if _, _, err := trusting(t, attesttest.Key("stranger")).VerifyCoRIM(raw); !errors.Is(err, attest.ErrKeyUnknown) {
		t.Errorf("under a stranger's key: %v", err)
	}
	forged, err := attest.SignCoRIM(nil, corimIssuer, corimPayload, attesttest.Signer(attesttest.Key("stranger")), attest.KeyIDOf(&attesttest.OEMKey.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := trusting(t, attesttest.OEMKey).VerifyCoRIM(forged); !errors.Is(err, attest.ErrSignature) {
		t.Errorf("in the name of a trusted key: %v", err)
	}
}

func TestCoRIMIsRefused(t *testing.T) {
	type m = map[any]any
	encode := func(v any) []byte {
		raw, err := deterministic.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	kid := make([]byte, 16)
	meta := func(v any) m { return m{1: -7, 3: "application/rim+cbor", 4: kid, 8: encode(v)} }
	header := func(label, value any) m {
		h := meta(m{0: m{0: corimIssuer}})
		h[label] = value
		if value == nil {
			delete(h, label)
		}
		return h
	}
	for _, tt := range []struct {
		what        string
		header      m
		unprotected m
		class       attest.Class
	}{
		{"no algorithm", header(1, nil), m{}, attest.ClassStructure},
		{"an algorithm without a key", header(1, -16), m{}, attest.ClassAlgorithm},
		{"a critical parameter", header(2, []any{8}), m{}, attest.ClassCritical},
		{"a list of critical parameters at all", header(2, []any{1}), m{}, attest.ClassStructure},
		{"no content type", header(3, nil), m{}, attest.ClassStructure},
		{"another content type", header(3, "application/eat+cwt"), m{}, attest.ClassStructure},
		{"a content type in number", header(3, 263), m{}, attest.ClassStructure},
		{"no key id", header(4, nil), m{}, attest.ClassKeyID},
		{"a key id of 15 bytes", header(4, kid[1:]), m{}, attest.ClassKeyID},
		{"no metadata", header(8, nil), m{}, attest.ClassStructure},
		{"metadata that is a map", header(8, m{0: m{0: corimIssuer}}), m{}, attest.ClassStructure},
		{"claims of a CWT besides", header(15, m{1: corimIssuer}), m{}, attest.ClassStructure},
		{"a digest instead of the payload", header(258, -16), m{}, attest.ClassStructure},
		{"a typ of evidence", header(16, 263), m{}, attest.ClassStructure},
		{"an unprotected parameter", header(8, encode(m{0: m{0: corimIssuer}})), m{99: 1}, attest.ClassStructure},
		{"no signer", meta(m{}), m{}, attest.ClassClaim},
		{"a signer without a name", meta(m{0: m{0: ""}}), m{}, attest.ClassClaim},
		{"a signer's name of 65 bytes", meta(m{0: m{0: strings.Repeat("i", 65)}}), m{}, attest.ClassClaim},
		{"a signer's URI", meta(m{0: m{0: corimIssuer, 1: "u"}}), m{}, attest.ClassClaim},
		{"a validity of the signature, which would go unheard", meta(m{0: m{0: corimIssuer}, 1: m{1: 1}}), m{}, attest.ClassClaim},
	} {
		raw := encode(cbor.Tag{Number: 18, Content: []any{encode(tt.header), tt.unprotected, corimPayload, make([]byte, 64)}})
		_, err := attest.DecodeCoRIM(raw)
		if format := new(attest.FormatError); !errors.As(err, &format) || format.Class != tt.class {
			t.Errorf("%s: %v, want class %s", tt.what, err, tt.class)
		}
	}
	if _, err := attest.DecodeCoRIM(make([]byte, attest.MaxCoRIMBytes+1)); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("too long: %v", err)
	}
}

func TestCoRIMInPieces(t *testing.T) {
	raw, set := signCoRIM(t, corimPayload, attesttest.OEMKey), trusting(t, attesttest.OEMKey)
	for n := range raw {
		if _, err := attest.DecodeCoRIM(raw[:n]); err == nil {
			t.Errorf("the first %d of %d bytes were accepted", n, len(raw))
		}
		spoiled := bytes.Clone(raw)
		spoiled[n] ^= 1
		if _, _, err := set.VerifyCoRIM(spoiled); err == nil {
			t.Errorf("byte %d was changed, and it verifies", n)
		}
	}
	if _, err := attest.DecodeCoRIM(append(bytes.Clone(raw), 0)); err == nil {
		t.Error("a byte behind the end was accepted")
	}
}

// TestCoRIMIsNothingElse: one key signs it, Credentials and manifests.
func TestCoRIMIsNothingElse(t *testing.T) {
	raw := signCoRIM(t, corimPayload, attesttest.OEMKey)
	if _, err := attest.DecodeCredential(raw); err == nil {
		t.Error("a CoRIM was read as a credential")
	}
	if _, err := attest.DecodeManifest(raw); err == nil {
		t.Error("a CoRIM was read as a manifest")
	}
	if _, err := attest.DecodeCoRIM(signManifest(t, manifestOf(1), attesttest.OEMKey)); err == nil {
		t.Error("a manifest was read as a CoRIM")
	}
	for _, v := range loadVectors(t) {
		if _, err := attest.DecodeCoRIM(v.Bytes()); err == nil {
			t.Errorf("%s %s was read as a CoRIM", v.ID, v.Title)
		}
	}
}

// ruby-cose, which shares no code with this package, verifies a CoRIM, and not one of another key.
func TestSecondOpinionOnCoRIM(t *testing.T) {
	peertest.Use(t, rubyCOSE, "verifies a CoRIM's signature as we do")
	point, err := attesttest.OEMKey.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := attest.SignCoRIM(nil, corimIssuer, corimPayload, attesttest.Signer(attesttest.Key("stranger")), attest.KeyIDOf(&attesttest.OEMKey.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	good, long := signCoRIM(t, corimPayload, attesttest.OEMKey), signCoRIM(t, make([]byte, 70_000), attesttest.OEMKey)
	var lines strings.Builder
	for name, raw := range map[string][]byte{"good": good, "long": long, "foreign": foreign} {
		fmt.Fprintf(&lines, "%s %x %x %x\n", name, raw, point[1:33], point[33:])
	}
	out := runRuby(t, lines.String())
	for _, want := range []string{"good ok\n", "long ok\n", "foreign signature\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("ruby-cose says\n%s", out)
		}
	}
}

// FuzzCoRIM: the frame of what is accepted is what would be written around its content, and obeys the grammar.
func FuzzCoRIM(f *testing.F) {
	raw := signCoRIM(f, corimPayload, attesttest.OEMKey)
	f.Add(raw)
	f.Add(raw[:len(raw)-1])
	f.Add(signCoRIM(f, []byte{}, attesttest.Key384("oem credential")))
	c := grammar(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := attest.DecodeCoRIM(raw)
		if err != nil {
			return
		}
		if err := c.obeys(t, "signed-corim", raw); err != nil {
			t.Errorf("accepted, but not by profile.cddl: %v", err)
		}
		signer, signature := attesttest.Signer(attesttest.OEMKey), 64
		if header := raw[len(raw)-signature-2:]; header[0] != 0x58 || header[1] != 64 { // no byte string of 64
			signer, signature = attesttest.Signer(attesttest.Key384("oem credential")), 96
		}
		again, err := attest.SignCoRIM(nil, got.Signer, got.Payload, signer, got.KeyID)
		if err != nil || len(again) != len(raw) || !bytes.Equal(again[:len(again)-signature], raw[:len(raw)-signature]) {
			t.Errorf("%x was accepted, and would be written as %x, %v", raw, again, err)
		}
	})
}
