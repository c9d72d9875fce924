package attest_test

import (
	"bytes"
	"testing"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"

	"github.com/fxamacker/cbor/v2"
)

var deterministic = func() cbor.EncMode {
	m, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		panic(err)
	}
	return m
}()

// seed adds the vectors of a kind: a fuzz target whose seeds got lost would still pass.
func seed(f *testing.F, kind string, floor int) {
	seeds := 0
	for _, v := range loadVectors(f) {
		if v.Kind == kind {
			f.Add(v.Bytes())
			seeds++
		}
	}
	if seeds < floor {
		f.Fatalf("%d seeds, there must be at least %d", seeds, floor)
	}
}

// parts takes a message apart with the CBOR library alone.
type parts struct {
	Protected, Payload, Signature []byte
	Claims                        map[any]any
}

// checkMalleability proves that raw, which was accepted, is the deterministic encoding of its content, at each level.
func checkMalleability(t *testing.T, raw []byte) (p parts) {
	t.Helper()
	same := func(encoded []byte) (value any) {
		if err := cbor.Unmarshal(encoded, &value); err != nil {
			t.Fatalf("accepted, but is no CBOR: %v", err)
		}
		again, err := deterministic.Marshal(value)
		if err != nil || !bytes.Equal(again, encoded) {
			t.Fatalf("accepted %x, encoded again %x (%v)", encoded, again, err)
		}
		return value
	}
	content := same(raw).(cbor.Tag).Content.([]any)
	p.Protected, p.Payload, p.Signature = content[0].([]byte), content[2].([]byte), content[3].([]byte)
	same(p.Protected)
	p.Claims = same(p.Payload).(map[any]any)
	return p
}

// hasUnknown reports claims that the profile does not name.
func (c *cddl) hasUnknown(rule string, claims map[any]any) bool {
	for label := range claims {
		if n, ok := integer(label); !ok || !c.labels[rule][n] {
			return true
		}
	}
	return false
}

func FuzzEvidence(f *testing.F) {
	seed(f, "evidence", 100)
	c := grammar(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, err := attest.DecodeEvidence(raw)
		if err != nil {
			checkDiscreet(t, "input", raw, err)
			return
		}
		p := checkMalleability(t, raw)
		again := checkMalleability(t, attesttest.Token(e.Claims, nil))
		if !c.hasUnknown("evidence-claims", p.Claims) && !bytes.Equal(again.Payload, p.Payload) {
			t.Errorf("claims %x, from what was understood %x", p.Payload, again.Payload)
		}
		if _, err := attest.DecodeCredential(e.Credential); e.Credential == nil || err == nil {
			if err := c.obeys(t, "evidence", raw); err != nil {
				t.Errorf("accepted, but not by profile.cddl: %v", err)
			}
		}
	})
}

func FuzzCredential(f *testing.F) {
	seed(f, "credential", 30)
	c := grammar(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := attest.DecodeCredential(raw)
		if err != nil {
			checkDiscreet(t, "input", raw, err)
			return
		}
		p := checkMalleability(t, raw)
		if err := c.obeys(t, "credential", raw); err != nil {
			t.Errorf("accepted, but not by profile.cddl: %v", err)
		}
		if c.hasUnknown("credential-claims", p.Claims) {
			return
		}
		if again := checkMalleability(t, attesttest.SignedCredential(s.Credential)); !bytes.Equal(again.Payload, p.Payload) {
			t.Errorf("claims %x, from what was understood %x", p.Payload, again.Payload)
		}
	})
}
