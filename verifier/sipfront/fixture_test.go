package sipfront_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/verifier"
	"imei-attest/verifier/policy"
	"imei-attest/verifier/sipfront"
	"imei-attest/verifier/store"
)

// front is an application server on loopback, with all that it said.
type front struct {
	t       testing.TB
	address string
	store   *brokenStore
	log     *logged
	config  sipfront.Config
	stop    func() error

	mu       sync.Mutex
	outcomes []sipfront.Outcome
	verdicts []verifier.Verdict
	limited  []string
}

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// begin starts a server under a shipped policy, whose text the edits change.
func begin(t testing.TB, change func(*sipfront.Config), edits ...string) *front {
	t.Helper()
	f := &front{t: t, store: &brokenStore{Memory: store.NewMemory()}, log: new(logged)}
	f.config = sipfront.Config{Verifier: f.verifier(edits...), Peers: loopback, InFlight: 64, Reauthenticates: true, Now: func() time.Time { return attesttest.Now },
		Log: slog.New(slog.NewJSONHandler(f.log, &slog.HandlerOptions{Level: slog.LevelDebug})), Answered: f.answered, Limited: f.limit}
	if change != nil {
		change(&f.config)
	}
	f.serve()
	return f
}

func (f *front) verifier(edits ...string) *verifier.Verifier {
	f.t.Helper()
	text, _ := policy.Shipped("enforce")
	rules, _, err := policy.Parse([]byte(strings.NewReplacer(edits...).Replace(string(text))), attesttest.Now)
	nonces, nonceErr := attest.NewNonceKeys(0, make([]byte, 32), nil)
	trust := &verifier.Trust{Generation: 1}
	anchor := &verifier.Anchor{Issuer: attesttest.Credential().Issuer, OEMID: attesttest.Credential().OEMID, StorageKinds: []attest.StorageKind{attest.StorageSoftware}}
	if err := errors.Join(err, nonceErr, trust.Keys.Add(&attesttest.OEMKey.PublicKey, anchor)); err != nil {
		f.t.Fatal(err)
	}
	v, err := verifier.New(verifier.Config{Store: f.store, Nonces: nonces, Trust: trust, Policy: rules, Decided: f.decided})
	if err != nil {
		f.t.Fatal(err)
	}
	return v
}

func (f *front) serve() {
	f.t.Helper()
	server, err := sipfront.New(f.config)
	if err != nil {
		f.t.Fatal(err)
	}
	streams, packets := listen(f.t)
	f.address = streams.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx, packets, streams, time.Second) }()
	f.stop = sync.OnceValue(func() error { cancel(); return <-ended })
	f.t.Cleanup(func() {
		if err := f.stop(); err != nil {
			f.t.Error(err)
		}
	})
}

// listen opens one port for UDP and TCP.
func listen(t testing.TB) (net.Listener, net.PacketConn) {
	t.Helper()
	for range 100 {
		streams, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		packets, err := net.ListenPacket("udp", streams.Addr().String())
		if err == nil {
			return streams, packets
		}
		streams.Close()
	}
	t.Fatal("no port is free for UDP and TCP")
	return nil, nil
}

func (f *front) answered(o sipfront.Outcome) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.outcomes = append(f.outcomes, o)
}

func (f *front) decided(v *verifier.Verdict) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.verdicts = append(f.verdicts, *v)
}

func (f *front) limit(by string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.limited = append(f.limited, by)
}

// last is the latest decision: status and reasons, and how many there were.
func (f *front) last() (summary, tier string, decisions int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.verdicts) == 0 {
		return "", "", 0
	}
	v := f.verdicts[len(f.verdicts)-1]
	summary = v.Status().String() + ":"
	for i := range v.Submods {
		for _, r := range v.Submods[i].Reasons {
			summary += " " + string(r)
		}
	}
	return summary, v.Tier.String(), len(f.verdicts)
}

// over sends messages over UDP or TCP and returns the answer to each: the first is the status line.
func (f *front) over(network string, messages ...string) (answers []string) {
	f.t.Helper()
	conn, err := net.Dial(network, f.address)
	if err != nil {
		f.t.Fatal(err)
	}
	defer conn.Close()
	for _, m := range messages {
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := conn.Write([]byte(fillPort(m, conn))); err != nil {
			f.t.Fatal(err)
		}
		buffer := make([]byte, 65535)
		n, err := conn.Read(buffer)
		if err != nil {
			f.t.Fatalf("%s: no answer to %.60q: %v", network, m, err)
		}
		answers = append(answers, string(buffer[:n]))
	}
	return answers
}

// fillPort puts the port of a socket into the Via of a message, which the answer goes to.
func fillPort(message string, from net.Conn) string {
	return strings.ReplaceAll(message, "PORT", strconv.Itoa(int(netip.MustParseAddrPort(from.LocalAddr().String()).Port())))
}

// code is the status code of an answer.
func code(answer string) int {
	_, rest, _ := strings.Cut(answer, " ")
	n, _ := strconv.Atoi(rest[:min(3, len(rest))])
	return n
}

var branches atomic.Int64

// told is a third-party REGISTER as an S-CSCF sends it, with more header fields and a body.
func told(more, mediaType, body string) string {
	if mediaType != "" {
		more += "Content-Type: " + mediaType + "\r\n"
	}
	return fmt.Sprintf("REGISTER sip:as.ims.example SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:PORT;branch=z9hG4bK%d\r\nFrom: <sip:scscf.ims.example>;tag=s%[1]d\r\n"+
		"To: <sip:alice@ims.example>\r\nCall-ID: s%[1]d@scscf.ims.example\r\nCSeq: 7 REGISTER\r\nMax-Forwards: 70\r\nContact: <sip:scscf.ims.example>\r\n"+
		"Event: registration\r\nP-Visited-Network-ID: ims.example\r\n%s%sContent-Length: %d\r\n\r\n%s",
		branches.Add(1), expires(more), more, len(body), body)
}

func expires(more string) string {
	if strings.Contains(more, "Expires") {
		return ""
	}
	return "Expires: 600120\r\n"
}

const (
	contact = "Contact: <sip:alice@192.0.2.7>;+sip.instance=\"<urn:gsma:imei:49015420-323751-0>\"\r\n"
	stolen  = "Contact: <sip:alice@192.0.2.7>;+sip.instance=\"<urn:gsma:imei:35693803-564380-0>\"\r\n"
	aka401  = "Tm9uY2Ugb2YgdGhlIDQwMQ=="
	digest  = "Authorization: Digest username=\"alice@ims.example\",nonce=\"" + aka401 + "\",algorithm=AKAv1-MD5,integrity-protected=\"yes\"\r\n"
)

// registered is the REGISTER of a UE, with more header fields and a token if there is one.
func registered(more string, token []byte) string {
	head := "REGISTER sip:ims.example SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.7;branch=z9hG4bKa\r\nFrom: <sip:alice@ims.example>;tag=1\r\n" +
		"To: <sip:alice@ims.example>\r\nCall-ID: c1\r\nCSeq: 2 REGISTER\r\n" + more
	if token == nil {
		return head + "\r\n"
	}
	return head + fmt.Sprintf("Content-Type: application/eat+cwt\r\nContent-Length: %d\r\n\r\n%s", len(token), token)
}

// including is a third-party REGISTER with the UE's.
func including(original string) string { return told("", "message/sip", original) }

// answering is the sample device's token for the challenge of a registration.
func answering(challenge string) []byte {
	c := attesttest.Claims()
	c.Nonce = attest.NonceFrom401(challenge)
	return attesttest.Token(c, attesttest.SignedCredential(attesttest.Credential()))
}

// good is what the sample device gets: its key is in a file.
const good = "warning: imei-consistent software-vault rollback-unknown imei-consistent"

var errBroken = errors.New("the disk is gone")

// brokenStore fails while it is broken, and is slow while there is something to wait for.
type brokenStore struct {
	*store.Memory
	broken atomic.Bool
	wait   atomic.Pointer[chan struct{}]
	asked  atomic.Int64
}

func (s *brokenStore) fail(ctx context.Context) error {
	s.asked.Add(1)
	if wait := s.wait.Load(); wait != nil {
		select {
		case <-*wait:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if s.broken.Load() {
		return errBroken
	}
	return nil
}

func (s *brokenStore) Note(ctx context.Context, n verifier.Note) error {
	if err := s.fail(ctx); err != nil {
		return err
	}
	return s.Memory.Note(ctx, n)
}

func (s *brokenStore) Commit(ctx context.Context, d verifier.Decision) (verifier.Commitment, error) {
	if err := s.fail(ctx); err != nil {
		return verifier.Commitment{}, err
	}
	return s.Memory.Commit(ctx, d)
}

// logged is a log that many write to.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
