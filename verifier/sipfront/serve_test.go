package sipfront_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"imei-attest/verifier/sipfront"
)

func TestOtherRequestsGetATypedAnswer(t *testing.T) {
	f := begin(t, nil)
	request := func(method string, edits ...string) string {
		return strings.NewReplacer(append(edits, "REGISTER", method)...).Replace(told("", "", ""))
	}
	const to = "To: <sip:alice@ims.example>"
	for name, c := range map[string]struct {
		message string
		want    string
	}{
		"is anybody there":             {request("OPTIONS"), "200 OK"},
		"a call":                       {request("INVITE"), "405 Method Not Allowed"},
		"an unknown method":            {request("NEWMETHOD"), "405 Method Not Allowed"},
		"another version":              {request("REGISTER", "SIP/2.0\r\nVia", "SIP/7.0\r\nVia"), "505 Version Not Supported"},
		"a CSeq of another method":     {request("OPTIONS", "7 REGISTER", "7 MESSAGE"), "400 Bad Request"},
		"no To":                        {request("REGISTER", to+"\r\n", ""), "400 Bad Request"},
		"a To that nobody can read":    {request("REGISTER", to, "To: Alice"), "400 Bad Request"},
		"two To":                       {request("REGISTER", to, to+"\r\nt: <sip:bob@ims.example>"), "400 Bad Request"},
		"an Expires that is no number": {told("Expires: soon\r\n", "", ""), "400 Bad Request"},
		"no transaction, and no tag":   {request("REGISTER", ";branch=z9hG4bK", ";branch=b", ";tag=s", ";x=s"), "400 Bad Request"},
		"a transaction of RFC 2543":    {request("REGISTER", ";branch=z9hG4bK", ";x="), "200 OK"},
	} {
		for _, network := range []string{"udp", "tcp"} {
			answer := f.over(network, c.message)[0]
			if !strings.HasPrefix(answer, "SIP/2.0 "+c.want+"\r\n") || strings.Contains(c.want, "405") != strings.Contains(answer, "\r\nAllow: REGISTER, OPTIONS\r\n") {
				t.Errorf("%s over %s: %s\nwant %s", name, network, answer, c.want)
			}
		}
	}
}

// TestARequestThatIsSentAgainIsJudgedOnce, and gets the same answer, also if it comes again while it is judged.
func TestARequestThatIsSentAgainIsJudgedOnce(t *testing.T) {
	f := begin(t, nil)
	message := including(registered(contact+digest, answering(aka401)))
	answers := f.over("udp", message, message)
	if _, _, decisions := f.last(); decisions != 1 || answers[0] != answers[1] || code(answers[0]) != 200 {
		t.Errorf("%d decisions, %q", decisions, answers)
	}

	f = begin(t, nil)
	wait := make(chan struct{})
	f.store.wait.Store(&wait)
	conn := f.dial("udp")
	for range 3 {
		fmt.Fprint(conn, fillPort(message, conn))
	}
	f.waitFor(func() bool { return f.store.asked.Load() > 0 })
	fmt.Fprint(conn, fillPort(strings.ReplaceAll(told("", "", ""), "REGISTER", "OPTIONS"), conn))
	if answer := read(t, conn); !strings.Contains(answer, "OPTIONS") { // then all before it were read
		t.Errorf("while it is judged: %s", answer)
	}
	close(wait)
	first := read(t, conn)
	_ = conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a second answer of %d bytes, %v", n, err)
	}
	if _, _, decisions := f.last(); decisions != 1 || code(first) != 200 {
		t.Errorf("%d decisions, %q", decisions, first)
	}
}

// TestTheSameTokenInALaterRegisterIsNoReplay, if the same subscriber shows the same IMEI; else it is one.
func TestTheSameTokenInALaterRegisterIsNoReplay(t *testing.T) {
	f := begin(t, nil)
	token := answering(aka401)
	again := strings.Replace(registered(contact+digest, token), "CSeq: 2", "CSeq: 3", 1)
	mallory := strings.ReplaceAll(registered(contact+digest, token), "alice", "mallory")
	var got []string
	for _, original := range []string{registered(contact+digest, token), again, mallory, again} {
		answer := f.over("tcp", including(original))[0]
		summary, _, _ := f.last()
		got = append(got, fmt.Sprint(code(answer), " ", summary))
	}
	bound := "200 " + good + " subscriber-bound"
	if want := []string{bound, bound, "403 contraindicated: nonce-reused", bound}; !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

func TestStrangersAreNotHeard(t *testing.T) {
	f := begin(t, func(c *sipfront.Config) { c.Peers = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} })
	udp, tcp := f.dial("udp"), f.dial("tcp")
	fmt.Fprint(udp, including(registered(contact, nil)))
	if _, err := tcp.Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !isReset(err) {
		t.Errorf("a stranger's connection: %v", err)
	}
	_ = udp.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if _, err := udp.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a stranger's packet: %v", err)
	}
	if err := f.stop(); err != nil || !slices.Equal(f.limited, []string{"peers", "peers"}) || len(f.outcomes) > 0 {
		t.Errorf("%v, %q, %v", err, f.limited, f.outcomes)
	}
}

func isReset(err error) bool { return err != nil && strings.Contains(err.Error(), "reset") }

// TestWhatFindsNoPlaceIsAskedToComeLater, and what is sent again gets that answer again.
func TestWhatFindsNoPlaceIsAskedToComeLater(t *testing.T) {
	f := begin(t, func(c *sipfront.Config) { c.InFlight = 1 })
	wait := make(chan struct{})
	f.store.wait.Store(&wait)
	conn := f.dial("udp")
	fmt.Fprint(conn, fillPort(including(registered(contact, nil)), conn))
	message := including(registered(contact, nil))
	for _, answer := range f.over("udp", message, message) {
		if code(answer) != 503 || !strings.Contains(answer, "\r\nRetry-After: 1\r\n") {
			t.Errorf("without a place: %s", answer)
		}
	}
	close(wait)
	if answer := read(t, conn); code(answer) != 200 {
		t.Errorf("with a place: %s", answer)
	}
	if err := f.stop(); err != nil || !slices.Equal(f.limited, []string{"in_flight"}) {
		t.Errorf("%v, %q", err, f.limited)
	}
}

// TestWhileTheStoreFailsThePolicyDecides.
func TestWhileTheStoreFailsThePolicyDecides(t *testing.T) {
	const deny = "not-judged: deny"
	sos := strings.Replace(contact, "192.0.2.7", "192.0.2.7;sos", 1)
	for name, c := range map[string]struct {
		message string
		edits   []string
		code    int
	}{
		"let in as the shipped policy says":       {including(registered(contact, nil)), nil, 200},
		"asked to come later if they are refused": {including(registered(contact, nil)), []string{"not-judged: warn", deny}, 503},
		"a call for help is let in":               {including(registered(sos, nil)), []string{"not-judged: warn", deny}, 200},
		"so is the end of a registration":         {told("Expires: 0\r\n", "", ""), []string{"not-judged: warn", deny}, 200},
	} {
		t.Run(name, func(t *testing.T) {
			f := begin(t, nil, c.edits...)
			f.store.broken.Store(true)
			answer := f.over("udp", c.message)[0]
			if code(answer) != c.code || (c.code == 503) != strings.Contains(answer, "\r\nRetry-After: 1\r\n") {
				t.Errorf("%s, want %d", answer, c.code)
			}
		})
	}
}

// TestAServerThatStopsAnswersWhatItReadAndLeavesNothing.
func TestAServerThatStopsAnswersWhatItReadAndLeavesNothing(t *testing.T) {
	before := runtime.NumGoroutine()
	f := begin(t, nil)
	wait := make(chan struct{})
	f.store.wait.Store(&wait)
	conns := []net.Conn{f.dial("udp"), f.dial("tcp"), f.dial("tcp")}
	for i, conn := range conns[:2] {
		fmt.Fprint(conn, fillPort(including(registered(contact, nil)), conn))
		f.waitFor(func() bool { return f.store.asked.Load() > int64(i) })
	}
	stopped := make(chan error)
	go func() { stopped <- f.stop() }()
	if _, err := conns[2].Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("an idle connection: %v", err)
	}
	close(wait)
	for _, conn := range conns[:2] {
		if answer := read(t, conn); code(answer) != 200 {
			t.Errorf("%s: %s", conn.LocalAddr().Network(), answer)
		}
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	wantGoroutines(t, before)
}

// TestAServerThatStopsWaitsNoLongerThanItMay.
func TestAServerThatStopsWaitsNoLongerThanItMay(t *testing.T) {
	before := runtime.NumGoroutine()
	f := begin(t, nil)
	wait := make(chan struct{}) // for ever
	f.store.wait.Store(&wait)
	conn := f.dial("udp")
	fmt.Fprint(conn, fillPort(including(registered(contact, nil)), conn))
	f.waitFor(func() bool { return f.store.asked.Load() > 0 })
	if err := f.stop(); err != nil {
		t.Error(err)
	}
	if answer := read(t, conn); code(answer) != 200 { // as the policy says of what was not judged
		t.Errorf("%s", answer)
	}
	wantGoroutines(t, before)
}

func TestASocketThatFailsEndsTheServer(t *testing.T) {
	server, err := sipfront.New(begin(t, nil).config)
	if err != nil {
		t.Fatal(err)
	}
	streams, packets := listen(t)
	streams.Close()
	if err := server.Serve(t.Context(), packets, streams, time.Second); err == nil || !strings.Contains(err.Error(), "TCP") {
		t.Errorf("without TCP: %v", err)
	}
	if _, err := packets.WriteTo([]byte{0}, packets.LocalAddr()); err == nil {
		t.Error("the other socket is left open")
	}
}

func TestAServerLacksNothing(t *testing.T) {
	if s, err := sipfront.New(sipfront.Config{}); err == nil {
		t.Errorf("New without anything: %v", s)
	}
}

// TestTheLogNamesNobody: one event for each decision, whatever was sent.
func TestTheLogNamesNobody(t *testing.T) {
	f := begin(t, nil)
	token := answering(aka401)
	const imsi = "001010123456789"
	named := strings.ReplaceAll(registered(contact+digest, token), "alice@ims.example", imsi+"@ims.mnc001.mcc001.3gppnetwork.org")
	f.over("udp", including(named), including(registered(stolen+digest, token)), including("REGISTER "+imsi), told("Expires: "+imsi+"\r\n", "", ""), told("", "", ""))
	f.over("tcp", including(named[:len(named)-9]))
	f.store.broken.Store(true)
	f.over("udp", including(named))
	if err := f.stop(); err != nil {
		t.Fatal(err)
	}
	events := map[string]int{}
	for line := range strings.Lines(f.log.String()) {
		var event map[string]any
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		events[event["msg"].(string)]++
		delete(event, "time")
		delete(event, "id") // of the decision
		if secret := regexp.MustCompile(`\d{6,}|alice|urn:|3gppnetwork|Tm9u`).FindString(fmt.Sprint(event)); secret != "" {
			t.Errorf("%q in %s", secret, line)
		}
	}
	if want := "map[a third-party REGISTER cannot be read:1 judged:5 no judgement:1 the original REGISTER cannot be read:2]"; fmt.Sprint(events) != want {
		t.Errorf("got %v\nwant %s", events, want)
	}
}

func (f *front) dial(network string) net.Conn {
	f.t.Helper()
	conn, err := net.Dial(network, f.address)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	return conn
}

func read(t testing.TB, conn net.Conn) string {
	t.Helper()
	buffer := make([]byte, 65535)
	n, err := conn.Read(buffer)
	if err != nil {
		t.Fatalf("%s: no answer: %v", conn.LocalAddr().Network(), err)
	}
	return string(buffer[:n])
}

func (f *front) waitFor(done func() bool) {
	f.t.Helper()
	for end := time.Now().Add(10 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			f.t.Fatal("it never comes to that")
		}
	}
}

// wantGoroutines waits for those that are ending, and for no others.
func wantGoroutines(t testing.TB, before int) {
	t.Helper()
	for end := time.Now().Add(2 * time.Second); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
		}
	}
}
