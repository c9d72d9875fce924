package verifier_test

import (
	"context"
	"crypto/ecdsa"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/attest/imei"
	"imei-attest/verifier"
	"imei-attest/verifier/store"
)

// board is a device with a key of its own, endorsed for IMEIs under a serial.
type board struct {
	key        *ecdsa.PrivateKey
	credential []byte
	slots      []imei.IMEI
}

func newBoard(name string, serial uint64, edits ...func(*attest.Credential)) board {
	key := attesttest.Key(name)
	c := endorsed(append([]func(*attest.Credential){func(c *attest.Credential) { c.Key, c.Serial = &key.PublicKey, serial }}, edits...)...)
	return board{key, attesttest.SignedCredential(c), c.Slots}
}

func (b board) token(n attest.Nonce, edits ...func(*attest.Claims)) []byte {
	c := attesttest.Claims()
	c.Nonce = n
	provisioned(b.slots...)(&c)
	var answers []attest.Observed
	for _, id := range b.slots {
		answers = append(answers, says(id))
	}
	modem(answers...)(&c)
	for _, edit := range edits {
		edit(&c)
	}
	raw, err := attest.SignEvidence(nil, c, attesttest.Signer(b.key), attest.KeyIDOf(&b.key.PublicKey), attest.Enclosure{Credential: b.credential})
	if err != nil {
		panic(err)
	}
	return raw
}

const (
	otherIssuer = "tag:example,2026:contractor"
	duplicate   = "slot1 contraindicated: imei-consistent" + good + " duplicate-key"
	superseding = affirmed + " superseded"
)

// other is a Credential of another manufacturer, that signs with the key of the first in these tests.
func other(c *attest.Credential) { c.Issuer = otherIssuer }

// successions is step 8: what a second board is after the first held the IMEI, and the first after it.
var successions = []struct {
	name          string
	first, second board
	want, after   string
}{
	{"a higher serial supersedes, and the board that was swapped is refused", newBoard("first", 1), newBoard("second", 2), superseding, duplicate},
	{"the highest serial supersedes", newBoard("first", 1<<64-2), newBoard("second", 1<<64-1), superseding, duplicate},
	{"an equal serial is a duplicate, and the holder is not", newBoard("first", 1), newBoard("second", 1), duplicate, affirmed},
	{"a lower serial is a duplicate, and the holder is not", newBoard("first", 2), newBoard("second", 1), duplicate, affirmed},
	{"another IMEI is nobody's business", newBoard("first", 1), newBoard("second", 1, slots(id2)), affirmed, affirmed},
	{"the same key under a higher serial is the same device", newBoard("first", 1), newBoard("first", 2), affirmed, affirmed},
	{"the same key under a lower serial is the same device", newBoard("first", 2), newBoard("first", 1), affirmed, affirmed},
	{"a second slot supersedes", newBoard("first", 1, slots(id2)), newBoard("second", 2, slots(id1, id2)),
		"slot1 affirming: imei-consistent" + good + " | slot2 affirming: imei-consistent" + good + " superseded", duplicate},
	{"a duplicate in one slot takes the other slot neither", newBoard("first", 1, slots(id2)), newBoard("second", 1, slots(id1, id2)),
		"slot1 affirming: imei-consistent" + good + " | slot2 contraindicated: imei-consistent" + good + " duplicate-key", affirmed},
	{"another issuer is a duplicate, whatever the serial", newBoard("first", 1), newBoard("second", 9, other), duplicate, affirmed},
	{"another issuer is a duplicate the other way, too", newBoard("first", 1, other), newBoard("second", 9), duplicate, affirmed},
}

// newFactories trusts a second manufacturer, too.
func newFactories(t *testing.T) *lab {
	l := newLab(t)
	l.SetTrust(trustingBoth(t, true))
	return l
}

func trustingBoth(t *testing.T, second bool) *verifier.Trust {
	trust := trusting(anchor())
	if second {
		contractor := anchor()
		contractor.Issuer = otherIssuer
		if err := trust.Keys.Add(public("contractor"), contractor); err != nil {
			t.Fatal(err)
		}
	} else {
		trust.Generation = 2
	}
	return trust
}

// resigned is the board's Credential under the key of its issuer.
func (b board) resigned() board {
	c, err := attest.DecodeCredential(b.credential)
	if err == nil && c.Issuer == otherIssuer {
		b.credential = issued(c.Credential, attesttest.Key("contractor"), attest.KeyIDOf(public("contractor")))
	}
	return b
}

func TestSuccession(t *testing.T) {
	for _, c := range successions {
		t.Run(c.name, func(t *testing.T) {
			l, first, second := newFactories(t), c.first.resigned(), c.second.resigned()
			for _, step := range []struct {
				name  string
				board board
				want  string
			}{{"first", first, affirmed}, {"second", second, c.want}, {"first again", first, c.after}} {
				if got := l.judge(step.board.token(l.mint()), nil); got != step.want {
					t.Errorf("%s:\n got %s\nwant %s", step.name, got, step.want)
				}
			}
		})
	}
}

// TestASwapInAShop: the honest owner's new board is affirmed at once and stays so, and who has the old board cannot change
// that, nor rest on what it once was.
func TestASwapInAShop(t *testing.T) {
	l, old, swapped := newLab(t), newBoard("old", 1), newBoard("new", 2)
	alice := registering(id1, by("alice@example"), again)
	l.judge(old.token(l.mint()), registering(id1, by("thief@example"), again))
	if got := l.judge(nil, registering(id1, by("thief@example"), again)); got == "registration warning: evidence-missing" {
		t.Fatalf("before the swap: %s", got)
	}
	l.judge(swapped.token(l.mint()), alice)
	before := l.state()
	for _, attack := range [][]byte{old.token(l.mint()), old.token(l.mint(), modem(says(stranger))), nil} {
		result := l.appraise(attack, registering(id1, by("thief@example"), again))
		if s := result.Status(); s != attest.StatusContraindicated && (attack != nil || s != attest.StatusWarning) {
			t.Errorf("the old board got %s", summary(result))
		}
	}
	if got := l.state(); !reflect.DeepEqual(got, before) {
		t.Errorf("the old board changed what is kept to\n%+v, was\n%+v", got, before)
	}
	l.now = l.now.Add(time.Hour)
	if got, want := l.judge(swapped.token(l.mint()), nil), affirmed; got != want {
		t.Errorf("the new board got %s, want %s", got, want)
	}
	if got, want := l.judge(nil, alice), affirmed+" | registration warning: imei-consistent subscriber-unbound client-unverified"; got != superseding+want[len(affirmed):] {
		t.Errorf("its owner without evidence got %s, want %s", got, want)
	}
}

// TestAnOutdatedCredentialTakesNothingFromItsHolder: its serial stays the highest that was shown.
func TestAnOutdatedCredentialTakesNothingFromItsHolder(t *testing.T) {
	l := newLab(t)
	for _, step := range []struct {
		board board
		want  string
	}{{newBoard("first", 3), affirmed}, {newBoard("first", 1), affirmed}, {newBoard("second", 2), duplicate}, {newBoard("second", 4), superseding}} {
		if got := l.judge(step.board.token(l.mint()), nil); got != step.want {
			t.Errorf("got %s, want %s", got, step.want)
		}
	}
}

// TestSerialsOfAnotherManufacturerCountForNothing once a device has a Credential of the one that took it over.
func TestSerialsOfAnotherManufacturerCountForNothing(t *testing.T) {
	l := newFactories(t)
	for _, step := range []struct {
		board board
		want  string
	}{{newBoard("first", 9), affirmed}, {newBoard("first", 1, other), affirmed}, {newBoard("second", 5, other), superseding}} {
		if got := l.judge(step.board.resigned().token(l.mint()), nil); got != step.want {
			t.Errorf("got %s, want %s", got, step.want)
		}
	}
}

// TestAHolderThatWasGivenAnotherIMEI holds the former one no longer.
func TestAHolderThatWasGivenAnotherIMEI(t *testing.T) {
	l := newLab(t)
	for _, b := range []board{newBoard("first", 1), newBoard("first", 2, slots(id2))} {
		if got := l.judge(b.token(l.mint()), nil); got != affirmed {
			t.Errorf("got %s, want %s", got, affirmed)
		}
	}
	if got := l.judge(newBoard("second", 1).token(l.mint()), nil); got != superseding {
		t.Errorf("got %s, want %s", got, superseding)
	}
}

// TestAHolderOnceItsManufacturerIsNotTrusted any longer holds nothing.
func TestAHolderOnceItsManufacturerIsNotTrusted(t *testing.T) {
	l, first, second := newFactories(t), newBoard("first", 5, other).resigned(), newBoard("second", 1)
	l.judge(first.token(l.mint()), nil)
	if got := l.judge(second.token(l.mint()), nil); got != duplicate {
		t.Errorf("while it is trusted: %s, want %s", got, duplicate)
	}
	l.SetTrust(trustingBoth(t, false))
	if got := l.judge(second.token(l.mint()), nil); got != superseding {
		t.Errorf("since it is not: %s, want %s", got, superseding)
	}
}

// TestAForgedSuccessionTakesNothing: a Credential under a higher serial without its key, or without the manufacturer's.
func TestAForgedSuccessionTakesNothing(t *testing.T) {
	for name, forge := range map[string]func(l *lab) []byte{
		"without the device key": func(l *lab) []byte {
			return signed(l.mint(), mallory, attest.KeyIDOf(public("second")), newBoard("second", 2).credential)
		},
		"without the manufacturer's key": func(l *lab) []byte {
			b := newBoard("second", 2)
			c, _ := attest.DecodeCredential(b.credential)
			b.credential = issued(c.Credential, mallory, attest.KeyIDOf(&attesttest.OEMKey.PublicKey))
			return b.token(l.mint())
		},
		"with an expired nonce": func(*lab) []byte { return newBoard("second", 2).token(attesttest.Nonce()) },
	} {
		l, first := newLab(t), newBoard("first", 1)
		l.judge(first.token(l.mint()), nil)
		before := l.state()
		l.judge(forge(l), nil)
		if got := l.state(); !reflect.DeepEqual(got, before) {
			t.Errorf("%s: what is kept became\n%+v, was\n%+v", name, got, before)
		}
		if got := l.judge(first.token(l.mint()), nil); got != affirmed {
			t.Errorf("%s: the holder got %s, want %s", name, got, affirmed)
		}
	}
}

// TestTwoFactoriesAtOnce: of two keys under one serial one gets the IMEI.
func TestTwoFactoriesAtOnce(t *testing.T) {
	l := newLab(t)
	var tokens [][]byte
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		tokens = append(tokens, newBoard(name, 1).token(l.mint()))
	}
	counts := l.judgeAtOnce(tokens)
	if counts[affirmed] != 1 || counts[duplicate] != len(tokens)-1 {
		t.Errorf("got %v, want one affirmed", counts)
	}
}

// TestAHolderIsReadWhereItMayBeAnother: a device that attested before is taken for the holder until its decision is committed.
func TestAHolderIsReadWhereItMayBeAnother(t *testing.T) {
	l, s := newLab(t), &asking{Memory: store.NewMemory()}
	l.restart(s)
	first, second := newBoard("first", 1), newBoard("second", 2)
	used := first.token(l.mint())
	for _, c := range []struct {
		name   string
		token  []byte
		want   string
		asked  int64
		holder board // as recorded
	}{
		{"at first", used, affirmed, 1, board{}},
		{"later", first.token(l.mint()), affirmed, 0, first},
		{"another board", second.token(l.mint()), superseding, 1, first},
		{"that one later", second.token(l.mint()), affirmed, 0, second},
		{"the one that was superseded", first.token(l.mint()), duplicate, 1, second},
		{"what it showed before", used, nonceExpired, 1, second},
		{"a second try of it", first.token(mustDecode(t, used).Claims.Nonce, revision("R9")), nonceExpired, 1, second},
	} {
		before := s.asked.Load()
		v := l.decide(verifier.Input{Evidence: c.token, Now: l.now})
		r, _, err := l.Record(context.Background(), v.ID)
		if err != nil {
			t.Fatal(err)
		}
		want := attest.KeyID{}
		if c.holder.key != nil {
			want = attest.KeyIDOf(&c.holder.key.PublicKey)
		}
		asked, holder := s.asked.Load()-before, r.Facts.Evidence.Slots[0].Holder.Key
		if got := summary(v.Result); got != c.want || asked != c.asked || holder != want {
			t.Errorf("%s: %s with holder %s, asked for %d times; want %s with %s, %d times", c.name, got, holder, asked, c.want, want, c.asked)
		}
	}
}

// TestSubscribersAreReadWhereThereMayBeOthers: a device that attested before is taken to be with one subscriber until its decision is committed.
func TestSubscribersAreReadWhereThereMayBeOthers(t *testing.T) {
	l, s := newLab(t), &asking{Memory: store.NewMemory()}
	l.restart(s)
	first := l.token(credential())
	for _, c := range []struct {
		name, subscriber string
		token            []byte
		duplicate        bool
		reads            int64
	}{
		{"at first", "alice@example", first, false, 1},
		{"later", "alice@example", l.token(nil), false, 0},
		{"what it showed before", "alice@example", first, false, 1},
		{"another subscriber", "bob@example", l.token(nil), false, 1},
		{"the first once more", "alice@example", l.token(nil), true, 1},
	} {
		before := s.seen.Load()
		got := l.appraise(c.token, registering(id1, by(c.subscriber)))
		if is, reads := slices.Contains(got.Reasons(), attest.ReasonDuplicateSubscriber), s.seen.Load()-before; is != c.duplicate || reads != c.reads {
			t.Errorf("%s: %s, read %d times; want %s: %v, %d times", c.name, summary(got), reads, attest.ReasonDuplicateSubscriber, c.duplicate, c.reads)
		}
	}
}

// overtaken is a store that lets something happen before a decision is committed.
type overtaken struct {
	*store.Memory
	before func()
}

func (s *overtaken) Commit(ctx context.Context, d verifier.Decision) (verifier.Commitment, error) {
	if happen := s.before; happen != nil {
		s.before = nil
		happen()
	}
	return s.Memory.Commit(ctx, d)
}

// TestTwoSubscribersAtOnce: of two that relay to one device, whoever is judged first, the one who is recorded last is found out.
func TestTwoSubscribersAtOnce(t *testing.T) {
	for name, before := range map[string]func(*lab){
		"of a device that is known":                      func(*lab) {},
		"of a device whose Credential is verified again": func(l *lab) { l.SetTrust(later(trusting(anchor()))) },
		"of a device that another subscriber had": func(l *lab) {
			l.judge(l.token(nil), registering(id1, by("carol@example")))
			l.now = l.now.Add(48 * time.Hour)
		},
	} {
		l, s := newLab(t), &overtaken{Memory: store.NewMemory()}
		l.restart(s)
		l.judge(l.token(credential()), nil)
		before(l)
		alices, bobs := l.token(nil), l.token(nil)
		l.now = l.now.Add(time.Minute)
		var bob attest.Result
		s.before = func() { bob = l.appraise(bobs, registering(id1, by("bob@example"))) }
		alice := l.appraise(alices, registering(id1, by("alice@example")))
		if slices.Contains(bob.Reasons(), attest.ReasonDuplicateSubscriber) || !slices.Contains(alice.Reasons(), attest.ReasonDuplicateSubscriber) {
			t.Errorf("%s: recorded first: %s; last: %s; want %s of the last alone", name, summary(bob), summary(alice), attest.ReasonDuplicateSubscriber)
		}
	}
}

// TestWhoeverIsFoundOutIsNotJudgedAgain: many who relay to one device at once cost two judgements each, however many they are.
func TestWhoeverIsFoundOutIsNotJudgedAgain(t *testing.T) {
	l, s := newLab(t), &overtaken{Memory: store.NewMemory()}
	l.restart(s)
	l.judge(l.token(credential()), nil)
	var tokens [][]byte
	for range 6 {
		tokens = append(tokens, l.token(nil))
	}
	l.now = l.now.Add(time.Minute)
	tries := 0
	var another func()
	another = func() {
		if tries++; tries < len(tokens) {
			l.appraise(tokens[tries], registering(id1, by(fmt.Sprintf("subscriber%d@example", tries))))
			s.before = another
		}
	}
	s.before = another
	got := l.appraise(tokens[0], registering(id1, by("alice@example")))
	if s.before = nil; tries != 2 || !slices.Contains(got.Reasons(), attest.ReasonDuplicateSubscriber) {
		t.Errorf("%s after %d tries, want 2", summary(got), tries)
	}
}

// later is a trust of the next generation.
func later(t *verifier.Trust) *verifier.Trust {
	t.Generation++
	return t
}

func mustDecode(t *testing.T, token []byte) *attest.Evidence {
	e, err := attest.DecodeEvidence(token)
	if err != nil {
		t.Fatal(err)
	}
	return e
}
