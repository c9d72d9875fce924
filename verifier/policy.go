package verifier

import (
	"time"

	"imei-attest/attest"
	"imei-attest/attest/imei"
)

// Action is what a policy makes of a reason, and of a Result the strictest that its reasons get.
type Action uint8

// The actions, the mildest first. The zero value refuses nobody.
const (
	ActionObserve   Action = iota // computed and logged; the network is told nothing
	ActionAccept                  // of an affirming Result only
	ActionWarn                    // let in, with a label
	ActionChallenge               // ask for evidence again
	ActionDeny                    // refuse
)

// String is the action's name in a policy file and in answers.
func (a Action) String() string {
	return [...]string{"observe", "accept", "warn", "challenge", "deny"}[a]
}

// ParseAction reads what String writes.
func ParseAction(name string) (Action, bool) {
	for a := ActionObserve; a <= ActionDeny; a++ {
		if a.String() == name {
			return a, true
		}
	}
	return ActionObserve, false
}

// Policy is the operator's appraisal policy (RFC 9334 section 8.5): the rules that a judgement follows, and what the network is
// told of its result. It is not changed once it is made. The zero value is no policy: start from [ObservePolicy].
type Policy struct {
	Name   string
	Digest [32]byte // of the file
	Rules
	// Affirming is what an affirming Result gets: ActionObserve or ActionAccept.
	Affirming Action
	// Actions is what each reason gets; one that is not listed gets Default. No reason gets more than its limit.
	Actions    map[attest.Reason]Action
	Default    Action
	Exceptions map[Pairing]Exception
	Breaker    Breaker
	// Counter counts for the breaker; nil never trips.
	Counter BreakerCounter
}

// Rules are the part of a policy that decides what is found.
type Rules struct {
	// Contraindicated are the reasons that count as contraindicated above their floor: [attest.ReasonSubscriberDiffers] and
	// [attest.ReasonWeaknessUnremedied] may.
	Contraindicated map[attest.Reason]bool `json:"contraindicated,omitempty" cbor:"1,keyasint,omitempty"`
	// CeilingT1 and CeilingPrior are the best status of a client of tier T1, and of what rests on an earlier result.
	CeilingT1    attest.Status `json:"ceiling_t1" cbor:"2,keyasint"`
	CeilingPrior attest.Status `json:"ceiling_prior" cbor:"3,keyasint"`
	Ages         Ages          `json:"ages" cbor:"4,keyasint"`
	// MSCServers are the senders that register on a subscriber's behalf (TS 23.292), by the identity in Registration.Sender.
	MSCServers map[string]bool `json:"msc_servers,omitempty" cbor:"5,keyasint,omitempty"`
}

// Ages bound what a judgement rests on.
type Ages struct {
	Prior      time.Duration `json:"prior_ns" cbor:"1,keyasint"`      // how long an earlier result may stand in for evidence; at most 24 hours
	Proof      time.Duration `json:"proof_ns" cbor:"2,keyasint"`      // how long a proof of profile B shows that the storage was not set back
	Reading    time.Duration `json:"reading_ns" cbor:"3,keyasint"`    // the oldest reading of the modem that evidence may carry
	Interleave time.Duration `json:"interleave_ns" cbor:"4,keyasint"` // how far back two subscribers of one IMEI are held against each other
}

// Pairing is an IMEI with a subscriber, by [NormalSubscriber] of its IMPI or SUPI.
type Pairing struct {
	IMEI       imei.IMEI
	Subscriber string
}

// Exception lets a pairing in with a label, whatever is found, until it ends.
type Exception struct {
	Until  time.Time // UTC
	Reason string    // why, for the log
}

// Breaker drops a policy to observing when it denies too many.
type Breaker struct {
	Share   float64       // of all registrations, 0 to 1; 0 never trips
	Within  time.Duration // the time that the share is taken over
	Minimum int           // of registrations in that time, below which it does not trip
}

// BreakerCounter is the working of a Breaker. It is safe for use by many goroutines.
type BreakerCounter interface {
	// Tripped reports whether the breaker is open: then nobody is refused.
	Tripped() bool
	// Count takes note of a registration that the policy would deny, or not, and reports whether the breaker is open from now
	// on, and whether that is new.
	Count(now time.Time, denied bool) (tripped, changed bool)
}

// The ages of a policy that states none.
var defaultAges = Ages{Prior: 24 * time.Hour, Proof: 24 * time.Hour, Reading: 15 * time.Minute, Interleave: 24 * time.Hour}

// ObservePolicy is the policy of the first day: everything is observed, nobody is refused.
func ObservePolicy() *Policy {
	return &Policy{Name: "observe", Rules: Rules{CeilingT1: attest.StatusWarning, CeilingPrior: attest.StatusAffirming, Ages: defaultAges}}
}

// ReasonAction is what a reason gets: what the policy lists, or else its default, and no more than the reason's limit. By
// default nothing is made of remarks.
func (p *Policy) ReasonAction(r attest.Reason) Action {
	info := r.Info()
	action, listed := p.Actions[r]
	if !listed {
		if action = p.Default; info.Floor == attest.StatusAffirming {
			return ActionObserve
		}
	}
	return min(action, limitOf(r))
}

// limitOf is the most that any policy may make of a reason.
func limitOf(r attest.Reason) Action {
	limit, _ := ParseAction(r.Info().Limit.String())
	return limit
}
