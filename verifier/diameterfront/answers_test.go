package diameterfront_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"imei-attest/attest/attesttest"
	"imei-attest/verifier/diameterfront"
	"imei-attest/verifier/diameterfront/diameter"
)

// TestTheFourAnswers: equipment that attested, that lies, that is asked about without its subscriber, and that nobody endorsed.
func TestTheFourAnswers(t *testing.T) {
	f := serve(t, withCustomers(t, "enforce"))
	c := f.connect()
	for _, q := range []struct {
		name, imei, imsi string
		want             uint32
	}{
		{"the honest device and its subscriber", honest.Body(), alice, 0},
		{"with the spare digit", honest.Body() + "0", alice, 0},
		{"with the check digit", honest.Digits(), alice, 0},
		{"with any fifteenth digit, which comes from the device", honest.Body() + "9", alice, 0},
		{"the reprogrammed device", tampered.Body(), mallory, 1},
		{"the reprogrammed device's IMEI, by another subscriber", tampered.Body(), alice, 2},
		{"without a subscriber", honest.Body(), "", 2},
		{"nobody's device", stranger.Body(), bob, 5422},
		{"nobody's device without a subscriber", stranger.Body(), "", 5422},
		{"14 zeros", "00000000000000", alice, 2},
	} {
		m := c.ask(question(q.imei, q.imsi))
		if status(m) != q.want {
			t.Errorf("%s: got %d, want %d", q.name, status(m), q.want)
		}
	}
	if log := f.log.String(); strings.Contains(log, honest.Body()) || strings.Contains(log, alice) || strings.Count(log, "msg=judged") != 10 {
		t.Errorf("the log is\n%s", log)
	}
}

// TestACloneNeitherInheritsNorHarms: another subscriber with the owner's IMEI is tracked, and the owner stays where he was.
func TestACloneNeitherInheritsNorHarms(t *testing.T) {
	c := serve(t, withCustomers(t, "enforce")).connect()
	for i, q := range []struct {
		imsi string
		want uint32
	}{{alice, 0}, {bob, 2}, {bob, 2}, {alice, 0}, {"", 2}, {bob, 2}, {alice, 0}} {
		if got := status(c.ask(question(honest.Body(), q.imsi))); got != q.want {
			t.Errorf("question %d, by %q: got %d, want %d", i, q.imsi, got, q.want)
		}
	}
}

// TestAnObservingPolicyTracksAll: the shipped one refuses nobody, and permits nobody by more than it knows.
func TestAnObservingPolicyTracksAll(t *testing.T) {
	c := serve(t, withCustomers(t, "observe")).connect()
	for _, digits := range []string{honest.Body(), tampered.Body(), stranger.Body()} {
		if got := status(c.ask(question(digits, alice))); got != 2 {
			t.Errorf("got %d", got)
		}
	}
}

// TestTheWholeAnswer compares every AVP with those of TS 29.272 clause 7.2.20.
func TestTheWholeAnswer(t *testing.T) {
	c := serve(t, withCustomers(t, "enforce")).connect()
	proxy := func(host string) func([]byte) []byte {
		return group(diameter.ProxyInfo, text(diameter.OriginHost, host), text(diameter.ID{Code: 33}, "state of "+host))
	}
	h := asking()
	h.Flags |= diameter.Retransmitted
	parts := append(routed(), terminal(honest.Body()), text(diameter.UserName, alice), proxy("first"), text(diameter.RouteRecord, "dra.example"), proxy("second"))
	application := group(diameter.VendorSpecificAppID, value(diameter.VendorID, 10415), value(diameter.AuthApplicationID, 16777252))
	for _, q := range []struct {
		name    string
		request []byte
		want    []func([]byte) []byte
	}{
		{"permitted", message(h, parts...), []func([]byte) []byte{text(diameter.SessionID, "mme.example;1;2"), application, value(diameter.ResultCodeAVP, 2001),
			value(diameter.AuthSessionState, 1), text(diameter.OriginHost, "eir.example"), text(diameter.OriginRealm, "example"), value(diameter.EquipmentStatus, 0),
			proxy("first"), proxy("second")}},
		{"unknown", message(h, append(routed(), terminal(stranger.Body()))...), []func([]byte) []byte{text(diameter.SessionID, "mme.example;1;2"), application,
			group(diameter.ExperimentalResult, value(diameter.VendorID, 10415), value(diameter.ExperimentalCode, 5422)),
			value(diameter.AuthSessionState, 1), text(diameter.OriginHost, "eir.example"), text(diameter.OriginRealm, "example")}},
	} {
		for range 2 { // a retransmission is answered as the question was
			got := c.ask(q.request)
			wantHeader := diameter.Header{Flags: diameter.Proxiable, Command: 324, Application: 16777252, HopByHop: h.HopByHop, EndToEnd: h.EndToEnd}
			want := message(wantHeader, q.want...)
			if again := got.Append(nil); !bytes.Equal(again, want) {
				t.Errorf("%s:\n got %x\nwant %x", q.name, again, want)
			}
		}
	}
}

// TestMalformedQuestionsAreTold with the Result-Code and the AVP that is meant; the connection goes on.
func TestMalformedQuestionsAreTold(t *testing.T) {
	f := serve(t, withCustomers(t, "enforce"))
	c := f.connect()
	with := func(parts ...func([]byte) []byte) []byte { return message(asking(), append(routed(), parts...)...) }
	without := func(id diameter.ID) []byte {
		var m diameter.Message
		must(t, m.Decode(question(honest.Body(), alice)))
		for i := range m.AVPs {
			if m.AVPs[i].ID == id {
				m.AVPs = append(m.AVPs[:i:i], m.AVPs[i+1:]...)
				break
			}
		}
		return m.Append(nil)
	}
	header := func(edit func(*diameter.Header)) []byte {
		h := asking()
		edit(&h)
		return message(h, append(routed(), terminal(honest.Body()))...)
	}
	raw := func(id diameter.ID, data string, flags diameter.AVPFlags) func([]byte) []byte {
		return func(to []byte) []byte { return (&diameter.AVP{ID: id, Flags: flags, Data: []byte(data)}).Append(to) }
	}
	// spoilt puts other bytes at a place counted from the end.
	spoilt := func(bytes []byte, fromEnd int, other ...byte) []byte {
		copy(bytes[len(bytes)-fromEnd:], other)
		return bytes
	}
	strange := diameter.ID{Code: 999, Vendor: 10415}
	info := func(parts ...func([]byte) []byte) func([]byte) []byte {
		return group(diameter.TerminalInformation, parts...)
	}
	imeiOf := func(digits string) func([]byte) []byte { return text(diameter.IMEI, digits) }
	for _, q := range []struct {
		name    string
		request []byte
		want    uint32
		failed  func([]byte) []byte // nil for none
	}{
		{"an IMEI of 13 digits", with(info(imeiOf("4901542032375"))), 5004, info(imeiOf("4901542032375"))},
		{"an IMEISV in the IMEI", with(info(imeiOf("4901542032375101"))), 5004, info(imeiOf("4901542032375101"))},
		{"an empty IMEI", with(info(imeiOf(""))), 5004, info(imeiOf(""))},
		{"an IMEI with a letter", with(info(imeiOf("4901542032375A"))), 5004, info(imeiOf("4901542032375A"))},
		{"an IMEI in TBCD", with(info(imeiOf("\x94\x10\x45\x02\x23\x73\x15\xf0"))), 5004, info(imeiOf("\x94\x10\x45\x02\x23\x73\x15\xf0"))},
		{"an IMEI of Arabic digits", with(info(imeiOf("٤٩٠١٥٤٢"))), 5004, info(imeiOf("٤٩٠١٥٤٢"))},
		{"a software version of 1 digit", with(info(imeiOf(honest.Body()), text(diameter.SoftwareVersion, "1"))), 5004, info(text(diameter.SoftwareVersion, "1"))},
		{"a software version of 3 digits", with(info(imeiOf(honest.Body()), text(diameter.SoftwareVersion, "101"))), 5004, info(text(diameter.SoftwareVersion, "101"))},
		{"a software version of letters", with(info(imeiOf(honest.Body()), text(diameter.SoftwareVersion, "0A"))), 5004, info(text(diameter.SoftwareVersion, "0A"))},
		{"an IMSI of 16 digits", with(terminal(honest.Body()), text(diameter.UserName, "0010100000000011")), 5004, text(diameter.UserName, "0010100000000011")},
		{"an IMSI of 5 digits", with(terminal(honest.Body()), text(diameter.UserName, "00101")), 5004, text(diameter.UserName, "00101")},
		{"an empty IMSI", with(terminal(honest.Body()), text(diameter.UserName, "")), 5004, text(diameter.UserName, "")},
		{"an IMPI in the place of the IMSI", with(terminal(honest.Body()), text(diameter.UserName, alice+"@x")), 5004, text(diameter.UserName, alice+"@x")},
		{"a session state that there is not", message(asking(), append(routed()[2:], routed()[0], value(diameter.AuthSessionState, 2), terminal(honest.Body()))...), 5004, value(diameter.AuthSessionState, 2)},
		{"a name of a host that is none", message(asking(), routed()[0], routed()[1], text(diameter.OriginHost, "m m"), routed()[3], routed()[4], terminal(honest.Body())), 5004, text(diameter.OriginHost, "m m")},

		{"no session", without(diameter.SessionID), 5005, text(diameter.SessionID, "")},
		{"no session state", without(diameter.AuthSessionState), 5005, value(diameter.AuthSessionState, 1)},
		{"no origin", without(diameter.OriginHost), 5005, text(diameter.OriginHost, "")},
		{"no realm", without(diameter.OriginRealm), 5005, text(diameter.OriginRealm, "")},
		{"no destination", without(diameter.DestinationRealm), 5005, text(diameter.DestinationRealm, "")},
		{"no terminal", without(diameter.TerminalInformation), 5005, text(diameter.TerminalInformation, "")},
		{"no IMEI", with(info(text(diameter.SoftwareVersion, "01"))), 5005, info(imeiOf("00000000000000"))},
		{"an empty terminal", with(info()), 5005, info(imeiOf("00000000000000"))},
		{"nothing", message(asking()), 5005, text(diameter.SessionID, "")},

		{"an IMEI twice", with(info(imeiOf(honest.Body()), imeiOf(stranger.Body()))), 5009, info(imeiOf(stranger.Body()))},
		{"two terminals", with(terminal(honest.Body()), terminal(stranger.Body())), 5009, terminal(stranger.Body())},
		{"two subscribers", with(terminal(honest.Body()), text(diameter.UserName, alice), text(diameter.UserName, bob)), 5009, text(diameter.UserName, bob)},

		{"an AVP that must be known and is not", with(terminal(honest.Body()), text(strange, "x")), 5001, text(strange, "x")},
		{"one in the terminal", with(info(imeiOf(honest.Body()), text(strange, "x"))), 5001, info(text(strange, "x"))},
		{"an IMEI without its vendor", with(info(text(diameter.ID{Code: 1402}, honest.Body()))), 5001, info(text(diameter.ID{Code: 1402}, honest.Body()))},

		{"a state of three bytes", message(asking(), append(routed()[2:], routed()[0], text(diameter.AuthSessionState, "abc"), terminal(honest.Body()))...), 5014, text(diameter.AuthSessionState, "abc")},
		{"an IMEI longer than the terminal", spoilt(with(info(imeiOf(honest.Body()))), 21, 99), 5014, info(text(diameter.IMEI, ""))},
		{"a terminal longer than the message", spoilt(with(info()), 5, 99), 5014, info()},
		{"the flag V with the vendor 0", with(raw(diameter.ID{Code: 7}, "x", 0), func(to []byte) []byte { return append(to, "\x00\x00\x00\x07\x80\x00\x00\x0c\x00\x00\x00\x00"...) }), 3009,
			func(to []byte) []byte { return append(to, "\x00\x00\x00\x07\x80\x00\x00\x0c\x00\x00\x00\x00"...) }},

		{"another command of S13", header(func(h *diameter.Header) { h.Command = 316 }), 3001, nil},
		{"S6a", header(func(h *diameter.Header) { h.Application = 16777251 }), 3007, nil},
		{"the command in the base protocol", header(func(h *diameter.Header) { h.Application, h.Flags = 0, diameter.Request }), 3001, nil},
		{"without the bit P", header(func(h *diameter.Header) { h.Flags = diameter.Request }), 3008, nil},
		{"with the bit E", header(func(h *diameter.Header) { h.Flags |= diameter.IsError }), 3008, nil},
		{"for another host", with(terminal(honest.Body()), text(diameter.DestinationHost, "other.example")), 3002, nil},
		{"for another realm", message(asking(), append(routed()[:4], text(diameter.DestinationRealm, "elsewhere"), terminal(honest.Body()))...), 3003, nil},
	} {
		t.Run(q.name, func(t *testing.T) {
			m := c.ask(q.request)
			h := diameter.ReadHeader(q.request)
			wantHeader := h
			if wantHeader.Flags &= diameter.Proxiable; q.want/1000 == 3 {
				wantHeader.Flags |= diameter.IsError
			}
			if result(m) != q.want || m.Header != wantHeader {
				t.Errorf("got %d with %+v, want %d with %+v", result(m), m.Header, q.want, wantHeader)
			}
			var want []byte
			if q.failed != nil {
				want = q.failed(nil)
			}
			var got []byte
			if failed := diameter.Find(m.AVPs, diameter.FailedAVP); failed != nil {
				got = failed.Data
			}
			if !bytes.Equal(got, want) {
				t.Errorf("the Failed-AVP is %x, want %x", got, want)
			}
		})
	}
	if got := status(c.ask(question(honest.Body(), alice))); got != 0 {
		t.Errorf("afterwards the honest device gets %d", got)
	}
	if log := f.log.String(); strings.Contains(log, "error") {
		t.Errorf("the log is\n%s", log)
	}
}

// TestWhatNeedNotBeKnownIsIgnored, and so is the bit M where it is another than the standard's (TS 29.272 clause 7.3.1).
func TestWhatNeedNotBeKnownIsIgnored(t *testing.T) {
	c := serve(t, withCustomers(t, "enforce")).connect()
	plain := func(id diameter.ID, data string) func([]byte) []byte {
		return func(to []byte) []byte {
			return (&diameter.AVP{ID: id, Flags: 0x80 & diameter.AVPFlags(id.Vendor), Data: []byte(data)}).Append(to)
		}
	}
	for name, part := range map[string]func([]byte) []byte{
		"an unknown AVP":      plain(diameter.ID{Code: 999}, "x"),
		"supported features":  text(diameter.SupportedFeatures, "anything"),
		"a route":             text(diameter.RouteRecord, "dra.example"),
		"a priority":          value(diameter.DiameterRequestPrior, 3),
		"this host, by name":  text(diameter.DestinationHost, "EIR.example"),
		"an application":      group(diameter.VendorSpecificAppID, value(diameter.VendorID, 10415)),
		"a name without M":    plain(diameter.UserName, alice),
		"the state of origin": value(diameter.OriginStateID, 1),
	} {
		parts := append(routed(), terminal(honest.Body()), part)
		if name != "a name without M" {
			parts = append(parts, text(diameter.UserName, alice))
		}
		if got := status(c.ask(message(asking(), parts...))); got != 0 {
			t.Errorf("%s: got %d", name, got)
		}
	}
}

// TestAStoreThatFailsIsAnsweredAsThePolicySays, and nobody is affirmed.
func TestAStoreThatFailsIsAnsweredAsThePolicySays(t *testing.T) {
	o := withCustomers(t, "enforce")
	f := serve(t, o)
	c := f.connect()
	o.store.breakBy(func(context.Context) error { return errors.New("the disk is full") })
	in := o.Unjudged(diameterfrontInput())
	if got := status(c.ask(question(honest.Body(), alice))); got != in.Answer.S13Status || got == 0 {
		t.Errorf("got %d, want %d", got, in.Answer.S13Status)
	}
	o.store.breakBy(nil)
	if got := status(c.ask(question(honest.Body(), alice))); got != 0 {
		t.Errorf("when it works again: got %d", got)
	}
	f.log.wait(t, "the disk is full")
}

// TestAFaultOfThisProgramIsAnsweredAndTold, without what it worked on; the next question is answered.
func TestAFaultOfThisProgramIsAnsweredAndTold(t *testing.T) {
	o := withCustomers(t, "enforce")
	f := serve(t, o)
	c := f.connect()
	o.store.breakBy(func(context.Context) error { panic(attesttest.IMEI1) })
	if m := c.ask(question(honest.Body(), alice)); result(m) != 5012 {
		t.Errorf("got %d", result(m))
	}
	o.store.breakBy(nil)
	if got := status(c.ask(question(honest.Body(), alice))); got != 0 {
		t.Errorf("afterwards got %d", got)
	}
	f.log.wait(t, "a fault of this program")
	if strings.Contains(f.log.String(), attesttest.IMEI1) {
		t.Error("the log has an IMEI")
	}
}

// TestMoreQuestionsThanArePlacesAreRefused at once, and the others are answered.
func TestMoreQuestionsThanArePlacesAreRefused(t *testing.T) {
	o := withCustomers(t, "enforce")
	f := serve(t, o, func(c *diameterfront.Config) { c.InFlight = 4 })
	c := f.connect()
	release := make(chan struct{})
	o.store.breakBy(func(context.Context) error { <-release; return nil })
	const asked = 7
	for range asked {
		c.send(question(honest.Body(), alice))
	}
	got := map[uint32]int{}
	for range asked - 4 {
		got[result(c.receive())]++
	}
	close(release)
	for range 4 {
		got[result(c.receive())]++
	}
	if want := map[uint32]int{3004: 3, 2001: 4}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestAPeerThatHoldsToTheBoundIsNeverRefused: it sends the next question as soon as it has an answer.
func TestAPeerThatHoldsToTheBoundIsNeverRefused(t *testing.T) {
	const places = 4
	c := serve(t, withCustomers(t, "enforce"), func(c *diameterfront.Config) { c.InFlight = places }).connect()
	for range places {
		c.send(question(honest.Body(), alice))
	}
	for range 2000 {
		if m := c.receive(); result(m) != 2001 {
			t.Fatalf("got %d", result(m))
		}
		c.send(question(honest.Body(), alice))
	}
}

func TestEveryAnswerIsCounted(t *testing.T) {
	f := serve(t, withCustomers(t, "enforce"))
	c := f.connect()
	c.ask(question(honest.Body(), alice))
	c.ask(question(stranger.Body(), alice))
	c.ask(question("12", alice))
	c.Close()
	f.stop()
	if got := strings.Join(f.told.words, " "); got != "whitelisted unknown malformed" {
		t.Errorf("got %s", got)
	}
}

// TestEveryFlippedBitHasATypedAnswer: each bit of a question is flipped once. What is a request still has one answer, with a Result-Code of
// the list or a status, and the connection goes on; where nobody knows any more where it ends, the connection is closed.
func TestEveryFlippedBitHasATypedAnswer(t *testing.T) {
	f := serve(t, withCustomers(t, "enforce"))
	codes := []uint32{2001, 3001, 3002, 3003, 3007, 3008, 3009, 5001, 5004, 5005, 5009, 5011, 5014, 5015}
	seen := map[uint32]int{}
	whole := question(honest.Body(), alice)
	watchdog := message(base(280), text(diameter.OriginHost, mme), text(diameter.OriginRealm, "example"))
	c := f.connect()
	// answer is the code of one that is not the watchdog's, 0 if it is that, or false at the end of the connection.
	answer := func() (code uint32, more bool) {
		m, err := receive(c)
		switch {
		case err != nil:
			return 0, false
		case m.HopByHop == diameter.ReadHeader(watchdog).HopByHop:
			return 0, true
		case status(m) == 5422:
			return 2001, true
		}
		return result(m), true
	}
	for bit := range 8 * len(whole) {
		flipped := bytes.Clone(whole)
		flipped[bit/8] ^= 1 << (bit % 8)
		length, err := diameter.Length(flipped)
		isWhole := err == nil && length == len(flipped)
		must(t, c.SetDeadline(time.Now().Add(5*time.Second)))
		c.send(append(flipped, watchdog...))
		if !isWhole {
			must(t, c.Conn.(*net.TCPConn).CloseWrite()) // or it would wait for the end of a longer message
		}
		want := 1
		if isWhole && diameter.ReadHeader(flipped).Flags&diameter.Request != 0 {
			want = 2
		}
		for n := 0; !isWhole || n < want; n++ {
			code, more := answer()
			if isWhole && !more {
				t.Fatalf("bit %d of byte %d: the connection is closed", bit%8, bit/8)
			}
			if !more {
				break
			}
			if seen[code]++; code != 0 && !slices.Contains(codes, code) {
				t.Errorf("bit %d of byte %d: %d", bit%8, bit/8, code)
			}
		}
		if !isWhole {
			c.Close()
			c = f.connect()
		}
	}
	for _, code := range []uint32{0, 2001, 3001, 3007, 3008, 5001, 5004, 5014} {
		if seen[code] == 0 {
			t.Errorf("no bit leads to %d: %v", code, seen)
		}
	}
	if log := f.log.String(); strings.Contains(log, "a fault of this program") {
		t.Errorf("the log is\n%s", log)
	}
}
