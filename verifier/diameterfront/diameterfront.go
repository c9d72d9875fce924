// Package diameterfront answers as an Equipment Identity Register on S13 (TS 29.272 clause 6): an MME asks about the equipment that a
// subscriber attaches with, and is told what the verifier knows of it. Start with [New] and [Server.Serve].
//
// It is a Diameter node that is connected to and never connects (RFC 6733), but for the operator's own EIR, which an [Upstream] asks
// too. Only peers that are listed get an answer. Nothing of a device or a subscriber is in its log or in what it counts.
package diameterfront

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"imei-attest/verifier"
	"imei-attest/verifier/diameterfront/diameter"
)

// Judge answers questions; a [*verifier.Verifier] is one.
type Judge interface {
	Appraise(context.Context, verifier.Input) (verifier.Verdict, error)
	Unjudged(verifier.Input) verifier.Verdict
}

// Config is what a front needs. Upstream, Observer and Watchdog may be zero.
type Config struct {
	Judge Judge
	Node  Node
	Peers []Peer
	// InFlight is how many questions of one connection are judged at once; one more is answered with 3004, too busy.
	InFlight int
	// Watchdog is after how long a silence the peer is asked whether it is there, 30 s by default (Tw, RFC 3539 section 3.4.1).
	Watchdog time.Duration
	Upstream *Upstream // nil where there is no other EIR
	Observer Observer
	Now      func() time.Time
	Log      *slog.Logger
}

// Node is who this side is (RFC 6733 section 5.3).
type Node struct{ Host, Realm, Product string }

// Observer is told what happens, to count it. Any function may be nil.
type Observer struct {
	// Answered is told of each answer to a question: an outcome of [Outcomes], and how long it took.
	Answered func(outcome string, took time.Duration)
	// Refused is told of each connection that got none, with why: an entry of [Refusals].
	Refused func(why string)
	// Upstream is told whether the operator's own EIR answered a question.
	Upstream func(answered bool)
}

// Outcomes are all that Observer.Answered is told.
func Outcomes() []string {
	return []string{outcomeWhite, outcomeBlack, outcomeGrey, outcomeUnknown, outcomeMalformed, outcomeUndeliverable, outcomeBusy, outcomeFailed}
}

const (
	outcomeWhite         = "whitelisted"
	outcomeBlack         = "blacklisted"
	outcomeGrey          = "greylisted"
	outcomeUnknown       = "unknown"
	outcomeMalformed     = "malformed"
	outcomeUndeliverable = "undeliverable"
	outcomeBusy          = "busy"
	outcomeFailed        = "failed"
)

// Times of a connection.
const (
	defaultWatchdog  = 30 * time.Second // RFC 3539 section 3.4.1
	capabilitiesTime = 10 * time.Second // from the connection to the capabilities, with the TLS handshake
	writeTime        = 10 * time.Second // for a peer that does not read
	partingTime      = 5 * time.Second  // from a farewell to the end of the connection
	drainTime        = 10 * time.Second // for the questions under way when the front is stopped
)

// New returns a front that serves nobody yet.
func New(c Config) (*Server, error) {
	switch {
	case c.Judge == nil || c.Now == nil || c.Log == nil || c.InFlight < 1:
		return nil, errors.New("the S13 front needs a verifier, a clock, a log, and a number of questions at once")
	case !diameter.IsIdentity(c.Node.Host) || !diameter.IsIdentity(c.Node.Realm):
		return nil, fmt.Errorf("the S13 front needs names of a host and a realm, not %q and %q", c.Node.Host, c.Node.Realm)
	}
	if c.Watchdog == 0 {
		c.Watchdog = defaultWatchdog
	}
	c.Observer.fill()
	s := &Server{config: c, visits: make(map[*visit]bool), told: make(map[string]time.Time)}
	s.SetPeers(c.Peers)
	if c.Upstream != nil {
		s.upstream = newClient(*c.Upstream, &s.config)
	}
	return s, nil
}

func (o *Observer) fill() {
	if o.Answered == nil {
		o.Answered = func(string, time.Duration) {}
	}
	if o.Refused == nil {
		o.Refused = func(string) {}
	}
	if o.Upstream == nil {
		o.Upstream = func(bool) {}
	}
}
