package diameterfront_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"imei-attest/verifier/diameterfront"
	"imei-attest/verifier/diameterfront/diameter"
)

// TestCapabilitiesAreExchanged compares every AVP of the answer with those of RFC 6733 section 5.3.2.
func TestCapabilitiesAreExchanged(t *testing.T) {
	f := serve(t, newOperator(t, "observe"))
	c := f.dial()
	request := capabilities("MME.Example")
	for range 2 { // who sends them again is answered again
		got := c.ask(request)
		asked := diameter.ReadHeader(request)
		want := message(diameter.Header{Command: 257, HopByHop: asked.HopByHop, EndToEnd: asked.EndToEnd}, value(diameter.ResultCodeAVP, 2001),
			text(diameter.OriginHost, "eir.example"), text(diameter.OriginRealm, "example"), text(diameter.HostIPAddress, "\x00\x01\x7f\x00\x00\x01"),
			value(diameter.VendorID, 0), text(diameter.ProductName, "test"), value(diameter.SupportedVendorID, 10415),
			group(diameter.VendorSpecificAppID, value(diameter.VendorID, 10415), value(diameter.AuthApplicationID, 16777252)))
		if again := got.Append(nil); !bytes.Equal(again, want) {
			t.Errorf("\n got %x\nwant %x", again, want)
		}
	}
	if f.Connected() != 1 {
		t.Errorf("%d peers are connected", f.Connected())
	}
	f.log.wait(t, "peer=mme.example")
}

// TestWhoIsRefused is told why, and disconnected.
func TestWhoIsRefused(t *testing.T) {
	plain := func(more ...func([]byte) []byte) []byte {
		parts := []func([]byte) []byte{text(diameter.OriginHost, mme), text(diameter.OriginRealm, "example"), text(diameter.HostIPAddress, "\x00\x01\x7f\x00\x00\x01"),
			value(diameter.VendorID, 0), text(diameter.ProductName, "test")}
		return message(base(257), append(parts, more...)...)
	}
	proxiable := capabilities(mme)
	proxiable[4] |= byte(diameter.Proxiable)
	for _, c := range []struct {
		name    string
		request []byte
		want    uint32 // 0 for no answer
		why     string
	}{
		{"a host that is not listed", capabilities("thief.example"), 3010, "peer"},
		{"a host that is listed for another address", capabilities("remote.example"), 3010, "peer"},
		{"a host that is to show a certificate", capabilities("secured.example"), 3010, "peer"},
		{"an agent of other applications", plain(value(diameter.AuthApplicationID, 16777251)), 5010, "capabilities"},
		{"no application", plain(), 5010, "capabilities"},
		{"S13 for accounting", plain(value(diameter.AcctApplicationID, 16777252)), 5010, "capabilities"},
		{"another application of 3GPP", plain(group(diameter.VendorSpecificAppID, value(diameter.VendorID, 10415), value(diameter.AuthApplicationID, 1))), 5010, "capabilities"},
		{"TLS inside of the connection", capabilities(mme, value(diameter.InbandSecurityID, 1)), 5017, "capabilities"},
		{"no name", message(base(257), text(diameter.OriginRealm, "example")), 5005, "capabilities"},
		{"an empty name", capabilities(""), 5004, "capabilities"},
		{"two names", capabilities(mme, text(diameter.OriginHost, "thief.example")), 5009, "capabilities"},
		{"an AVP that must be known and is not", capabilities(mme, value(diameter.ID{Code: 999}, 1)), 5001, "capabilities"},
		{"a security of three bytes", capabilities(mme, text(diameter.InbandSecurityID, "abc")), 5014, "capabilities"},
		{"an application of three bytes", capabilities(mme, text(diameter.AuthApplicationID, "abc")), 5014, "capabilities"},
		{"a group that is none", capabilities(mme, text(diameter.VendorSpecificAppID, "abc")), 5014, "capabilities"},
		{"a question first", question(honest.Body(), alice), 0, "capabilities"},
		{"a watchdog first", message(base(280), text(diameter.OriginHost, mme), text(diameter.OriginRealm, "example")), 0, "capabilities"},
		{"another version", append([]byte{2}, capabilities(mme)[1:]...), 5011, "capabilities"},
		{"a length of 16 MiB", append([]byte{1, 255, 255, 252}, capabilities(mme)[4:]...), 5015, "capabilities"},
		{"HTTP", []byte("GET / HTTP/1.1\r\nHost: eir.example\r\n\r\n"), 0, "capabilities"},
		{"TLS without TLS", []byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 and more of a greeting"), 0, "capabilities"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := serve(t, newOperator(t, "observe"), func(c *diameterfront.Config) {
				c.Peers = append(c.Peers, diameterfront.Peer{Host: "remote.example", Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}},
					diameterfront.Peer{Host: "secured.example", Addresses: loopback, Certificate: "dns:secured.example"})
			})
			conn := f.dial()
			conn.send(c.request)
			if c.want != 0 {
				if m := conn.receive(); result(m) != c.want || m.HopByHop != diameter.ReadHeader(c.request).HopByHop {
					t.Errorf("got %d, want %d", result(m), c.want)
				}
			}
			conn.isClosed()
			conn.Close()
			f.stop()
			if got := strings.Join(f.told.words, " "); got != c.why {
				t.Errorf("counted %q, want %q", got, c.why)
			}
		})
	}
	t.Run("a command with the bit P is told, and may begin again", func(t *testing.T) {
		c := serve(t, newOperator(t, "observe")).dial()
		if m := c.ask(proxiable); result(m) != 3008 {
			t.Errorf("got %d", result(m))
		}
		if m := c.ask(capabilities(mme)); result(m) != 2001 {
			t.Errorf("got %d", result(m))
		}
	})
}

func TestWhoIsAdmitted(t *testing.T) {
	for name, request := range map[string][]byte{
		"an agent that passes everything on": capabilities(mme, value(diameter.AuthApplicationID, diameter.ApplicationRelay)),
		"TLS offered, and none":              capabilities(mme, value(diameter.InbandSecurityID, 1), value(diameter.InbandSecurityID, 0)),
		"what need not be known":             capabilities(mme, func(to []byte) []byte { return append(to, "\x00\x00\x03\xe7\x00\x00\x00\x08"...) }),
	} {
		if m := serve(t, newOperator(t, "observe")).dial().ask(request); result(m) != 2001 {
			t.Errorf("%s: got %d", name, result(m))
		}
	}
}

// TestNobodyIsHeardWhoComesFromElsewhere: an address that no peer connects from is closed before it says anything.
func TestNobodyIsHeardWhoComesFromElsewhere(t *testing.T) {
	f := serve(t, newOperator(t, "observe"), func(c *diameterfront.Config) {
		c.Peers[0].Addresses = []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}
	})
	const tries = 5
	for range tries {
		f.dial().isClosed()
	}
	f.stop()
	if told := strings.Count(f.log.String(), "why=address"); told < 1 || told > tries-1 || f.told.heard() != tries { // once a second
		t.Errorf("told %d times, counted %d times", told, f.told.heard())
	}
}

// TestTheBaseProtocolIsAnswered: watchdogs, and what is wrong with them.
func TestTheBaseProtocolIsAnswered(t *testing.T) {
	c := serve(t, newOperator(t, "observe")).connect()
	host, realm := text(diameter.OriginHost, mme), text(diameter.OriginRealm, "example")
	for _, q := range []struct {
		name    string
		request []byte
		want    uint32
	}{
		{"a watchdog", message(base(280), host, realm), 2001},
		{"a watchdog with a state", message(base(280), host, realm, value(diameter.OriginStateID, 7)), 2001},
		{"a watchdog of nobody", message(base(280)), 5005},
		{"a farewell without a cause", message(base(282), host, realm), 5005},
		{"an accounting request", message(base(271), host, realm), 3001},
		{"an end of a session", message(base(275), host, realm), 3001},
		{"capabilities of another", capabilities("other.example"), 3010},
	} {
		if m := c.ask(q.request); result(m) != q.want {
			t.Errorf("%s: got %d, want %d", q.name, result(m), q.want)
		}
	}
	c.isClosed() // by the last
}

// TestAnswersThatNobodyWaitsForAreIgnored (RFC 6733 section 6.2), malformed ones too.
func TestAnswersThatNobodyWaitsForAreIgnored(t *testing.T) {
	c := serve(t, withCustomers(t, "enforce")).connect()
	for _, command := range []uint32{257, 280, 324, 999} {
		c.send(message(diameter.Header{Command: command}))
		c.send(message(diameter.Header{Command: command, Application: diameter.ApplicationS13}, text(diameter.SessionID, "x")))
		c.send(message(diameter.Header{Command: command}, func(to []byte) []byte { return append(to, "\x00\x00\x00\x01\x00\x00\x00\x01"...) }))
	}
	if got := status(c.ask(question(honest.Body(), alice))); got != 0 {
		t.Errorf("got %d", got)
	}
}

// TestAFarewellIsAnswered, questions before it too and questions after it not; then the peer closes.
func TestAFarewellIsAnswered(t *testing.T) {
	o := withCustomers(t, "enforce")
	f := serve(t, o)
	c := f.connect()
	release := make(chan struct{})
	o.store.breakBy(func(context.Context) error { <-release; return nil })
	c.send(question(honest.Body(), alice))
	bye := message(base(282), text(diameter.OriginHost, mme), text(diameter.OriginRealm, "example"), value(diameter.DisconnectCause, 0))
	c.send(append(bye, question(honest.Body(), alice)...))
	if m := c.receive(); m.Command != 282 || result(m) != 2001 {
		t.Errorf("got %d to %d", result(m), m.Command)
	}
	close(release)
	if m := c.receive(); m.Command != 324 || status(m) != 0 {
		t.Errorf("got %d to %d", status(m), m.Command)
	}
	must(t, c.Conn.(*net.TCPConn).CloseWrite())
	c.isClosed()
}

// TestWhoStopsSaysFarewell, and lets questions under way finish.
func TestWhoStopsSaysFarewell(t *testing.T) {
	o := withCustomers(t, "enforce")
	f := serve(t, o)
	c := f.connect()
	release := make(chan struct{})
	o.store.breakBy(func(context.Context) error { <-release; return nil })
	c.send(question(honest.Body(), alice))
	for o.store.waiting() == 0 {
		time.Sleep(time.Millisecond)
	}
	go f.stop()
	m := c.receive()
	if m.Command != 282 || m.Flags != diameter.Request || number(m.AVPs, diameter.DisconnectCause) != 0 {
		t.Errorf("got %+v", m)
	}
	close(release)
	if m := c.receive(); status(m) != 0 {
		t.Errorf("got %d", status(m))
	}
	answer := m.Header.Answer(diameter.Success)
	c.send(message(answer, value(diameter.ResultCodeAVP, 2001), text(diameter.OriginHost, mme), text(diameter.OriginRealm, "example")))
	c.isClosed()
	if _, err := net.Dial("tcp", f.address); err == nil {
		t.Error("the front still listens")
	}
}

// TestAPeerThatConnectsAgainTakesItsPlace: the earlier connection, which may be dead, is closed.
func TestAPeerThatConnectsAgainTakesItsPlace(t *testing.T) {
	f := serve(t, withCustomers(t, "enforce"))
	first := f.connect()
	second := f.connect()
	first.isClosed()
	if got := status(second.ask(question(honest.Body(), alice))); got != 0 || f.Connected() != 1 {
		t.Errorf("got %d, and %d are connected", got, f.Connected())
	}
}

func TestAPeerThatIsListedNoMoreIsDisconnected(t *testing.T) {
	f := serve(t, newOperator(t, "observe"), func(c *diameterfront.Config) {
		c.Peers = append(c.Peers, diameterfront.Peer{Host: "dra.example", Addresses: loopback})
	})
	gone, stays := f.connect(), f.dial()
	stays.ask(capabilities("dra.example"))
	f.SetPeers([]diameterfront.Peer{{Host: "dra.example", Addresses: loopback}})
	gone.isClosed()
	if m := stays.ask(message(base(280), text(diameter.OriginHost, "dra.example"), text(diameter.OriginRealm, "example"))); result(m) != 2001 {
		t.Errorf("got %d", result(m))
	}
}

// TestMessagesMayComeInPieces, and many at once.
func TestMessagesMayComeInPieces(t *testing.T) {
	c := serve(t, withCustomers(t, "enforce")).connect()
	for _, b := range question(honest.Body(), alice) {
		c.send([]byte{b})
	}
	if got := status(c.receive()); got != 0 {
		t.Errorf("in bytes: got %d", got)
	}
	const together = 16
	c.send(bytes.Repeat(question(honest.Body(), alice), together))
	for range together {
		if got := status(c.receive()); got != 0 {
			t.Errorf("together: got %d", got)
		}
	}
	long := append(routed(), terminal(honest.Body()), text(diameter.UserName, alice))
	for range 60 {
		long = append(long, text(diameter.RouteRecord, strings.Repeat("r", 250)))
	}
	for range 5 { // each nearly as long as is taken
		if got := status(c.ask(message(asking(), long...))); got != 0 {
			t.Errorf("long: got %d", got)
		}
	}
}

// TestStrangersAreBounded: who says nothing takes no more than so many places, and from another address a peer is heard all the same.
func TestStrangersAreBounded(t *testing.T) {
	f := serve(t, newOperator(t, "observe"), func(c *diameterfront.Config) {
		c.Peers = append(c.Peers, diameterfront.Peer{Host: "dra.example", Addresses: []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}})
	})
	for range 16 {
		f.dial()
	}
	for range 100 {
		if c := f.dial(); len(f.log.String()) > 0 {
			c.isClosed()
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	f.log.wait(t, "why=connections")
	elsewhere := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	conn, err := elsewhere.Dial("tcp", f.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	must(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	if got := result((&caller{conn, t}).ask(capabilities("dra.example"))); got != 2001 {
		t.Errorf("a peer from another address: got %d", got)
	}
}

// TestAPeerThatDoesNotReadIsDisconnected, and holds nobody up.
func TestAPeerThatDoesNotReadIsDisconnected(t *testing.T) {
	f := serve(t, newOperator(t, "observe"), func(c *diameterfront.Config) {
		c.Peers = append(c.Peers, diameterfront.Peer{Host: "dra.example", Addresses: loopback})
	})
	deaf, other := f.connect(), f.dial()
	other.ask(capabilities("dra.example"))
	many := bytes.Repeat(message(base(280), text(diameter.OriginHost, mme), text(diameter.OriginRealm, "example")), 1000)
	for {
		if _, err := deaf.Write(many); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal("it is never disconnected")
			}
			break
		}
	}
	if m := other.ask(message(base(280), text(diameter.OriginHost, "dra.example"), text(diameter.OriginRealm, "example"))); result(m) != 2001 {
		t.Errorf("got %d", result(m))
	}
}

// failing is a listener that fails.
type failing struct{ net.Listener }

// Accept implements net.Listener.
func (failing) Accept() (net.Conn, error) { return nil, errors.New("out of order") }

// TestTwoListenersServeTogether: peers of both are known to each other, and one that fails ends the other, and is told.
func TestTwoListenersServeTogether(t *testing.T) {
	listen := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		return l
	}
	first, second := listen(), listen()
	f := serveAll(t, []net.Listener{first, second}, withCustomers(t, "enforce"))
	one := f.connect()
	f.address = second.Addr().String()
	two := f.connect()
	one.isClosed()
	if got := status(two.ask(question(honest.Body(), alice))); got != 0 {
		t.Errorf("got %d", got)
	}
	s, err := diameterfront.New(diameterfront.Config{Judge: nobody{}, Node: node, InFlight: 1, Now: time.Now, Log: silent})
	must(t, err)
	third := listen()
	if err := s.Serve(t.Context(), third, failing{listen()}); err == nil || !strings.Contains(err.Error(), "out of order") {
		t.Errorf("serving ended with %v", err)
	}
	if _, err := net.Dial("tcp", third.Addr().String()); err == nil {
		t.Error("the other one still listens")
	}
}

// pipes is a listener of connections in memory, in a time of their own.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}
func (p pipes) Close() error   { close(p.done); return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

// inMemory runs a test with a front in a time of its own, and a peer that has connected.
func inMemory(t *testing.T, test func(*testing.T, *front, *caller)) {
	synctest.Test(t, func(t *testing.T) {
		p := pipes{make(chan net.Conn), make(chan struct{})}
		f := serveOn(t, p, nobody{}, func(c *diameterfront.Config) {
			c.Peers[0].Addresses = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/32")} // a pipe has no address
		})
		near, far := net.Pipe()
		defer near.Close()
		p.conns <- far
		c := &caller{near, t}
		test(t, f, c)
		near.Close()
		f.stop()
	})
}

// TestTheWatchdogAsksAndGivesUp (RFC 3539 section 3.4.1): after an interval of silence it asks, after three the connection ends.
func TestTheWatchdogAsksAndGivesUp(t *testing.T) {
	inMemory(t, func(t *testing.T, f *front, c *caller) {
		c.ask(capabilities(mme))
		begun := time.Now()
		m := c.receive()
		if took := time.Since(begun); m.Command != 280 || m.Flags != diameter.Request || took < 28*time.Second || took > 32*time.Second {
			t.Errorf("after %v: %+v", took, m)
		}
		c.isClosed()
		if took := time.Since(begun); took < 84*time.Second || took > 96*time.Second {
			t.Errorf("closed after %v", took)
		}
		f.log.wait(t, "silent for three intervals")
	})
}

// TestTheWatchdogIsContentWithAnAnswer, or with anything else that the peer sends, for as long as it likes.
func TestTheWatchdogIsContentWithAnAnswer(t *testing.T) {
	inMemory(t, func(t *testing.T, _ *front, c *caller) {
		c.ask(capabilities(mme))
		begun := time.Now()
		for range 20 {
			m := c.receive()
			if m.Command != 280 {
				t.Fatalf("got %+v", m)
			}
			c.send(message(m.Header.Answer(diameter.Success), value(diameter.ResultCodeAVP, 2001), text(diameter.OriginHost, mme), text(diameter.OriginRealm, "example")))
		}
		if took := time.Since(begun); took < 20*28*time.Second {
			t.Errorf("20 intervals took %v", took)
		}
		for range 20 { // who talks is not asked
			time.Sleep(25 * time.Second)
			if m := c.ask(message(base(280), text(diameter.OriginHost, mme), text(diameter.OriginRealm, "example"))); result(m) != 2001 {
				t.Fatalf("got %+v", m)
			}
		}
	})
}

// TestASlowPeerIsSilent: bytes that become no message do not count.
func TestASlowPeerIsSilent(t *testing.T) {
	inMemory(t, func(t *testing.T, f *front, c *caller) {
		c.ask(capabilities(mme))
		go func() { _, _ = io.Copy(io.Discard, c) }()
		begun := time.Now()
		for _, b := range question(honest.Body(), alice) {
			time.Sleep(10 * time.Second)
			if _, err := c.Write([]byte{b}); err != nil {
				break
			}
		}
		if took := time.Since(begun); took > 110*time.Second {
			t.Errorf("it is closed after %v", took)
		}
	})
}

// TestWhoSaysNothingIsClosed in the time for capabilities, whatever he sends meanwhile.
func TestWhoSaysNothingIsClosed(t *testing.T) {
	for name, bytes := range map[string][]byte{"nothing": nil, "half of a message": capabilities(mme)[:40], "an answer": message(diameter.Header{Command: 257})} {
		t.Run(name, func(t *testing.T) {
			inMemory(t, func(t *testing.T, f *front, c *caller) {
				begun := time.Now()
				c.send(bytes)
				c.isClosed()
				if took := time.Since(begun); took != 10*time.Second {
					t.Errorf("closed after %v", took)
				}
			})
		})
	}
}

// TestNoGoroutineIsLeft after peers of every kind have come and gone.
func TestNoGoroutineIsLeft(t *testing.T) {
	o := newOperator(t, "observe")
	before := runtime.NumGoroutine()
	f := serve(t, o)
	for range 20 {
		f.dial().Close()
		broken := f.dial()
		broken.send([]byte("garbage"))
		broken.Close()
		c := f.connect()
		c.send(bytes.Repeat(question(stranger.Body(), ""), 10))
		c.Close()
	}
	f.stop()
	for range 200 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	all := make([]byte, 1<<20)
	t.Errorf("%d goroutines were there, and now:\n%s", before, all[:runtime.Stack(all, true)])
}

func TestAFrontNeedsWhatItNeeds(t *testing.T) {
	for name, edit := range map[string]func(*diameterfront.Config){
		"a verifier": func(c *diameterfront.Config) { c.Judge = nil },
		"a host":     func(c *diameterfront.Config) { c.Node.Host = "" },
		"a realm":    func(c *diameterfront.Config) { c.Node.Realm = "ex ample" },
		"places":     func(c *diameterfront.Config) { c.InFlight = 0 },
	} {
		c := diameterfront.Config{Judge: nobody{}, Node: node, InFlight: 1, Now: time.Now, Log: silent}
		if _, err := diameterfront.New(c); err != nil {
			t.Fatal(err)
		}
		edit(&c)
		if _, err := diameterfront.New(c); err == nil {
			t.Errorf("it does without %s", name)
		}
	}
}
