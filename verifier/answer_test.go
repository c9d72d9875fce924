package verifier_test

import (
	"strings"
	"testing"
	"time"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/verifier"
	"imei-attest/verifier/policy"
)

// enforcing is the shipped policy that refuses, without its breaker.
func enforcing(t testing.TB) *verifier.Policy {
	t.Helper()
	text, _ := policy.Shipped(policy.Enforce)
	p, _, err := policy.Parse(text, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	p.Counter = nil
	return p
}

// answers is what the network is told to do with a registration.
func (l *lab) answers(token []byte, r *verifier.Registration) verifier.Answer {
	l.t.Helper()
	return l.decide(verifier.Input{Evidence: token, Registration: r, Now: l.now}).Answer
}

func TestAnExceptionLetsItsPairingInUntilItEnds(t *testing.T) {
	l, p := newLab(t), enforcing(t)
	until := l.now.Add(time.Hour)
	p.Exceptions = map[verifier.Pairing]verifier.Exception{{IMEI: stranger, Subscriber: "alice@example"}: {Until: until, Reason: "a handset that is being replaced"}}
	l.SetPolicy(p)
	for _, c := range []struct {
		name     string
		shown    *verifier.Registration
		at       time.Time
		action   string
		because  string
		sip      int
		evidence bool
	}{
		{"the pairing is let in with a label", registering(stranger, by("alice@example")), l.now, "warn", "exception", 200, true},
		{"until the last moment", registering(stranger, by("alice@example")), until.Add(-1), "warn", "exception", 200, true},
		{"and then no longer", registering(stranger, by("alice@example")), until, "deny", "", 403, true},
		{"not another subscriber", registering(stranger, by("bob@example")), l.now, "deny", "", 403, true},
		{"nor nobody", registering(stranger), l.now, "deny", "", 403, true},
		{"nor another IMEI", registering(id2, by("alice@example")), l.now, "deny", "", 403, true},
		{"nor on the device's own word", registering(stranger, by("alice@example"), fromDevice), l.now, "deny", "", 403, true},
		{"what is milder stays as it is", registering(stranger, by("alice@example")), l.now, "warn", "", 200, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := *l
			l.t, l.now = t, c.at
			var token []byte
			if c.evidence {
				token = l.token(credential()) // of id1: the registration is spoofed
			}
			got := l.answers(token, c.shown)
			if got.Action != c.action || got.Because != c.because || got.SIPCode != c.sip {
				t.Errorf("got %+v, want %s because %q, SIP %d", got, c.action, c.because, c.sip)
			}
		})
	}
}

// TestAnExceptionKnowsItsSubscriberByEachName: IMS names by the IMPI whom an EIR names by the SUPI.
func TestAnExceptionKnowsItsSubscriberByEachName(t *testing.T) {
	for _, named := range []string{impi, "imsi-" + imsi} {
		l, p := newLab(t), enforcing(t)
		p.Exceptions = map[verifier.Pairing]verifier.Exception{{IMEI: stranger, Subscriber: verifier.NormalSubscriber(named)}: {Until: l.now.Add(time.Hour)}}
		l.SetPolicy(p)
		for _, shown := range []func(*verifier.Registration){by(impi), supi("imsi-" + imsi), both(by("alice@ims.operator.example"), supi("imsi-"+imsi))} {
			if got := l.answers(l.token(credential()), registering(stranger, shown)); got.Because != "exception" || got.SIPCode != 200 {
				t.Errorf("an exception for %s: got %+v", named, got)
			}
		}
	}
}

// TestABreakerOutlivesTheFileItStandsIn: who edits another line of the policy does not begin to refuse everybody again.
func TestABreakerOutlivesTheFileItStandsIn(t *testing.T) {
	l := newLab(t)
	breaking := func(share float64) *verifier.Policy {
		p := enforcing(t)
		p.Breaker = verifier.Breaker{Share: share, Within: time.Minute, Minimum: 2}
		p.Counter = policy.NewBreaker(p.Breaker)
		return p
	}
	var alarms []bool
	v, err := verifier.New(verifier.Config{Store: l.store, Nonces: l.nonces, Trust: trusting(anchor()), Policy: breaking(0.5), Alarm: func(open bool) { alarms = append(alarms, open) }})
	if err != nil {
		t.Fatal(err)
	}
	l.Verifier = v
	spoof := func() string { return l.answers(l.token(credential()), registering(stranger)).Action }
	spoof()
	spoof()
	if v.SetPolicy(breaking(0.5)); spoof() != "observe" || len(alarms) != 1 {
		t.Errorf("the same settings: the breaker closed, alarms %v", alarms)
	}
	if v.SetPolicy(breaking(0.6)); spoof() != "deny" || len(alarms) != 2 || alarms[1] {
		t.Errorf("other settings: it is open, alarms %v", alarms)
	}
}

// tally is a breaker that somebody else opens.
type tally struct {
	open            bool
	counted, denied int
}

func (c *tally) Tripped() bool { return c.open }

func (c *tally) Count(_ time.Time, denied bool) (tripped, changed bool) {
	c.counted++
	if denied {
		c.denied++
	}
	return c.open, false
}

// TestTheBreakerCountsEachRegistrationOnce: not its retransmissions, nor what the device says of itself, nor emergencies. A replay
// is another registration.
func TestTheBreakerCountsEachRegistrationOnce(t *testing.T) {
	l, p := newLab(t), enforcing(t)
	c := new(tally)
	p.Counter = c
	l.SetPolicy(p)
	token := l.token(credential())
	for _, step := range []struct {
		name            string
		token           []byte
		shown           *verifier.Registration
		counted, denied int // afterwards
	}{
		{"a registration", token, registering(id1, by("alice@example")), 1, 0},
		{"retransmitted", token, registering(id1, by("alice@example")), 1, 0},
		{"and again", token, registering(id1, by("alice@example")), 1, 0},
		{"replayed by another", token, registering(id1, by("bob@example")), 2, 1},
		{"a spoofed one", l.token(nil), registering(stranger, by("alice@example")), 3, 2},
		{"an emergency", nil, registering(stranger, emergency), 3, 2},
		{"the device's own word", l.token(nil), registering(stranger, fromDevice), 3, 2},
		{"no registration", l.token(nil), nil, 3, 2},
		{"one without evidence", nil, registering(id1, by("carol@example")), 4, 2},
	} {
		l.answers(step.token, step.shown)
		if c.counted != step.counted || c.denied != step.denied {
			t.Errorf("after %s: %d counted, %d denied; want %d and %d", step.name, c.counted, c.denied, step.counted, step.denied)
		}
	}
	c.open = true
	if got := l.answers(l.token(nil), registering(stranger)); got.Action != "observe" || got.Because != "breaker" || got.SIPCode != 200 || c.denied != 3 {
		t.Errorf("open: %+v, %d denied", got, c.denied)
	}
	if got := l.answers(l.token(nil), registering(id1)); got.Action != "observe" || got.Because != "breaker" {
		t.Errorf("open, of one that a label was due to: %+v", got)
	}
}

// TestTheBreakerAlarms once as it opens.
func TestTheBreakerAlarms(t *testing.T) {
	l, p := newLab(t), enforcing(t)
	p.Counter = policy.NewBreaker(verifier.Breaker{Share: 0.5, Within: time.Minute, Minimum: 2})
	var alarms []bool
	v, err := verifier.New(verifier.Config{Store: l.store, Nonces: l.nonces, Trust: trusting(anchor()), Policy: p, Alarm: func(open bool) { alarms = append(alarms, open) }})
	if err != nil {
		t.Fatal(err)
	}
	l.Verifier = v
	var actions []string
	for range 4 {
		actions = append(actions, l.answers(l.token(credential()), registering(stranger)).Action)
	}
	if want := "deny deny observe observe"; strings.Join(actions, " ") != want || len(alarms) != 1 || !alarms[0] {
		t.Errorf("got %s and alarms %v, want %s and one", strings.Join(actions, " "), alarms, want)
	}
}

// TestAPolicyMayRaiseAReason: what it then does is told by the actions, as for every other reason.
func TestAPolicyMayRaiseAReason(t *testing.T) {
	l, p := newLab(t), enforcing(t)
	p.Contraindicated = map[attest.Reason]bool{attest.ReasonSubscriberDiffers: true}
	l.SetPolicy(p)
	claims := func(c *attest.Claims) { c.Observed[0].Subscriber = attest.SubscriberHash(c.Nonce, "001010000000001") }
	for action, sip := range map[verifier.Action]int{verifier.ActionWarn: 200, verifier.ActionDeny: 403} {
		p.Actions[attest.ReasonSubscriberDiffers] = action
		got := l.decide(verifier.Input{Evidence: l.token(credential(), claims), Registration: registering(id1, by(impi)), Now: attesttest.Now})
		if got.Status() != attest.StatusContraindicated || got.Answer.SIPCode != sip || got.Answer.Label != "contraindicated" {
			t.Errorf("%s: got %s %+v", action, summary(got.Result), got.Answer)
		}
	}
}
