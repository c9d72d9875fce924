package attesttest_test

import (
	"errors"
	"testing"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"
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
			if v.Kind == "evidence" {
				e, err := attest.DecodeEvidence(v.Bytes())
				got = judge(t, err, func() error { return e.Verify(keys["evidence"]) })
			} else {
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
