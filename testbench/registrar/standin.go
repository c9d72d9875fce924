package registrar

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"strings"

	"imei-attest/verifier/sip"
)

// Facts are what an S-CSCF knows of a REGISTER beside what stands in it.
type Facts struct {
	Algorithm   string // by which it challenged this subscriber last
	Protected   string // integrity-protected, as the P-CSCF says
	Outstanding bool   // the request answers a challenge that was not answered before, and rightly
	Initial     bool   // the subscriber is not registered
}

// Judge decides about a registration, of which the message is the REGISTER: 200, or the code that refuses it.
type Judge func(ctx context.Context, message []byte, known Facts) (code int, err error)

// StandIn is an S-CSCF and its HSS in little, for machines without Kamailio: it challenges by AKA, or for the password, checks the answer, and
// asks before it lets in. It takes REGISTER over UDP.
type StandIn struct {
	Addr string // host:port

	socket      net.PacketConn
	subscribers map[string]*standing // by private identity
	judge       Judge
	stop        context.CancelFunc
	done        chan struct{}
}

// standing is how it stands with a subscriber.
type standing struct {
	Subscriber
	sqn        uint64
	nonce      string // of the last challenge
	password   []byte // that answers it
	open       bool   // it was not answered yet
	registered bool
}

// StartStandIn starts it on a free port of loopback.
func StartStandIn(ctx context.Context, subscribers []Subscriber, judge Judge) (*StandIn, error) {
	socket, err := new(net.ListenConfig).ListenPacket(ctx, "udp", loopback)
	if err != nil {
		return nil, fmt.Errorf("starting the S-CSCF: %w", err)
	}
	s := &StandIn{Addr: socket.LocalAddr().String(), socket: socket, subscribers: make(map[string]*standing), judge: judge, done: make(chan struct{})}
	for _, who := range subscribers {
		s.subscribers[who.IMPI] = &standing{Subscriber: who}
	}
	ctx, s.stop = context.WithCancel(ctx)
	go s.serve(ctx)
	return s, nil
}

// Close ends it.
func (s *StandIn) Close() error {
	s.stop()
	err := s.socket.Close()
	<-s.done
	return err
}

func (s *StandIn) serve(ctx context.Context) {
	defer close(s.done)
	raw := make([]byte, maxSIPBytes)
	for {
		n, from, err := s.socket.ReadFrom(raw)
		if err != nil {
			return // closed
		}
		if answer := s.answer(ctx, raw[:n]); answer != nil {
			s.socket.WriteTo(answer, from) //nolint:errcheck // the UE asks again
		}
	}
}

func (s *StandIn) answer(ctx context.Context, message []byte) []byte {
	r, err := sip.ParseRegister(message)
	if err != nil {
		return reply(message, http.StatusBadRequest, "Bad Request")
	}
	who, known := s.subscribers[r.IMPI]
	if !known || who.IMPU != r.IMPU {
		return reply(message, http.StatusForbidden, "Forbidden - Unknown User")
	}
	header := between(string(message), "\r\nAuthorization:", "\r\n")
	facts := Facts{Algorithm: who.algorithm(), Protected: r.IntegrityProtected, Outstanding: who.open && who.isAnsweredBy(header), Initial: !who.registered}
	isKnown := who.registered && (r.IntegrityProtected == "yes" || r.IntegrityProtected == "ip-assoc-yes")
	if !facts.Outstanding && !isKnown {
		return reply(message, http.StatusUnauthorized, "Unauthorized", "WWW-Authenticate: "+s.challenge(who))
	}
	who.open = false
	if r.Expires != nil && *r.Expires == 0 {
		who.registered = false
		return reply(message, http.StatusOK, "OK")
	}
	code, err := s.judge(ctx, message, facts)
	if err != nil {
		return reply(message, http.StatusServiceUnavailable, "Not Judged")
	}
	who.registered = code == http.StatusOK
	if code == http.StatusUnauthorized {
		return reply(message, code, "Unauthorized", "WWW-Authenticate: "+s.challenge(who))
	}
	return reply(message, code, http.StatusText(code))
}

func (who *standing) algorithm() string {
	if who.ByPassword {
		return "MD5"
	}
	return "AKAv1-MD5"
}

// challenge makes a new one, which the earlier one does not outlive.
func (s *StandIn) challenge(who *standing) string {
	who.sqn++
	v := who.keys.vector(newChallenge(), who.sqn)
	who.nonce, who.password = base64.StdEncoding.EncodeToString(append(v.rand[:], v.autn[:]...)), v.res[:]
	if who.ByPassword {
		who.nonce, who.password = hex.EncodeToString(v.rand[:]), []byte(Password)
	}
	who.open = true
	return fmt.Sprintf(`Digest realm="%s", nonce="%s", algorithm=%s, qop="auth"`, Realm, who.nonce, who.algorithm())
}

// isAnsweredBy checks the answer to the challenge (RFC 2617 section 3.2.2.1).
func (who *standing) isAnsweredBy(authorization string) bool {
	of := func(name string) string { return parameter(authorization, name) }
	want := digest(who.IMPI, Realm, who.password, of("uri"), who.nonce, of("nc"), of("cnonce"), of("qop"))
	return of("nonce") == who.nonce && of("response") == want
}

// reply copies of the request what RFC 3261 section 8.2.6.2 wants.
func reply(request []byte, code int, reason string, more ...string) []byte {
	lines := []string{fmt.Sprintf("SIP/2.0 %d %s", code, reason)}
	head, _, _ := strings.Cut(string(request), "\r\n\r\n")
	for _, line := range strings.Split(head, "\r\n")[1:] {
		for _, name := range []string{"Via:", "From:", "To:", "Call-ID:", "CSeq:"} {
			if strings.HasPrefix(line, name) {
				lines = append(lines, line)
			}
		}
	}
	return []byte(strings.Join(append(append(lines, more...), "Content-Length: 0"), "\r\n") + "\r\n\r\n")
}
