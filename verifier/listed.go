package verifier

import (
	"slices"

	"imei-attest/attest"
	"imei-attest/attest/imei"
)

// List is the operator's own list of equipment, as an EIR has it (TS 29.272 clause 7.3.51). It is asked before anything else is known of
// a registration, by many goroutines at once.
type List interface {
	// Find returns the entry that counts for an IMEI and a subscriber, by the name of [NormalSubscriber] or ""; zero if there is none.
	Find(id imei.IMEI, subscriber string) Listed
}

// Listed is an entry of the operator's list. The zero value is none.
type Listed struct {
	Colour  Colour  `json:"colour" cbor:"1,keyasint"`
	Breadth Breadth `json:"breadth" cbor:"2,keyasint"`
	// Why is the operator's own word for it, which names nobody; "" if there is none.
	Why string `json:"why,omitempty" cbor:"3,keyasint,omitempty"`
}

// Colour is what a list says of equipment, by its word in the list. The zero value is nothing.
type Colour string

// The colours.
const (
	ColourWhite Colour = "white"
	ColourGrey  Colour = "grey"
	ColourBlack Colour = "black"
)

// Colours are all of them, the worst first.
func Colours() []Colour { return []Colour{ColourBlack, ColourGrey, ColourWhite} }

// Breadth is how much equipment an entry is about. The zero value is none.
type Breadth string

// The breadths.
const (
	BreadthPairing Breadth = "pairing" // one IMEI with one subscriber
	BreadthIMEI    Breadth = "IMEI"
	BreadthRange   Breadth = "range"
	BreadthTAC     Breadth = "TAC"
)

// Breadths are all of them, the narrowest first.
func Breadths() []Breadth {
	return []Breadth{BreadthPairing, BreadthIMEI, BreadthRange, BreadthTAC}
}

// Before reports that of two entries for one IMEI this one counts: the narrower, and of two that are as narrow the worse. None counts
// for nothing.
func (l Listed) Before(o Listed) bool {
	if l.Breadth != o.Breadth {
		return o.Breadth == "" || l.Breadth != "" && slices.Index(Breadths(), l.Breadth) < slices.Index(Breadths(), o.Breadth)
	}
	return slices.Index(Colours(), l.Colour) < slices.Index(Colours(), o.Colour)
}

// reason is what the appraisal makes of an entry.
func (l Listed) reason() attest.Reason {
	switch l.Colour {
	case ColourBlack:
		return attest.ReasonListBlack
	case ColourGrey:
		return attest.ReasonListGrey
	case ColourWhite:
		return attest.ReasonListWhite
	}
	return ""
}

// readList asks the operator's list about what the network was shown, by each name that it gives the subscriber. A device's own word
// for what it is asks for nothing.
func (q *question) readList(list *List) {
	q.list = list
	if list == nil || q.signalled.IsZero() || !q.facts.Shown.byNetwork() || q.facts.isExempt() {
		return
	}
	r := q.in.Registration
	subscriber := r.Subscriber()
	found := (*list).Find(q.signalled, subscriber)
	for _, name := range [...]string{r.IMPI, r.SUPI} {
		if name != "" && name != subscriber {
			if other := (*list).Find(q.signalled, NormalSubscriber(name)); other.Before(found) {
				found = other
			}
		}
	}
	for _, id := range r.others(q.signalled) {
		if other := (*list).Find(id, subscriber); other.Colour == ColourBlack && found.Colour != ColourBlack {
			found = other
		}
	}
	q.facts.Listed = found
}

// isPermittedUnknown: nobody endorsed what registers, nothing else was found, and the operator's list has it as white. That is what a
// white entry can do: it shows nothing of the device.
func isPermittedUnknown(r *attest.Result) bool {
	if !slices.ContainsFunc(r.Submods, isLifted) {
		return false
	}
	return !slices.ContainsFunc(r.Reasons(), func(reason attest.Reason) bool {
		return reason != attest.ReasonNotEndorsed && reason.Info().Floor != attest.StatusAffirming
	})
}

// isLifted: a white entry speaks for what nobody endorsed.
func isLifted(s attest.Submod) bool {
	return s.Has(attest.ReasonListWhite) && s.Has(attest.ReasonNotEndorsed)
}
