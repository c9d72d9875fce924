package attest_test

import (
	"bytes"
	"strings"
	"testing"

	"imei-attest/attest"
)

func sampleProof() attest.CounterProof {
	p := attest.CounterProof{Clock: 1 << 40, ResetCount: 7, RestartCount: 3, Safe: true, Firmware: 0x2023010700120034, Counter: 300}
	copy(p.Signature[:], bytes.Repeat([]byte{0xA5}, len(p.Signature)))
	return p
}

func TestCounterProofRoundTrip(t *testing.T) {
	for _, p := range []attest.CounterProof{sampleProof(), {}, {Clock: 1<<64 - 1, ResetCount: 1<<32 - 1, Counter: 1<<64 - 1}} {
		raw, err := p.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := attest.DecodeCounterProof(raw); err != nil || got != p {
			t.Errorf("%v: got %v, %v", p, got, err)
		}
		for n := range raw {
			if _, err := attest.DecodeCounterProof(raw[:n]); err == nil {
				t.Errorf("the first %d bytes of %x were accepted", n, raw)
			}
		}
	}
}

func TestDecodeCounterProofRefuses(t *testing.T) {
	raw, err := sampleProof().Encode()
	if err != nil {
		t.Fatal(err)
	}
	const safe = 1 + 1 + 2 + 16 // array, kind, head of the byte string of 25, clock and counts
	change := func(at int, to byte) []byte {
		changed := bytes.Clone(raw)
		changed[at] = to
		return changed
	}
	for name, c := range map[string]struct {
		raw  []byte
		want attest.Class
	}{
		"another kind":               {change(1, 2), attest.ClassProfile},
		"another kind and shape":     {[]byte{0x82, 2, 0xA0}, attest.ClassProfile},
		"safe is neither yes nor no": {change(safe, 2), attest.ClassClaim},
		"a byte behind the end":      {append(bytes.Clone(raw), 0), attest.ClassTrailing},
		"a long head":                {append([]byte{0x98, 4}, raw[1:]...), attest.ClassNonPreferred},
		"an array of three":          {change(0, 0x83), ""},
		"an array of one":            {[]byte{0x81, 1}, attest.ClassClaim},
		"a map":                      {[]byte{0xA0}, attest.ClassProfile},
		"nothing":                    {nil, ""},
	} {
		_, err := attest.DecodeCounterProof(c.raw)
		if err == nil || c.want != "" && attest.ClassOf(err) != c.want {
			t.Errorf("%s: error %v of class %q, want %q", name, err, attest.ClassOf(err), c.want)
		}
	}
}

func TestCounterProofShowsNoSignature(t *testing.T) {
	if s := sampleProof().String(); strings.Contains(s, "a5a5") || !strings.Contains(s, "counter 300") {
		t.Error(s)
	}
}
