package diameterfront_test

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"imei-attest/attest/attesttest"
	"imei-attest/verifier/diameterfront"
	"imei-attest/verifier/diameterfront/diameter"
)

const oldEIR = "old-eir.example"

// upstream asks the EIR at an address.
func upstream(address string, outage diameterfront.Outage, edits ...func(*diameterfront.Upstream)) func(*diameterfront.Config) {
	return func(c *diameterfront.Config) {
		c.Upstream = &diameterfront.Upstream{Host: oldEIR, Realm: "example", Timeout: 5 * time.Second, Outage: outage,
			Dial: func(ctx context.Context) (net.Conn, error) { return new(net.Dialer).DialContext(ctx, "tcp", address) }}
		for _, edit := range edits {
			edit(c.Upstream)
		}
	}
}

func quick(u *diameterfront.Upstream) { u.Timeout = 20 * time.Millisecond }

// asOldEIR makes a front the operator's own EIR, of which this one is a peer.
func asOldEIR(c *diameterfront.Config) {
	c.Node.Host = oldEIR
	c.Peers = []diameterfront.Peer{{Host: node.Host, Addresses: loopback}}
}

// TestTheWorseOfTwoEIRsCounts, and what one does not know is left to the other.
func TestTheWorseOfTwoEIRsCounts(t *testing.T) {
	knows := func(t *testing.T, policy string) *operator { return withCustomers(t, policy) }
	suspects := func(t *testing.T, policy string) *operator {
		o := newOperator(t, policy)
		o.registers(attesttest.DeviceKey, honest, other, alice)
		return o
	}
	empty := func(t *testing.T, policy string) *operator { return newOperator(t, policy) }
	for _, c := range []struct {
		name         string
		ours, theirs func(*testing.T, string) *operator
		policy       string // of theirs
		imei, imsi   string
		want         uint32
	}{
		{"both permit", knows, knows, "enforce", honest.Body(), alice, 0},
		{"theirs is worse: prohibited", knows, suspects, "enforce", honest.Body(), alice, 1},
		{"ours is worse: prohibited", suspects, knows, "enforce", honest.Body(), alice, 1},
		{"theirs is worse: tracked", knows, knows, "observe", honest.Body(), alice, 2},
		{"ours tracks, without a subscriber", knows, empty, "enforce", honest.Body(), "", 2},
		{"ours prohibits what theirs tracks", suspects, knows, "observe", honest.Body(), alice, 1},
		{"theirs does not know", knows, empty, "enforce", honest.Body(), alice, 0},
		{"ours does not know", empty, knows, "enforce", honest.Body(), alice, 0},
		{"ours does not know what theirs prohibits", empty, suspects, "enforce", honest.Body(), alice, 1},
		{"neither knows", empty, empty, "enforce", honest.Body(), alice, 5422},
	} {
		t.Run(c.name, func(t *testing.T) {
			theirs := serve(t, c.theirs(t, c.policy), asOldEIR)
			f := serve(t, c.ours(t, "enforce"), upstream(theirs.address, diameterfront.OutageDenies))
			f.log.wait(t, "connected to the operator's own EIR")
			if got := status(f.connect().ask(question(c.imei, c.imsi))); got != c.want {
				t.Errorf("got %d, want %d", got, c.want)
			}
			theirs.stop() // an answer is counted after it is sent
			if theirs.told.heard() != 1 {
				t.Errorf("theirs was asked %d times", theirs.told.heard())
			}
		})
	}
}

// TestAnOutageMeansWhatIsDeclared, at once where nobody listens, and after the time that is given where nobody answers.
func TestAnOutageMeansWhatIsDeclared(t *testing.T) {
	o, stuck := withCustomers(t, "enforce"), withCustomers(t, "enforce")
	hang := make(chan struct{})
	defer close(hang)
	stuck.store.breakBy(func(context.Context) error { <-hang; return nil })
	for name, address := range map[string]string{"nobody listens": "127.0.0.1:1", "nobody answers": serve(t, stuck, asOldEIR).address,
		"the realm is another": serve(t, o, asOldEIR, func(c *diameterfront.Config) { c.Node.Realm = "elsewhere" }).address} {
		for outage, want := range map[diameterfront.Outage][3]uint32{ // permitted, prohibited and unknown here
			diameterfront.OutageIgnored: {0, 1, 5422}, diameterfront.OutageTracks: {2, 1, 2}, diameterfront.OutageDenies: {1, 1, 1}} {
			t.Run(name+", "+outage.String(), func(t *testing.T) {
				f := serve(t, o, upstream(address, outage, quick))
				if name != "nobody listens" {
					f.log.wait(t, "connected to")
				}
				c := f.connect()
				for i, q := range [][]byte{question(honest.Body(), alice), question(tampered.Body(), mallory), question(stranger.Body(), bob)} {
					if got := status(c.ask(q)); got != want[i] {
						t.Errorf("got %d, want %d", got, want[i])
					}
				}
				log := f.log.String()
				if strings.Count(log, "does not answer") != 1 || !strings.Contains(log, "meanwhile="+outage.String()) {
					t.Errorf("the log is\n%s", log)
				}
				c.Close()
				f.stop()
				if got := strings.Count(strings.Join(f.told.words, " "), "upstream false"); got != 3 {
					t.Errorf("counted %d", got)
				}
			})
		}
	}
}

// TestAnEIRThatComesBackIsAskedAgain, and both are told once.
func TestAnEIRThatComesBackIsAskedAgain(t *testing.T) {
	suspecting := newOperator(t, "enforce")
	suspecting.registers(attesttest.DeviceKey, honest, other, alice)
	theirs := serve(t, suspecting, asOldEIR)
	f := serve(t, withCustomers(t, "enforce"), upstream(theirs.address, diameterfront.OutageIgnored))
	f.log.wait(t, "connected to")
	c := f.connect()
	ask := func() uint32 { return status(c.ask(question(honest.Body(), alice))) }
	if got := ask(); got != 1 {
		t.Errorf("at first: got %d", got)
	}
	theirs.stop()
	f.log.wait(t, "no connection to")
	for range 3 {
		if got := ask(); got != 0 {
			t.Errorf("meanwhile: got %d", got)
		}
	}
	l, err := net.Listen("tcp", theirs.address)
	must(t, err)
	serveOn(t, l, suspecting, asOldEIR)
	for range 500 {
		if ask() == 1 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	f.log.wait(t, "answers again")
	if log := f.log.String(); strings.Count(log, "does not answer") != 1 || strings.Count(log, "answers again") != 1 {
		t.Errorf("the log is\n%s", log)
	}
}

// TestAnEIRThatAnswersNothingIsConnectedAnew: it lives, but is of no use.
func TestAnEIRThatAnswersNothingIsConnectedAnew(t *testing.T) {
	stuck := withCustomers(t, "enforce")
	hang := make(chan struct{})
	defer close(hang)
	stuck.store.breakBy(func(context.Context) error { <-hang; return nil })
	f := serve(t, withCustomers(t, "enforce"), upstream(serve(t, stuck, asOldEIR).address, diameterfront.OutageIgnored, quick))
	f.log.wait(t, "connected to")
	c := f.connect()
	for range 8 {
		if got := status(c.ask(question(honest.Body(), alice))); got != 0 {
			t.Errorf("got %d", got)
		}
	}
	f.log.wait(t, "no connection to")
}

// TestAnEIRThatIsNotTheRightOneIsNotAsked.
func TestAnEIRThatIsNotTheRightOneIsNotAsked(t *testing.T) {
	other := serve(t, newOperator(t, "enforce"), asOldEIR, func(c *diameterfront.Config) { c.Node.Host = "thief.example" })
	strange := serve(t, newOperator(t, "enforce"), func(c *diameterfront.Config) { c.Node.Host = oldEIR })
	for why, address := range map[string]string{"it calls itself thief.example, not old-eir.example": other.address,
		"it answers our capabilities with 3010: does it list eir.example as a peer?": strange.address} {
		f := serve(t, newOperator(t, "enforce"), upstream(address, diameterfront.OutageIgnored))
		f.log.wait(t, why)
		if got := other.told.heard(); got != 0 {
			t.Errorf("it was asked %d times", got)
		}
	}
}

// TestOddAnswersAreNone: what is no answer to the question is an outage, and the connection goes on.
func TestOddAnswersAreNone(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	scripted := make(chan *caller, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		c := &caller{conn, t}
		hello, err := receive(conn)
		if err != nil {
			t.Error(err)
		}
		answer := capabilities(oldEIR, value(diameter.ResultCodeAVP, 2001))
		h := diameter.Begin(nil, hello.Header.Answer(diameter.Success))
		copy(answer[4:], h[4:])
		_, _ = conn.Write(answer)
		scripted <- c
	}()
	f := serve(t, withCustomers(t, "enforce"), upstream(l.Addr().String(), diameterfront.OutageDenies, func(u *diameterfront.Upstream) { u.Timeout = 300 * time.Millisecond }))
	f.log.wait(t, "connected to")
	theirs, c := <-scripted, f.connect()
	defer theirs.Close()
	success, permitted := value(diameter.ResultCodeAVP, 2001), value(diameter.EquipmentStatus, 0)
	experimental := func(vendor, code uint32) func([]byte) []byte {
		return group(diameter.ExperimentalResult, value(diameter.VendorID, vendor), value(diameter.ExperimentalCode, code))
	}
	for _, a := range []struct {
		name  string
		edit  func(*diameter.Header)
		parts []func([]byte) []byte
		want  uint32 // 1 for none
	}{
		{"in order", nil, []func([]byte) []byte{success, permitted}, 0},
		{"tracked", nil, []func([]byte) []byte{success, value(diameter.EquipmentStatus, 2)}, 2},
		{"unknown, which gives way", nil, []func([]byte) []byte{experimental(10415, 5422)}, 0},
		{"a status that there is not", nil, []func([]byte) []byte{success, value(diameter.EquipmentStatus, 3)}, 1},
		{"the number of unknown as a status", nil, []func([]byte) []byte{success, value(diameter.EquipmentStatus, 5422)}, 1},
		{"no status", nil, []func([]byte) []byte{success}, 1},
		{"a status without success", nil, []func([]byte) []byte{permitted}, 1},
		{"a status with a failure", nil, []func([]byte) []byte{value(diameter.ResultCodeAVP, 5012), permitted}, 1},
		{"an error", func(h *diameter.Header) { h.Flags |= diameter.IsError }, []func([]byte) []byte{success, permitted}, 1},
		{"unknown to another vendor", nil, []func([]byte) []byte{experimental(9, 5422)}, 1},
		{"another experiment", nil, []func([]byte) []byte{experimental(10415, 5001)}, 1},
		{"malformed", nil, []func([]byte) []byte{success, permitted, func(to []byte) []byte { return append(to, 0, 0, 0, 0) }}, 1},
		{"to another question", func(h *diameter.Header) { h.HopByHop++ }, []func([]byte) []byte{success, permitted}, 1},
		{"to another command", func(h *diameter.Header) { h.Command = 316 }, []func([]byte) []byte{success, permitted}, 1},
	} {
		c.send(question(honest.Body(), alice))
		asked, err := receive(theirs)
		must(t, err)
		h := asked.Header.Answer(diameter.Success)
		if a.edit != nil {
			a.edit(&h)
		}
		theirs.send(message(h, a.parts...))
		if got := status(c.receive()); got != a.want {
			t.Errorf("%s: got %d, want %d", a.name, got, a.want)
		}
	}
	for imsi, want := range map[string]uint32{bob: 0, "": 2} { // an IMEI alone is permitted by nobody
		c.send(question(stranger.Body(), imsi))
		asked, err := receive(theirs)
		must(t, err)
		theirs.send(message(asked.Header.Answer(diameter.Success), success, permitted))
		if got := status(c.receive()); got != want {
			t.Errorf("of what only theirs knows, subscriber %q: got %d, want %d", imsi, got, want)
		}
	}
	if m := theirs.ask(question(honest.Body(), alice)); result(m) != 3001 {
		t.Errorf("a question of theirs is answered with %d", result(m))
	}
}

// TestTheQuestionIsPassedOnWhole: with its subscriber, or without.
func TestTheQuestionIsPassedOnWhole(t *testing.T) {
	for _, imsi := range []string{alice, ""} {
		theirs := serve(t, withCustomers(t, "enforce"), asOldEIR)
		f := serve(t, newOperator(t, "enforce"), upstream(theirs.address, diameterfront.OutageIgnored))
		f.log.wait(t, "connected to")
		want := map[string]uint32{alice: 0, "": 2}[imsi]
		if got := status(f.connect().ask(question(honest.Digits(), imsi))); got != want {
			t.Errorf("subscriber %q: got %d, want %d", imsi, got, want)
		}
	}
}
