package attest_test

import (
	"bytes"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/testbench/peertest"

	"github.com/fxamacker/cbor/v2"
)

func manifestOf(entries int) attest.Manifest {
	m := attest.Manifest{Issuer: "tag:example,2026:oem", IssuedAt: attesttest.Now, Batch: "line 1"}
	for i := range entries {
		m.Digests = append(m.Digests, attest.DigestOf([]byte{byte(i), byte(i >> 8)}))
	}
	return m
}

func signManifest(t testing.TB, m attest.Manifest, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	raw, err := attest.SignManifest(nil, m, attesttest.Signer(key), attest.KeyIDOf(&key.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestManifestRoundTrip(t *testing.T) {
	c := grammar(t)
	for _, key := range []*ecdsa.PrivateKey{attesttest.OEMKey, attesttest.Key384("oem credential")} {
		for _, entries := range []int{1, 2, 65, 3000} {
			m := manifestOf(entries)
			raw := signManifest(t, m, key)
			got, err := attest.DecodeManifest(raw)
			if err != nil {
				t.Fatalf("%d entries: %v", entries, err)
			}
			if err := got.Verify(&key.PublicKey); err != nil || got.Verify(&attesttest.Key("stranger").PublicKey) == nil {
				t.Errorf("%d entries: verifies under its key: %v, or under another", entries, err)
			}
			if again := signManifest(t, got.Manifest, key); !bytes.Equal(again, raw) {
				t.Errorf("%d entries: not deterministic", entries)
			}
			if err := c.obeys(t, "manifest", raw); err != nil {
				t.Errorf("%d entries: %v", entries, err)
			}
			got.Digests, m.Digests = nil, nil
			if !reflect.DeepEqual(got.Manifest, m) {
				t.Errorf("got %+v, want %+v", got.Manifest, m)
			}
		}
	}
}

// One key signs both: neither is ever the other.
func TestManifestIsNoCredential(t *testing.T) {
	if _, err := attest.DecodeCredential(signManifest(t, manifestOf(1), attesttest.OEMKey)); err == nil {
		t.Error("a manifest was read as a credential")
	}
	if _, err := attest.DecodeManifest(attesttest.SignedCredential(randomCredential(source()))); err == nil {
		t.Error("a credential was read as a manifest")
	}
	for _, v := range loadVectors(t) {
		if _, err := attest.DecodeManifest(v.Bytes()); err == nil {
			t.Errorf("%s %s was read as a manifest", v.ID, v.Title)
		}
	}
}

func TestManifestIsRefused(t *testing.T) {
	type claims = map[any]any
	a, b := bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32)
	body := func(label, value any) claims {
		c := claims{1: "tag:example,2026:oem", 6: 1, 265: attest.ManifestProfile, -70021: "b", -70022: 2, -70023: []any{a, b}}
		c[label] = value
		if value == nil {
			delete(c, label)
		}
		return c
	}
	for _, tt := range []struct {
		what  string
		body  any
		class attest.Class
	}{
		{"no issuer", body(1, nil), attest.ClassClaim},
		{"issuer of 65 bytes", body(1, strings.Repeat("i", 65)), attest.ClassClaim},
		{"no time", body(6, nil), attest.ClassClaim},
		{"a time that is a float", body(6, 1.5), attest.ClassClaim},
		{"no profile", body(265, nil), attest.ClassClaim},
		{"another profile", body(265, attest.EvidenceProfile), attest.ClassProfile},
		{"no name", body(-70021, nil), attest.ClassClaim},
		{"name of 65 bytes", body(-70021, strings.Repeat("b", 65)), attest.ClassClaim},
		{"name that moves the cursor", body(-70021, "b\x1b[2K"), attest.ClassClaim},
		{"no count", body(-70022, nil), attest.ClassClaim},
		{"a count too high", body(-70022, 3), attest.ClassClaim},
		{"no list", body(-70023, nil), attest.ClassClaim},
		{"an empty list", body(-70023, []any{}), attest.ClassClaim},
		{"not sorted", body(-70023, []any{b, a}), attest.ClassClaim},
		{"one twice", body(-70023, []any{a, a}), attest.ClassClaim},
		{"a digest of 31 bytes", body(-70023, []any{a[1:], b}), attest.ClassClaim},
		{"a digest as text", body(-70023, []any{a, "b"}), attest.ClassClaim},
		{"an unknown entry", body(7, 1), attest.ClassClaim},
		{"a list for a body", []any{1}, attest.ClassClaim},
	} {
		_, err := attest.DecodeManifest(framed(t, tt.body))
		if format := new(attest.FormatError); !errors.As(err, &format) || format.Class != tt.class {
			t.Errorf("%s: %v, want class %s", tt.what, err, tt.class)
		}
	}
}

// framed puts a payload into a message whose signature nobody checks.
func framed(t *testing.T, payload any) []byte {
	t.Helper()
	mode, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		t.Fatal(err)
	}
	encode := func(v any) []byte {
		raw, err := mode.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	kid := make([]byte, 16)
	return encode(cbor.Tag{Number: 18, Content: []any{encode(map[int]any{1: -7, 4: kid}), map[int]any{}, encode(payload), make([]byte, 64)}})
}

func TestManifestInPieces(t *testing.T) {
	raw := signManifest(t, manifestOf(3), attesttest.OEMKey)
	for n := range raw {
		if _, err := attest.DecodeManifest(raw[:n]); err == nil {
			t.Errorf("the first %d of %d bytes were accepted", n, len(raw))
		}
	}
	for n := range raw {
		spoiled := bytes.Clone(raw)
		spoiled[n] ^= 1
		if m, err := attest.DecodeManifest(spoiled); err == nil && m.Verify(&attesttest.OEMKey.PublicKey) == nil {
			t.Errorf("byte %d was changed, and it verifies", n)
		}
	}
	if _, err := attest.DecodeManifest(append(bytes.Clone(raw), 0)); err == nil {
		t.Error("a byte behind the end was accepted")
	}
	var tag cbor.Tag
	if err := cbor.Unmarshal(raw, &tag); err != nil {
		t.Fatal(err)
	}
	tag.Content.([]any)[1] = map[any]any{9: 9}
	enclosed, err := cbor.Marshal(tag)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := attest.DecodeManifest(enclosed); err == nil {
		t.Error("an unprotected header was accepted")
	}
}

func TestSignManifestRefuses(t *testing.T) {
	twice := manifestOf(2)
	twice.Digests[1] = twice.Digests[0]
	for what, m := range map[string]attest.Manifest{"nothing": manifestOf(0), "a digest twice": twice} {
		if _, err := attest.SignManifest(nil, m, attesttest.Signer(attesttest.OEMKey), attest.KeyID{}); err == nil {
			t.Errorf("a manifest of %s was signed", what)
		}
	}
}

// TestALongManifestIsSignedByTheBook: the Sig_structure (RFC 9052 section 4.4) as another encoder writes it, at lengths that
// need each form of a head.
func TestALongManifestIsSignedByTheBook(t *testing.T) {
	for _, entries := range []int{1, 70, 3000} {
		var tag cbor.Tag
		if err := cbor.Unmarshal(signManifest(t, manifestOf(entries), attesttest.OEMKey), &tag); err != nil {
			t.Fatal(err)
		}
		parts := tag.Content.([]any)
		content, err := cbor.Marshal([]any{"Signature1", parts[0], []byte{}, parts[2]})
		if err != nil {
			t.Fatal(err)
		}
		if err := attest.Verify(&attesttest.OEMKey.PublicKey, content, parts[3].([]byte)); err != nil {
			t.Errorf("%d entries, %d bytes: %v", entries, len(content), err)
		}
	}
}

// ruby-cose, which shares no code with this package, verifies a manifest, and not one of another key.
func TestSecondOpinionOnManifest(t *testing.T) {
	peertest.Use(t, rubyCOSE, "verifies a manifest's signature as we do")
	point, err := attesttest.OEMKey.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	kid := attest.KeyIDOf(&attesttest.OEMKey.PublicKey)
	foreign, err := attest.SignManifest(nil, manifestOf(70), attesttest.Signer(attesttest.Key("stranger")), kid)
	if err != nil {
		t.Fatal(err)
	}
	var lines strings.Builder
	long := signManifest(t, manifestOf(3000), attesttest.OEMKey) // longer than 64 KiB
	for name, raw := range map[string][]byte{"good": signManifest(t, manifestOf(70), attesttest.OEMKey), "long": long, "foreign": foreign} {
		fmt.Fprintf(&lines, "%s %x %x %x\n", name, raw, point[1:33], point[33:])
	}
	out := runRuby(t, lines.String())
	if !strings.Contains(out, "good ok\n") || !strings.Contains(out, "long ok\n") || !strings.Contains(out, "foreign signature\n") {
		t.Errorf("ruby-cose says\n%s", out)
	}
}

// FuzzManifest: what is accepted is what would be signed for what came out, so that no other bytes say the same.
func FuzzManifest(f *testing.F) {
	signer := attesttest.Signer(attesttest.OEMKey)
	for _, n := range []int{1, 3} {
		raw, err := attest.SignManifest(nil, manifestOf(n), signer, attest.KeyIDOf(&attesttest.OEMKey.PublicKey))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
		f.Add(raw[:len(raw)/2])
	}
	payload := func(t *testing.T, raw []byte) []byte {
		var tag cbor.Tag
		if err := cbor.Unmarshal(raw, &tag); err != nil {
			t.Fatal(err)
		}
		return tag.Content.([]any)[2].([]byte)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := attest.DecodeManifest(raw)
		if err != nil {
			return
		}
		again, err := attest.SignManifest(nil, m.Manifest, signer, m.KeyID)
		if err != nil || !bytes.Equal(payload(t, again), payload(t, raw)) {
			t.Errorf("%x was accepted, and would be signed as %x, %v", raw, again, err)
		}
	})
}
