package registrar

import (
	"encoding/hex"
	"fmt"
	"testing"
)

func bytes16(t *testing.T, text string) [16]byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != 16 {
		t.Fatalf("%q: %v", text, err)
	}
	return [16]byte(b)
}

// TestMilenage is test set 1 (TS 35.207 clause 4.3).
func TestMilenage(t *testing.T) {
	s := keys{bytes16(t, "465b5ce8b199b49faa5f0a2ee238a6bc"), bytes16(t, "cd63cb71954a9f4e48a5994e37a02baf")}
	v := s.vector(bytes16(t, "23553cbe9637a89d218ae64dae47bf35"), 0xff9bb4d0b607)
	got := fmt.Sprintf("res %x, ck %x, ik %x, autn %x", v.res, v.ck, v.ik, v.autn)
	// AUTN is SQN xor AK, AMF, MAC.
	want := "res a54211d5e3ba50bf, ck b40ba9a3c58b2a05bbf0d987b21bf8cb, ik f769bcd751044604127672711c6d3441, autn 55f328b43577b9b94a9ffac354dfafb3"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestUSIM answers its home network, and no other.
func TestUSIM(t *testing.T) {
	home, other := NewSubscriber("001010000000017").keys, NewSubscriber("001010000000029").keys
	v := home.vector([16]byte{1, 2, 3}, 7)
	if res, err := home.respond(v.rand, v.autn); err != nil || res != v.res {
		t.Errorf("the home network's challenge: %x, %v, want %x", res, err, v.res)
	}
	if res, err := other.respond(v.rand, v.autn); err != errNotOurNetwork || res != [8]byte{} {
		t.Errorf("another network's challenge: %x, %v", res, err)
	}
	for i := range v.autn {
		forged := v.autn
		forged[i] ^= 1
		if _, err := home.respond(v.rand, forged); err != errNotOurNetwork {
			t.Errorf("AUTN changed in byte %d: %v", i, err)
		}
	}
}
