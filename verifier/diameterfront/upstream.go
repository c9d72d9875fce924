package diameterfront

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"time"

	"imei-attest/attest"
	"imei-attest/verifier/diameterfront/diameter"
)

// Upstream is the operator's own EIR, which is asked each question, too. The worse of the two answers counts.
type Upstream struct {
	Dial    func(context.Context) (net.Conn, error)
	Host    string        // the Origin-Host that it must have
	Realm   string        // of which it answers for
	Timeout time.Duration // for an answer
	Outage  Outage
}

// Outage is what it means that the operator's own EIR gives no answer.
type Outage uint8

// The meanings.
const (
	OutageIgnored Outage = iota // what the verifier says counts alone
	OutageTracks                // as if it had said GREYLISTED
	OutageDenies                // as if it had said BLACKLISTED
)

// status is the answer that an outage stands for; what is unknown gives way.
func (o Outage) status() uint32 {
	return [...]uint32{attest.S13Unknown, attest.AnswerTrack.S13, attest.AnswerProhibit.S13}[o]
}

// Bounds on asking.
const (
	leastBackoff   = time.Second
	mostBackoff    = 30 * time.Second // Tc, RFC 6733 section 12
	unansweredMost = 8                // in a row: then the connection is given up, and begun anew
)

// client asks an Upstream. While it is not connected, a question fails at once.
type client struct {
	Upstream
	config *Config
	prefix string // of sessions (RFC 6733 section 8.8)

	mu         sync.Mutex
	link       *link // nil unless capabilities are exchanged
	pending    map[uint32]*asked
	session    uint32
	unanswered int // in a row
	failing    bool
}

// asked is a question under way.
type asked struct {
	hopByHop uint32
	answer   chan reply // one is sent, or it is closed
}

type reply struct {
	status uint32
	ok     bool // else it is an error
}

func newClient(u Upstream, c *Config) *client {
	prefix := fmt.Sprintf("%s;%d;", c.Node.Host, uint32(c.Now().Unix()))
	return &client{Upstream: u, config: c, prefix: prefix, pending: make(map[uint32]*asked)}
}

// run keeps a connection until ctx is done.
func (c *client) run(ctx context.Context) {
	for backoff := leastBackoff; ctx.Err() == nil; backoff = min(2*backoff, mostBackoff) {
		opened, err := c.connect(ctx)
		if opened {
			backoff = leastBackoff
		}
		if ctx.Err() == nil {
			c.config.Log.Warn("no connection to the operator's own EIR", "eir", c.Host, "error", err, "again_in", backoff.String())
		}
		select {
		case <-ctx.Done():
		case <-time.After(backoff/2 + rand.N(backoff)):
		}
	}
}

// connect is one connection, from its beginning to its end.
func (c *client) connect(ctx context.Context) (opened bool, err error) {
	dialing, cancel := context.WithTimeout(ctx, capabilitiesTime)
	conn, err := c.Dial(dialing)
	cancel()
	if err != nil {
		return false, err
	}
	l := newLink(conn, c.config.Node, c.config.Watchdog)
	defer context.AfterFunc(ctx, func() {
		_ = l.farewell() // who is gone needs none
		time.AfterFunc(partingTime, func() { _ = conn.Close() })
	})()
	var writing sync.WaitGroup
	writing.Go(l.out.write)
	err = l.request(diameter.CapabilitiesExchange, func(to []byte) []byte { return appendCapabilities(to, c.config.Node, conn) })
	if err == nil {
		err = l.run(caller{c, l})
	}
	c.hangUp(l)
	l.out.close()
	writing.Wait()
	return l.open, errors.Join(err, conn.Close())
}

// hangUp fails what is under way.
func (c *client) hangUp(l *link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link != l {
		return
	}
	c.link, c.unanswered = nil, 0
	for _, a := range c.pending {
		close(a.answer)
	}
	clear(c.pending)
}

// ask sends a question on; nil without an upstream or a connection to it.
func (c *client) ask(q *question) *asked {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link == nil {
		return nil
	}
	c.session++
	a := &asked{hopByHop: c.link.hopByHop.Add(1), answer: make(chan reply, 1)}
	if err := c.link.out.send(func(to []byte) []byte { return c.appendQuestion(to, q, a.hopByHop) }); err != nil {
		return nil
	}
	c.pending[a.hopByHop] = a
	return a
}

// appendQuestion appends an ME-Identity-Check-Request in a session of its own.
func (c *client) appendQuestion(to []byte, q *question, hopByHop uint32) []byte {
	begin := len(to)
	to = diameter.Begin(to, diameter.Header{Flags: diameter.Request | diameter.Proxiable, Command: diameter.MEIdentityCheck,
		Application: diameter.ApplicationS13, HopByHop: hopByHop, EndToEnd: hopByHop})
	to = diameter.AppendText(to, diameter.SessionID, fmt.Sprint(c.prefix, c.session))
	to = appendApplication(to)
	to = diameter.AppendUint32(to, diameter.AuthSessionState, diameter.NoStateMaintained)
	to = c.config.Node.append(to)
	to = diameter.AppendText(to, diameter.DestinationRealm, c.Realm)
	to = diameter.AppendGroup(to, diameter.TerminalInformation, func(to []byte) []byte {
		to = diameter.AppendText(to, diameter.IMEI, q.imei)
		if q.software != "" {
			to = diameter.AppendText(to, diameter.SoftwareVersion, q.software)
		}
		return to
	})
	if q.imsi != "" {
		to = diameter.AppendText(to, diameter.UserName, q.imsi)
	}
	diameter.End(to, begin)
	return to
}

// wait returns the status that was answered, or the one that an outage stands for.
func (c *client) wait(a *asked) uint32 {
	got := reply{}
	if a != nil {
		patience := time.NewTimer(c.Timeout)
		select {
		case got = <-a.answer:
		case <-patience.C:
			c.forget(a)
		}
		patience.Stop()
	}
	c.config.Observer.Upstream(got.ok)
	c.tell(got.ok)
	if !got.ok {
		return c.Outage.status()
	}
	return got.status
}

// forget gives a question up. After several in a row the connection is given up, too: the peer lives, but does not answer.
func (c *client) forget(a *asked) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pending[a.hopByHop] != a {
		return
	}
	delete(c.pending, a.hopByHop)
	if c.unanswered++; c.unanswered >= unansweredMost && c.link != nil {
		_ = c.link.conn.Close()
	}
}

// tell logs once that the EIR does not answer, and once that it does again.
func (c *client) tell(answered bool) {
	c.mu.Lock()
	changed := c.failing == answered
	c.failing = !answered
	c.mu.Unlock()
	switch {
	case changed && answered:
		c.config.Log.Info("the operator's own EIR answers again", "eir", c.Host)
	case changed:
		c.config.Log.Error("the operator's own EIR does not answer", "eir", c.Host, "meanwhile", c.Outage.String())
	}
}

// String is the meaning in a configuration.
func (o Outage) String() string { return [...]string{"ignore", "track", "deny"}[o] }

// caller is the client's side of one connection.
type caller struct {
	*client
	link *link
}

// answeredGrammar is that of a Capabilities-Exchange-Answer (RFC 6733 section 5.3.2).
var answeredGrammar = append(diameter.Grammar{
	{ID: diameter.ResultCodeAVP, Min: 1, Max: 1, Example: "\x00\x00\x00\x00"},
	{ID: diameter.ErrorMessage, Max: 1},
	{ID: diameter.FailedAVP, Max: 1},
}, capabilitiesGrammar...)

// capabilities takes those that answer ours; then questions are asked.
func (c caller) capabilities(m *diameter.Message) error {
	if m.Flags&diameter.Request != 0 {
		return errNotFirst
	}
	if result := diameter.Find(m.AVPs, diameter.ResultCodeAVP); result != nil {
		if code, err := result.Uint32(); err == nil && code != uint32(diameter.Success) {
			return fmt.Errorf("it answers our capabilities with %d: does it list %s as a peer?", code, c.config.Node.Host)
		}
	}
	theirs, err := readCapabilities(m, answeredGrammar)
	switch {
	case err != nil:
		return fmt.Errorf("its capabilities: %s", err) // not the error itself, which would be answered
	case !strings.EqualFold(theirs.host, c.Host):
		return fmt.Errorf("it calls itself %s, not %s", theirs.host, c.Host)
	}
	if err := c.link.opened(); err != nil {
		return err
	}
	c.mu.Lock()
	c.client.link = c.link
	c.mu.Unlock()
	c.config.Log.Info("connected to the operator's own EIR", "eir", theirs.host)
	return nil
}

// application takes an answer. One that nobody waits for any more is ignored, and a request is refused: nobody answers on this side.
func (c caller) application(h diameter.Header, bytes []byte) error {
	m := &c.link.message
	err := m.Decode(bytes)
	if h.Flags&diameter.Request != 0 {
		return c.link.refuse(m, &diameter.Error{Code: diameter.CommandUnsupported, Problem: "questions are not answered on a connection that began here"})
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	a := c.pending[h.HopByHop]
	if a == nil {
		return nil
	}
	delete(c.pending, h.HopByHop)
	c.unanswered = 0
	got := reply{}
	if err == nil {
		got = readReply(m)
	}
	a.answer <- got
	return nil
}

// readReply reads the status out of an ME-Identity-Check-Answer; not ok for what is an error, or none.
func readReply(m *diameter.Message) (r reply) {
	if m.Command != diameter.MEIdentityCheck || m.Application != diameter.ApplicationS13 || m.Flags&diameter.IsError != 0 {
		return reply{}
	}
	if group := diameter.Find(m.AVPs, diameter.ExperimentalResult); group != nil {
		var room [4]diameter.AVP
		inside, err := group.Group(room[:0])
		unknown := holds(inside, diameter.VendorID, diameter.Vendor3GPP) && holds(inside, diameter.ExperimentalCode, attest.S13Unknown)
		return reply{attest.S13Unknown, err == nil && unknown}
	}
	for status := range outcomes {
		if status != attest.S13Unknown && holds(m.AVPs, diameter.EquipmentStatus, status) {
			return reply{status, holds(m.AVPs, diameter.ResultCodeAVP, uint32(diameter.Success))}
		}
	}
	return reply{}
}

// holds reports an AVP with this value.
func holds(avps []diameter.AVP, id diameter.ID, want uint32) bool {
	a := diameter.Find(avps, id)
	if a == nil {
		return false
	}
	got, err := a.Uint32()
	return err == nil && got == want
}
