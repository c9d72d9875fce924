package verifier

import (
	"bytes"
	"context"
	"slices"

	"imei-attest/attest"
	"imei-attest/attest/imei"
)

// A token that a device hands in itself cannot be tied to a registration, but it may name the subscriber whose SIM is in a slot, by
// a hash over its nonce that only who knows the IMSI can compare (attest.SubscriberHash). With it the verifier finds what it told
// the device when that subscriber registers the IMEI of the slot and no evidence comes along. It is the device's word: who registers
// by it gets what an earlier result may give, of tier T1.

// Claim is a subscriber that a device named in the slot of an IMEI.
type Claim struct {
	IMEI imei.IMEI
	Slot uint8 // of the device's Credential, from 1
	Hash [32]byte
}

// Claimed is an earlier result for the IMEI of a slot, with the subscriber that the device named.
type Claimed struct {
	Prior // with the slot
	Nonce attest.Nonce
	Hash  [32]byte
}

// names reports whether it is the subscriber with this IMSI.
func (c *Claimed) names(imsi string) bool {
	return bytes.Equal(c.Hash[:], attest.SubscriberHash(c.Nonce, imsi))
}

// claims are those of the evidence. A SIM is behind the IMEI that the modem tells in its slot.
func (q *question) claims() (all []Claim) {
	provisioned := q.endorsement.credential.Slots
	for i, o := range q.evidence.Claims.Observed {
		slot := slices.Index(provisioned, o.IMEI)
		if slot < 0 {
			slot = i
		}
		if o.Subscriber == nil || slot >= len(provisioned) {
			continue
		}
		all = append(all, Claim{IMEI: provisioned[slot], Slot: uint8(slot + 1), Hash: [32]byte(o.Subscriber)})
	}
	return all
}

// claimedSubscriber is the subscriber that the device names for the IMEI that registers, or without one in slot 1.
func (q *question) claimedSubscriber() []byte {
	observed, at := q.evidence.Claims.Observed, 0
	if !q.signalled.IsZero() {
		at = slices.IndexFunc(observed, func(o attest.Observed) bool { return o.IMEI == q.signalled })
		if at < 0 {
			at = slices.Index(q.endorsement.credential.Slots, q.signalled)
		}
	}
	if at < 0 || at >= len(observed) {
		return nil
	}
	return observed[at].Subscriber
}

// mayClaim: a claim is kept of a device that has and keeps its IMEIs, and says that it signals none of another. Where the network names
// the subscriber, it knows better.
func (a *appraisal) mayClaim() bool {
	s := a.facts.Shown
	return a.isRead() && a.holders != nil && !s.byNetwork() && (s == nil || s.IMEI == (Identity{}) || a.isProvisioned(s.IMEI))
}

// recallClaim looks, where no earlier result of the subscriber may stand in for evidence, for one of the device that names him.
func (v *Verifier) recallClaim(ctx context.Context, q *question, rules *Rules) error {
	f := &q.facts
	if q.in.Evidence != nil || !f.Shown.byNetwork() || !f.Endorsed || f.mayRest(rules) {
		return nil
	}
	imsi, known := q.in.Registration.imsi()
	if !known {
		return nil
	}
	c, found, err := v.store.Claimed(ctx, q.signalled)
	if err != nil || !found || !c.names(imsi) {
		return err
	}
	holder, err := v.store.Holder(ctx, q.signalled)
	if err != nil {
		return err
	}
	e, err := v.holding(ctx, q.trust, q.signalled, holder.Key)
	if err == nil && e != nil && e.stillFinds(&c.Answer) {
		f.Prior, f.Shown.SameBinding = &c.Prior, false
	}
	return err
}

// takeClaim is what an earlier result says of a registration that it did not see: the IMEI of its slot is shown, by the subscriber
// that the device named.
func (a *appraisal) takeClaim(slot *attest.Submod) {
	switch {
	case slot.Has(attest.ReasonIMEIAmbiguous):
		a.reg.Add(attest.ReasonIMEIAmbiguous)
	case slot.Has(attest.ReasonIMEIConsistent):
		a.reg.Add(attest.ReasonIMEIConsistent)
	}
	a.reg.Add(attest.ReasonSubscriberClaimed)
}
