package sipfront

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	sipgo "github.com/emiago/sipgo/sip"
)

const (
	maxMessage = 65535            // bytes (RFC 3261 section 18.1.1)
	writeTime  = 10 * time.Second // for an answer over TCP
	acceptWait = 100 * time.Millisecond
)

// wire is the way back of an answer.
type wire interface {
	write(answer []byte) error
	reliable() bool
}

// readPackets reads UDP until reading is done, and returns when all that was read is answered.
func (s *Server) readPackets(reading, judging context.Context, conn net.PacketConn) error {
	var asked sync.WaitGroup
	defer asked.Wait()
	buffer := make([]byte, maxMessage)
	for {
		n, from, err := conn.ReadFrom(buffer)
		switch {
		case reading.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("reading SIP over UDP: %w", err)
		case !s.isPeer(addressOf(from)):
			s.Limited("peers")
			continue
		}
		request, err := s.parse(buffer[:n])
		switch {
		case err != nil && isKeepAlive(buffer[:n]):
		case err != nil:
			s.Answered(Outcome{Method: "unreadable"})
		default:
			s.receive(judging, &asked, request, "UDP", addressOf(from), &packet{conn, answerTo(addressOf(from), request)})
		}
	}
}

// isKeepAlive: RFC 5626 section 3.5.1, which over UDP is nothing to answer.
func isKeepAlive(raw []byte) bool {
	for _, c := range raw {
		if c != '\r' && c != '\n' && c != 0 {
			return false
		}
	}
	return true
}

var errNoRequest = errors.New("no request")

// parse reads a datagram. What goes wrong within the SIP library must not end the reading.
func (s *Server) parse(raw []byte) (request *sipgo.Request, err error) {
	defer func() {
		if recover() != nil {
			err = errNoRequest
		}
	}()
	message, err := s.parser.ParseSIP(raw)
	if err != nil {
		return nil, err
	}
	request, ok := message.(*sipgo.Request)
	if !ok {
		return nil, errNoRequest
	}
	return request, nil
}

// packet is the way back of a datagram.
type packet struct {
	conn net.PacketConn
	to   netip.AddrPort
}

func (p *packet) reliable() bool { return false }

func (p *packet) write(answer []byte) error {
	_, err := p.conn.WriteTo(answer, net.UDPAddrFromAddrPort(p.to))
	return err
}

// answerTo is the address that a request came from, with the port of its Via unless that asks for the one that it came from
// (RFC 3261 section 18.2.2, RFC 3581 section 4).
func answerTo(from netip.AddrPort, request *sipgo.Request) netip.AddrPort {
	via := request.Via()
	if via == nil || via.Params.Has("rport") {
		return from
	}
	port := via.Port
	if port <= 0 || port > 65535 {
		port = sipgo.DefaultUdpPort
	}
	return netip.AddrPortFrom(from.Addr(), uint16(port))
}

// acceptStreams accepts TCP until reading is done, and returns when all connections are closed.
func (s *Server) acceptStreams(reading, judging context.Context, l net.Listener) error {
	var open streams
	defer open.end()
	for {
		conn, err := l.Accept()
		switch {
		case reading.Err() != nil:
			if err == nil {
				_ = conn.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("accepting SIP over TCP: %w", err)
		case err != nil: // too many open files, say: others go away
			select {
			case <-reading.Done():
			case <-time.After(acceptWait):
			}
		case !s.isPeer(addressOf(conn.RemoteAddr())):
			s.Limited("peers")
			_ = conn.Close()
		default:
			open.serve(conn, func() { s.readStream(judging, conn) })
		}
	}
}

// streams are the open connections.
type streams struct {
	mu      sync.Mutex
	open    map[net.Conn]bool
	reading sync.WaitGroup
}

func (o *streams) serve(conn net.Conn, read func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.open == nil {
		o.open = make(map[net.Conn]bool)
	}
	o.open[conn] = true
	o.reading.Go(func() {
		read()
		o.mu.Lock()
		delete(o.open, conn)
		o.mu.Unlock()
		_ = conn.Close()
	})
}

// end reads no more, and waits for what was read to be answered.
func (o *streams) end() {
	o.mu.Lock()
	for conn := range o.open {
		_ = conn.SetReadDeadline(time.Now())
	}
	o.mu.Unlock()
	o.reading.Wait()
}

// readStream reads one connection until it ends or holds what is no SIP: then nobody knows where the next message begins.
func (s *Server) readStream(judging context.Context, conn net.Conn) {
	var asked sync.WaitGroup
	defer asked.Wait()
	defer s.survive("a connection is closed")
	stream, from := s.parser.NewSIPStream(), addressOf(conn.RemoteAddr())
	defer stream.Close()
	const usual = 16 << 10
	buffer := make([]byte, usual)
	for {
		n, err := conn.Read(buffer)
		if err != nil {
			return
		}
		err = stream.ParseSIPStream(buffer[:n], func(m sipgo.Message) {
			if request, ok := m.(*sipgo.Request); ok {
				s.receive(judging, &asked, request, "TCP", from, &streamWire{conn})
			}
		})
		if err != nil && !errors.Is(err, sipgo.ErrParseSipPartial) {
			s.Answered(Outcome{Method: "unreadable"})
			return
		}
	}
}

// streamWire is the way back over the connection that a request came by.
type streamWire struct{ conn net.Conn }

func (w *streamWire) reliable() bool { return true }

func (w *streamWire) write(answer []byte) error {
	_ = w.conn.SetWriteDeadline(time.Now().Add(writeTime)) // a connection has one
	_, err := w.conn.Write(answer)
	return err
}

func addressOf(a net.Addr) netip.AddrPort {
	switch a := a.(type) {
	case *net.UDPAddr:
		return a.AddrPort()
	case *net.TCPAddr:
		return a.AddrPort()
	}
	return netip.AddrPort{}
}
