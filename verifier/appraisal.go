package verifier

import (
	"slices"
	"time"

	"imei-attest/attest"
)

// appraisal is one judgement: of facts, under rules, and of nothing else. A later step never improves what an earlier one
// found: reasons only add up.
type appraisal struct {
	facts *Facts
	rules *Rules

	slots     []attest.Submod
	reg       *attest.Submod // nil without a registration
	tier      attest.Tier
	freshness attest.Freshness

	state   *StateChange // nil without evidence of profile B
	holders []Holder     // whose the IMEI of each provisioned slot becomes; nil where one was refused
}

// judge is steps 0 to 11.
func judge(facts *Facts, rules *Rules) *appraisal {
	a := &appraisal{facts: facts, rules: rules}
	if facts.Shown != nil {
		a.reg = &attest.Submod{Name: attest.RegistrationSubmod}
	}
	switch {
	case facts.isExempt():
		if facts.Shown.Emergency {
			a.reg.Add(attest.ReasonEmergency)
		}
	case facts.Evidence == nil || facts.Reuse != "":
		a.judgeShown()
		a.judgeAbsence()
	default:
		a.judgeShown()
		a.judgeEvidence()
	}
	a.raise()
	return a
}

// judgeShown is step 1: S, the IMEI that the network was shown, and by whom.
func (a *appraisal) judgeShown() {
	if s := a.facts.Shown; s != nil {
		a.reg.Add(s.Remarks...)
		if a.byMSC() {
			a.reg.Add(attest.ReasonSenderMSC)
		}
	}
}

func (a *appraisal) byMSC() bool {
	s := a.facts.Shown
	return s.byNetwork() && s.Sender != "" && a.rules.MSCServers[s.Sender]
}

// device adds a reason about the device as a whole; before the slots are known it is slot 1's.
func (a *appraisal) device(reasons ...attest.Reason) {
	if len(a.slots) == 0 {
		a.slots = []attest.Submod{{Name: attest.SlotName(1)}}
	}
	for i := range a.slots {
		a.slots[i].Add(reasons...)
	}
}

// request adds a reason about this request only, which must not stain the device.
func (a *appraisal) request(reason attest.Reason) {
	if a.reg == nil {
		a.device(reason)
		return
	}
	a.reg.Add(reason)
}

// judgeAbsence is steps 2 and 3 where no evidence speaks for the device: there is none, or it was refused.
func (a *appraisal) judgeAbsence() {
	f := a.facts
	switch refusal := f.refusal(); refusal {
	case "":
		if f.Shown != nil && f.Shown.IMEI != (Identity{}) {
			a.judgeNoEvidence()
		}
	case attest.ReasonNonceReused:
		a.request(refusal)
	default:
		a.device(refusal)
		if isNoEvidence(refusal) && f.Endorsed && !a.byMSC() {
			a.reg.Add(attest.ReasonEvidenceMissing)
		}
	}
}

// isNoEvidence: bytes that are no evidence, or evidence so old that anybody may have kept it, are no better than none.
func isNoEvidence(refusal attest.Reason) bool {
	return refusal == attest.ReasonUnexpectedEvidence || refusal == attest.ReasonNonceExpired
}

func (f *Facts) refusal() attest.Reason {
	if f.Reuse != "" {
		return f.Reuse
	}
	return f.Refusal
}

// judgeNoEvidence is step 2 without evidence, and step 6 where an earlier result may stand in.
func (a *appraisal) judgeNoEvidence() {
	f := a.facts
	switch {
	case !f.Endorsed:
		a.reg.Add(attest.ReasonNotEndorsed)
	case f.Prior != nil && f.Prior.isWithin(a.rules.Ages.Prior, f.Now) && !a.isOvertaken(f.Prior.At):
		a.takePrior(f.Prior)
	case !a.byMSC():
		a.reg.Add(attest.ReasonEvidenceMissing)
		if a.isOvertaken(f.Now.Add(-a.rules.Ages.Interleave)) {
			a.reg.Add(attest.ReasonDuplicateSubscriber)
		}
	}
}

// takePrior rests on an earlier result of the same subscriber. A re-registration may do so, in IMS of the same binding; an initial one
// gets no better than a warning, and neither does one of a binding that somebody else began.
func (a *appraisal) takePrior(prior *Prior) {
	for _, s := range prior.Answer.Submods {
		if s.Name != attest.RegistrationSubmod {
			again := attest.Submod{Name: s.Name}
			again.Add(s.Reasons...)
			a.slots = append(a.slots, again)
			continue
		}
		for _, r := range s.Reasons {
			if !isOfOneRequest(r) {
				a.reg.Add(r)
			}
		}
	}
	a.freshness = attest.Prior
	s := a.facts.Shown
	if s.IMS {
		a.takeTier(prior.Answer.Tier)
	}
	if s.Initial || s.IMS && !s.SameBinding && !a.byMSC() || a.rules.CeilingPrior != attest.StatusAffirming {
		a.reg.Add(attest.ReasonStale)
	}
}

// clockSkew is how far the clocks of two verifiers on one store, or of one over a restart, may be apart.
const clockSkew = 5 * time.Minute

// isWithin reports a result that is no older than age, and not of a time that has not come: then a clock was wrong, and nobody knows.
func (p *Prior) isWithin(age time.Duration, now time.Time) bool {
	old := now.Sub(p.At)
	return old <= age && old >= -clockSkew
}

// isOfOneRequest: remarks on how one registration was shown, and what the policy of that time made of it.
func isOfOneRequest(r attest.Reason) bool {
	switch r {
	case attest.ReasonNASIMSMismatch, attest.ReasonURNNonconformant, attest.ReasonSenderMSC, attest.ReasonClientUnverified:
		return true
	}
	return false
}

// judgeEvidence is steps 4 to 11 for evidence that verified.
func (a *appraisal) judgeEvidence() {
	a.compare()
	a.judgeSubscriber()
	a.judgeAge()
	a.judgeVault()
	a.judgeState()
	a.judgeSuccession()
	a.judgeSubscribers()
	a.judgeTier()
}

// judgeSubscriber is step 5.
func (a *appraisal) judgeSubscriber() {
	if s := a.facts.Shown; s != nil && s.Tie != "" {
		a.reg.Add(s.Tie)
	}
}

// judgeAge is step 6 for evidence in hand: it answers a fresh nonce, but the reading in it may be a cached one.
func (a *appraisal) judgeAge() {
	e := a.facts.Evidence
	if e.ReadingAge > a.rules.Ages.Reading {
		a.device(attest.ReasonStale)
	}
	a.freshness = attest.Fresh
	if e.Challenged {
		a.freshness = attest.Bound
	}
}

// judgeVault is steps 9 and 10: what the manufacturer says of the storage, whether this anchor may lift an emulation, and what
// is known of the firmware.
func (a *appraisal) judgeVault() {
	e := a.facts.Evidence
	switch e.Kind {
	case attest.StorageTPMDiscrete, attest.StorageTPMFirmware:
		a.device(attest.ReasonHardwareVault)
	case attest.StorageTPMEmulated:
		if !e.Lifted {
			a.device(attest.ReasonEmulatedVault)
		}
	default:
		a.device(attest.ReasonSoftwareVault)
	}
	switch {
	case !e.Kind.IsTPM(): // a file binds no boot
	case e.Boot == attest.BootMeasured:
		a.device(attest.ReasonBootApproved)
	default:
		a.device(attest.ReasonBootUnmeasured)
	}
	if e.TPMDenied {
		a.device(attest.ReasonTPMFirmwareDenied)
	}
	for _, found := range []attest.Reason{e.Firmware, e.Weakness} {
		if found != "" {
			a.device(found)
		}
	}
}

// raise makes contraindicated what the operator's rules demand.
func (a *appraisal) raise() {
	if len(a.rules.Contraindicated) == 0 {
		return
	}
	each := func(s *attest.Submod) {
		if slices.ContainsFunc(s.Reasons, func(r attest.Reason) bool { return a.rules.Contraindicated[r] }) {
			s.Raise()
		}
	}
	for i := range a.slots {
		each(&a.slots[i])
	}
	if a.reg != nil {
		each(a.reg)
	}
}

// resultLife is the validity of a Result on an online front.
const resultLife = 5 * time.Minute

func (a *appraisal) result() attest.Result {
	r := attest.Result{IssuedAt: a.facts.Now, ValidUntil: a.facts.Now.Add(resultLife), Submods: a.slots, Tier: a.tier}
	if e := a.facts.Evidence; e != nil {
		r.Nonce = e.Nonce
	}
	if a.reg != nil {
		r.Submods = append(r.Submods[:len(r.Submods):len(r.Submods)], *a.reg)
		r.Freshness = a.freshness
	}
	return r
}

// mayLast: an answer is kept for a subscriber only if the network named him, and for an IMEI only if it is this
// device's. What was found about a spoofed registration must not stain the device's next honest one, and a modem that
// could not be read says nothing for later.
func (a *appraisal) mayLast() bool {
	for i := range a.slots {
		if a.slots[i].Has(attest.ReasonIMEINotRead) {
			return false
		}
	}
	s := a.facts.Shown
	return s.byNetwork() && s.Subscribed && a.holdsShown()
}

// holdsShown: the device that attests has the IMEI that the network was shown, and keeps it.
func (a *appraisal) holdsShown() bool {
	s := a.facts.Shown
	return s != nil && a.holders != nil && s.IMEI != (Identity{}) && a.isProvisioned(s.IMEI)
}

// convicts: what was found of the device itself, whoever registered with it, ends the credit of earlier answers.
func (a *appraisal) convicts() bool {
	return slices.ContainsFunc(a.slots, func(s attest.Submod) bool { return s.Status == attest.StatusContraindicated })
}

// isWorse reports that of the registration more is found than an earlier answer to the same token says.
func (a *appraisal) isWorse(earlier *attest.Result) bool {
	for i := range earlier.Submods {
		if s := &earlier.Submods[i]; s.Name == attest.RegistrationSubmod && a.reg != nil {
			return s.Status.Worse(a.reg.Status) != s.Status
		}
	}
	return false
}
