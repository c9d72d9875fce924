package verifier_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"imei-attest/attest"
	"imei-attest/verifier"
)

// TestPrior is steps 2 and 6 without evidence: when an earlier result of the same subscriber may stand in for it.
func TestPrior(t *testing.T) {
	alice := by("alice@example")
	for _, c := range priors {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t)
			earlier := registering(id1, alice)
			if c.earlier != nil {
				c.earlier(earlier)
			}
			l.judge(l.token(credential()), earlier)
			l.now = l.now.Add(c.after)
			if c.retrust {
				later := trusting(anchor())
				later.Generation = 2
				l.SetTrust(later)
			}
			later := registering(id1, alice)
			if c.later != nil {
				c.later(later)
			}
			if got := l.judge(nil, later); got != c.want {
				t.Errorf("\n got %s\nwant %s", got, c.want)
			}
		})
	}
}

const (
	missing = "registration warning: evidence-missing"
	resting = device + "registration warning: imei-consistent subscriber-unbound client-unverified"
)

var priors = []struct {
	name           string
	earlier, later func(*verifier.Registration) // changes to alice's initial registrations, with evidence and without
	after          time.Duration
	retrust        bool
	want           string
}{
	{"a re-registration may rest on it", nil, again, time.Hour, false, resting},
	{"a re-registration may rest on it for a day", nil, again, 24 * time.Hour, false, resting},
	{"after a day it is too old", nil, again, 24*time.Hour + time.Second, false, missing},
	{"an initial registration gets no better than a warning", nil, nil, time.Hour, false,
		resting + " stale"},
	{"another subscriber does not rest on it", nil, both(again, by("mallory@example")), time.Hour, false, missing + " duplicate-subscriber"},
	{"nobody does not rest on it", nil, both(again, by("")), time.Hour, false, missing},
	{"a device's own statement does not rest on it", nil, both(again, fromDevice), time.Hour, false, missing},
	{"a device's own statement leaves none", fromDevice, again, time.Hour, false, missing},
	{"a registration that names nobody leaves none", by(""), again, time.Hour, false, missing},
	{"a spoofed registration leaves none for the device", showingIMEI(stranger.Body()), again, time.Hour, false, missing},
	{"a spoofed registration leaves none for what it showed", showingIMEI(stranger.Body()), both(again, showingIMEI(stranger.Body())),
		time.Hour, false, "registration none: not-endorsed"},
	{"another generation of trust judges the Credential anew", nil, again, time.Hour, true, resting},
	{"an IMEI that never attested is not endorsed", nil, both(again, showingIMEI(id2.Body())), time.Hour, false, "registration none: not-endorsed"},
	{"no IMEI rests on nothing", nil, both(again, showingIMEI("")), time.Hour, false, "registration none: unbound"},
	{"how the URN was written is no remark on a later one", func(r *verifier.Registration) { r.InstanceID = "urn:gsma:imei:49015420-323751-8" },
		again, time.Hour, false, resting},
	{"the PEI of the same IMEI rests on it", nil, both(again, showingIMEI(id1.Digits())), time.Hour, false, resting},
}

// TestAPriorAfterTheTrustChanged stands unless the trust says something else of the device than it did: then the device is asked.
func TestAPriorAfterTheTrustChanged(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*verifier.Anchor)
		want   string
	}{
		{"nothing said of the device", func(a *verifier.Anchor) {}, resting},
		{"another firmware of its model revoked", revokesFirmware("R2", "R9"), resting},
		{"another model's firmware", func(a *verifier.Anchor) { a.Models = []verifier.Model{{HWModel: "other", Firmware: []string{"R1"}}} }, resting},
		{"another TAC's firmware", func(a *verifier.Anchor) {
			a.Revoked.Firmware = []verifier.FirmwareRange{{TACs: verifier.TACRange{First: id2.TAC(), Last: id2.TAC()}, From: "R1", To: "R9"}}
		}, resting},
		{"its firmware revoked", revokesFirmware("R1", "R2"), missing},
		{"its firmware listed", approves("R1.9"), missing},
		{"its firmware not listed", approves("R2"), missing},
		{"other TPM firmware denied", func(a *verifier.Anchor) { a.DeniedTPMFirmware = []uint64{1} }, resting},
		{"its key revoked", func(a *verifier.Anchor) { a.Revoked.DeviceKeys = map[attest.KeyID]bool{deviceKID: true} }, missing},
	} {
		l := newLab(t)
		l.judge(l.token(credential(), revision("R1.9")), registering(id1, by("alice@example")))
		l.judge(l.token(nil), registering(id1, by("alice@example"))) // tells none, and so the same
		changed := anchor()
		c.change(changed)
		later := trusting(changed)
		later.Generation = 2
		l.SetTrust(later)
		if got := l.judge(nil, registering(id1, by("alice@example"), again)); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

// TestFirmwareThatChangedIsKept for evidence that tells none, in another process too.
func TestFirmwareThatChangedIsKept(t *testing.T) {
	l := newLab(t)
	for _, token := range [][]byte{l.token(credential(), revision("R1")), l.token(nil, revision("R2"))} {
		l.judge(token, nil)
	}
	l.restart(l.store)
	for i, c := range []struct{ revoked, want string }{{"R1", affirmed}, {"R2", strings.Replace(affirmed, "affirming", "contraindicated", 1) + " firmware-revoked"}} {
		a := anchor()
		a.Revoked.Firmware = revisions(c.revoked, c.revoked)
		later := trusting(a)
		later.Generation = uint64(2 + i)
		l.SetTrust(later)
		if got := l.judge(l.token(nil), nil); got != c.want {
			t.Errorf("with %s revoked: got %s, want %s", c.revoked, got, c.want)
		}
	}
}

func revision(r string) func(*attest.Claims) { return func(c *attest.Claims) { c.Modem.Revision = r } }

func revokesFirmware(from, to string) func(*verifier.Anchor) {
	return func(a *verifier.Anchor) { a.Revoked.Firmware = revisions(from, to) }
}

// TestAPriorOfAnEmulationThatIsVouchedForNoLonger does not stand.
func TestAPriorOfAnEmulationThatIsVouchedForNoLonger(t *testing.T) {
	l, laboratory := newLab(t), anchor()
	laboratory.StorageKinds = append(laboratory.StorageKinds, attest.StorageTPMEmulated)
	l.SetTrust(trusting(laboratory))
	l.judge(l.token(credential(kind(attest.StorageTPMEmulated))), registering(id1, by("alice@example")))
	later := trusting(anchor())
	later.Generation = 2
	l.SetTrust(later)
	if got := l.judge(nil, registering(id1, by("alice@example"), again)); got != missing {
		t.Errorf("got %s, want %s", got, missing)
	}
}

// approves lists what the manufacturer approves for the sample model.
func approves(revisions ...string) func(*verifier.Anchor) {
	return func(a *verifier.Anchor) { a.Models = []verifier.Model{{HWModel: "sample", Firmware: revisions}} }
}

func showingIMEI(digits string) func(*verifier.Registration) {
	return func(r *verifier.Registration) { r.InstanceID, r.IMEI = "", digits }
}

func TestABadPriorStaysBad(t *testing.T) {
	l := newLab(t)
	l.judge(l.token(credential(), modem(says(stranger))), registering(id1, by("alice@example")))
	const want = "slot1 contraindicated: imei-tampered" + good + " | registration warning: subscriber-unbound client-unverified"
	if got := l.judge(nil, registering(id1, by("alice@example"), again)); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

func TestAnAffirmedPriorAffirmsTheReRegistration(t *testing.T) {
	l := newLab(t)
	l.judge(challengeAnswered())
	if got, want := l.judge(nil, registering(id1, by("alice@example"), again)), bound; got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

func TestNothingToJudgeIsNone(t *testing.T) {
	l := newLab(t)
	result := l.ask(verifier.Input{Now: l.now})
	if got := result.Status().String() + summary(result); got != "none" {
		t.Errorf("got %s, want none", got)
	}
}

// TestConvictionEndsWhatLasted: an affirming answer does not outlive evidence, by the same key, that the device lies, for
// whomever that evidence was presented. A modem that could not be read convicts nobody and replaces nothing.
func TestConvictionEndsWhatLasted(t *testing.T) {
	alice := by("alice@example")
	for _, c := range []struct {
		name  string
		token func(*lab) []byte
		shown *verifier.Registration
		want  string
	}{
		{"without a registration", func(l *lab) []byte { return l.token(nil, modem(says(stranger))) }, nil, missing},
		{"presented by another subscriber", func(l *lab) []byte { return l.token(nil, modem(says(stranger))) }, registering(stranger, by("bob@example")), missing},
		{"presented by the same", func(l *lab) []byte { return l.token(nil, modem(says(stranger))) }, registering(stranger, alice), missing},
		{"a spoofed registration convicts nobody but itself", func(l *lab) []byte { return l.token(nil) }, registering(stranger, by("bob@example")), resting},
		{"a modem that does not answer convicts nobody", func(l *lab) []byte { return l.token(nil, modem(saysNothing("timeout"))) }, registering(id1, alice), resting},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t)
			l.judge(l.token(credential()), registering(id1, alice))
			l.judge(c.token(l), c.shown)
			if got := l.judge(nil, registering(id1, alice, again)); got != c.want {
				t.Errorf("\n got %s\nwant %s", got, c.want)
			}
		})
	}
}

// TestTheNonceOfAChallengeIsRememberedLongerThanOurs: nothing in it says when it expires.
func TestTheNonceOfAChallengeIsRememberedLongerThanOurs(t *testing.T) {
	l := newLab(t)
	l.judge(answers401(l), challenge(by("alice@example")))
	l.now = l.now.Add(time.Hour)
	const want = "registration contraindicated: nonce-reused"
	if got := l.judge(answers401(l), challenge(by("mallory@example"))); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestOldEvidenceIsNoBetterThanNone: anybody may have kept a token of a device that attested.
func TestOldEvidenceIsNoBetterThanNone(t *testing.T) {
	l := newLab(t)
	l.judge(l.token(credential()), nil)
	old, closed := l.token(nil), l.mint()
	if err := l.Revoke(context.Background(), verifier.Expectation{Session: closed}, l.now); err != nil {
		t.Fatal(err)
	}
	const want = nonceExpired + " | " + missing
	if got := l.judge(answering(closed, nil), registering(id1)); got != want {
		t.Errorf("a nonce that was given up: %s, want %s", got, want)
	}
	l.now = l.now.Add(attest.NonceLife)
	if got := l.judge(old, registering(id1)); got != want {
		t.Errorf("an expired nonce: %s, want %s", got, want)
	}
	if got := l.judge(old, registering(id1, fromDevice)); got != nonceExpired+" | registration none:" {
		t.Errorf("the device's own word: %s", got)
	}
}
