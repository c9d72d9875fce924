package policy

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"imei-attest/attest/imei"
	"imei-attest/verifier"
)

// Trial holds recorded decisions against what a policy makes of the same facts, before that policy decides anything.
type Trial struct {
	candidate, against *verifier.Policy
	report             Report
	changes            map[change]*tried
}

// change is what becomes another, and the finding that it hangs on.
type change struct{ from, to, reason string }

type tried struct {
	decisions int
	devices   map[Device]bool
}

// Report is the outcome of a Trial.
type Report struct {
	Decisions int `json:"decisions"`
	Changed   int `json:"changed"`
	// NotReplayed come out otherwise than recorded when they are made again, and are not compared.
	NotReplayed int      `json:"not_replayed"`
	Changes     []Change `json:"changes"`
}

// Change is decisions that change alike.
type Change struct {
	From      string   `json:"from"` // an action
	To        string   `json:"to"`
	Reason    string   `json:"reason"` // that the stricter of the two actions is for, or the status
	Decisions int      `json:"decisions"`
	Devices   []Device `json:"devices"` // each once
}

// Device is one that an operator can look up and nobody else knows: its TAC, and its pseudonym in recorded decisions.
type Device struct {
	TAC       imei.TAC           `json:"tac"`
	Pseudonym verifier.Pseudonym `json:"device"`
}

// NewTrial tries a candidate. Without another policy to compare it with, it is compared with what was decided.
func NewTrial(candidate, against *verifier.Policy) *Trial {
	return &Trial{candidate: candidate, against: against, changes: make(map[change]*tried)}
}

// Add tries the policy on one decision.
func (t *Trial) Add(r *verifier.Record) {
	t.report.Decisions++
	if r.Replay() != nil {
		t.report.NotReplayed++
		return
	}
	was, is := r.Verdict, r.Under(t.candidate)
	if t.against != nil {
		was = r.Under(t.against)
	}
	if was.Answer.Action == is.Answer.Action {
		return
	}
	t.report.Changed++
	c := change{was.Answer.Action, is.Answer.Action, decisive(&is, t.candidate)}
	if rank(c.from) > rank(c.to) {
		c.reason = decisive(&was, t.against)
	}
	t.note(c, r)
}

func (t *Trial) note(c change, r *verifier.Record) {
	kept, known := t.changes[c]
	if !known {
		kept = &tried{devices: make(map[Device]bool)}
		t.changes[c] = kept
	}
	kept.decisions++
	if r.Device != (verifier.Pseudonym{}) {
		kept.devices[Device{tac(&r.Facts), r.Device}] = true
	}
}

// rank orders actions by their names.
func rank(action string) verifier.Action {
	a, _ := verifier.ParseAction(action)
	return a
}

// decisive is the first reason that gets the action that was taken. Where none does, or the policy is not known, it is
// the reason that decided the status, or the status.
func decisive(v *verifier.Verdict, p *verifier.Policy) string {
	if p != nil {
		for _, r := range v.Reasons() {
			if a := p.ReasonAction(r); a != verifier.ActionObserve && a.String() == v.Answer.Action {
				return string(r)
			}
		}
	}
	status, reason, found := strings.Cut(v.Answer.Label, ":")
	if !found {
		return status
	}
	return reason
}

// tac is the TAC of the IMEI that was shown, or else of the device's first, as [verifier.Record] names the device.
func tac(f *verifier.Facts) imei.TAC {
	switch {
	case f.Shown != nil && f.Shown.IMEI.TAC != "":
		return f.Shown.IMEI.TAC
	case f.Evidence != nil && len(f.Evidence.Slots) > 0:
		return f.Evidence.Slots[0].Provisioned.TAC
	}
	return ""
}

// Report returns what was found so far: what gets strictest first, then what is most.
func (t *Trial) Report() Report {
	r := t.report
	r.Changes = make([]Change, 0, len(t.changes))
	for c, found := range t.changes {
		devices := slices.SortedFunc(maps.Keys(found.devices), func(a, b Device) int {
			return cmp.Or(cmp.Compare(a.TAC, b.TAC), slices.Compare(a.Pseudonym[:], b.Pseudonym[:]))
		})
		r.Changes = append(r.Changes, Change{c.from, c.to, c.reason, found.decisions, append([]Device{}, devices...)})
	}
	slices.SortFunc(r.Changes, func(a, b Change) int {
		return cmp.Or(cmp.Compare(rank(b.To), rank(a.To)), cmp.Compare(b.Decisions, a.Decisions), cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.From, b.From))
	})
	return r
}

// String is the report for people.
func (r Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d decisions, %d change\n", r.Decisions, r.Changed)
	if r.NotReplayed > 0 {
		fmt.Fprintf(&b, "%d were left out: made again they come out otherwise, so they were altered or are another version's\n", r.NotReplayed)
	}
	if len(r.Changes) == 0 {
		return b.String()
	}
	b.WriteByte('\n')
	t := table(&b)
	fmt.Fprintln(t, "FROM\tTO\tREASON\tDECISIONS\tDEVICES")
	for _, c := range r.Changes {
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\n", c.From, c.To, c.Reason, c.Decisions, some(c.Devices))
	}
	t.Flush()
	return b.String()
}

// some are the number of devices and the first few, which --json tells in full.
func some(devices []Device) string {
	const most = 3
	var names []string
	for _, d := range devices[:min(most, len(devices))] {
		names = append(names, fmt.Sprintf("%s %x", d.TAC, d.Pseudonym[:4]))
	}
	text := fmt.Sprint(len(devices))
	if len(names) > 0 {
		text += ": " + strings.Join(names, ", ")
	}
	if len(devices) > most {
		text += ", ..."
	}
	return text
}
