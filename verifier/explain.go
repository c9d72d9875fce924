package verifier

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"imei-attest/attest"
)

// steps names the checks of the appraisal by number: verifier/README.md describes them.
var steps = [...]string{
	0: "exemptions", 1: "what the network was shown", 2: "evidence, manufacturer's statement and signature", 3: "challenge",
	4: "comparison of IMEIs", 5: "subscriber", 6: "age", 7: "state of the storage", 8: "one IMEI, one device, one subscriber",
	9: "storage, boot and firmware", 10: "known weaknesses", 11: "client", 12: "decision kept",
}

// StepName names a step of the appraisal.
func StepName(step int) string { return steps[step] }

// Finding is one reason of a decision with what led to it.
type Finding struct {
	Part     string        `json:"part"` // of the result: a slot, or the registration
	Reason   attest.Reason `json:"reason"`
	Step     int           `json:"step"`
	Check    string        `json:"check"`
	Sentence string        `json:"sentence"`
	Clause   string        `json:"clause"`
	Input    string        `json:"input"`             // what the check looked at
	Entries  string        `json:"entries,omitempty"` // of the trust vector that it set
	Floor    string        `json:"floor,omitempty"`   // the best status that it leaves; empty if it lowers nothing
}

// Findings explains a decision reason by reason.
func (r *Record) Findings() (all []Finding) {
	for i := range r.Verdict.Submods {
		sub := &r.Verdict.Submods[i]
		for _, reason := range sub.Reasons {
			info := reason.Info()
			f := Finding{Part: sub.Name, Reason: reason, Step: info.Step, Check: StepName(info.Step), Sentence: info.Sentence,
				Clause: info.Clause, Input: r.input(reason, i), Entries: entries(sub, info.Effects)}
			if info.Floor != attest.StatusAffirming {
				f.Floor = info.Floor.String()
			}
			if r.Rules.Contraindicated[reason] {
				f.Floor = attest.StatusContraindicated.String() + ", as the policy demands"
			}
			all = append(all, f)
		}
	}
	return all
}

// entries are those that an effect decided: another reason may have left a worse value.
func entries(sub *attest.Submod, effects []attest.Effect) string {
	var set []string
	for _, e := range effects {
		if sub.Vector[e.Entry] == e.Value {
			set = append(set, fmt.Sprintf("%s %d", e.Entry, e.Value))
		}
	}
	return strings.Join(set, ", ")
}

// input says what the check of a reason looked at.
func (r *Record) input(reason attest.Reason, part int) string {
	f := &r.Facts
	if f.refusal() == reason {
		return r.refusedInput()
	}
	switch reason.Info().Step {
	case 0, 1:
		if reason == attest.ReasonNASIMSMismatch {
			return f.Shown.text() + f.viewText()
		}
		if reason == f.Listed.reason() {
			return f.Listed.text() + "; " + f.Shown.text()
		}
		return f.Shown.text()
	case 4:
		return r.comparedInput(part)
	case 5, 11:
		return f.clientInput()
	case 6:
		return f.ageInput()
	case 2:
		return f.absenceInput()
	}
	if f.Prior != nil { // the earlier result's
		return f.ageInput()
	}
	switch reason.Info().Step {
	case 7:
		return f.Evidence.stateInput()
	case 8:
		return f.holderInput(reason, part)
	}
	return f.Evidence.deviceInput()
}

func (r *Record) refusedInput() string {
	if r.Facts.Reuse != "" {
		return "a token that verified, with a nonce that was used before"
	}
	return "the token as it came; nothing in it was believed"
}

func (l Listed) text() string {
	text := fmt.Sprintf("the operator's list has it as %s, by its %s", l.Colour, l.Breadth)
	if l.Why != "" {
		text += fmt.Sprintf(": %q", l.Why)
	}
	return text
}

func (s *Shown) text() string {
	shown := "no IMEI"
	if s.IMEI != (Identity{}) {
		shown = "IMEI " + s.IMEI.String()
	}
	by := string(s.Front)
	if s.Sender != "" {
		by += ", sender " + s.Sender
	}
	return fmt.Sprintf("shown %s, by %s", shown, by)
}

// viewText is what the subscriber showed in the other access; nothing where the two are of this registration alone.
func (f *Facts) viewText() string {
	v := f.Views
	if v == nil || v.Other.Same {
		return ""
	}
	in := "NAS"
	if f.Shown.Front.isNAS() {
		in = "IMS"
	}
	return fmt.Sprintf("; this subscriber showed another one in %s at %s", in, v.Other.At.Format(time.RFC3339))
}

func (r *Record) comparedInput(part int) string {
	f := &r.Facts
	if f.Evidence == nil {
		return f.ageInput()
	}
	var all []string
	for i := range f.Evidence.Slots {
		if s := &f.Evidence.Slots[i]; i == part || part >= len(f.Evidence.Slots) {
			all = append(all, fmt.Sprintf("slot %d: provisioned %s, modem reports %s", i+1, orNone(s.Provisioned), s.reported()))
		}
	}
	if s := f.Shown; s != nil {
		all = append(all, s.text())
	}
	return strings.Join(all, "; ")
}

func orNone(id Identity) string {
	if id == (Identity{}) {
		return "none"
	}
	return id.String()
}

func (s *SlotFact) reported() string {
	if s.Reported == (Identity{}) {
		return "no IMEI (" + string(s.Word) + ")"
	}
	return s.Reported.String()
}

func (f *Facts) clientInput() string {
	s := f.Shown
	var all []string
	if e := f.Evidence; e != nil {
		all = append(all, fmt.Sprintf("the evidence answers the registration's own challenge: %s; client class 2.%d", yesNo(e.Challenged), e.ClientClass))
	} else if f.Prior != nil && f.Prior.Slot > 0 {
		all = append(all, f.ageInput())
	} else {
		all = append(all, "an earlier result")
	}
	if s.Auth != "" {
		all = append(all, "authentication "+s.Auth)
	}
	if s.Protected != "" {
		all = append(all, "integrity-protected "+s.Protected)
	}
	return strings.Join(all, "; ")
}

func yesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}

func (f *Facts) ageInput() string {
	if f.Prior != nil {
		kind := "re-registration"
		if f.Shown.Initial {
			kind = "initial registration"
		}
		of := "the same subscriber"
		if f.Prior.Slot > 0 {
			of = fmt.Sprintf("the device, which named this subscriber in slot %d,", f.Prior.Slot)
		}
		return fmt.Sprintf("no evidence came with this %s; an earlier result of %s is %s old", kind, of, f.Now.Sub(f.Prior.At).Round(time.Second))
	}
	return fmt.Sprintf("the modem was read %s before the token was signed", f.Evidence.ReadingAge)
}

func (f *Facts) absenceInput() string {
	if f.Evidence != nil && !f.Endorsed {
		return fmt.Sprintf("the Credential of %s, serial %d", f.Evidence.Issuer, f.Evidence.Serial)
	}
	return fmt.Sprintf("no evidence that counts for the IMEI; it has attested before: %s; %s", yesNo(f.Endorsed), f.Shown.text())
}

func (e *Verified) stateInput() string {
	kept := "nothing kept of the device"
	if !e.Kept.Seen.IsZero() {
		kept = "kept: " + e.Kept.text()
	}
	if e.Proved == nil {
		return "no proof in the token; " + kept
	}
	return "proved: " + e.Proved.text() + "; " + kept
}

func (s *State) text() string {
	return fmt.Sprintf("counter %d, %d resets, clock %d ms, seen %s", s.Counter, s.ResetCount, s.Clock, s.Seen.UTC().Format(time.RFC3339))
}

func (f *Facts) holderInput(reason attest.Reason, part int) string {
	if reason == attest.ReasonDuplicateSubscriber {
		var all []string
		for _, s := range f.Seen {
			who := "another subscriber"
			if s.Same {
				who = "this subscriber"
			}
			all = append(all, who+" at "+s.At.Format(time.RFC3339))
		}
		return "attested for this IMEI: " + strings.Join(all, ", ")
	}
	s := &f.Evidence.Slots[part]
	return fmt.Sprintf("device key %s with serial %d; the IMEI was key %s's, serial %d, whose Credential counts: %s",
		f.Evidence.Key, f.Evidence.Serial, s.Holder.Key, s.Holder.Serial, yesNo(s.Stands))
}

func (e *Verified) deviceInput() string {
	boot := "unmeasured boot"
	if e.Boot == attest.BootMeasured {
		boot = "measured boot"
	}
	text := fmt.Sprintf("%s says of model %q: %s, %s", e.Issuer, e.Model, e.Kind, boot)
	switch {
	case e.Revision != "" && e.Untold:
		text += fmt.Sprintf("; the token tells no firmware of the modem, an earlier one told %q", e.Revision)
	case e.Revision != "":
		text += fmt.Sprintf("; the modem tells firmware %q", e.Revision)
	}
	return text
}

// Explain writes a decision for people: what was decided, and which check, input and clause led to each part of it.
func (r *Record) Explain(w io.Writer) error {
	v := &r.Verdict
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "decision\t%s\n", v.ID)
	fmt.Fprintf(t, "at\t%s\n", r.Facts.Now.Format(time.RFC3339))
	fmt.Fprintf(t, "device\t%s\n", orUnknown(r.Device))
	fmt.Fprintf(t, "subscriber\t%s\n", orUnknown(r.Subscriber))
	fmt.Fprintf(t, "evidence\t%s\n", r.Facts.evidenceText())
	fmt.Fprintf(t, "status\t%s\n", v.Status())
	fmt.Fprintf(t, "decided by\t%s\n", v.Answer.Label)
	if v.Tier != attest.TierNone {
		fmt.Fprintf(t, "client tier\t%s\n", v.Tier)
	}
	fmt.Fprintf(t, "the network does\t%s (SIP %d, 5G-EIR %s, S13 %d), by policy %q%s\n", v.Answer.Action, v.Answer.SIPCode,
		v.Answer.EIRStatus, v.Answer.S13Status, r.Policy, because(v.Answer.Because))
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w, "\nAn IMEI is written as its TAC and a number, which tells the IMEIs of this decision apart.")
	part := ""
	for _, f := range r.Findings() {
		if f.Part != part {
			part = f.Part
			fmt.Fprintf(w, "\n%s: %s\n", part, r.statusOf(part))
		}
		f.write(w)
	}
	_, err := fmt.Fprintf(w, "\n%s\n", r.notExcluded())
	return err
}

func (f *Facts) evidenceText() string {
	switch e := f.Evidence; {
	case e != nil && f.Reuse != "":
		return "verified, but its nonce was used before"
	case e != nil:
		return fmt.Sprintf("verified: signed by device key %s, which %s endorsed under serial %d", e.Key, e.Issuer, e.Serial)
	case f.Refusal != "":
		return "refused: " + string(f.Refusal)
	}
	return "none"
}

func (f *Finding) write(w io.Writer) {
	effect := f.Floor
	if effect == "" {
		effect = "lowers nothing"
	} else {
		effect = "no better than " + effect
	}
	if f.Entries != "" {
		effect += "; sets " + f.Entries
	}
	fmt.Fprintf(w, "  %s\n    %s\n    check   %d, %s\n    input   %s\n    clause  %s\n    effect  %s\n",
		f.Reason, f.Sentence, f.Step, f.Check, f.Input, f.Clause, effect)
}

func (r *Record) statusOf(part string) attest.Status {
	for i := range r.Verdict.Submods {
		if s := &r.Verdict.Submods[i]; s.Name == part {
			return s.Status
		}
	}
	return attest.StatusNone
}

func orUnknown(p Pseudonym) string {
	if p == (Pseudonym{}) {
		return "not told"
	}
	return p.String() + " (pseudonym)"
}

func because(why string) string {
	if why == "" {
		return ""
	}
	return ", milder because of its " + why
}

// notExcluded says what no decision of this kind can show.
func (r *Record) notExcluded() string {
	if r.Facts.Evidence == nil || r.Facts.Reuse != "" {
		return "No claim of a device was believed for this decision, so it says nothing about the device itself."
	}
	return "Not excluded: an accomplice who has the challenge answered by a good device of his own, modem firmware that lies on every " +
		"channel, and hardware between a discrete TPM and its host."
}
