package registrar

import (
	"bufio"
	"encoding/xml"
	"io"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"
)

var alice = NewSubscriber("001010000000017")

// asker is an S-CSCF's end of the Cx interface.
type asker struct {
	t *testing.T
	net.Conn
}

func newHSS(t *testing.T, subscribers ...Subscriber) (*HSS, *asker) {
	t.Helper()
	h, err := StartHSS(t.Context(), subscribers, "sip:as.example;lr&<x>", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	c, err := net.Dial("tcp", h.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(10 * time.Second))
	return h, &asker{t, c}
}

// ask sends a request and returns the AVPs of its answer.
func (a *asker) ask(command uint32, avps ...avp) []avp {
	a.t.Helper()
	raw := answerTo(&diameterMessage{command: command, application: cxApplication, hopByHop: 1, endToEnd: 2}, avps...)
	raw[4] |= flagRequest
	if _, err := a.Write(raw); err != nil {
		a.t.Fatal(err)
	}
	m, err := readDiameter(bufio.NewReader(a.Conn))
	if err != nil {
		a.t.Fatal(err)
	}
	if m.request || m.command != command || m.hopByHop != 1 || m.endToEnd != 2 {
		a.t.Errorf("the answer to command %d is %+v", command, m)
	}
	return m.avps
}

func about(s Subscriber) []avp {
	return []avp{text(avpSessionID, "x;1;2"), text(avpUserName, s.IMPI), cx(avpPublicIdentity, []byte(s.IMPU)), cx(avpAssignment, number(0, 1).data)}
}

func TestHSSResults(t *testing.T) {
	other := alice
	other.IMPI = "bob@" + Realm
	_, a := newHSS(t, alice)
	for _, tt := range []struct {
		name    string
		command uint32
		avps    []avp
		want    uint32
	}{
		{"capabilities", cmdCapabilities, nil, resultSuccess},
		{"watchdog", cmdWatchdog, nil, resultSuccess},
		{"an authentication vector", cmdMultimediaAuth, about(alice), resultSuccess},
		{"server assignment", cmdServerAssignment, about(alice), resultSuccess},
		{"nobody", cmdServerAssignment, nil, errorUserUnknown},
		{"an identity with another's", cmdMultimediaAuth, about(other), errorUserUnknown},
		{"location info is not there", 302, about(alice), resultUnsupported},
	} {
		answer := a.ask(tt.command, tt.avps...)
		got := find(answer, avpResult)
		if got == nil {
			experimental, err := parseAVPs(find(answer, avpExperimental))
			if err != nil {
				t.Fatal(err)
			}
			got = find(experimental, avpExperimentalCode)
		}
		if want := number(0, tt.want).data; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: result %x, want %x", tt.name, got, want)
		}
	}
}

// TestHSSVector is answered by the subscriber's USIM, and no two are alike.
func TestHSSVector(t *testing.T) {
	_, a := newHSS(t, alice)
	seen := make(map[string]bool)
	for range 3 {
		item, err := parseAVPs(find(a.ask(cmdMultimediaAuth, about(alice)...), avpAuthItem))
		if err != nil {
			t.Fatal(err)
		}
		challenge := find(item, avpAuthenticate)
		if len(challenge) != 32 || seen[string(challenge)] {
			t.Fatalf("RAND and AUTN are %x", challenge)
		}
		seen[string(challenge)] = true
		res, err := alice.keys.respond([16]byte(challenge), [16]byte(challenge[16:]))
		if err != nil || string(res[:]) != string(find(item, avpAuthorization)) {
			t.Errorf("the USIM answers %x, %v; the HSS expects %x", res, err, find(item, avpAuthorization))
		}
	}
}

// TestUserData is XML that names whom it is about and the application server, whatever characters they have.
func TestUserData(t *testing.T) {
	_, a := newHSS(t, alice)
	var got struct {
		PrivateID string
		Profile   struct {
			Identity string `xml:"PublicIdentity>Identity"`
			Criteria []struct {
				Method  string    `xml:"TriggerPoint>SPT>Method"`
				Server  string    `xml:"ApplicationServer>ServerName"`
				Include *struct{} `xml:"ApplicationServer>Extension>IncludeRegisterRequest"`
				Info    *struct{} `xml:"ApplicationServer>ServiceInfo"`
			} `xml:"InitialFilterCriteria"`
		} `xml:"ServiceProfile"`
	}
	raw := find(a.ask(cmdServerAssignment, about(alice)...), avpUserData)
	if err := xml.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	c := got.Profile.Criteria
	if got.PrivateID != alice.IMPI || got.Profile.Identity != alice.IMPU || len(c) != 1 || c[0].Method != "REGISTER" ||
		c[0].Server != "sip:as.example;lr&<x>" || c[0].Include == nil || c[0].Info != nil {
		t.Errorf("%+v\n%s", got, raw)
	}
}

// TestHSSHangsUp on who speaks no Diameter, and goes on with others.
func TestHSSHangsUp(t *testing.T) {
	h, a := newHSS(t, alice)
	c, err := net.Dial("tcp", h.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if said, err := io.ReadAll(c); len(said) > 0 || err != nil && !strings.Contains(err.Error(), "reset") {
		t.Errorf("it says %q, %v", said, err)
	}
	if find(a.ask(cmdWatchdog), avpResult) == nil {
		t.Error("no watchdog answer")
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
}
