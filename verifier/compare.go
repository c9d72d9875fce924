package verifier

import (
	"slices"

	"imei-attest/attest"
	"imei-attest/attest/imei"
)

// compare is step 4: for each slot the provisioned IMEI P, the modem's M, and, for the registration, S. All on 14
// digits (TS 22.016 clause 3).
func (a *appraisal) compare() {
	claims := &a.evidence.Claims
	swapped := isSwapped(a.provisioned(), claims.Observed)
	a.slots = make([]attest.Submod, max(len(a.provisioned()), len(claims.Observed)))
	for i := range a.slots {
		a.slots[i].Name = attest.SlotName(i + 1)
		a.slots[i].Add(a.judgeSlot(i, swapped)...)
	}
	if !slices.Equal(claims.Provisioned, a.provisioned()) {
		a.device(attest.ReasonMeasresContradict) // an agent that is faulty, or has not read the Credential anew after a repair
	}
	if a.reg != nil && !a.signalled.IsZero() {
		a.reg.Add(a.judgeRegistration(swapped)...)
	}
}

// slot returns P and what was observed; P is zero for a slot that was not provisioned, and a slot nobody observed
// counts as not read.
func (a *appraisal) slot(i int) (p imei.IMEI, o attest.Observed) {
	if i < len(a.provisioned()) {
		p = a.provisioned()[i]
	}
	if observed := a.evidence.Claims.Observed; i < len(observed) {
		return p, observed[i]
	}
	return p, attest.Observed{Error: "not observed"}
}

func (a *appraisal) judgeSlot(i int, swapped bool) []attest.Reason {
	p, o := a.slot(i)
	if p.IsZero() {
		return []attest.Reason{attest.ReasonNotEndorsed}
	}
	var found []attest.Reason
	switch {
	case o.IMEI.IsZero():
		found = append(found, judgeNoIMEI(o))
	case o.IMEI == p:
		found = append(found, attest.ReasonIMEIConsistent)
	case swapped:
		found = append(found, attest.ReasonIMEIConsistent, attest.ReasonSlotsSwapped)
	default:
		found = append(found, a.judgeDifferent(o.IMEI)...)
	}
	if o.Flags&attest.FlagSourcesDisagree != 0 {
		found = append(found, attest.ReasonIMEIAmbiguous)
	}
	if o.Flags&attest.FlagSpareDigit != 0 {
		found = append(found, attest.ReasonIMEISpareDigit)
	}
	if o.Flags&attest.FlagCheckDigitWrong != 0 {
		found = append(found, attest.ReasonIMEICheckDigit)
	}
	if m := a.evidence.Claims.Measurements; i >= len(m) || m[i] != measure(p, o) {
		found = append(found, attest.ReasonMeasresContradict)
	}
	return found
}

// judgeDifferent names what M is when it is an IMEI but not P. It was put to use if the network was shown it, or if
// the registration shows a third one.
func (a *appraisal) judgeDifferent(m imei.IMEI) (found []attest.Reason) {
	switch {
	case a.signalled.IsZero() || a.isProvisioned(a.signalled):
		found = append(found, attest.ReasonIMEITampered)
	default:
		found = append(found, attest.ReasonIMEIReprogrammed)
	}
	if m.IsTestRange() {
		found = append(found, attest.ReasonIMEITestRange)
	}
	return found
}

// judgeNoIMEI tells a modem that holds no IMEI from one whose answer is something else, and both from no answer: a
// fault of reading is not a lie.
func judgeNoIMEI(o attest.Observed) attest.Reason {
	word := imei.Word(o.Error)
	if word == "" {
		word = wordOf(o.Text)
	}
	switch word {
	case imei.WordBlank:
		return attest.ReasonIMEIBlank
	case imei.WordZero:
		return attest.ReasonIMEIZero
	case imei.WordRepeated:
		return attest.ReasonIMEIRepeated
	case imei.WordMalformed, imei.WordNotIMEI, imei.WordIMEISV, imei.WordLuhn:
		return attest.ReasonIMEIUnreadable
	}
	return attest.ReasonIMEINotRead
}

// judgeRegistration compares S. A slot that the manufacturer did not provision is nobody's lie.
func (a *appraisal) judgeRegistration(swapped bool) []attest.Reason {
	shown, used := false, false
	for i := range a.slots {
		p, o := a.slot(i)
		switch {
		case p == a.signalled && o.Flags&attest.FlagSourcesDisagree != 0:
			return []attest.Reason{attest.ReasonIMEIAmbiguous}
		case p == a.signalled && (o.IMEI == p || swapped):
			return []attest.Reason{attest.ReasonIMEIConsistent}
		case p == a.signalled:
			shown = true // the device's own affair: its modem does not report what was provisioned
		case p.IsZero() && o.IMEI == a.signalled:
			return []attest.Reason{attest.ReasonNotEndorsed}
		case o.IMEI == a.signalled:
			used = true // reprogrammed, and the network is shown the new IMEI
		}
	}
	if shown || used {
		return nil
	}
	return []attest.Reason{attest.ReasonRegistrationSpoofed}
}

func (a *appraisal) isProvisioned(id imei.IMEI) bool { return slices.Contains(a.provisioned(), id) }

// isSwapped reports that the modem gives the provisioned IMEIs, all of them, in another order.
func isSwapped(provisioned []imei.IMEI, observed []attest.Observed) bool {
	if len(observed) != len(provisioned) {
		return false
	}
	seen := make(map[imei.IMEI]bool, len(provisioned))
	moved := false
	for i, o := range observed {
		seen[o.IMEI] = true
		moved = moved || o.IMEI != provisioned[i]
	}
	for _, p := range provisioned {
		if !seen[p] {
			return false
		}
	}
	return moved
}

// measure is the comparison that the agent must have come to.
func measure(p imei.IMEI, o attest.Observed) attest.Measurement {
	switch {
	case p.IsZero():
		return attest.MeasuredNoRef
	case o.IMEI.IsZero():
		return attest.MeasuredNotRun
	case o.IMEI == p:
		return attest.MeasuredEqual
	}
	return attest.MeasuredDifferent
}

func wordOf(text string) imei.Word {
	_, _, err := imei.ParseSent(text)
	if e, ok := err.(*imei.Error); ok {
		return e.Word
	}
	return ""
}
