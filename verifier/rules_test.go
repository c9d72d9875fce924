package verifier_test

import (
	"cmp"
	"context"
	"errors"
	"reflect"
	"testing"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/attest/imei"
	"imei-attest/verifier"
	"imei-attest/verifier/store"
)

// challengeAnswered is a registration under AKA and the evidence that answers its challenge.
func challengeAnswered() ([]byte, *verifier.Registration) {
	return answering(attest.NonceFrom401(text401), credential()), challenged("AKAv1-MD5")
}

// state is everything that is kept about the victim.
type state struct {
	Credential verifier.Endorsed
	State      verifier.State
	Holders    [3]verifier.Holder // of id1, id2, the stranger's
	Prior      verifier.Prior
	Claim      verifier.Claimed
}

func (l *lab) state() (s state) {
	l.t.Helper()
	ctx := context.Background()
	var errs [7]error
	s.Credential, _, errs[0] = l.store.Credential(ctx, deviceKID)
	for i, id := range []imei.IMEI{id1, id2, stranger} {
		s.Holders[i], errs[1+i] = l.store.Holder(ctx, id)
	}
	s.Prior, _, errs[4] = l.store.Prior(ctx, id1, "alice@example")
	s.State, errs[5] = l.store.State(ctx, deviceKID)
	s.Claim, _, errs[6] = l.store.Claimed(ctx, id1)
	if err := errors.Join(errs[:]...); err != nil {
		l.t.Fatal(err)
	}
	return s
}

// TestRule1OthersCannotHarmTheVictim: only evidence that verifies under the key endorsed for an IMEI changes what is
// kept about the device, or what it gets later.
func TestRule1OthersCannotHarmTheVictim(t *testing.T) {
	outdated := credential(kind(attest.StorageSoftware)) // genuine; the manufacturer has reissued it since
	mallorys := func(l *lab) []byte {
		own := endorsed(func(c *attest.Credential) { c.Key, c.Slots = &mallory.PublicKey, []imei.IMEI{id2} })
		claims := attesttest.Claims()
		claims.Nonce = l.mint()
		provisioned(id2)(&claims)
		modem(says(id2))(&claims)
		raw, err := attest.SignEvidence(nil, claims, attesttest.Signer(mallory), attest.KeyIDOf(&mallory.PublicKey),
			attest.Enclosure{Credential: attesttest.SignedCredential(own)})
		if err != nil {
			panic(err)
		}
		return raw
	}
	for _, c := range []struct {
		name   string
		attack func(l *lab, old []byte) // old is the victim's token that was judged already
		grows  bool                     // mallory's own IMEI becomes known by it, as it should
	}{
		{"forged token", func(l *lab, _ []byte) { l.judge(forged(l.mint(), credential()), registering(id1, by("alice@example"))) }, false},
		{"forged token that names mallory's SIM", func(l *lab, _ []byte) { l.judge(forged(l.mint(), credential(), names(thief)), nil) }, false},
		{"forged token that shows an outdated Credential", func(l *lab, _ []byte) { l.judge(forged(l.mint(), outdated), nil) }, false},
		{"expired token that shows an outdated Credential", func(l *lab, _ []byte) {
			l.judge(answering(attesttest.Nonce(), outdated), nil)
		}, false},
		{"token under the victim's key id with a Credential of one's own", func(l *lab, _ []byte) {
			own := credential(func(c *attest.Credential) { c.Key = &mallory.PublicKey })
			l.judge(forged(l.mint(), own), registering(id1, by("alice@example")))
		}, false},
		{"truncated token", func(l *lab, old []byte) { l.judge(old[:len(old)-1], registering(id1, by("alice@example"))) }, false},
		{"replayed token", func(l *lab, old []byte) { l.judge(old, nil) }, false},
		{"replayed token for one's own registration", func(l *lab, old []byte) { l.judge(old, registering(id1, by("mallory@example"))) }, false},
		{"missing token", func(l *lab, _ []byte) { l.judge(nil, registering(id1, by("mallory@example"))) }, false},
		{"missing token in the victim's name", func(l *lab, _ []byte) { l.judge(nil, registering(id1, by("alice@example"), fromDevice)) }, false},
		{"another device's good token", func(l *lab, _ []byte) {
			const want = "slot1 affirming: imei-consistent" + good +
				" | registration contraindicated: registration-spoofed subscriber-unbound client-unverified"
			if got := l.judge(mallorys(l), registering(id1, by("alice@example"))); got != want {
				l.t.Errorf("mallory got %s, want %s", got, want)
			}
		}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t)
			l.judge(l.token(outdated), nil)
			l.judge(l.token(credential(), names(alice)), nil)
			old, registration := challengeAnswered()
			l.judge(old, registration)
			want := l.state()
			if c.grows {
				want.Holders[1] = verifier.Holder{Key: attest.KeyIDOf(&mallory.PublicKey), Issuer: endorsed().Issuer, Serial: endorsed().Serial}
			}

			c.attack(l, old)

			if got := l.state(); !reflect.DeepEqual(got, want) {
				t.Errorf("what is kept is\n%+v, want\n%+v", got, want)
			}
			if got, want := l.judge(nil, registering(id1, by("alice@example"), again)), bound; got != want {
				t.Errorf("the victim without evidence got %s, want %s", got, want)
			}
			if got := l.judge(l.token(nil), nil); got != affirmed {
				t.Errorf("the victim with evidence got %s, want %s", got, affirmed)
			}
		})
	}
}

// TestRule1StrangersLeaveNothing: what does not verify makes an unknown device no better known.
func TestRule1StrangersLeaveNothing(t *testing.T) {
	l := newLab(t)
	l.judge(forged(l.mint(), credential()), registering(id1, by("alice@example")))
	if got := l.state(); !reflect.DeepEqual(got, state{}) {
		t.Errorf("a forged token left %+v", got)
	}
	if got := l.judge(l.token(nil), nil); got != keyUnknown {
		t.Errorf("after it the device without its Credential got %s, want %s", got, keyUnknown)
	}
}

// TestRule2AFaultOfReadingIsNotALie: it asks again or warns.
func TestRule2AFaultOfReadingIsNotALie(t *testing.T) {
	l := newLab(t)
	tokens := map[string][]byte{
		"expired nonce":   answering(attesttest.Nonce(), credential()),
		"old reading":     l.token(credential(), aged(24*60*60*1e9)),
		"unknown profile": {0xd2, 0x84},
	}
	for _, word := range []string{"timeout", "busy", "error", "cme:10", "cms:500", "restart", "not_observed", "conflict", "no carrier", "?"} {
		tokens[word] = l.token(credential(), modem(saysNothing(word)))
	}
	restarted := saysNothing("timeout")
	restarted.Flags = attest.FlagRestartSeen | attest.FlagSourcesDisagree
	tokens["restart seen"] = l.token(credential(), modem(restarted))
	for name, token := range tokens {
		result := l.appraise(token, registering(id1))
		if s := result.Status(); s != attest.StatusNone && s != attest.StatusWarning {
			t.Errorf("%s: %s", name, summary(result))
		}
	}
}

// TestRule3ACloneWithoutEvidenceIsNotAffirmed, where the honest device with evidence is.
func TestRule3ACloneWithoutEvidenceIsNotAffirmed(t *testing.T) {
	for name, clone := range map[string]func(*verifier.Registration){
		"as itself":                       by("mallory@example"),
		"as itself, re-registering":       both(by("mallory@example"), again),
		"as nobody":                       by(""),
		"in the owner's name":             by("alice@example"),
		"in the owner's name, by its own": both(by("alice@example"), again, fromDevice),
	} {
		l := newLab(t)
		if got, want := l.judge(challengeAnswered()), bound; got != want {
			t.Fatalf("the honest device got %s, want %s", got, want)
		}
		result := l.appraise(nil, registering(id1, clone))
		if result.Status() != attest.StatusWarning {
			t.Errorf("a clone %s got %s, want a warning", name, summary(result))
		}
	}
}

// TestRule3AnEmptySlotIsNoEvidence for the IMEI that a modem tells in it, where another device attests for that.
func TestRule3AnEmptySlotIsNoEvidence(t *testing.T) {
	const slot = device + "slot2 none: not-endorsed" + good + " | registration "
	l, clone := newLab(t), newBoard("mallory", 1, slots(id2))
	ask := func() string {
		return l.judge(clone.token(l.mint(), modem(says(id2), says(id1))), registering(id1))
	}
	if got, want := ask(), slot+"none: not-endorsed"; got != want {
		t.Errorf("while nobody attested for it: got %s, want %s", got, want)
	}
	l.judge(l.token(credential()), nil)
	if got, want := ask(), slot+"warning: evidence-missing"; got != want {
		t.Errorf("since its device has: got %s, want %s", got, want)
	}
}

// TestASlotThatLiesIsNotUnendorsed: the IMEI that is shown is provisioned, and told in another slot.
func TestASlotThatLiesIsNotUnendorsed(t *testing.T) {
	l := newLab(t)
	const want = "slot1 contraindicated: imei-tampered" + good + " | registration none:"
	if got := l.judge(l.token(credential(), modem(says(id2), says(id1))), registering(id1)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestRule3AnEIRPermitsNoIMEIAlone: without a subscriber, good evidence is tracked. Another front, which names none to judge a device, is
// answered as it asks.
func TestRule3AnEIRPermitsNoIMEIAlone(t *testing.T) {
	for front, want := range map[verifier.Front]map[subscriber]attest.FrontAnswer{
		verifier.Front5GEIR: {"": {SIP: 200, EIR: "GREYLISTED", S13: 2}, alice: attest.AnswerPermit},
		verifier.FrontS13:   {"": {SIP: 200, EIR: "GREYLISTED", S13: 2}, alice: attest.AnswerPermit},
		verifier.FrontHTTP:  {"": attest.AnswerPermit},
	} {
		for who, answer := range want {
			s := newScene(t, enforced())
			p := s.phone().claiming(names(alice))
			r := p.eir(who)
			r.Front = front
			s.present(p.token(s.mint()), r)
			a := s.last().Answer
			if got := (attest.FrontAnswer{SIP: a.SIPCode, EIR: a.EIRStatus, S13: a.S13Status}); got != answer {
				t.Errorf("%s, subscriber %q: got %+v, want %+v", front, who, got, answer)
			}
		}
	}
}

// TestAStoreThatFailsGivesNoJudgement at each place where the store is asked.
func TestAStoreThatFailsGivesNoJudgement(t *testing.T) {
	l := newLab(t)
	down := &downStore{Memory: store.NewMemory()}
	v, err := verifier.New(verifier.Config{Store: down, Nonces: l.nonces, Trust: trusting(anchor())})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		in   verifier.Input
	}{
		{"credential", verifier.Input{Evidence: l.token(nil)}},
		{"holder", verifier.Input{Registration: registering(id1)}},
		{"prior", verifier.Input{Registration: registering(id1, by("alice@example"))}},
		{"claim", verifier.Input{Registration: registering(id1, by(alice.impi()))}},
		{"holder", verifier.Input{Evidence: l.token(credential())}},
		{"state", verifier.Input{Evidence: l.token(credential(unprotected))}},
		{"commit", verifier.Input{Evidence: l.token(credential())}},
		{"note", verifier.Input{Registration: registering(stranger)}},
	} {
		down.failing, c.in.Now = c.name, l.now
		result, err := v.Appraise(context.Background(), c.in)
		if !errors.Is(err, errDown) || !reflect.DeepEqual(result, verifier.Verdict{}) {
			t.Errorf("%s: got %s, %v; want no result and %v", c.name, summary(result.Result), err, errDown)
		}
	}
	down.failing = ""
	if h, _ := down.Memory.Holder(context.Background(), id1); h != (verifier.Holder{}) {
		t.Error("the decision that failed was kept")
	}
}

var errDown = errors.New("the disk is gone")

// TestAnEmergencyWaitsForNoStore: nor does it use up a nonce, or change the device whose token came with it.
func TestAnEmergencyWaitsForNoStore(t *testing.T) {
	l := newLab(t)
	token := l.token(credential())
	down := &downStore{Memory: l.store.(*store.Memory)}
	v, err := verifier.New(verifier.Config{Store: down, Nonces: l.nonces, Trust: trusting(anchor())})
	if err != nil {
		t.Fatal(err)
	}
	for _, failing := range []string{"credential", "holder", "commit", "note", ""} {
		for _, evidence := range [][]byte{nil, token} {
			down.failing = failing
			for edit, want := range map[string]func(*verifier.Registration){"registration none: emergency": emergency, "registration none:": expiring(0)} {
				got, err := v.Appraise(context.Background(), verifier.Input{Evidence: evidence, Registration: registering(id1, want), Now: l.now})
				if err != nil || summary(got.Result) != edit || got.Answer.SIPCode != 200 {
					t.Errorf("failing %q: got %s, SIP %d, %v; want %s", failing, summary(got.Result), got.Answer.SIPCode, err, edit)
				}
			}
		}
	}
	if h, _ := l.store.Holder(context.Background(), id1); h != (verifier.Holder{}) {
		t.Error("an emergency changed what is known of a device")
	}
	if got := l.judge(token, nil); got != affirmed {
		t.Errorf("the token after the emergency: %s, want %s", got, affirmed)
	}
}

// TestWhatCouldNotBeJudgedIsNotAffirmed: the policy says what the network does meanwhile.
func TestWhatCouldNotBeJudgedIsNotAffirmed(t *testing.T) {
	l := newLab(t)
	for action, sip := range map[verifier.Action]int{verifier.ActionObserve: 200, verifier.ActionWarn: 200, verifier.ActionChallenge: 401, verifier.ActionDeny: 403} {
		p := verifier.ObservePolicy()
		p.Affirming, p.Actions = verifier.ActionAccept, map[attest.Reason]verifier.Action{attest.ReasonNotJudged: action}
		l.SetPolicy(p)
		got := l.Unjudged(verifier.Input{Registration: registering(id1), Now: l.now})
		if summary(got.Result) != "registration none: not-judged" || got.Answer.SIPCode != sip || got.Answer.Action != action.String() || got.Answer.Label != "none:not-judged" {
			t.Errorf("%s: got %s, %+v", action, summary(got.Result), got.Answer)
		}
	}
}

// downStore fails in one method.
type downStore struct {
	*store.Memory
	failing string
}

func (s *downStore) Credential(ctx context.Context, key attest.KeyID) (verifier.Endorsed, bool, error) {
	if s.failing == "credential" {
		return verifier.Endorsed{}, false, errDown
	}
	return s.Memory.Credential(ctx, key)
}

func (s *downStore) Note(ctx context.Context, n verifier.Note) error {
	if s.failing == "note" {
		return errDown
	}
	return s.Memory.Note(ctx, n)
}

func (s *downStore) State(ctx context.Context, key attest.KeyID) (verifier.State, error) {
	if s.failing == "state" {
		return verifier.State{}, errDown
	}
	return s.Memory.State(ctx, key)
}

func (s *downStore) Holder(ctx context.Context, id imei.IMEI) (verifier.Holder, error) {
	switch {
	case s.failing == "holder":
		return verifier.Holder{}, errDown
	case s.failing == "prior", s.failing == "claim":
		return verifier.Holder{Key: deviceKID}, nil // so that those are asked for
	}
	return s.Memory.Holder(ctx, id)
}

func (s *downStore) Prior(ctx context.Context, id imei.IMEI, subscriber string) (verifier.Prior, bool, error) {
	if s.failing == "prior" {
		return verifier.Prior{}, false, errDown
	}
	return s.Memory.Prior(ctx, id, subscriber)
}

func (s *downStore) Claimed(ctx context.Context, id imei.IMEI) (verifier.Claimed, bool, error) {
	if s.failing == "claim" {
		return verifier.Claimed{}, false, errDown
	}
	return s.Memory.Claimed(ctx, id)
}

func (s *downStore) Commit(ctx context.Context, d verifier.Decision) (verifier.Commitment, error) {
	if s.failing == "commit" {
		return verifier.Commitment{}, errDown
	}
	return s.Memory.Commit(ctx, d)
}

func TestCompareRevisions(t *testing.T) {
	inOrder := []string{"", "1", "1.0", "1.2", "1.10", "1.10a", "2", "R1", "R01.9", "R1.10", "R2", "RG650VEUAAR02A01M8G", "RG650VEUAAR02A02M8G"}
	for i, a := range inOrder {
		for j, b := range inOrder {
			if got := verifier.CompareRevisions(a, b); got != cmp.Compare(i, j) {
				t.Errorf("CompareRevisions(%q, %q) = %d, want %d", a, b, got, cmp.Compare(i, j))
			}
		}
	}
	if verifier.CompareRevisions("R1.02", "R1.2") != 0 {
		t.Error("leading zeros count")
	}
}
