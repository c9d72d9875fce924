package verifier_test

import (
	"testing"

	"imei-attest/attest"
	"imei-attest/verifier"
)

func class(n uint8) func(*attest.Credential) {
	return func(c *attest.Credential) { c.ClientClass = n }
}

func protectedBy(auth, protected string) func(*verifier.Registration) {
	return func(r *verifier.Registration) { r.Auth, r.IntegrityProtected = auth, protected }
}

func named(r *verifier.Registration) { r.IMPI = alice.impi() }

// TestTier is step 11 for evidence in hand. All but the few rows at the end are in the way of T3.
func TestTier(t *testing.T) {
	otherChallenge := func(r *verifier.Registration) { r.Challenge401 = "another challenge" }
	notOutstanding := func(r *verifier.Registration) { r.ChallengeOutstanding = false }
	for _, c := range []struct {
		name string
		made func(*attest.Credential)
		edit func(*verifier.Registration)
		want attest.Tier
	}{
		{"a client that the manufacturer calls self-contained", class(1), nil, attest.T1},
		{"the challenge of a password", class(3), protectedBy("MD5", "yes"), attest.T1},
		{"no word about the authentication", class(3), protectedBy("", "yes"), attest.T1},
		{"no integrity protection", class(3), protectedBy("AKAv1-MD5", "no"), attest.T1},
		{"no word about integrity protection", class(3), protectedBy("AKAv1-MD5", ""), attest.T1},
		{"TLS under AKA version 1", class(3), protectedBy("AKAv1-MD5", "tls-connected"), attest.T1},
		{"TLS that is pending", class(3), protectedBy("AKAv2-SHA-256", "tls-pending"), attest.T1},
		{"evidence for another challenge", class(3), otherChallenge, attest.TierNone},
		{"evidence for a challenge that is not outstanding", class(3), notOutstanding, attest.TierNone},
		{"a front of the access network", class(3), func(r *verifier.Registration) { r.Front = verifier.Front5GEIR }, attest.TierNone},
		{"a client over the registration of the phone", class(2), nil, attest.T2},
		{"an embedded client", class(3), nil, attest.T3},
		{"an embedded client over TLS", class(3), protectedBy("AKAv2-SHA-256", "tls-connected"), attest.T3},
	} {
		l := newLab(t)
		r := challenged("AKAv1-MD5")
		both(named, func(r *verifier.Registration) {
			if c.edit != nil {
				c.edit(r)
			}
		})(r)
		got := l.appraise(answering(attest.NonceFrom401(text401), credential(c.made)), r)
		if got.Tier != c.want {
			t.Errorf("%s: %s, want %s (%s)", c.name, got.Tier, c.want, summary(got))
		}
	}
}

// TestAConsumedChallengeBindsNobodyElse: neither a second client of the phone nor a clone gets a tier by a token for it.
func TestAConsumedChallengeBindsNobodyElse(t *testing.T) {
	l := newLab(t)
	r := challenged("AKAv1-MD5")
	token := answering(attest.NonceFrom401(text401), credential(class(3)))
	if got := l.appraise(token, r); got.Tier != attest.T3 {
		t.Fatalf("the phone's own client: %s, want T3", got.Tier)
	}
	other := *r
	other.IMPI = thief.impi()
	if got := l.appraise(token, &other); got.Tier != attest.TierNone || summary(got) != registrationReused {
		t.Errorf("the token for another subscriber: %s, %s; want %s", got.Tier, summary(got), registrationReused)
	}
	second := answering(attest.NonceFrom401(text401), credential(class(3)), aged(1e9))
	const want = nonceExpired + " | " + missing
	if got := l.appraise(second, r); got.Tier != attest.TierNone || summary(got) != want {
		t.Errorf("a second token for it: %s, %s; want %s", got.Tier, summary(got), want)
	}
}

// TestTheTierOfAnEarlierResult stays with the binding that earned it.
func TestTheTierOfAnEarlierResult(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(*verifier.Registration)
		want attest.Tier
	}{
		{"the next request of the binding", again, attest.T3},
		{"another client of the phone, which the SIM authenticates", calling("another"), attest.T1},
		{"another client that says it re-registers", both(again, calling("another")), attest.T1},
		{"a request without a Call-ID", both(again, calling("")), attest.T1},
		{"the same Call-ID in an initial registration", nil, attest.T1},
		{"a password's authentication", both(again, protectedBy("MD5", "yes")), attest.T1},
		{"no integrity protection", both(again, protectedBy("AKAv1-MD5", "no")), attest.T1},
	} {
		l := newLab(t)
		r := challenged("AKAv1-MD5")
		l.appraise(answering(attest.NonceFrom401(text401), credential(class(3))), r)
		later := *r
		later.Challenge401, later.ChallengeOutstanding = "", false
		if c.edit != nil {
			c.edit(&later)
		}
		if got := l.appraise(nil, &later); got.Tier != c.want || got.Freshness != attest.Prior {
			t.Errorf("%s: %s, freshness %v; want %s, prior (%s)", c.name, got.Tier, got.Freshness, c.want, summary(got))
		}
	}
}
