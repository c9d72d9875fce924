package attesttest_test

import (
	"crypto/ecdsa"
	"errors"
	"testing"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/attest/tpmprofile"
)

func TestVectors(t *testing.T) {
	vectors, keys, err := attesttest.Load()
	if err != nil {
		t.Fatal(err)
	}
	good, seen := 0, make(map[string]bool)
	for _, v := range vectors {
		t.Run(v.ID+" "+v.Title, func(t *testing.T) {
			if seen[v.ID] {
				t.Error("the id stands twice")
			}
			seen[v.ID] = true
			var got string
			switch v.Kind {
			case "evidence":
				e, err := attest.DecodeEvidence(v.Bytes())
				got = judge(t, err, func() error { return e.Verify(keys["evidence"]) })
			case "profile-b":
				got = judgeProved(t, v.Bytes(), keys)
			default:
				c, err := attest.DecodeCredential(v.Bytes())
				got = judge(t, err, func() error {
					return oneOf(c.Verify(keys["credential"]), c.Verify(keys["credential-es384"]))
				})
			}
			if got != v.Expected {
				t.Errorf("got %q, want %q", got, v.Expected)
			}
		})
		if v.Expected == "ok" {
			good++
		}
	}
	if good*2 >= len(vectors) {
		t.Errorf("%d of %d vectors are good: the bad ones must outnumber them", good, len(vectors))
	}
}

func oneOf(a, b error) error {
	if a == nil || b == nil {
		return nil
	}
	return a
}

func judge(t *testing.T, err error, verify func() error) string {
	if err != nil {
		t.Log(err)
		return string(attest.ClassOf(err))
	}
	switch err := verify(); {
	case errors.Is(err, attest.ErrSignature):
		return "signature"
	case err != nil:
		return err.Error()
	}
	return "ok"
}

// judgeProved judges evidence of profile B, and its proof by what its Credential says.
func judgeProved(t *testing.T, raw []byte, keys map[string]*ecdsa.PublicKey) string {
	t.Helper()
	e, err := attest.DecodeEvidence(raw)
	if verdict := judge(t, err, func() error { return e.Verify(keys["profile-b"]) }); verdict != "ok" {
		return verdict
	}
	c, err := attest.DecodeCredential(e.Credential)
	if verdict := judge(t, err, func() error { return c.Verify(keys["credential"]) }); verdict != "ok" {
		t.Fatalf("the Credential: %s", verdict)
	}
	proof, err := attest.DecodeCounterProof(e.TPMProof)
	return judge(t, err, func() error {
		if tpmprofile.VerifyCounterProof(&c.Credential, e.Binding(), proof) != nil {
			return attest.ErrSignature
		}
		return nil
	})
}
