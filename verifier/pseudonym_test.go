package verifier_test

import (
	"bytes"
	"strings"
	"testing"

	"imei-attest/attest/attesttest"
	"imei-attest/attest/imei"
	"imei-attest/verifier"
)

func TestSeparateKeysForDevicesAndSubscribers(t *testing.T) {
	same := verifier.PseudonymKeys{Current: verifier.PseudonymKey{1}}
	if _, err := verifier.NewPseudonyms(same, same); err == nil || !strings.Contains(err.Error(), "are the same") {
		t.Errorf("one key for both kinds: %v", err)
	}
	id := same.Current.ID()
	if other := (verifier.PseudonymKey{2}); other.ID() == id {
		t.Error("two keys have one name")
	}
}

func TestPseudonymsOfARotation(t *testing.T) {
	old := verifier.PseudonymKeys{Current: verifier.PseudonymKey{1}}
	subscribers := verifier.PseudonymKeys{Current: verifier.PseudonymKey{9}}
	before, err := verifier.NewPseudonyms(old, subscribers)
	if err != nil {
		t.Fatal(err)
	}
	during, err := verifier.NewPseudonyms(verifier.PseudonymKeys{Current: verifier.PseudonymKey{2}, Former: &old.Current}, subscribers)
	if err != nil {
		t.Fatal(err)
	}
	was, is := before.Device(id1), during.Device(id1)
	if is.Former != was.Current || is.Current == was.Current || !is.Is(was.Current) || is.Is(before.Device(id2).Current) {
		t.Errorf("before %v, during %v", was, is)
	}
	if s := during.Subscriber("alice"); s.Former != (verifier.Pseudonym{}) || s != before.Subscriber("alice") {
		t.Errorf("subscribers were not rotated: %v", s)
	}
	if a := (verifier.Alias{}); a.Is(verifier.Pseudonym{}) {
		t.Error("nobody is somebody")
	}
}

// TestPresentationsAreTheSame as Presentation.Same has it.
func TestPresentationsAreTheSame(t *testing.T) {
	p := verifier.RandomPseudonyms()
	base := verifier.Presentation{Nonce: attesttest.Nonce(), Token: [32]byte{1}, Subscriber: "alice", Signalled: id1, Front: verifier.FrontSIP}
	for name, change := range map[string]func(*verifier.Presentation){
		"nothing":            func(*verifier.Presentation) {},
		"another front":      func(q *verifier.Presentation) { q.Front = verifier.FrontHTTP },
		"by the device":      func(q *verifier.Presentation) { q.Front = verifier.FrontDevice },
		"another token":      func(q *verifier.Presentation) { q.Token[31]++ },
		"another subscriber": func(q *verifier.Presentation) { q.Subscriber = "alic" },
		"no subscriber":      func(q *verifier.Presentation) { q.Subscriber = "" },
		"another IMEI":       func(q *verifier.Presentation) { q.Signalled = id2 },
		"no IMEI":            func(q *verifier.Presentation) { q.Signalled = imei.IMEI{} },
		"digits that move": func(q *verifier.Presentation) {
			q.Signalled, q.Subscriber = attesttest.MustIMEI(attesttest.IMEI2), base.Signalled.Body()+"alice"
		},
	} {
		other := base
		other.Nonce = bytes.Clone(base.Nonce)
		change(&other)
		if got, want := p.Presentation(&base) == p.Presentation(&other), base.Same(&other); got != want {
			t.Errorf("%s: same %v, want %v", name, got, want)
		}
	}
}
