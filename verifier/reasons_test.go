package verifier_test

import (
	"slices"
	"testing"

	"imei-attest/attest"
	"imei-attest/verifier"
)

// later are the reasons that nothing provokes yet, each with what is missing.
var later = []struct {
	why   string
	codes []attest.Reason
}{
	{"revocations are not read", []attest.Reason{attest.ReasonCredentialRevoked, attest.ReasonKeyRevoked}},
	{"no reference values are compared", []attest.Reason{attest.ReasonFirmwareApproved, attest.ReasonFirmwareUnlisted, attest.ReasonFirmwareRevoked, attest.ReasonTPMFirmwareDenied}},
	{"senders are not told apart", []attest.Reason{attest.ReasonSenderMSC}},
	{"no case of a weakness is kept", []attest.Reason{attest.ReasonWeaknessOpen, attest.ReasonWeaknessUnremedied, attest.ReasonWeaknessRemedied}},
}

// TestEveryReasonIsProvoked by a row of a table, or stands in later; not both.
func TestEveryReasonIsProvoked(t *testing.T) {
	var texts []string
	for _, rows := range [][]row{comparisons, vaults, signalled} {
		for _, r := range rows {
			texts = append(texts, r.want)
		}
	}
	for _, c := range endorsements {
		texts = append(texts, c.want)
	}
	for _, c := range expectations {
		texts = append(texts, c.want)
	}
	for _, c := range reuses {
		texts = append(texts, c.want)
	}
	for _, c := range subscribers {
		texts = append(texts, c.want)
	}
	for _, c := range states {
		texts = append(texts, c.want)
	}
	for _, c := range successions {
		texts = append(texts, c.want)
	}
	for _, c := range priors {
		texts = append(texts, c.want)
	}
	provoked := wanted(texts...)
	var postponed []attest.Reason
	for _, l := range later {
		postponed = append(postponed, l.codes...)
	}
	for _, code := range attest.Reasons() {
		if provoked[code] == slices.Contains(postponed, code) {
			t.Errorf("%s: provoked by a row %v, postponed %v; want one of the two", code, provoked[code], !provoked[code])
		}
	}
}

// TestObserve: the day-one policy refuses nobody, and its label names the reason that decided.
func TestObserve(t *testing.T) {
	l := newLab(t)
	for _, c := range []struct {
		token        []byte
		registration *verifier.Registration
		label        string
	}{
		{l.token(credential()), nil, "affirming:imei-consistent"},
		{l.token(credential()), registering(stranger), "contraindicated:registration-spoofed"},
		{l.token(credential(kind(attest.StorageSoftware))), registering(id1), "warning:software-vault"},
		{l.token(credential()), showing("urn:uuid:0"), "none:unbound"},
		{l.token(dual, provisioned(id1, id2), modem(says(id1), saysNothing("timeout"))), registering(id1), "none:imei-not-read"},
		{[]byte{}, registering(id1), "warning:evidence-missing"},
		{[]byte{}, registering(stranger), "none:unexpected-evidence"},
		{answering(own, credential()), nil, "none:nonce-expired"},
		{nil, registering(id1, emergency), "none:emergency"},
		{nil, registering(id1, expiring(0)), "none"},
	} {
		verdict := l.decide(verifier.Input{Evidence: c.token, Registration: c.registration, Now: l.now})
		want := verifier.Answer{Action: "observe", SIPCode: 200, EIRStatus: "GREYLISTED", S13Status: 2, Label: c.label}
		if got := verdict.Answer; got != want {
			t.Errorf("%s:\n got %+v\nwant %+v", summary(verdict.Result), got, want)
		}
	}
}

func TestAVerifierLacksNothing(t *testing.T) {
	if v, err := verifier.New(verifier.Config{}); err == nil {
		t.Errorf("New without store, keys and trust: %v", v)
	}
}
