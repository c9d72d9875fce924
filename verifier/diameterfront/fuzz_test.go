package diameterfront

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"imei-attest/verifier/diameterfront/diameter"
)

var fuzzNode = Node{Host: "eir.example", Realm: "example", Product: "test"}

// FuzzQuestion: what is taken for a question has an IMEI of 14 or 15 digits, and nothing else but digits beside it. Whatever comes, the
// answer can be read, is paired with it, and has its session.
func FuzzQuestion(f *testing.F) {
	whole := func(edit func([]byte) []byte) []byte {
		b := diameter.Begin(nil, diameter.Header{Flags: diameter.Request | diameter.Proxiable, Command: diameter.MEIdentityCheck, Application: diameter.ApplicationS13, HopByHop: 7, EndToEnd: 8})
		b = diameter.AppendUint32(diameter.AppendText(b, diameter.SessionID, "mme;1;2"), diameter.AuthSessionState, diameter.NoStateMaintained)
		b = diameter.AppendText(diameter.AppendText(b, diameter.OriginHost, "mme"), diameter.OriginRealm, "example")
		b = diameter.AppendText(b, diameter.DestinationRealm, "example")
		b = edit(b)
		diameter.End(b, 0)
		return b
	}
	terminal := func(b []byte) []byte {
		return diameter.AppendGroup(b, diameter.TerminalInformation, func(b []byte) []byte {
			return diameter.AppendText(diameter.AppendText(b, diameter.IMEI, "49015420323751"), diameter.SoftwareVersion, "01")
		})
	}
	f.Add(whole(terminal))
	f.Add(whole(func(b []byte) []byte { return diameter.AppendText(terminal(b), diameter.UserName, "001010000000001") }))
	f.Add(whole(func(b []byte) []byte {
		return diameter.AppendGroup(terminal(b), diameter.ProxyInfo, func(b []byte) []byte { return diameter.AppendText(b, diameter.OriginHost, "dra") })
	}))
	f.Add(whole(func(b []byte) []byte { return b }))
	f.Fuzz(func(t *testing.T, data []byte) {
		if n, err := diameter.Length(data); err != nil || n != len(data) || n == 0 {
			return // the stream gives no other
		}
		q := question{bytes: data}
		var answer []byte
		err := q.read(fuzzNode)
		var bad *diameter.Error
		switch {
		case err == nil:
			for text, lengths := range map[string][]int{q.imei: {14, 15}, q.software: {0, 2}, q.imsi: {0, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}} {
				if strings.Trim(text, "0123456789") != "" || !slices.Contains(lengths, len(text)) {
					t.Errorf("%x is read as %q, %q, %q", data, q.imei, q.software, q.imsi)
				}
			}
			answer = appendStatus(nil, &q.message, fuzzNode, 2)
		case errors.As(err, &bad):
			answer = appendAnswer(nil, &q.message, fuzzNode, bad.Code, bad, nil)
		default:
			t.Fatalf("%x: %v", data, err)
		}
		compareWithRequest(t, &q.message, answer)
	})
}

// compareWithRequest wants an answer that goes with its request (RFC 6733 section 6.2). One to a long request may be longer than what is
// taken here.
func compareWithRequest(t *testing.T, request *diameter.Message, answer []byte) {
	var m diameter.Message
	if err := m.Decode(answer); err != nil {
		if len(answer) > diameter.MaxBytes || len(request.AVPs) > diameter.MaxAVPs/2 {
			return
		}
		t.Fatalf("the answer is %x: %v", answer, err)
	}
	if m.HopByHop != request.HopByHop || m.EndToEnd != request.EndToEnd || m.Command != request.Command || m.Application != request.Application || m.Flags&diameter.Request != 0 {
		t.Errorf("%+v is answered with %+v", request.Header, m.Header)
	}
	asked, told := diameter.Find(request.AVPs, diameter.SessionID), diameter.Find(m.AVPs, diameter.SessionID)
	if (asked == nil) != (told == nil) || asked != nil && string(asked.Data) != string(told.Data) {
		t.Errorf("the session %v became %v", asked, told)
	}
	var proxies, back []string
	for _, of := range []struct {
		avps []diameter.AVP
		to   *[]string
	}{{request.AVPs, &proxies}, {m.AVPs, &back}} {
		for _, a := range of.avps {
			if a.ID == diameter.ProxyInfo {
				*of.to = append(*of.to, string(a.Data))
			}
		}
	}
	if strings.Join(proxies, "|") != strings.Join(back, "|") {
		t.Errorf("of %q proxies get back %q", proxies, back)
	}
}

// FuzzCapabilities: who is taken for a peer has names that can be told in a log.
func FuzzCapabilities(f *testing.F) {
	add := func(edit func([]byte) []byte) {
		b := diameter.Begin(nil, diameter.Header{Flags: diameter.Request, Command: diameter.CapabilitiesExchange})
		b = diameter.AppendText(diameter.AppendText(b, diameter.OriginHost, "mme"), diameter.OriginRealm, "example")
		b = diameter.AppendText(b, diameter.HostIPAddress, "\x00\x01\x7f\x00\x00\x01")
		b = edit(diameter.AppendText(diameter.AppendUint32(b, diameter.VendorID, 0), diameter.ProductName, "x"))
		diameter.End(b, 0)
		f.Add(b)
	}
	add(appendApplication)
	add(func(b []byte) []byte {
		return diameter.AppendUint32(b, diameter.AuthApplicationID, diameter.ApplicationRelay)
	})
	add(func(b []byte) []byte {
		return diameter.AppendUint32(appendApplication(b), diameter.InbandSecurityID, diameter.NoInbandSecurity)
	})
	f.Fuzz(func(t *testing.T, data []byte) {
		var m diameter.Message
		if m.Decode(data) != nil {
			return
		}
		peer, err := readCapabilities(&m, capabilitiesGrammar)
		var bad *diameter.Error
		switch {
		case err != nil && !errors.As(err, &bad):
			t.Fatalf("%x: %v", data, err)
		case err == nil && (!diameter.IsIdentity(peer.host) || !diameter.IsIdentity(peer.realm)):
			t.Errorf("%x is from %q of %q", data, peer.host, peer.realm)
		case peer.host != "" && !diameter.IsIdentity(peer.host):
			t.Errorf("%x is from %q", data, peer.host)
		}
	})
}
