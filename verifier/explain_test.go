package verifier_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"imei-attest/attest"
	"imei-attest/verifier"
)

// explained judges and returns the record and its explanation.
func (l *lab) explained(in verifier.Input) (*verifier.Record, string) {
	l.t.Helper()
	r, _, err := l.Record(context.Background(), l.decide(in).ID)
	if err != nil {
		l.t.Fatal(err)
	}
	var text strings.Builder
	if err := r.Explain(&text); err != nil {
		l.t.Fatal(err)
	}
	return r, text.String()
}

func TestExplainTellsCheckInputAndClause(t *testing.T) {
	l := newLab(t)
	_, text := l.explained(verifier.Input{Evidence: l.token(credential(), modem(says(stranger))),
		Registration: registering(stranger, by("mallory@example")), Now: l.now})
	for _, want := range []string{
		"evidence          verified: signed by device key ",
		"status            contraindicated\n",
		"decided by        contraindicated:imei-reprogrammed\n",
		"slot1: contraindicated\n  imei-reprogrammed\n",
		"    check   4, comparison of IMEIs\n",
		"provisioned 49015420#2, modem reports 86871907#1; shown IMEI 86871907#1, by sip\n",
		"    clause  TS 22.016 clause 2\n",
		"    effect  no better than contraindicated; sets instance-identity 96\n",
		"Not excluded: ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the explanation lacks %q:\n%s", want, text)
		}
	}
	for _, secret := range []string{stranger.Body()[8:], id1.Body()[8:], "mallory"} {
		if strings.Contains(text, secret) {
			t.Errorf("the explanation tells %s:\n%s", secret, text)
		}
	}
}

// Whatever was decided can be explained: no check is left without its input.
func TestEveryFindingHasItsInput(t *testing.T) {
	for _, rows := range [][]row{comparisons, vaults, signalled} {
		for _, c := range rows {
			l := newLab(t)
			carried := c.credential
			if carried == nil {
				carried = credential()
			}
			r, _ := l.explained(verifier.Input{Evidence: l.token(carried, c.claims...), Registration: c.registration, Now: l.now})
			findings := r.Findings()
			reasons := 0
			for _, s := range r.Verdict.Submods {
				reasons += len(s.Reasons)
			}
			if len(findings) != reasons {
				t.Errorf("%s: %d findings for %d reasons", c.name, len(findings), reasons)
			}
			for _, f := range findings {
				if f.Input == "" || f.Check == "" || f.Clause == "" || f.Sentence == "" {
					t.Errorf("%s: %+v", c.name, f)
				}
			}
		}
	}
}

func TestAnAlteredRecordDoesNotReplay(t *testing.T) {
	l := newLab(t)
	r, _ := l.explained(verifier.Input{Evidence: l.token(credential()), Registration: registering(id1), Now: l.now})
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	for name, alter := range map[string]func(*verifier.Record){
		"another status":  func(r *verifier.Record) { r.Verdict.Submods[0].Status = attest.StatusContraindicated },
		"a reason less":   func(r *verifier.Record) { r.Verdict.Submods[0].Reasons = r.Verdict.Submods[0].Reasons[1:] },
		"another reading": func(r *verifier.Record) { r.Facts.Evidence.Slots[0].Reported.Number = 9 },
		"other storage":   func(r *verifier.Record) { r.Facts.Evidence.Kind = attest.StorageSoftware },
		"another time":    func(r *verifier.Record) { r.Facts.Now = r.Facts.Now.Add(1) },
		"another action":  func(r *verifier.Record) { r.Verdict.Answer.Action = "deny" },
		"another code":    func(r *verifier.Record) { r.Verdict.Answer.SIPCode = 603 },
		"another label":   func(r *verifier.Record) { r.Verdict.Answer.Label = "warning" },
		"no such action":  func(r *verifier.Record) { r.Verdict.Answer.Action = "forgive" },
		"no such cause":   func(r *verifier.Record) { r.Verdict.Answer.Because = "friendship" },
		"no exception":    func(r *verifier.Record) { r.Verdict.Answer.Because = "exception" },
		"an action that no policy may take on it, with all that it answers": func(r *verifier.Record) { r.Verdict.Answer = verifier.ActionDeny.Answer(&r.Verdict.Result) },
	} {
		var altered verifier.Record
		if err := json.Unmarshal(text, &altered); err != nil {
			t.Fatal(err)
		}
		if err := altered.Replay(); err != nil {
			t.Fatalf("before it is altered: %v", err)
		}
		if alter(&altered); altered.Replay() == nil {
			t.Errorf("%s: replays all the same", name)
		}
	}
}

// TestAReplayNamesWhatDiffers, and nothing else.
func TestAReplayNamesWhatDiffers(t *testing.T) {
	l := newLab(t)
	r, _ := l.explained(verifier.Input{Evidence: l.token(credential()), Registration: registering(id1), Now: l.now})
	r.Verdict.Answer.Action, r.Verdict.Answer.Because = "deny", "breaker"
	const want = "made again, the decision comes out otherwise:" +
		"\n  answer.action: recorded deny, made again warn\n  answer.because: recorded breaker, made again nothing"
	if err := r.Replay(); !errors.Is(err, verifier.ErrReplay) || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// TestExplainWithoutEvidence: what nobody sent is explained, too.
func TestExplainWithoutEvidence(t *testing.T) {
	l := newLab(t)
	l.judge(l.token(credential()), registering(id1, by("alice@example")))
	_, text := l.explained(verifier.Input{Registration: registering(id1, by("mallory@example")), Now: l.now})
	for _, want := range []string{
		"  evidence-missing\n",
		"    input   no evidence that counts for the IMEI; it has attested before: yes; shown IMEI 49015420#1, by sip\n",
		"  duplicate-subscriber\n",
		"    input   attested for this IMEI: another subscriber at 2026-03-01T12:00:00Z\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the explanation lacks %q:\n%s", want, text)
		}
	}
}
