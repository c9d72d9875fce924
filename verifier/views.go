package verifier

import (
	"cmp"
	"context"
	"time"

	"imei-attest/attest/imei"
)

// A phone shows its IMEI in NAS and once more in IMS, and one subscriber's SIM is in one phone: where the two differ, only one of them can
// be the phone's. Only what an authenticated subscriber showed is compared, or anybody could show an IMEI in another's name: an EIR is
// asked after the authentication in NAS, and in IMS the registration must be of the client that the USIM authenticated.
//
// A SIM that was put into another phone shows that one's IMEI in NAS first, and only then in IMS. So in IMS the latest that was shown in NAS
// counts; but in NAS only what IMS was shown since the subscriber began to show there what he shows now.

// Access is a kind of access in which a subscriber shows an IMEI. The zero value is none that tells the phone's.
type Access uint8

// The accesses. They are kept: numbers are not changed.
const (
	AccessNAS Access = 1 + iota
	AccessIMS
)

func (a Access) other() Access { return AccessNAS + AccessIMS - a }

// View is the IMEI that an authenticated subscriber shows in an access. The latest one counts.
type View struct {
	Subscriber string
	Access     Access
	IMEI       imei.IMEI // zero: he shows none any more
	Since, At  time.Time // from when on, and the latest
}

// begins: he showed another IMEI before, or none, or too long ago.
func (w *View) begins() bool { return w != nil && w.Since.Equal(w.At) }

// Viewed is what a store knows of the latest View; zero if there is none. Same: of the IMEI in question.
type Viewed struct {
	Since time.Time `json:"since" cbor:"1,keyasint"`
	At    time.Time `json:"at" cbor:"2,keyasint"`
	Same  bool      `json:"same,omitempty" cbor:"3,keyasint,omitempty"`
}

func (v *Viewed) isWithin(age time.Duration, now time.Time) bool { return isWithin(v.At, age, now) }

// Views are what the subscriber showed before, in an access that counts. Nil in Facts means that nothing is known of the other.
type Views struct {
	// Since is from when on he shows in this access what he shows now, zero for now.
	Since time.Time `json:"since,omitzero" cbor:"1,keyasint,omitzero"`
	Other Viewed    `json:"other_access" cbor:"2,keyasint"`
}

// viewRest is the share of ages.prior after which the same is written once more, an hour of a day: a view serves so much shorter.
const viewRest = 24

// access is that in which the registration shows what its authenticated subscriber has.
func (s *Shown) access() Access {
	switch {
	case s == nil || !s.Subscribed || s.Emergency:
		return 0
	case s.Front.isNAS():
		return AccessNAS
	case s.IMS && s.isOfTheUSIM():
		return AccessIMS
	}
	return 0
}

// recallViews reads what the subscriber showed before, and sees whether what he shows now is to be kept.
func (v *Verifier) recallViews(ctx context.Context, q *question, rules *Rules) error {
	q.view, q.facts.Views = nil, nil
	s := q.facts.Shown
	age := rules.Ages.Prior
	if age == 0 || q.signalled.IsZero() || s.access() == 0 || s.byMSC(rules) {
		return nil
	}
	who, now := q.in.Registration.Subscriber(), q.facts.Now
	own, err := v.store.Viewed(ctx, who, s.access(), q.signalled)
	if err != nil {
		return err
	}
	other, err := v.store.Viewed(ctx, who, s.access().other(), q.signalled)
	if err != nil {
		return err
	}
	if !own.Same || !own.isWithin(age, now) {
		own = Viewed{}
	}
	if other != (Viewed{}) {
		q.facts.Views = &Views{Since: own.Since, Other: other}
	}
	if own == (Viewed{}) || now.Sub(own.At) >= age/viewRest || own.At.Before(other.Since) {
		q.view = &View{Subscriber: who, Access: s.access(), IMEI: q.signalled, Since: cmp.Or(own.Since, now), At: now}
	}
	return nil
}

// endedView is what a deregistration leaves: nothing is shown in IMS any more. Only the client that the USIM authenticated ends it.
func (q *question) endedView() *View {
	s := q.facts.Shown
	if !s.Ends || s.access() != AccessIMS {
		return nil
	}
	return &View{Subscriber: q.in.Registration.Subscriber(), Access: AccessIMS, Since: q.facts.Now, At: q.facts.Now}
}

// showsTwo: the subscriber shows one IMEI in NAS and another in IMS.
func (a *appraisal) showsTwo() bool {
	f := a.facts
	v := f.Views
	if v == nil || v.Other.Same || !v.Other.isWithin(a.rules.Ages.Prior, f.Now) || a.byMSC() {
		return false
	}
	return f.Shown.access() == AccessIMS || !v.Since.IsZero() && v.Other.At.After(v.Since)
}
