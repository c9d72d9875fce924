package attest_test

import (
	"bytes"
	"crypto/ecdsa"
	"errors"
	"testing"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"
)

var sampleCheckpoint = attest.Checkpoint{IssuedAt: attesttest.Now, Sequence: 1<<63 - 1, Hash: [32]byte{1, 31: 2}}

func signCheckpoint(t testing.TB, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	raw, err := attest.SignCheckpoint(nil, sampleCheckpoint, attesttest.Signer(key), attest.KeyIDOf(&key.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestCheckpointRoundTrip(t *testing.T) {
	c := grammar(t)
	for _, key := range []*ecdsa.PrivateKey{attesttest.OEMKey, attesttest.Key384("verifier")} {
		raw := signCheckpoint(t, key)
		got, err := attest.DecodeCheckpoint(raw)
		if err != nil || got.Checkpoint != sampleCheckpoint {
			t.Fatalf("got %+v, %v; want %+v", got, err, sampleCheckpoint)
		}
		if err := got.Verify(&key.PublicKey); err != nil || got.Verify(&attesttest.Key("stranger").PublicKey) == nil {
			t.Errorf("verifies under its key: %v, or under another", err)
		}
		if err := c.obeys(t, "checkpoint", raw); err != nil {
			t.Error(err)
		}
		for n := range raw {
			if _, err := attest.DecodeCheckpoint(raw[:n]); err == nil {
				t.Errorf("the first %d bytes are read as a checkpoint", n)
			}
		}
	}
}

func TestCheckpointIsRefused(t *testing.T) {
	body := func(label int, value any) map[int]any {
		c := map[int]any{6: 1, 265: attest.CheckpointProfile, -70031: 1, -70032: make([]byte, 32)}
		if c[label] = value; value == nil {
			delete(c, label)
		}
		return c
	}
	for _, tt := range []struct {
		name string
		body map[int]any
		want attest.Class
	}{
		{"no time", body(6, nil), attest.ClassClaim},
		{"a time before 1970", body(6, -1), attest.ClassClaim},
		{"no profile", body(265, nil), attest.ClassClaim},
		{"a manifest's profile", body(265, attest.ManifestProfile), attest.ClassProfile},
		{"no sequence", body(-70031, nil), attest.ClassClaim},
		{"sequence 0", body(-70031, 0), attest.ClassClaim},
		{"a sequence above 2^63-1", body(-70031, uint64(1<<63)), attest.ClassClaim},
		{"no hash", body(-70032, nil), attest.ClassClaim},
		{"a short hash", body(-70032, make([]byte, 31)), attest.ClassClaim},
		{"a hash that is a list", body(-70032, []any{1}), attest.ClassClaim},
		{"an entry that is not known", body(7, 1), attest.ClassClaim},
	} {
		_, err := attest.DecodeCheckpoint(framed(t, tt.body))
		var f *attest.FormatError
		if !errors.As(err, &f) || f.Class != tt.want {
			t.Errorf("%s: %v, want class %s", tt.name, err, tt.want)
		}
	}
	if _, err := attest.SignCheckpoint(nil, attest.Checkpoint{IssuedAt: attesttest.Now}, attesttest.Signer(attesttest.OEMKey), attest.KeyID{}); err == nil {
		t.Error("a checkpoint of no entry was signed")
	}
	if _, err := attest.DecodeManifest(signCheckpoint(t, attesttest.OEMKey)); err == nil {
		t.Error("a checkpoint was read as a manifest")
	}
	if _, err := attest.DecodeCheckpoint(signManifest(t, manifestOf(1), attesttest.OEMKey)); err == nil {
		t.Error("a manifest was read as a checkpoint")
	}
}

// FuzzCheckpoint: what is accepted has one encoding, and says the same when it is signed again.
func FuzzCheckpoint(f *testing.F) {
	f.Add(signCheckpoint(f, attesttest.OEMKey))
	f.Add(signCheckpoint(f, attesttest.Key384("verifier")))
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := attest.DecodeCheckpoint(raw)
		if err != nil {
			return
		}
		p := checkMalleability(t, raw)
		again, err := attest.SignCheckpoint(nil, c.Checkpoint, attesttest.Signer(attesttest.OEMKey), c.KeyID)
		if err != nil {
			t.Fatalf("accepted, and cannot be signed: %v", err)
		}
		if payload := checkMalleability(t, again).Payload; !bytes.Equal(payload, p.Payload) {
			t.Errorf("signed again, it says %x, not %x", payload, p.Payload)
		}
	})
}
