package verifier_test

import (
	"context"
	"testing"
	"time"

	"imei-attest/attest"
	"imei-attest/verifier"
)

// TestClaim is which evidence lets a subscriber be found later, and how he must be named by the network: beside the stories.
func TestClaim(t *testing.T) {
	const found, impi = device + foundReg, "001010000000017@ims.mnc001.mcc001.3gppnetwork.org"
	for _, c := range []struct {
		name    string
		session []func(*attest.Claims)
		edit    func(*verifier.Registration)
		want    string
	}{
		{"the IMSI of the IMPI", nil, by(impi), found},
		{"the IMSI of the SUPI", nil, supi("imsi-" + string(alice)), device + warnedReg + " subscriber-claimed stale"},
		{"the SUPI beside an IMPI of the ISIM", nil, both(by("alice@example"), supi("imsi-"+string(alice))), found},
		{"an IMPI that holds no IMSI", nil, by("alice@example"), missing},
		{"the IMSI in another realm", nil, by(string(alice) + "@example.org"), missing},
		{"another IMSI", nil, by(bob.impi()), missing},
		{"a device's own statement", nil, both(by(impi), fromDevice), missing},
		{"a modem that was not read", claims(modem(saysNothing("timeout")), names(alice)), by(impi), missing},
		{"a reading that was old", claims(names(alice), aged(time.Hour)), by(impi),
			"slot1 warning: imei-consistent stale" + good + " | " + foundReg},
		{"a modem whose sources disagree", claims(modem(flagged(id1, attest.FlagSourcesDisagree)), names(alice)), by(impi),
			"slot1 warning: imei-consistent imei-ambiguous" + good + " | registration warning: imei-ambiguous subscriber-claimed client-unverified stale"},
		{"a SIM in a slot that the manufacturer left empty", claims(modem(says(id1), says(id2)), func(c *attest.Claims) {
			c.Observed[1].Subscriber = attest.SubscriberHash(c.Nonce, string(alice))
		}), by(impi), missing},
		{"no SIM", claims(aged(0)), by(impi), missing},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t)
			if c.session == nil {
				c.session = claims(names(alice))
			}
			l.judge(l.token(credential(), c.session...), nil)
			l.now = l.now.Add(time.Hour)
			got := l.appraise(nil, registering(id1, c.edit))
			if summary(got) != c.want {
				t.Errorf("\n got %s\nwant %s", summary(got), c.want)
			}
			if got.Tier > attest.T1 {
				t.Errorf("tier %s", got.Tier)
			}
		})
	}
}

// TestAClaimThatTheNetworkSawIsNotKept: where the network names the subscriber itself, what the device said of him is no more.
func TestAClaimThatTheNetworkSawIsNotKept(t *testing.T) {
	l := newLab(t)
	for _, who := range []subscriber{alice, bob} {
		l.judge(l.token(credential(), names(alice)), registering(id1, by(who.impi())))
	}
	if c, found, err := l.store.Claimed(context.Background(), id1); found || err != nil {
		t.Errorf("kept: %+v, %v", c, err)
	}
}

// TestWhatWasToldByAClaimEndsWithIt: the same question, asked before and after, gets another answer at once.
func TestWhatWasToldByAClaimEndsWithIt(t *testing.T) {
	for name, change := range map[string]func(*scene, *phone){
		"another SIM is named":         func(_ *scene, p *phone) { p.with(aliceNew).attests() },
		"another subscriber attests":   func(_ *scene, p *phone) { p.registers(bob) },
		"the device is convicted":      func(_ *scene, p *phone) { p.claims = nil; p.tells(says(stranger)).attests() },
		"the IMEI goes to a new board": func(s *scene, _ *phone) { s.another("new board", serial(2)).attests() },
		"the key is revoked": func(s *scene, p *phone) {
			s.revokes(func(r *verifier.Revocations) {
				r.DeviceKeys = map[attest.KeyID]bool{attest.KeyIDOf(&p.key.PublicKey): true}
			})
		},
		"a day goes by": func(s *scene, _ *phone) { s.passes(24*time.Hour + time.Second) },
	} {
		s := newScene(t, verifier.ObservePolicy())
		p := s.phone().with(alice)
		p.attests()
		for range 2 {
			s.present(nil, p.eir(alice))
			if got := summary(s.last().Result); got != device+askedReg {
				t.Errorf("%s, before: %s", name, got)
			}
		}
		s.passes(time.Second)
		change(s, p)
		s.present(nil, p.eir(alice))
		if got := summary(s.last().Result); got != missing && got != missing+" duplicate-subscriber" {
			t.Errorf("%s, after: %s, want %s", name, got, missing)
		}
	}
}
