package diameterfront

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Server is the front. It is safe for use by many goroutines.
type Server struct {
	config   Config
	peers    atomic.Pointer[peers]
	upstream *client // nil where there is no other EIR

	mu       sync.Mutex
	visits   map[*visit]bool
	strange  int                  // visits whose capabilities are not known yet
	told     map[string]time.Time // when a refusal was last told, by its reason
	visiting sync.WaitGroup
}

// tellRefusals is how often a refusal of one kind is told: who is refused may try again as fast as he can.
const tellRefusals = time.Second

// Bounds of the connections of who has not said who he is: in all, and from one address, so that one machine alone does not keep the others
// out. One more is closed.
const (
	maxStrange     = 64
	maxStrangeEach = 16
)

// SetPeers exchanges who may ask. A peer that may no more is disconnected.
func (s *Server) SetPeers(list []Peer) {
	now := newPeers(list)
	s.peers.Store(&now)
	s.each(func(v *visit) {
		if v.host != "" && !now.admits(v.host, v.link.conn) {
			_ = v.link.conn.Close()
		}
	})
}

// Connected is how many peers are connected.
func (s *Server) Connected() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.visits) - s.strange
}

// Serve answers who connects to the listeners until ctx is done, and then says farewell, lets the questions under way finish, and closes
// the connections. The error is that of a listener which failed; the others are closed then.
func (s *Server) Serve(ctx context.Context, listeners ...net.Listener) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	judging, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	var accepting, asking sync.WaitGroup
	for _, l := range listeners {
		accepting.Go(func() { stop(s.accept(judging, l)) })
		context.AfterFunc(ctx, func() { _ = l.Close() }) // it is to be closed, whatever that says
	}
	if s.upstream != nil {
		asking.Go(func() { s.upstream.run(judging) })
	}
	accepting.Wait()
	s.drain()
	abandon()
	s.each(func(v *visit) { _ = v.link.conn.Close() })
	s.visiting.Wait()
	asking.Wait()
	if err := context.Cause(ctx); !errors.Is(err, net.ErrClosed) && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("serving S13: %w", err)
	}
	return nil
}

// accept takes connections until the listener is closed.
func (s *Server) accept(ctx context.Context, l net.Listener) error {
	for {
		conn, err := l.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return err
		case err != nil && ctx.Err() == nil && isPassing(err):
			time.Sleep(acceptPause)
		case err != nil:
			return err
		default:
			s.visit(ctx, conn)
		}
	}
}

// acceptPause is how long a listener rests that has no more descriptors.
const acceptPause = 50 * time.Millisecond

// isPassing: a lack of descriptors or of memory passes (accept(2)).
func isPassing(err error) bool {
	var temporary interface{ Temporary() bool }
	return errors.As(err, &temporary) && temporary.Temporary()
}

// visit begins to serve a connection, unless nobody who may ask comes from there.
func (s *Server) visit(ctx context.Context, conn net.Conn) {
	from := address(conn.RemoteAddr())
	if !s.peers.Load().mayComeFrom(from) {
		s.refused(refusedAddress, conn)
		return
	}
	v := newVisit(s, conn, from)
	if !s.enter(v) {
		s.refused(refusedCrowd, conn)
		return
	}
	s.visiting.Go(func() { v.run(ctx) })
}

// Why a connection is refused.
const (
	refusedAddress      = "address"      // no peer connects from there
	refusedCrowd        = "connections"  // too many have not said who they are
	refusedPeer         = "peer"         // the Origin-Host is not listed, or not for this address or certificate
	refusedCapabilities = "capabilities" // nothing in common, or no capabilities at all
)

// Refusals are all that Observer.Refused is told.
func Refusals() []string {
	return []string{refusedAddress, refusedCrowd, refusedPeer, refusedCapabilities}
}

func (s *Server) refused(why string, conn net.Conn) {
	_ = conn.Close()
	s.config.Observer.Refused(why)
	s.mu.Lock()
	now := time.Now()
	tell := now.Sub(s.told[why]) >= tellRefusals
	if tell {
		s.told[why] = now
	}
	s.mu.Unlock()
	if tell {
		s.config.Log.Warn("a connection to S13 was refused", "why", why, "address", address(conn.RemoteAddr()).String())
	}
}

func (s *Server) enter(v *visit) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.strange >= maxStrange || s.strangeFrom(v.from) >= maxStrangeEach {
		return false
	}
	s.strange++
	s.visits[v] = true
	return true
}

func (s *Server) strangeFrom(from netip.Addr) (n int) {
	for v := range s.visits {
		if v.host == "" && v.from == from {
			n++
		}
	}
	return n
}

// introduce says who a visitor is. An earlier connection of the same peer is closed: it restarted, or lost the connection, and nobody
// else can have come from there by that name.
func (s *Server) introduce(v *visit, host string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v.host == "" {
		s.strange--
	}
	v.host = host
	for other := range s.visits {
		if other != v && other.host == host {
			s.config.Log.Warn("a peer of S13 connected again: its earlier connection is closed", "peer", host)
			_ = other.link.conn.Close()
		}
	}
}

func (s *Server) leave(v *visit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v.host == "" {
		s.strange--
	}
	delete(s.visits, v)
}

// drain says farewell to all, and waits until they have gone, but not for long. Who has not said who he is is owed nothing.
func (s *Server) drain() {
	s.each(func(v *visit) {
		if v.host == "" {
			_ = v.link.conn.Close()
			return
		}
		_ = v.link.farewell() // who is gone needs none
	})
	gone := make(chan struct{})
	go func() {
		s.visiting.Wait()
		close(gone)
	}()
	select {
	case <-gone:
	case <-time.After(drainTime):
	}
}

func (s *Server) each(visit func(*visit)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for v := range s.visits {
		visit(v)
	}
}
