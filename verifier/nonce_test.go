package verifier_test

import (
	"bytes"
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/verifier"
)

const (
	nonceExpired = "slot1 none: nonce-expired"
	notNow       = nonceExpired + " | registration none:"
	nonceReused  = "slot1 contraindicated: nonce-reused"

	registrationReused = "registration contraindicated: nonce-reused"

	text401 = "dcd98b7102dd2f0e8b11d0f600bfb0c093"
)

func TestNonceExpectation(t *testing.T) {
	for _, c := range expectations {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t)
			c.in.Evidence, c.in.Now = c.token(l), l.now
			if got := summary(l.ask(c.in)); got != c.want {
				t.Errorf("\n got %s\nwant %s", got, c.want)
			}
		})
	}
}

// own is a nonce of a caller who judges offline.
var own = bytes.Repeat([]byte{7}, 16)

func answers401(*lab) []byte    { return answering(attest.NonceFrom401(text401), credential()) }
func answersOurs(l *lab) []byte { return l.token(credential()) }
func answersOwn(*lab) []byte    { return answering(own, credential()) }

// challenge is one of nobody in particular.
func challenge(edits ...func(*verifier.Registration)) *verifier.Registration {
	r := registering(id1)
	r.Challenge401, r.ChallengeOutstanding = text401, true
	both(edits...)(r)
	return r
}

var expectations = []struct {
	name  string
	token func(*lab) []byte
	in    verifier.Input
	want  string
}{
	{"a nonce of ours is taken", answersOurs, verifier.Input{}, affirmed},
	{"a nonce of somebody else's is not", answersOwn, verifier.Input{}, nonceExpired},
	{"the caller's own nonce is taken offline", answersOwn, verifier.Input{Nonce: verifier.Expectation{Exact: own}}, affirmed},
	{"another than the caller's own is not", answersOurs, verifier.Input{Nonce: verifier.Expectation{Exact: own}}, nonceExpired},
	{"another than the session's is not", answersOurs, verifier.Input{Nonce: verifier.Expectation{Session: own}}, nonceExpired},
	{"the nonce of the registration's challenge is taken", answers401, verifier.Input{Registration: challenge()}, shown},
	{"a nonce of ours is taken beside a challenge", answersOurs, verifier.Input{Registration: challenge()}, shown},
	{"the nonce of a challenge is not where the session's is asked for", answers401,
		verifier.Input{Nonce: verifier.Expectation{Session: own}, Registration: challenge()}, notNow},
	{"the nonce of a challenge that is not outstanding is not", answers401,
		verifier.Input{Registration: challenge(func(r *verifier.Registration) { r.ChallengeOutstanding = false })}, notNow},
	{"the nonce of another challenge is not", answers401,
		verifier.Input{Registration: challenge(func(r *verifier.Registration) { r.Challenge401 = "other" })}, notNow},
	{"a challenge that only the device states is not", answers401, verifier.Input{Registration: challenge(fromDevice)}, notNow},
	{"the nonce of an empty challenge is not", func(*lab) []byte { return answering(attest.NonceFrom401(""), credential()) },
		verifier.Input{Registration: challenge(func(r *verifier.Registration) { r.Challenge401 = "" })}, notNow},
}

func TestANonceExpiresOnTheSecond(t *testing.T) {
	for _, c := range []struct {
		age  time.Duration
		want string
	}{
		{attest.NonceLife - time.Nanosecond, affirmed},
		{attest.NonceLife, nonceExpired},
	} {
		l := newLab(t)
		token := l.token(credential())
		l.now = l.now.Add(c.age)
		if got := l.judge(token, nil); got != c.want {
			t.Errorf("%v old: got %s, want %s", c.age, got, c.want)
		}
	}
}

func TestTheExpiryOfANonceIsTheOneItCarries(t *testing.T) {
	l := newLab(t)
	l.now = l.now.Add(700 * time.Millisecond)
	n, promised, err := l.MintNonce(l.random, l.now, attest.DefaultNonceBytes)
	if err != nil {
		t.Fatal(err)
	}
	if expiry, err := l.CheckNonce(n, l.now); err != nil || !promised.Equal(expiry) {
		t.Errorf("minted until %v, checked until %v (%v)", promised, expiry, err)
	}
}

// reuses are second presentations of a nonce that alice's registration used.
var reuses = []struct {
	name         string
	carried      []byte // in the second token; the first carries a Credential
	registration *verifier.Registration
	want         string
}{
	{"another token is refused", nil, registering(id1, by("alice@example")), registrationReused},
	{"another subscriber is refused", credential(), registering(id1, by("mallory@example")), registrationReused},
	{"another IMEI is refused", credential(), registering(stranger, by("alice@example")), registrationReused},
	{"another front is refused", credential(), registering(id1, by("alice@example"), fromDevice), registrationReused},
	{"another registration than none is refused", credential(), nil, nonceReused},
}

func TestANonceServesOnce(t *testing.T) {
	for _, c := range reuses {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t)
			n := l.mint()
			answer := l.appraise(answering(n, credential()), registering(id1, by("alice@example")))
			if got := l.judge(answering(n, c.carried), c.registration); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			l.now = l.now.Add(time.Minute)
			if got := l.appraise(answering(n, credential()), registering(id1, by("alice@example"))); !reflect.DeepEqual(got, answer) {
				t.Errorf("the first presenter's retry got\n%+v, want its answer\n%+v", got, answer)
			}
		})
	}
}

func TestARevokedNonceIsUsedUp(t *testing.T) {
	l := newLab(t)
	n := l.mint()
	for range 2 {
		for _, e := range []verifier.Expectation{{Session: n}, {Exact: own}} {
			if err := l.Revoke(context.Background(), e, l.now); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := l.judge(answering(n, credential()), nil); got != nonceExpired { // nobody replayed anything
		t.Errorf("got %s, want %s", got, nonceExpired)
	}
	if got := summary(l.ask(verifier.Input{Evidence: answersOwn(l), Nonce: verifier.Expectation{Exact: own}, Now: l.now})); got != nonceExpired {
		t.Errorf("a chosen nonce: got %s, want %s", got, nonceExpired)
	}
	if err := l.Revoke(context.Background(), verifier.Expectation{Session: attest.Nonce("not ours")}, l.now); err != attest.ErrNonceForeign {
		t.Errorf("a foreign nonce: %v, want %v", err, attest.ErrNonceForeign)
	}
}

func TestAResultSaysWhatItAnswersAndHowLongItHolds(t *testing.T) {
	l := newLab(t)
	n := l.mint()
	got := l.appraise(answering(n, credential()), nil)
	slot := attest.Submod{Name: "slot1"}
	slot.Add(attest.ReasonIMEIConsistent, attest.ReasonHardwareVault, attest.ReasonBootApproved)
	want := attest.Result{IssuedAt: attesttest.Now, ValidUntil: attesttest.Now.Add(5 * time.Minute), Nonce: n, Submods: []attest.Submod{slot}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
}

// TestAStoreThatForgotTakesNoEarlierNonce: after a restart nobody knows which nonces were used.
func TestAStoreThatForgotTakesNoEarlierNonce(t *testing.T) {
	l := newLab(t)
	token, nonce := l.token(credential()), l.mint()
	restarted, err := verifier.New(verifier.Config{Store: l.store, Nonces: l.nonces, Trust: trusting(anchor()), Since: attesttest.Now.Add(time.Second)})
	if err != nil {
		t.Fatal(err)
	}
	now := attesttest.Now.Add(2 * time.Second)
	result, err := restarted.Appraise(context.Background(), verifier.Input{Evidence: token, Now: now})
	if err != nil || summary(result.Result) != "slot1 none: nonce-expired" {
		t.Errorf("%s, %v", summary(result.Result), err)
	}
	if _, err := restarted.CheckNonce(nonce, now); !errors.Is(err, attest.ErrNonceExpired) {
		t.Errorf("CheckNonce: %v", err)
	}
	if _, _, err := restarted.MintNonce(l.random, now, attest.DefaultNonceBytes); err != nil {
		t.Errorf("MintNonce: %v", err)
	}
}

// TestAnEnclosedNonceIsKnownAgain, but not by a verifier that forgot whether it was used.
func TestAnEnclosedNonceIsKnownAgain(t *testing.T) {
	l := newLab(t)
	enclosed, promised, err := l.EncloseNonce(own, l.now)
	if err != nil {
		t.Fatal(err)
	}
	if n, expiry, err := l.DiscloseNonce(enclosed, l.now); err != nil || !bytes.Equal(n, own) || !expiry.Equal(promised) {
		t.Errorf("%x until %v, %v; want %x until %v", []byte(n), expiry, err, own, promised)
	}
	restarted, err := verifier.New(verifier.Config{Store: l.store, Nonces: l.nonces, Trust: trusting(anchor()), Since: attesttest.Now.Add(time.Second)})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := restarted.DiscloseNonce(enclosed, l.now); !errors.Is(err, attest.ErrNonceExpired) {
		t.Errorf("after a restart: %v", err)
	}
}
