package verifier

import (
	"imei-attest/attest"
	"imei-attest/attest/imei"
)

// compare is step 4: for each slot the provisioned IMEI P, the modem's M, and, for the registration, S. All on 14
// digits (TS 22.016 clause 3).
func (a *appraisal) compare() {
	e := a.facts.Evidence
	a.slots = make([]attest.Submod, a.judgedSlots())
	for i := range a.slots {
		a.slots[i].Name = attest.SlotName(i + 1)
		a.judgeSlot(i)
	}
	if e.Outdated {
		a.device(attest.ReasonMeasresContradict) // an agent that is faulty, or has not read the Credential anew after a repair
	}
	if s := a.facts.Shown; s != nil && s.IMEI != (Identity{}) {
		if found := a.judgeRegistration(); found != "" {
			a.reg.Add(found)
		}
	}
}

// judgedSlots is how many slots are judged: those with a provisioned IMEI, and the others only where one of them registers. A
// manufacturer may leave a slot of its modem unused.
func (a *appraisal) judgedSlots() int {
	slots, s := a.facts.Evidence.Slots, a.facts.Shown
	provisioned := 0
	for i := range slots {
		switch {
		case slots[i].Provisioned != (Identity{}):
			provisioned = i + 1
		case s != nil && s.IMEI != (Identity{}) && slots[i].Reported == s.IMEI && !a.isProvisioned(s.IMEI):
			return len(slots)
		}
	}
	return provisioned
}

func (a *appraisal) judgeSlot(i int) {
	s, sub := &a.facts.Evidence.Slots[i], &a.slots[i]
	switch {
	case s.Provisioned == (Identity{}):
		sub.Add(attest.ReasonNotEndorsed)
		return
	case s.Reported == (Identity{}):
		sub.Add(judgeNoIMEI(s.Word))
	case s.Reported == s.Provisioned:
		sub.Add(attest.ReasonIMEIConsistent)
	case isSwapped(a.facts.Evidence.Slots, i):
		sub.Add(attest.ReasonIMEIConsistent, attest.ReasonSlotsSwapped)
	default:
		sub.Add(a.judgeDifferent())
		if s.Reported.isTestRange() {
			sub.Add(attest.ReasonIMEITestRange)
		}
	}
	if s.Flags&attest.FlagSourcesDisagree != 0 {
		sub.Add(attest.ReasonIMEIAmbiguous)
	}
	if s.Flags&attest.FlagSpareDigit != 0 {
		sub.Add(attest.ReasonIMEISpareDigit)
	}
	if s.Flags&attest.FlagCheckDigitWrong != 0 {
		sub.Add(attest.ReasonIMEICheckDigit)
	}
	if s.Measured != s.measure() {
		sub.Add(attest.ReasonMeasresContradict)
	}
}

// judgeDifferent names what M is when it is an IMEI but not P. It was put to use if the network was shown it, or if
// the registration shows a third one.
func (a *appraisal) judgeDifferent() attest.Reason {
	if s := a.facts.Shown; s == nil || s.IMEI == (Identity{}) || a.isProvisioned(s.IMEI) {
		return attest.ReasonIMEITampered
	}
	return attest.ReasonIMEIReprogrammed
}

// judgeNoIMEI tells a modem that holds no IMEI from one whose answer is something else, and both from no answer: a
// fault of reading is not a lie.
func judgeNoIMEI(word imei.Word) attest.Reason {
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
func (a *appraisal) judgeRegistration() attest.Reason {
	signalled := a.facts.Shown.IMEI
	shown, used := false, false
	for i := range a.facts.Evidence.Slots {
		s := &a.facts.Evidence.Slots[i]
		switch {
		case s.Provisioned == signalled && s.Flags&attest.FlagSourcesDisagree != 0:
			return attest.ReasonIMEIAmbiguous
		case s.Provisioned == signalled && isReported(a.facts.Evidence.Slots, signalled):
			return attest.ReasonIMEIConsistent
		case s.Provisioned == signalled:
			shown = true // the device's own affair: its modem does not report what was provisioned
		case s.Provisioned == (Identity{}) && s.Reported == signalled && !shown:
			return a.judgeUnprovisioned()
		case s.Reported == signalled:
			used = true // reprogrammed, and the network is shown the new IMEI
		}
	}
	if shown || used {
		return ""
	}
	return attest.ReasonRegistrationSpoofed
}

// judgeUnprovisioned: the modem tells S in a slot for which nothing is provisioned. Where another device attests for S, this
// is no better than S without evidence.
func (a *appraisal) judgeUnprovisioned() attest.Reason {
	if a.facts.Endorsed {
		return attest.ReasonEvidenceMissing
	}
	return attest.ReasonNotEndorsed
}

func (a *appraisal) isProvisioned(id Identity) bool {
	for i := range a.facts.Evidence.Slots {
		if a.facts.Evidence.Slots[i].Provisioned == id {
			return true
		}
	}
	return false
}

// isSwapped reports that the modem gives in a slot the IMEI that was provisioned for another, and in no second slot too. What
// it gives there, if it could be read, is judged by itself.
func isSwapped(slots []SlotFact, i int) bool {
	m, moved := slots[i].Reported, false
	for j := range slots {
		if j != i && slots[j].Reported == m {
			return false
		}
		moved = moved || j != i && slots[j].Provisioned == m
	}
	return moved
}

// isReported reports that the modem gives a provisioned IMEI, in its own slot or in that of another one.
func isReported(slots []SlotFact, id Identity) bool {
	for i := range slots {
		s := &slots[i]
		if s.Reported == id && (s.Provisioned == id || s.Provisioned != (Identity{}) && isSwapped(slots, i)) {
			return true
		}
	}
	return false
}

// measure is the comparison that the agent must have come to.
func (s *SlotFact) measure() attest.Measurement {
	switch {
	case s.Provisioned == (Identity{}):
		return attest.MeasuredNoRef
	case s.Reported == (Identity{}):
		return attest.MeasuredNotRun
	case s.Reported == s.Provisioned:
		return attest.MeasuredEqual
	}
	return attest.MeasuredDifferent
}
