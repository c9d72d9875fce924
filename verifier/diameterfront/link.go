package diameterfront

import (
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"imei-attest/verifier/diameterfront/diameter"
)

// link is a connection to a peer: what both sides of it do alike.
type link struct {
	conn    net.Conn
	node    Node
	in      stream
	out     *outbox
	message diameter.Message // the one that was read last, if it was decoded

	watchdog time.Duration
	interval time.Duration // of the watchdog, the one that runs
	heard    time.Time     // when the peer last sent a message; monotonic
	silences int           // for how many intervals nothing came
	open     bool          // capabilities are exchanged
	leaving  bool          // the peer said farewell

	hopByHop atomic.Uint32 // of the last request
}

// Why a link ends; all are told in the log of connections.
var (
	errSilent   = errors.New("the peer was silent for three intervals of the watchdog")
	errNotFirst = errors.New("the peer did not begin with its capabilities")
	errFarewell = errors.New("farewells were exchanged")
	errNotRead  = errors.New("the peer does not read what it is answered")
	errUnlisted = errors.New("the peer was taken off the list while it was admitted")
)

func newLink(conn net.Conn, node Node, watchdog time.Duration) *link {
	l := &link{conn: conn, node: node, in: stream{conn: conn}, out: newOutbox(conn), watchdog: watchdog, heard: time.Now()}
	l.hopByHop.Store(rand.Uint32())
	_ = conn.SetReadDeadline(l.heard.Add(capabilitiesTime)) // a connection that is gone says so when it is read
	return l
}

// run reads messages until the link ends, and says why. What a role does not know of itself is answered here.
func (l *link) run(own role) error {
	for {
		bytes, err := l.in.next()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			err = l.silence()
		case err != nil:
			l.refuseBytes(l.in.rest(), err)
		default:
			l.heard, l.silences = time.Now(), 0
			err = l.take(bytes, own)
		}
		if err != nil {
			return err
		}
	}
}

// role is which side of the connection this is.
type role interface {
	// capabilities takes the peer's, in a request or an answer; the link is open afterwards, or ends.
	capabilities(*diameter.Message) error
	// application takes a message of another application than the base protocol. The bytes are lost when it returns.
	application(diameter.Header, []byte) error
}

func (l *link) take(bytes []byte, own role) error {
	h := diameter.ReadHeader(bytes)
	if !l.open && (h.Application != diameter.ApplicationBase || h.Command != diameter.CapabilitiesExchange) {
		return errNotFirst // RFC 6733 section 5.6: nothing else is taken then
	}
	if h.Application != diameter.ApplicationBase {
		return own.application(h, bytes)
	}
	m := &l.message
	err := m.Decode(bytes)
	if m.Flags&diameter.Request == 0 {
		return l.takeAnswer(m, err, own)
	}
	if err == nil {
		err = l.takeRequest(m, own)
	}
	return l.refuse(m, err)
}

// takeAnswer: one that is malformed, or that nobody waits for, is ignored (RFC 6733 section 6.2).
func (l *link) takeAnswer(m *diameter.Message, malformed error, own role) error {
	switch {
	case malformed != nil && l.open:
		return nil
	case malformed != nil:
		return malformed
	case m.Command == diameter.CapabilitiesExchange:
		return own.capabilities(m)
	case m.Command == diameter.DisconnectPeer:
		return errFarewell
	}
	return nil
}

func (l *link) takeRequest(m *diameter.Message, own role) error {
	if m.Flags&diameter.Proxiable != 0 {
		return &diameter.Error{Code: diameter.InvalidHeaderBits, Problem: "a command of the base protocol has the bit P"}
	}
	switch m.Command {
	case diameter.CapabilitiesExchange:
		return own.capabilities(m)
	case diameter.DeviceWatchdog:
		return l.answer(m, watchdogGrammar, nil)
	case diameter.DisconnectPeer:
		l.leaving = true
		_ = l.conn.SetReadDeadline(time.Now().Add(partingTime)) // who said farewell closes (RFC 6733 section 5.4)
		return l.answer(m, disconnectGrammar, nil)
	}
	return &diameter.Error{Code: diameter.CommandUnsupported, Problem: "the command is none of the base protocol that is known here"}
}

// The rules of the base protocol's commands (RFC 6733 sections 5.4 and 5.5).
var (
	watchdogGrammar = diameter.Grammar{{ID: diameter.OriginHost, Min: 1, Max: 1}, {ID: diameter.OriginRealm, Min: 1, Max: 1},
		{ID: diameter.OriginStateID, Max: 1}}
	disconnectGrammar = diameter.Grammar{{ID: diameter.OriginHost, Min: 1, Max: 1}, {ID: diameter.OriginRealm, Min: 1, Max: 1},
		{ID: diameter.DisconnectCause, Min: 1, Max: 1, Example: "\x00\x00\x00\x00"}}
)

// answer says success, with more AVPs, to a request that keeps its grammar.
func (l *link) answer(m *diameter.Message, g diameter.Grammar, more func([]byte) []byte) error {
	if err := g.Check(m.AVPs); err != nil {
		return err
	}
	return l.out.send(func(to []byte) []byte { return appendAnswer(to, m, l.node, diameter.Success, nil, more) })
}

// refuse answers a request with what is wrong with it; another error ends the link.
func (l *link) refuse(m *diameter.Message, err error) error {
	var bad *diameter.Error
	if !errors.As(err, &bad) {
		return err
	}
	return l.out.send(func(to []byte) []byte { return appendAnswer(to, m, l.node, bad.Code, bad, nil) })
}

// refuseBytes answers what is no message, where its header is there: afterwards nobody knows where the next one begins.
func (l *link) refuseBytes(bytes []byte, err error) {
	if len(bytes) < diameter.HeaderBytes {
		return
	}
	if h := diameter.ReadHeader(bytes); h.Flags&diameter.Request != 0 {
		_ = l.refuse(&diameter.Message{Header: h}, err) // the link ends anyhow
	}
}

// appendAnswer appends an answer (RFC 6733 sections 6.2 and 7.2): the session and the information of proxies are the request's.
func appendAnswer(to []byte, m *diameter.Message, node Node, code diameter.ResultCode, bad *diameter.Error, more func([]byte) []byte) []byte {
	begin := len(to)
	to = diameter.Begin(to, m.Header.Answer(code))
	if session := diameter.Find(m.AVPs, diameter.SessionID); session != nil {
		to = diameter.AppendText(to, diameter.SessionID, session.Data)
	}
	to = diameter.AppendUint32(to, diameter.ResultCodeAVP, uint32(code))
	to = node.append(to)
	if more != nil {
		to = more(to)
	}
	if bad != nil {
		to = diameter.AppendText(to, diameter.ErrorMessage, bad.Problem)
		to = bad.AppendFailed(to)
	}
	to = appendProxyInfo(to, m)
	diameter.End(to, begin)
	return to
}

// append appends who this side is.
func (n Node) append(to []byte) []byte {
	return diameter.AppendText(diameter.AppendText(to, diameter.OriginHost, n.Host), diameter.OriginRealm, n.Realm)
}

// appendProxyInfo appends what proxies want back, in the order in which it came (RFC 6733 section 6.2).
func appendProxyInfo(to []byte, m *diameter.Message) []byte {
	for i := range m.AVPs {
		if m.AVPs[i].ID == diameter.ProxyInfo {
			to = m.AVPs[i].Append(to)
		}
	}
	return to
}

// request sends a request of the base protocol. Its answer is known by its command alone: there is at most one of each under way.
func (l *link) request(command uint32, more func([]byte) []byte) error {
	h := diameter.Header{Flags: diameter.Request, Command: command, HopByHop: l.hopByHop.Add(1), EndToEnd: rand.Uint32()}
	return l.out.send(func(to []byte) []byte {
		begin := len(to)
		to = l.node.append(diameter.Begin(to, h))
		if more != nil {
			to = more(to)
		}
		diameter.End(to, begin)
		return to
	})
}

// silence is the watchdog of RFC 3539 section 3.4.1: after one interval without a message the peer is asked whether it is there, after
// two it is suspect, after three the link ends.
func (l *link) silence() error {
	switch {
	case l.leaving:
		return errFarewell
	case !l.open:
		return errNotFirst
	}
	if wait := l.interval - time.Since(l.heard); l.silences == 0 && wait > 0 {
		return l.conn.SetReadDeadline(time.Now().Add(wait))
	}
	const most = 3
	if l.silences++; l.silences == most {
		return errSilent
	}
	if l.silences == 1 {
		if err := l.request(diameter.DeviceWatchdog, nil); err != nil {
			return err
		}
	}
	return l.watch()
}

// watch begins an interval of the watchdog. It is up to a fifteenth longer or shorter, 2 s of 30, so that peers which began together do
// not ask together.
func (l *link) watch() error {
	l.interval = l.watchdog + time.Duration((2*rand.Float64()-1)*float64(l.watchdog)/15)
	return l.conn.SetReadDeadline(time.Now().Add(l.interval))
}

// opened begins the watchdog.
func (l *link) opened() error {
	l.open = true
	return l.watch()
}

// Causes of a farewell (RFC 6733 section 5.4.3).
const rebooting uint32 = 0

// farewell says that this side leaves.
func (l *link) farewell() error {
	return l.request(diameter.DisconnectPeer, func(to []byte) []byte { return diameter.AppendUint32(to, diameter.DisconnectCause, rebooting) })
}

// address is that of a side of the connection, as far as there is one.
func address(a net.Addr) netip.Addr {
	at, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.IPv4Unspecified()
	}
	return at.Addr().Unmap().WithZone("")
}
