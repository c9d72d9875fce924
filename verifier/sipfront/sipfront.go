// Package sipfront is the verifier as a SIP application server: an S-CSCF tells it of each registration by a third-party REGISTER (TS 24.229
// clause 5.4.1.7), which holds the REGISTER that the UE sent. Start with [New] and [Server.Serve].
//
// Who reaches it as a peer is believed as the S-CSCF: whom it registered, how he authenticated, and how the P-CSCF received him. The registration
// has already happened: a 403 asks the S-CSCF to undo it, which it does if its filter criteria say so.
package sipfront

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"time"

	sipgo "github.com/emiago/sipgo/sip"

	"imei-attest/verifier"
)

// Config is what a Server needs; all but Reauthenticates is required.
type Config struct {
	Verifier *verifier.Verifier
	// Peers are the addresses of S-CSCFs. What others send is dropped.
	Peers []netip.Prefix
	// Reauthenticates: the S-CSCF authenticates every REGISTER, not only the first of a binding. Else the nonce in a re-registration may be any that
	// the UE chose, and evidence over the nonce of a 401 counts for nothing here.
	Reauthenticates bool
	InFlight        int // registrations that are judged at once
	Now             func() time.Time
	Log             *slog.Logger
	// Answered is told of each answer. Limited is told of each packet and connection of a stranger ("peers"), and of each request that found
	// no place ("in_flight").
	Answered func(Outcome)
	Limited  func(limit string)
}

// Outcome is an answer, in words that are few. It names nobody.
type Outcome struct {
	Method   string // REGISTER, OPTIONS or other; unreadable for what was no request
	Original string // of a REGISTER that was judged: read, missing or unreadable; else empty
	Code     int    // 0 for what was not answered
}

// Server is an application server. It is used once.
type Server struct {
	Config
	parser  *sipgo.Parser
	places  chan struct{}
	answers answers
}

// New returns a Server.
func New(c Config) (*Server, error) {
	if c.Verifier == nil || len(c.Peers) == 0 || c.InFlight <= 0 || c.Now == nil || c.Log == nil || c.Answered == nil || c.Limited == nil {
		return nil, errors.New("a SIP application server needs a verifier, its peers, a number of requests at once, a clock, a log and who counts")
	}
	return &Server{Config: c, parser: newParser(), places: make(chan struct{}, c.InFlight), answers: newAnswers()}, nil
}

// newParser takes only those header fields apart that an answer needs: the others are for our own parser.
func newParser() *sipgo.Parser {
	all, needed := sipgo.DefaultHeadersParser(), make(map[string]sipgo.HeaderParser)
	for _, name := range []string{"via", "v", "call-id", "i", "cseq", "content-length", "l"} {
		needed[name] = all[name]
	}
	return sipgo.NewParser(sipgo.WithHeadersParsers(needed))
}

// Serve answers at both sockets until ctx is done or one of them fails. Then it reads no more, lets what is judged be answered, at most for the
// time of drain, and closes them. It leaves nothing running.
func (s *Server) Serve(ctx context.Context, packets net.PacketConn, streams net.Listener, drain time.Duration) (err error) {
	reading, stop := context.WithCancel(ctx)
	judging, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	ended := make(chan error)
	go func() { ended <- s.readPackets(reading, judging, packets) }()
	go func() { ended <- s.acceptStreams(reading, judging, streams) }()
	open := 2
	select {
	case <-ctx.Done():
	case err = <-ended:
		open--
	}
	stop()
	_ = packets.SetReadDeadline(time.Now()) // answers still go out
	_ = streams.Close()
	defer time.AfterFunc(drain, giveUp).Stop()
	for ; open > 0; open-- {
		err = errors.Join(err, <-ended)
	}
	_ = packets.Close()
	return err
}

// isPeer tells S-CSCFs from strangers.
func (s *Server) isPeer(from netip.AddrPort) bool {
	address := from.Addr().Unmap().WithZone("")
	return slices.ContainsFunc(s.Peers, func(p netip.Prefix) bool { return p.Contains(address) })
}
