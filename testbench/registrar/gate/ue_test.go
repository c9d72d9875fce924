package gate

import (
	"crypto/md5"
	"fmt"
	"net"
	"net/http"
	"net/textproto"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"bufio"
)

// ue sends single requests by UDP, as they are.
type ue struct {
	t    testing.TB
	conn net.Conn
}

func newUE(t testing.TB, p *proxy, source string) *ue {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.UDPAddr{IP: net.ParseIP(source)}}
	conn, err := dialer.Dial("udp", p.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &ue{t, conn}
}

// response is an answer of the registrar.
type response struct {
	code   int
	header textproto.MIMEHeader
}

// send sends a request once and waits for the final answer.
func (u *ue) send(message string) response {
	u.t.Helper()
	const patience = 10 * time.Second
	r, err := u.try(message, patience)
	if err != nil {
		u.t.Fatalf("no answer: %v", err)
	}
	return r
}

func (u *ue) try(message string, patience time.Duration) (r response, err error) {
	if _, err := u.conn.Write([]byte(message)); err != nil {
		return r, err
	}
	if err := u.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return r, err
	}
	buffer := make([]byte, 1<<16)
	for {
		n, err := u.conn.Read(buffer)
		if err != nil {
			return r, err
		}
		if r, err = readResponse(string(buffer[:n])); err != nil || r.code >= http.StatusOK {
			return r, err
		}
	}
}

func readResponse(text string) (r response, err error) {
	line, rest, _ := strings.Cut(text, "\r\n")
	if words := strings.Fields(line); len(words) > 1 {
		r.code, err = strconv.Atoi(words[1])
	}
	if err != nil || r.code == 0 {
		return r, fmt.Errorf("%q is no response: %v", line, err)
	}
	r.header, err = textproto.NewReader(bufio.NewReader(strings.NewReader(rest))).ReadMIMEHeader()
	return r, err
}

// request is a REGISTER, from which tests depart.
type request struct {
	deviceRow
	branch, callID  string
	cseq            int
	contact, header string // the whole lines of Contact and Expires, and more of the header
	contentType     string // of the token; empty without one
}

var serial int

// register is a good first REGISTER of a device.
func (u *ue) register(r deviceRow) request {
	serial++
	user, _, _ := strings.Cut(r.impi, "@")
	q := request{deviceRow: r, branch: fmt.Sprintf("z9hG4bK%d", serial), callID: fmt.Sprintf("call%d", serial), cseq: 1,
		contact: fmt.Sprintf("Contact: <sip:%s@%s>;+sip.instance=\"<%s>\"\r\nExpires: 3600\r\n", user, u.conn.LocalAddr(), r.urn)}
	if r.token != nil {
		q.contentType = "application/eat+cwt"
	}
	return q
}

// text writes it, with the token in its bytes as they are.
func (q request) text() string {
	user, _, _ := strings.Cut(q.impi, "@")
	var b strings.Builder
	fmt.Fprintf(&b, "REGISTER sip:%s SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=%s;rport\r\nMax-Forwards: 70\r\nFrom: <sip:%s@%s>;tag=1\r\nTo: <sip:%s@%s>\r\nCall-ID: %s\r\nCSeq: %d REGISTER\r\n",
		domain, q.branch, user, domain, user, domain, q.callID, q.cseq)
	b.WriteString(q.contact)
	if q.authorization != "" {
		b.WriteString(q.authorization + "\r\n")
	}
	b.WriteString(q.header)
	if q.contentType != "" {
		fmt.Fprintf(&b, "Content-Type: %s\r\n", q.contentType)
		fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(q.token), q.token)
	} else {
		b.WriteString("Content-Length: 0\r\n\r\n")
	}
	return b.String()
}

// kept is the label that a call to the device finds with its contact.
func (u *ue) kept(r deviceRow) string {
	u.t.Helper()
	q := u.register(r)
	user, _, _ := strings.Cut(q.impi, "@")
	call := strings.NewReplacer("REGISTER sip:", "OPTIONS sip:"+user+"@", "1 REGISTER", "1 OPTIONS", q.contact, "").Replace(q.text())
	label := u.send(call).header.Get("P-Imei-Kept")
	if label == "" {
		u.t.Errorf("no contact of %s is kept", user)
	}
	return label
}

var nonceParam = regexp.MustCompile(`nonce="([^"]*)"`)

// answers is Authorization for a challenge (RFC 2617 section 3.2.2, without qop).
func answers(impi string, challenged response) (authorization, nonce string) {
	if m := nonceParam.FindStringSubmatch(challenged.header.Get("WWW-Authenticate")); m != nil {
		nonce = m[1]
	}
	hash := func(parts ...string) string { return fmt.Sprintf("%x", md5.Sum([]byte(strings.Join(parts, ":")))) }
	uri := "sip:" + domain
	proof := hash(hash(impi, domain, "secret"), nonce, hash("REGISTER", uri))
	return fmt.Sprintf("Authorization: Digest username=%q, realm=%q, nonce=%q, uri=%q, response=%q, algorithm=MD5", impi, domain, nonce, uri, proof), nonce
}
