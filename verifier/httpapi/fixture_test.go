package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/attest/imei"
	"imei-attest/verifier"
	"imei-attest/verifier/ear"
	"imei-attest/verifier/httpapi"
	"imei-attest/verifier/store"
)

const (
	typeSession = "application/vnd.veraison.challenge-response-session+json"
	typeProblem = "application/problem+json"
	newSession  = "/challenge-response/v1/newSession"
)

// server is the interface on loopback, with a log that tests can read and a store that they can fail.
type server struct {
	t     testing.TB
	url   string
	admin string // of the operator's own interface

	endorsements string // of the interface for manufacturers

	handler  http.Handler
	verifier *verifier.Verifier
	log      *bytes.Buffer
	store    *brokenStore
	random   *brokenReader
	now      time.Time
	client   func() httpapi.Client // who asks
	batches  []int                 // that were counted
}

func (s *server) identify(*http.Request) httpapi.Client { return s.client() }

var resultKey = attesttest.Key("results")

func serve(t testing.TB) *server {
	t.Helper()
	s := &server{t: t, log: new(bytes.Buffer), store: &brokenStore{Memory: store.NewMemory()},
		random: &brokenReader{Reader: rand.NewChaCha8([32]byte{})}, now: attesttest.Now, client: having(httpapi.RoleDevice | httpapi.RoleNetwork)}
	s.start()
	return s
}

// twin is another node with the same keys, the same store and the same time.
func (s *server) twin() *server {
	s.t.Helper()
	other := *s
	other.start()
	return &other
}

func (s *server) start() {
	s.t.Helper()
	trust := &verifier.Trust{Generation: 1}
	anchor := &verifier.Anchor{Issuer: attesttest.Credential().Issuer, OEMID: attesttest.Credential().OEMID,
		StorageKinds: []attest.StorageKind{attest.StorageSoftware}}
	nonces, err := attest.NewNonceKeys(0, make([]byte, 32), nil)
	results, signerErr := ear.NewSigner(resultKey, "test")
	if err := errors.Join(err, signerErr, trust.Keys.Add(&attesttest.OEMKey.PublicKey, anchor)); err != nil {
		s.t.Fatal(err)
	}
	v, err := verifier.New(verifier.Config{Store: s.store, Nonces: nonces, Trust: trust})
	if err != nil {
		s.t.Fatal(err)
	}
	handler, err := httpapi.New(httpapi.Config{Verifier: v, Results: results, Identify: s.identify, Rand: s.random, Now: func() time.Time { return s.now },
		Log: slog.New(slog.NewJSONHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug})), Batch: func(n int) { s.batches = append(s.batches, n) }, Version: "test"})
	if err != nil {
		s.t.Fatal(err)
	}
	s.handler, s.verifier = handler, v
	s.url = s.listen(handler)
	s.endorsements = s.listen(httpapi.NewEndorsements(new(taker), s.identify, slog.New(slog.DiscardHandler)))
	s.admin = s.listen(httpapi.NewAdmin(v, s.identify, slog.New(slog.DiscardHandler)))
}

func (s *server) listen(handler http.Handler) string {
	loopback := httptest.NewServer(handler)
	s.t.Cleanup(loopback.Close)
	return loopback.URL
}

func having(roles httpapi.Role) func() httpapi.Client {
	return func() httpapi.Client { return httpapi.Client{Roles: roles} }
}

var errBroken = errors.New("the disk is gone")

// brokenStore fails in every method while broken.
type brokenStore struct {
	*store.Memory
	broken bool
}

func (s *brokenStore) err() error {
	if s.broken {
		return errBroken
	}
	return nil
}

func (s *brokenStore) Credential(ctx context.Context, key attest.KeyID) (verifier.Endorsed, bool, error) {
	raw, found, err := s.Memory.Credential(ctx, key)
	return raw, found, errors.Join(err, s.err())
}

func (s *brokenStore) Holder(ctx context.Context, id imei.IMEI) (verifier.Holder, error) {
	h, err := s.Memory.Holder(ctx, id)
	return h, errors.Join(err, s.err())
}

func (s *brokenStore) Presented(ctx context.Context, n attest.Nonce) (verifier.Verdict, bool, error) {
	r, found, err := s.Memory.Presented(ctx, n)
	return r, found, errors.Join(err, s.err())
}

func (s *brokenStore) Commit(ctx context.Context, d verifier.Decision) (verifier.Commitment, error) {
	if s.broken {
		return verifier.Commitment{}, errBroken
	}
	return s.Memory.Commit(ctx, d)
}

func (s *brokenStore) Record(ctx context.Context, id verifier.DecisionID) (*verifier.Record, bool, error) {
	r, found, err := s.Memory.Record(ctx, id)
	return r, found, errors.Join(err, s.err())
}

func (s *brokenStore) Latest(ctx context.Context, public verifier.Alias) (*verifier.Record, bool, error) {
	r, found, err := s.Memory.Latest(ctx, public)
	return r, found, errors.Join(err, s.err())
}

type brokenReader struct {
	io.Reader
	broken bool
}

func (r *brokenReader) Read(p []byte) (int, error) {
	if r.broken {
		return 0, errBroken
	}
	return r.Reader.Read(p)
}

// reply is an answer, read.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// do sends a request with headers in pairs, and holds the answer to openapi.yaml.
func (s *server) do(method, path string, body io.Reader, headers ...string) reply {
	s.t.Helper()
	address := s.url
	switch {
	case strings.HasPrefix(path, "/admin/"):
		address = s.admin
	case path == submit:
		address = s.endorsements
	}
	request, err := http.NewRequest(method, address+path, body)
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	r := reply{response.StatusCode, response.Header, raw}
	if err := contract.check(request, r); err != nil {
		s.t.Errorf("%s %s is not as openapi.yaml says: %v", method, path, err)
	}
	return r
}

// session is the object of challenge-response, as a client reads it.
type session struct {
	Status   string    `json:"status"`
	Nonce    string    `json:"nonce"`
	Expiry   time.Time `json:"expiry"`
	Accept   []string  `json:"accept"`
	Evidence *struct {
		Type  string `json:"type"`
		Value []byte `json:"value"`
	} `json:"evidence"`
	Result string `json:"result"`
}

func (s *server) read(r reply, into any) {
	s.t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(r.body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		s.t.Fatalf("%d %s: %v", r.status, r.body, err)
	}
}

// open opens a session: its path, and its nonce.
func (s *server) open() (path string, n attest.Nonce) {
	s.t.Helper()
	r := s.do("POST", newSession, nil)
	var object session
	s.read(r, &object)
	raw := nonceOf(s.t, object.Nonce)
	if r.status != http.StatusCreated || r.header.Get("Location") != "session/"+raw.String() {
		s.t.Fatalf("newSession: %d, Location %q", r.status, r.header.Get("Location"))
	}
	return "/challenge-response/v1/" + r.header.Get("Location"), raw
}

func (s *server) submit(path string, token []byte) reply {
	s.t.Helper()
	return s.do("POST", path, bytes.NewReader(token), "Content-Type", attest.EvidenceMediaType)
}

// verdict is status and reasons in a result of either dialect, after its signature was checked.
func (s *server) verdict(token string) string {
	s.t.Helper()
	result, err := ear.Verify(token, &resultKey.PublicKey, s.now)
	if err != nil {
		s.t.Fatal(err)
	}
	text := result.Status.String() + ":"
	for _, name := range []string{"slot1", "registration"} {
		for _, reason := range result.Submods[name].Reasons {
			text += " " + string(reason)
		}
	}
	return text
}

// token is the sample device's, in a file, for a nonce.
func token(n attest.Nonce) []byte {
	c := attesttest.Claims()
	c.Nonce = n
	return attesttest.Token(c, attesttest.SignedCredential(attesttest.Credential()))
}

// good is what the sample device gets: its key is in a file.
const good = "warning: imei-consistent software-vault rollback-unknown"

// wantProblem checks a refusal: a problem document (RFC 9457) whose detail holds the words that help.
func (s *server) wantProblem(r reply, status int, remedy string) {
	s.t.Helper()
	var got, want problem
	s.read(r, &got)
	want = problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: got.Detail, Answer: got.Answer}
	if r.status != status || r.header.Get("Content-Type") != typeProblem || got != want || !strings.Contains(got.Detail, remedy) {
		s.t.Errorf("got %d %s %s; want %d with %q", r.status, r.header.Get("Content-Type"), r.body, status, remedy)
	}
}

type problem struct {
	Type   string          `json:"type"`
	Title  string          `json:"title"`
	Status int             `json:"status"`
	Detail string          `json:"detail"`
	Answer verifier.Answer `json:"answer"`
}
