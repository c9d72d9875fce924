package verifier

import (
	"context"
	"slices"
	"time"

	"imei-attest/attest"
	"imei-attest/attest/imei"
)

// An IMEI is held by one device key. When a board is swapped in a shop the manufacturer endorses the new one's key under a
// higher serial: it takes the IMEI over with its first evidence, and the old board's is refused from then on, whoever has it
// now. Any other key is refused too and the holder is not harmed by it: a second endorsement of the same IMEI, by an
// oversight or a crime in some factory, must not put the device out of service that has it. Which of the two is right
// the manufacturer decides, with a higher serial.

// judgeSuccession is the first half of step 8: is each IMEI this key's, or does it become so?
func (a *appraisal) judgeSuccession() {
	refused := false
	a.holders = make([]Holder, 0, len(a.facts.Evidence.Slots))
	for i := range a.facts.Evidence.Slots {
		s := &a.facts.Evidence.Slots[i]
		if s.Provisioned == (Identity{}) {
			break
		}
		is, found := a.succeed(s)
		a.holders = append(a.holders, is)
		if found != "" {
			a.slots[i].Add(found)
		}
		refused = refused || found == attest.ReasonDuplicateKey
	}
	if refused {
		a.holders = nil
	}
}

// succeed says who holds the IMEI of a slot after this evidence.
func (a *appraisal) succeed(s *SlotFact) (Holder, attest.Reason) {
	e := a.facts.Evidence
	was, is := s.Holder, Holder{Key: e.Key, Issuer: e.Issuer, Serial: e.Serial}
	switch {
	case was == (Holder{}):
		return is, ""
	case was.Key == is.Key:
		if was.Issuer == is.Issuer {
			is.Serial = max(is.Serial, was.Serial) // an outdated Credential of its own takes nothing from it
		}
		return is, ""
	case was.Issuer == is.Issuer && is.Serial > was.Serial, !s.Stands:
		return is, attest.ReasonSuperseded
	}
	return was, attest.ReasonDuplicateKey
}

// isOvertaken reports that another subscriber has attested for the IMEI since.
func (a *appraisal) isOvertaken(since time.Time) bool {
	return slices.ContainsFunc(a.facts.Seen, func(s Seen) bool { return !s.Same && s.At.After(since) })
}

// judgeSubscribers is the second half of step 8. A SIM that is put into another phone, and another one that takes its place, are
// everyday life: the newest registration counts. Two subscribers that attest for one IMEI in turns, or at the same time, are
// not: somebody relays to one device.
func (a *appraisal) judgeSubscribers() {
	s := a.facts.Shown
	if !s.byNetwork() || !s.Subscribed || a.byMSC() || !a.holdsShown() {
		return
	}
	before, between := false, false // this subscriber, and then another
	for _, seen := range a.facts.Seen {
		if a.facts.Now.Sub(seen.At) > a.rules.Ages.Interleave {
			continue
		}
		if minted := a.facts.Evidence.Minted; !seen.Same && !minted.IsZero() && !a.facts.Evidence.Challenged && seen.At.After(minted.Add(mintGrain)) {
			a.reg.Add(attest.ReasonDuplicateSubscriber) // the challenge was open already when the other one attested
			return
		}
		between = between || before && !seen.Same
		before = before || seen.Same
	}
	if between {
		a.reg.Add(attest.ReasonDuplicateSubscriber)
	}
}

// stands reports that a holder is still endorsed: a manufacturer that is trusted no longer holds no IMEI from the grave,
// nor does a device that was given another one, or was revoked.
func (v *Verifier) stands(ctx context.Context, trust *Trust, id imei.IMEI, key attest.KeyID) (bool, error) {
	e, err := v.holding(ctx, trust, id, key)
	return e != nil, err
}

// holding is the endorsement that a holder has now; nil where it stands no longer.
func (v *Verifier) holding(ctx context.Context, trust *Trust, id imei.IMEI, key attest.KeyID) (*endorsement, error) {
	e, refusal := v.endorsements.get(key), attest.Reason("")
	if e == nil || e.generation != trust.Generation {
		kept, found, err := v.store.Credential(ctx, key)
		if err != nil || !found {
			return nil, err
		}
		e, refusal = trust.uphold(kept)
	}
	if refusal != "" || !slices.Contains(e.credential.Slots, id) {
		return nil, nil
	}
	return e, nil
}
