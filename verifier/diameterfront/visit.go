package diameterfront

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"imei-attest/verifier/diameterfront/diameter"
)

// visit is a connection that a peer began.
type visit struct {
	server *Server
	link   *link
	ctx    context.Context
	from   netip.Addr
	host   string // the peer's Origin-Host in small letters, "" until it is admitted; under server.mu
	name   string // likewise; of the reader

	underway atomic.Int64   // questions that are judged
	work     chan *question // for a worker that has nothing to do
	working  sync.WaitGroup
}

func newVisit(s *Server, conn net.Conn, from netip.Addr) *visit {
	return &visit{server: s, link: newLink(conn, s.config.Node, s.config.Watchdog), from: from, work: make(chan *question)}
}

// run serves until the connection ends. Questions under way are answered as far as the peer still listens.
func (v *visit) run(ctx context.Context) {
	defer v.server.leave(v)
	defer v.link.conn.Close()
	v.ctx = ctx
	var writing sync.WaitGroup
	writing.Go(v.link.out.write)
	err := v.link.run(v)
	close(v.work)
	v.working.Wait()
	v.link.out.close()
	writing.Wait()
	v.tell(err)
}

// tell logs the end of a visit. Who never said who he is was refused.
func (v *visit) tell(err error) {
	if v.name == "" {
		v.server.refused(whyRefused(err), v.link.conn)
		return
	}
	if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
		err = errors.New("the connection was closed")
	}
	v.server.config.Log.Info("a peer of S13 has gone", "peer", v.name, "because", err.Error())
}

func whyRefused(err error) string {
	var refused refusal
	var bad *diameter.Error
	if errors.As(err, &refused) && errors.As(refused.why, &bad) && bad.Code == diameter.UnknownPeer {
		return refusedPeer
	}
	return refusedCapabilities
}

// refusal ends a link whose capabilities were refused with an answer.
type refusal struct{ why error }

func (r refusal) Error() string { return r.why.Error() }

// capabilities answers those of the peer (RFC 6733 section 5.3). Who is refused is told why, and disconnected; who sends them again is
// answered again.
func (v *visit) capabilities(m *diameter.Message) error {
	if m.Flags&diameter.Request == 0 {
		return nil // nobody asked
	}
	peer, err := readCapabilities(m, capabilitiesGrammar)
	host := strings.ToLower(peer.host)
	if peer.host != "" && (!v.server.peers.Load().admits(host, v.link.conn) || v.name != "" && v.name != host) {
		err = &diameter.Error{Code: diameter.UnknownPeer, Problem: "no such peer is listed for this address or certificate"}
	}
	if err != nil {
		_ = v.link.refuse(m, err) // the link ends anyhow
		return refusal{err}
	}
	if v.name == "" {
		v.name = host
		v.server.introduce(v, host)
		if !v.server.peers.Load().admits(host, v.link.conn) {
			return errUnlisted
		}
		v.server.config.Log.Info("a peer of S13 is connected", "peer", host, "address", address(v.link.conn.RemoteAddr()).String())
	}
	if err := v.link.opened(); err != nil {
		return err
	}
	return v.link.out.send(func(to []byte) []byte {
		return appendAnswer(to, m, v.server.config.Node, diameter.Success, nil, func(to []byte) []byte { return appendCapabilities(to, v.server.config.Node, v.link.conn) })
	})
}

// application takes a request of another application than the base protocol.
func (v *visit) application(h diameter.Header, bytes []byte) error {
	if h.Flags&diameter.Request == 0 {
		return nil // nobody asked
	}
	if v.link.leaving {
		return nil // after a farewell nothing is taken (RFC 6733 section 5.4)
	}
	q := questions.Get().(*question)
	q.bytes, q.begun = append(q.bytes[:0], bytes...), time.Now()
	if v.underway.Load() >= int64(v.server.config.InFlight) {
		return v.busy(q)
	}
	v.underway.Add(1)
	select {
	case v.work <- q:
	default:
		v.working.Go(func() { v.labour(q) })
	}
	return nil
}

// labour judges one question after the other, so that each finds a stack that has grown.
func (v *visit) labour(q *question) {
	for more := true; more; q, more = <-v.work {
		v.judge(q)
		questions.Put(q)
	}
}

// questions are kept with the room that they have.
var questions = sync.Pool{New: func() any { return new(question) }}

// busy refuses a question that is one too many (RFC 6733 section 7.1.3).
func (v *visit) busy(q *question) error {
	defer questions.Put(q)
	v.server.config.Observer.Answered(outcomeBusy, time.Since(q.begun))
	if err := q.message.Decode(q.bytes); err != nil {
		return v.link.refuse(&q.message, err)
	}
	return v.link.refuse(&q.message, &diameter.Error{Code: diameter.TooBusy, Problem: "as many questions are judged as can be"})
}
