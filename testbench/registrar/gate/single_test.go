package gate

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"imei-attest/attest"
)

// single is one REGISTER and what must become of it.
type single struct {
	name   string
	source string // "" is 127.0.0.1; what comes from 127.0.0.2 is an emergency by the word of the network
	device func(t *testing.T, s *scene) deviceRow
	change func(q *request)
	code   int
	label  string // "" where none is given
	asked  bool   // the verifier was
	kept   bool   // there is a binding more
}

// scene is a verifier that knows some devices, and a registrar with the gate.
type scene struct {
	*service
	*proxy
	show func(number int) deviceRow // a device that has not registered yet
	next int
}

const (
	known     = 60 // devices that the verifier knows
	strangers = 1000
)

func newScene(t *testing.T, policy string, more settings) *scene {
	t.Helper()
	crowd := newCrowd(t)
	s := newService(t, crowd, policy, withoutBreaker)
	s.enroll(crowd, known)
	more["IMEI_GATE_HEADER"], more["WITH_LABEL"] = "P-IMEI-Label", ""
	all := &scene{service: s, proxy: newProxy(t, gated(s.address, more))}
	all.show = func(number int) deviceRow { return s.signFor(crowd, number, number+1)[0] }
	return all
}

// good is a device that shows its own IMEI and a token.
func good(t *testing.T, s *scene) deviceRow { s.next++; return s.show(s.next) }

func silent(t *testing.T, s *scene) deviceRow { r := good(t, s); r.token = nil; return r }

func spoofed(t *testing.T, s *scene) deviceRow {
	r := good(t, s)
	return r.spoofing(s.show(known - 1))
}

var singles = []single{
	{"a token in its bytes", "", good, nil, 200, "warning:subscriber-unbound", true, true},
	{"a token in a part of the body", "", good, func(q *request) {
		q.token = []byte("--b\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n--b\r\nContent-Type: application/eat+cwt\r\n\r\n" + string(q.token) + "\r\n--b--\r\n")
		q.contentType = "multipart/mixed;boundary=b"
	}, 200, "warning:subscriber-unbound", true, true},
	{"a device that attested before, without a token", "", silent, nil, 401, "", true, false},
	{"a device of nobody's", "", func(t *testing.T, s *scene) deviceRow { r := s.show(strangers); r.token = nil; return r }, nil, 200, "none:not-endorsed", true, true},
	{"no instance-id", "", silent, func(q *request) { q.contact = "Contact: <sip:a@127.0.0.1:5070>\r\n" }, 200, "none:unbound", true, true},
	{"an instance-id that is no URN", "", silent, func(q *request) {
		q.contact = "Contact: <sip:a@127.0.0.1:5070>;+sip.instance=\"<urn:gsma:imei:1>\"\r\n"
	}, 200, "none:urn-malformed", true, true},
	{"another's IMEI", "", spoofed, nil, 403, "", true, false},
	{"another's IMEI, in an emergency by the UE's own word", "", spoofed, func(q *request) { q.contact = strings.Replace(q.contact, ">;+", ";sos>;+", 1) }, 403, "", true, false},
	{"another's IMEI, in an emergency by the network's word", "127.0.0.2", spoofed, nil, 200, "none:emergency", true, true},
	{"one bit of the signature is wrong", "", good, func(q *request) { q.token[len(q.token)-1] ^= 1 }, 403, "", true, false},
	{"the UE says of itself that it is protected and used its USIM", "", good, func(q *request) {
		q.authorization += `, algorithm=AKAv2-MD5, integrity-protected="yes"`
	}, 200, "warning:subscriber-unbound", true, true},
	{"a user name that would be JSON", "", good, func(q *request) {
		q.authorization = strings.Replace(q.authorization, `username="`, `username="x\",\"auth\":\"AKAv1-MD5\",\"integrity_protected\":\"yes`, 1)
	}, 400, "", true, false},
	{"two tokens", "", good, func(q *request) {
		q.token = []byte("--b\r\nContent-Type: application/eat+cwt\r\n\r\n" + string(q.token) + "\r\n--b\r\nContent-Type: application/eat+cwt\r\n\r\n1\r\n--b--\r\n")
		q.contentType = "multipart/mixed;boundary=b"
	}, 400, "", true, false},
	{"two contacts with two IMEIs", "", good, func(q *request) {
		q.contact += "Contact: <sip:b@127.0.0.1:5071>;+sip.instance=\"<urn:gsma:imei:49015420-323751-0>\"\r\n"
	}, 400, "", true, false},
	{"a deregistration", "", silent, func(q *request) { q.contact = strings.Replace(q.contact, "3600", "0", 1) }, 200, "not-judged", false, false},
	{"a deregistration in the contact", "", silent, func(q *request) { q.contact = "Contact: <sip:a@127.0.0.1>;expires=0\r\n" }, 200, "not-judged", false, false},
	{"a deregistration of all contacts", "", silent, func(q *request) { q.contact = "Contact: *\r\nExpires: 0\r\n" }, 200, "not-judged", false, false},
	{"a question which bindings there are", "", silent, func(q *request) { q.contact = "" }, 200, "not-judged", false, false},
	{"more bytes than are taken", "", silent, func(q *request) { q.header = "X-Padding: " + strings.Repeat("x", 17000) + "\r\n" }, 513, "", false, false},
	{"as many bytes as are taken", "", good, func(q *request) { q.header = "X-Padding: " + strings.Repeat("x", 15000) + "\r\n" }, 200, "warning:subscriber-unbound", true, true},
}

func TestSingleRegistrations(t *testing.T) {
	row := use(t, fmt.Sprintf("A1 gate: %d kinds of REGISTER, one by one", len(singles)))
	s := newScene(t, "enforce", settings{})
	for _, c := range singles {
		t.Run(c.name, func(t *testing.T) {
			source := c.source
			if source == "" {
				source = "127.0.0.1"
			}
			u := newUE(t, s.proxy, source)
			q := u.register(c.device(t, s))
			if c.change != nil {
				c.change(&q)
			}
			asked, kept := s.checks(), s.bindings()
			r := u.send(q.text())
			if label := r.header.Get("P-Imei-Label"); r.code != c.code || label != c.label {
				t.Errorf("%d with label %q, want %d with %q", r.code, label, c.code, c.label)
			}
			if r.code == http.StatusUnauthorized && r.header.Get("Www-Authenticate") == "" {
				t.Error("a 401 without a challenge")
			}
			asked, kept = s.checks()-asked, s.bindings()-kept
			if (asked == 1) != c.asked || (kept == 1) != c.kept || asked > 1 {
				t.Errorf("the verifier was asked %d times and there are %d bindings more, want %v and %v", asked, kept, c.asked, c.kept)
			}
		})
	}
	checkLog(t, s.proxy)
	row.Asserted += ", with label, verifier calls and bindings"
}

// checkLog looks for what no log may hold: what is a UE's, and Kamailio's complaints about the script.
func checkLog(t *testing.T, p *proxy) {
	t.Helper()
	for what, secret := range map[string]string{"an IMEI": "35693803", "a subscriber": "0010100000", "a header of the UE's": "eat+cwt", "a fault of the script": "lval"} {
		if log := p.log.String(); strings.Contains(log, secret) {
			t.Errorf("Kamailio logs %s:\n%s", what, log)
		}
	}
}

// TestRegistersAgain: a binding that is prolonged rests on the earlier result; whoever changes Call-ID or contact registers anew.
func TestRegistersAgain(t *testing.T) {
	use(t, "A1 gate: re-registrations, and what only looks like one")
	s := newScene(t, "enforce", settings{})
	u := newUE(t, s.proxy, "127.0.0.1")
	first := u.register(good(t, s))
	if r := u.send(first.text()); r.code != http.StatusOK {
		t.Fatalf("the first: %d", r.code)
	}
	if kept := u.kept(first.deviceRow); kept != "warning:subscriber-unbound" {
		t.Errorf("a call finds the label %q with the contact", kept)
	}
	again := func(change func(*request)) int {
		serial++
		q := first
		q.token, q.contentType, q.branch = nil, "", fmt.Sprintf("z9hG4bK%d", serial)
		first.cseq++
		q.cseq = first.cseq
		change(&q)
		return u.send(q.text()).code
	}
	for _, c := range []struct {
		name   string
		change func(*request)
		code   int
	}{
		{"the same binding", func(*request) {}, 200},
		{"another Call-ID", func(q *request) { q.callID += "x" }, 401},
		{"another contact", func(q *request) { q.contact = strings.Replace(q.contact, "127.0.0.1", "127.0.0.9", 1) }, 401},
		{"another's IMEI", func(q *request) { q.contact = strings.Replace(q.contact, q.urn, s.show(known-1).urn, 1) }, 401},
	} {
		if got := again(c.change); got != c.code {
			t.Errorf("%s: %d, want %d", c.name, got, c.code)
		}
	}
}

// TestSentAgain: who is challenged leaves nothing behind; what is asked about is asked about once, with credentials or without.
func TestSentAgain(t *testing.T) {
	row := use(t, "A1 gate: sent again")
	s := newScene(t, "enforce", settings{"WITH_DIGEST": ""})
	u := newUE(t, s.proxy, "127.0.0.1")
	bare := u.register(silent(t, s))
	bare.authorization = ""
	before := s.transactions()
	for range 3 {
		if r := u.send(bare.text()); r.code != http.StatusUnauthorized {
			t.Errorf("without credentials: %d", r.code)
		}
	}
	if made := s.transactions() - before; made != 0 {
		t.Errorf("%d transactions for what was challenged", made)
	}
	open := newScene(t, "enforce", settings{}) // an operator who trusts addresses
	u = newUE(t, open.proxy, "127.0.0.1")
	q := u.register(good(t, open))
	q.authorization = ""
	before = open.transactions()
	for range 3 {
		if r := u.send(q.text()); r.code != http.StatusOK {
			t.Errorf("without credentials where none are needed: %d", r.code)
		}
	}
	if asked, made := open.checks(), open.transactions()-before; asked != 1 || made != 1 {
		t.Errorf("the verifier was asked %d times about one REGISTER, in %d transactions", asked, made)
	}
	row.Asserted = "A1 gate: sent again without credentials is challenged again and leaves nothing, or is asked about once where none are needed"
}

// TestAnswersTheRegistrarsOwnChallenge: evidence for the 401 of this registration, which no verifier's nonce goes before.
func TestAnswersTheRegistrarsOwnChallenge(t *testing.T) {
	row := use(t, "A1 gate: 401 binding")
	n := many(50, 1000)
	crowd := newCrowd(t)
	s := newService(t, crowd, "enforce", withoutBreaker)
	s.enroll(crowd, n)
	p := newProxy(t, gated(s.address, settings{"WITH_DIGEST": "", "IMEI_GATE_HEADER": "P-IMEI-Label"}))
	u := newUE(t, p, "127.0.0.1")
	for i := range n {
		plain := s.show(crowd, i, attest.Nonce(make([]byte, attest.DefaultNonceBytes)), "")
		plain.authorization, plain.token = "", nil
		q := u.register(plain)
		challenged := u.send(q.text())
		authorization, nonce := answers(q.impi, challenged)
		q.deviceRow = s.show(crowd, i, attest.NonceFrom401(nonce), "")
		serial++
		q.authorization, q.contentType, q.branch, q.cseq = authorization, "application/eat+cwt", fmt.Sprintf("z9hG4bK%d", serial), 2
		if r := u.send(q.text()); r.code != http.StatusOK || r.header.Get("P-Imei-Label") != "warning:subscriber-unbound" {
			t.Fatalf("device %d: %d with label %q", i, r.code, r.header.Get("P-Imei-Label"))
		}
		if r := u.send(q.text()); r.code != http.StatusOK { // sent again
			t.Errorf("device %d, sent again: %d", i, r.code)
		}
		serial++
		q.branch, q.cseq = fmt.Sprintf("z9hG4bK%d", serial), 3
		if r := u.send(q.text()); r.code != http.StatusUnauthorized { // the nonce is used up
			t.Errorf("device %d, the same Authorization in another request: %d", i, r.code)
		}
	}
	if asked := s.checks(); asked != n {
		t.Errorf("the verifier was asked %d times for %d registrations", asked, n)
	}
	row.Asserted = fmt.Sprintf("A1 gate: %d devices answer the registrar's own 401 by Digest and token; sent again is absorbed, used again is challenged", n)
}

// TestNoOddFormBindsAnothersIMEI: Kamailio and the verifier read the same message, each in its way. Whatever is written, no binding shows an
// IMEI that the verifier did not judge.
func TestNoOddFormBindsAnothersIMEI(t *testing.T) {
	row := use(t, "A1 gate: odd forms")
	s := newScene(t, "enforce", settings{})
	const contact = "<sip:a@127.0.0.1:5070>"
	forms := []string{
		"Contact: " + contact + ";+sip.instance=\"<SPOOFED>\";expires=3600\r\nExpires: 0\r\n",
		"Contact: " + contact + ";+sip.instance=\"<SPOOFED>\";expires=abc\r\nExpires: 0\r\n",
		"Contact: " + contact + ";+sip.instance=\"<SPOOFED>\";expires=\r\nExpires: 3600\r\n",
		"Contact: " + contact + ";+sip.instance=\"<SPOOFED>\";expires\r\nExpires: 3600\r\n",
		"Contact: " + contact + ";+sip.instance=\"<SPOOFED>\";expires=\"0\";q=1\r\nExpires: 3600\r\n",
		"Contact: " + contact + ";+sip.instance=\"<SPOOFED>\";expires=0;expires=3600\r\n",
		"Contact: " + contact + ";+sip.instance=\"<SPOOFED>\";expires=3600;expires=0\r\n",
		"Contact: " + contact + ";+sip.instance=\"<SPOOFED>\";EXPIRES=3600;expires=0\r\n",
		"Contact: " + contact + ";+sip.instance=\"<SPOOFED>\";expires=4294967296\r\nExpires: 0\r\n",
		"Contact: " + contact + ";+sip.instance=\"<SPOOFED>\";expires=-1\r\nExpires: 0\r\n",
		"Contact: " + contact + ";+sip.instance=\"<SPOOFED>\"\r\nExpires: 0\r\nExpires: 3600\r\n",
		"Contact: " + contact + ";+sip.instance=\"<SPOOFED>\"\r\nExpires: 3600\r\nExpires: 0\r\n",
		"Contact: " + contact + ";+sip.instance=\"<SPOOFED>\"\r\nExpires: abc\r\n",
		"Contact: " + contact + ";+sip.instance=\"<SPOOFED>\"\r\nExpires: 0x10\r\n",
		"Contact: " + contact + ";+sip.instance=\"<SPOOFED>\"\r\nExpires: 0, 3600\r\n",
		"Contact: " + contact + ";+sip.instance=\"<SPOOFED>\"\r\nExpires: 0;x=3600\r\n",
		"Contact: " + contact + ";+sip.instance=\"<SPOOFED>\"\r\nExpires:\r\n",
		"m: " + contact + ";+sip.instance=\"<SPOOFED>\"\r\n",
		"CONTACT : " + contact + ";+SIP.INSTANCE=\"<SPOOFED>\"\r\n",
		"Contact: " + contact + ";\r\n +sip.instance=\"<SPOOFED>\"\r\n",
		"Contact: " + contact + ";+sip.instance=\"<OWN>\";+sip.instance=\"<SPOOFED>\"\r\n",
		"Contact: " + contact + ";+sip.instance=\"<SPOOFED>\";+sip.instance=\"<OWN>\"\r\n",
		"Contact: " + contact + ";+sip.instance=\"<OWN>\", <sip:b@127.0.0.1:5071>;+sip.instance=\"<SPOOFED>\"\r\n",
		"Contact: " + contact + ";+sip.instance=\"<OWN>\"\r\nContact: <sip:b@127.0.0.1:5071>;+sip.instance=\"<SPOOFED>\"\r\n",
		"Contact: " + contact + ";+sip.instance=\"<OWN>\"\r\nm: <sip:b@127.0.0.1:5071>;+sip.instance=\"<SPOOFED>\"\r\n",
		"Contact: " + contact + ";+sip.instance=\"<OWN>\";expires=0, <sip:b@127.0.0.1:5071>;+sip.instance=\"<SPOOFED>\"\r\nExpires: 3600\r\n",
		"Contact: *\r\nContact: " + contact + ";+sip.instance=\"<SPOOFED>\"\r\nExpires: 0\r\n",
		"Contact: *, " + contact + ";+sip.instance=\"<SPOOFED>\"\r\nExpires: 3600\r\n",
		"Contact: \"a\\\",*;expires=0\" " + contact + ";+sip.instance=\"<SPOOFED>\"\r\n",
		"Contact: \"expires=0\" " + contact + ";+sip.instance=\"<SPOOFED>\"\r\n",
		"Contact: <sip:a@127.0.0.1:5070;expires=0>;+sip.instance=\"<SPOOFED>\"\r\n",
		"Contact: <sip:a@127.0.0.1:5070?expires=0>;+sip.instance=\"<SPOOFED>\"\r\n",
		"Contact: sip:a@127.0.0.1:5070;expires=0;+sip.instance=\"<SPOOFED>\"\r\nExpires: 3600\r\n",
		"Contact: " + contact + ";+sip.instance='<SPOOFED>';expires=3600\r\n",
		"Contact: " + contact + ";+sip.instance=<SPOOFED>\r\n",
		"Contact: " + contact + ";+sip.instance=\"SPOOFED\"\r\n",
		"Contact: " + contact + ";x=\"\\\";expires=0;y=\\\"\";+sip.instance=\"<SPOOFED>\"\r\n",
		"Contact: " + contact + ";x=\";expires=0\";+sip.instance=\"<SPOOFED>\"\r\nExpires: 3600\r\n",
		"Contact: \"\x00\" " + contact + ";+sip.instance=\"<SPOOFED>\";expires=3600\r\nExpires: 0\r\n",
		"Contact: " + contact + ";x=\"\x00\";+sip.instance=\"<SPOOFED>\";expires=3600\r\nExpires: 0\r\n",
		"Contact: <sip:\x00@127.0.0.1:5070>;+sip.instance=\"<SPOOFED>\";expires=3600\r\nExpires: 0\r\n",
		"Contact: \x00" + contact + ";+sip.instance=\"<SPOOFED>\";expires=3600\r\nExpires: 0\r\n",
		"Contact: <sip:b@127.0.0.1:5071>;expires=0;x=\"\x00\", " + contact + ";+sip.instance=\"<SPOOFED>\";expires=3600\r\n",
	}
	r, other := good(t, s), s.show(known-1)
	answers := make(map[int]int)
	for _, form := range forms {
		r.token = s.show(r.number).token
		u := newUE(t, s.proxy, "127.0.0.1")
		q := u.register(r)
		q.contact = strings.NewReplacer("SPOOFED", other.urn, "OWN", r.urn).Replace(form)
		answer := u.send(q.text())
		answers[answer.code]++
		var dump any
		if err := s.rpc("ul.dump", &dump); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(fmt.Sprint(dump), other.urn) {
			t.Errorf("%d, label %q, and another's IMEI is bound by\n%s", answer.code, answer.header.Get("P-Imei-Label"), form)
			_ = s.rpc("ul.rm", nil, "location", strings.Split(r.impi, "@")[0]+"@"+domain)
		}
	}
	row.Asserted = fmt.Sprintf("A1 gate: %d odd forms of Contact and Expires, none binds another's IMEI (%v)", len(forms), answers)
}

// TestUnreadableIsObserved: where the operator says so for the first days.
func TestUnreadableIsObserved(t *testing.T) {
	use(t, "A1 gate: an unreadable REGISTER is let in where the operator says so")
	s := newScene(t, "enforce", settings{"IMEI_GATE_UNREADABLE": "observe"})
	u := newUE(t, s.proxy, "127.0.0.1")
	q := u.register(good(t, s))
	q.header = "Content-Transfer-Encoding: quoted-printable\r\n"
	if r := u.send(q.text()); r.code != http.StatusOK || r.header.Get("P-Imei-Label") != "not-judged" || s.checks() != 1 {
		t.Errorf("%d with label %q, the verifier was asked %d times", r.code, r.header.Get("P-Imei-Label"), s.checks())
	}
	if log := s.proxy.log.String(); !strings.Contains(log, "the verifier cannot read a REGISTER of ") || !strings.Contains(log, "Content-Transfer-Encoding") {
		t.Errorf("the log says\n%s", log)
	}
	checkLog(t, s.proxy)
}

// TestNobodyIsJudgedAsSomebodyElse: Kamailio ends a quoted string in Authorization at the first quote, escaped or not. Who authenticates as
// himself in its reading, and writes another's name for a reader that knows escapes, does not rest on what the other's device showed.
func TestNobodyIsJudgedAsSomebodyElse(t *testing.T) {
	use(t, "A1 gate: two user names in one Authorization")
	crowd := newCrowd(t)
	s := newService(t, crowd, "enforce", withoutBreaker)
	s.enroll(crowd, 2)
	p := newProxy(t, gated(s.address, settings{"WITH_DIGEST": "", "IMEI_GATE_HEADER": "P-IMEI-Label"}))
	u := newUE(t, p, "127.0.0.1")
	registers := func(r deviceRow, signs bool, bend func(string) string) response {
		r.authorization, r.token = "", nil
		q := u.register(r)
		authorization, nonce := answers(q.impi, u.send(q.text()))
		if signs {
			q.token, q.contentType = s.show(crowd, r.number, attest.NonceFrom401(nonce), "").token, "application/eat+cwt"
		}
		serial++
		q.authorization, q.branch, q.cseq = bend(authorization), fmt.Sprintf("z9hG4bK%d", serial), 2
		return u.send(q.text())
	}
	asItIs := func(a string) string { return a }
	row := func(number int) deviceRow {
		return s.show(crowd, number, attest.Nonce(make([]byte, attest.DefaultNonceBytes)), "")
	}
	owner, thief := row(0), row(1)
	if r := registers(owner, true, asItIs); r.code != http.StatusOK {
		t.Fatalf("the owner: %d", r.code)
	}
	thief.urn = owner.urn
	if r := registers(thief, false, asItIs); r.code != http.StatusUnauthorized {
		t.Errorf("another's IMEI without a token: %d with label %q", r.code, r.header.Get("P-Imei-Label"))
	}
	r := registers(thief, false, func(a string) string {
		return strings.Replace(a, `username="`+thief.impi+`"`, `x="\",username=`+thief.impi+`,y=",username=`+owner.impi+`,w=",v=\""`, 1)
	})
	if r.code != http.StatusBadRequest {
		t.Errorf("the same in the name of the owner: %d with label %q\n%s", r.code, r.header.Get("P-Imei-Label"), p.log.String())
	}
}
