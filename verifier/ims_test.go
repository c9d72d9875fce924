package verifier_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/testbench/peertest"
	"imei-attest/testbench/registrar"
	"imei-attest/verifier"
	"imei-attest/verifier/ear"
	"imei-attest/verifier/httpapi"
	"imei-attest/verifier/sipfront"
)

// imsHome is a home network before the scene's verifier. Its subscribers are alice, with a USIM, and bob, with a password.
type imsHome struct {
	network, proxy string   // udp or tcp, host:port
	server         chan int // what the SIP application server answers; nil where there is none
}

func imsSubscribers() []registrar.Subscriber {
	byPassword := registrar.NewSubscriber(string(bob))
	byPassword.ByPassword = true
	return []registrar.Subscriber{registrar.NewSubscriber(string(alice)), byPassword}
}

// ueOf is how a phone registers.
type ueOf struct {
	*phone
	byPassword bool
	claims     string // the algorithm that it says it was challenged by
	lies       bool   // it shows another phone's IMEI
	token      func(*phone, *registrar.Challenge) []byte
	body       func(token []byte) registrar.Body // nil: the token is the body
}

// registered is what came of it.
type registered struct {
	verdict verifier.Verdict
	record  verifier.Record
	ue, as  int    // what the UE got, and the S-CSCF from the application server
	token   []byte // the last one
}

// registers lets a phone register, and waits for what the verifier makes of it.
func (s *scene) registers(h imsHome, p ueOf) (got registered) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	who, shown := imsSubscribers()[0], p.shows
	if p.byPassword {
		who = imsSubscribers()[1]
	}
	if p.lies {
		shown = bobs
	}
	ue, err := registrar.NewUE(ctx, h.network, h.proxy, who, registrar.InstanceID(shown), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	defer ue.Close()
	ue.Claims = p.claims
	challenge, err := ue.Start(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	before := len(s.records())
	carry := func(c *registrar.Challenge) (b registrar.Body) {
		if p.token == nil {
			return b
		}
		got.token = p.token(p.phone, c)
		if p.body != nil {
			return p.body(got.token)
		}
		return registrar.Body{Type: attest.EvidenceMediaType, Content: got.token}
	}
	if h.server == nil {
		got.gated(ctx, s, ue, challenge, carry)
	} else {
		got.behind(ctx, s, h, ue, challenge, carry)
	}
	all := s.records()
	if len(all) == before {
		s.t.Fatal("the verifier was not asked")
	}
	got.record = all[before]
	got.verdict = got.record.Verdict
	return got
}

func (got *registered) answered(s *scene, r *registrar.Response, err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
	got.ue = r.Code
}

// gated answers challenges until the verifier is asked, whose wish a 401 may be. Then it ends the registration, for who comes next.
func (got *registered) gated(ctx context.Context, s *scene, ue *registrar.UE, c *registrar.Challenge, carry func(*registrar.Challenge) registrar.Body) {
	s.t.Helper()
	for before := len(s.records()); ; {
		response, err := ue.Register(ctx, c, carry(c))
		got.answered(s, response, err)
		if got.ue != http.StatusUnauthorized || len(s.records()) > before {
			break
		}
		if c, err = ue.TakeIn(ctx, response); err != nil {
			s.t.Fatal(err)
		}
	}
	if got.ue != http.StatusOK {
		return
	}
	if response, err := ue.Deregister(ctx, c); err != nil || response.Code != http.StatusOK {
		s.t.Errorf("the deregistration: %+v, %v", response, err)
	}
}

// behind answers as many challenges as come: where an application server is told afterwards they are the S-CSCF's own.
func (got *registered) behind(ctx context.Context, s *scene, h imsHome, ue *registrar.UE, c *registrar.Challenge, carry func(*registrar.Challenge) registrar.Body) {
	s.t.Helper()
	c, response, err := ue.Persist(ctx, c, carry)
	got.answered(s, response, err)
	got.as = h.told(ctx, s.t)
	response, err = ue.Deregister(ctx, c)
	if err != nil || response.Code != http.StatusOK || h.told(ctx, s.t) != http.StatusOK {
		s.t.Errorf("the deregistration: %+v, %v", response, err)
	}
}

// told waits for the application server's answer.
func (h imsHome) told(ctx context.Context, t testing.TB) int {
	t.Helper()
	select {
	case code := <-h.server:
		return code
	case <-ctx.Done():
		t.Fatal("the application server was told nothing")
		return 0
	}
}

// records are the decisions so far, in the order of their making.
func (s *scene) records() (all []verifier.Record) {
	s.t.Helper()
	err := s.Records(context.Background(), time.Time{}, func(r *verifier.Record) bool {
		all = append(all, *r)
		return true
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return all
}

var kamailio = peertest.Peer{Name: "kamailio", Version: []string{"-v"}}

// newSCSCF starts Kamailio as S-CSCF once, and returns what puts a scene's verifier behind it, as the SIP application server.
func newSCSCF(t *testing.T) func(*scene) imsHome {
	t.Helper()
	address := freeAddress(t) // of the application server: Kamailio keeps it with the subscriber
	k := startSCSCF(t, registrar.SCSCF{Server: "sip:" + address})
	return func(s *scene) imsHome { return imsHome{"tcp", k.Addr, s.serveSIP(address)} }
}

// newGate does so with the gate, which asks the scene's verifier over HTTP.
func newGate(t *testing.T) func(*scene) imsHome {
	t.Helper()
	var asked atomic.Pointer[http.Handler]
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*asked.Load()).ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	k := startSCSCF(t, registrar.SCSCF{Verifier: server.URL})
	return func(s *scene) imsHome {
		handler := s.serveHTTP()
		asked.Store(&handler)
		return imsHome{network: "tcp", proxy: k.Addr}
	}
}

func startSCSCF(t *testing.T, c registrar.SCSCF) *registrar.Kamailio {
	t.Helper()
	c.Dir, c.Subscribers = t.TempDir(), imsSubscribers()
	k, err := registrar.StartSCSCF(t.Context(), c)
	if errors.Is(err, registrar.ErrNoKamailio) {
		peertest.Unavailable(t, kamailio, err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.Stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("Kamailio said:\n%s", k.Log())
		}
	})
	return k
}

// freeAddress was free just now for UDP and TCP.
func freeAddress(t *testing.T) string {
	t.Helper()
	packets, streams, err := registrar.Listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(packets.Close(), streams.Close()); err != nil {
		t.Fatal(err)
	}
	return streams.Addr().String()
}

// serveSIP starts the SIP application server of the scene's verifier, and tells its answers to REGISTERs.
func (s *scene) serveSIP(address string) (answers chan int) {
	s.t.Helper()
	packets, err := net.ListenPacket("udp", address)
	if err != nil {
		s.t.Fatal(err)
	}
	streams, err := net.Listen("tcp", address)
	if err != nil {
		s.t.Fatal(err)
	}
	answers = make(chan int, 8)
	server, err := sipfront.New(sipfront.Config{Verifier: s.Verifier, Peers: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Reauthenticates: true, InFlight: 8,
		Now: func() time.Time { return s.now }, Log: slog.New(slog.DiscardHandler), Limited: func(string) {},
		Answered: func(o sipfront.Outcome) { answers <- o.Code }})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx, packets, streams, time.Second) }()
	s.t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			s.t.Error(err)
		}
	})
	return answers
}

// newHTTPHome asks POST /v1/registrations/check, as a proxy would.
func newHTTPHome(s *scene) imsHome {
	s.t.Helper()
	server := httptest.NewServer(s.serveHTTP())
	s.t.Cleanup(server.Close)
	standIn, err := registrar.StartStandIn(s.t.Context(), imsSubscribers(), func(_ context.Context, message []byte, known registrar.Facts) (int, error) {
		return checkRegistration(server.URL, message, known)
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { standIn.Close() })
	return imsHome{network: "udp", proxy: standIn.Addr}
}

// serveHTTP is the HTTP interface of the scene's verifier.
func (s *scene) serveHTTP() http.Handler {
	s.t.Helper()
	results, err := ear.NewSigner(attesttest.Key("results"), "test")
	if err != nil {
		s.t.Fatal(err)
	}
	handler, err := httpapi.New(httpapi.Config{Verifier: s.Verifier, Results: results, Identify: httpapi.Anybody(httpapi.RoleNetwork), Rand: s.random,
		Now: func() time.Time { return s.now }, Log: slog.New(slog.DiscardHandler), Version: "test"})
	if err != nil {
		s.t.Fatal(err)
	}
	return handler
}

func checkRegistration(url string, message []byte, known registrar.Facts) (int, error) {
	question, err := json.Marshal(map[string]any{"message": message, "registration": verifier.Registration{Auth: known.Algorithm,
		IntegrityProtected: known.Protected, ChallengeOutstanding: known.Outstanding, Initial: &known.Initial, Sender: "pcscf-1"}})
	if err != nil {
		return 0, err
	}
	response, err := http.Post(url+"/v1/registrations/check", "application/json", bytes.NewReader(question))
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("%s %s: %w", response.Status, raw, err)
	}
	var answer struct {
		Code int `json:"sip_code"`
	}
	err = json.Unmarshal(raw, &answer)
	return answer.Code, err
}
