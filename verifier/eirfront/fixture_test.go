package eirfront_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"imei-attest/attest"
	"imei-attest/verifier"
	"imei-attest/verifier/eirfront"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// PEIs with made-up IMEIs.
const (
	peiGood    = "imei-490154203237518"
	peiBad     = "imei-867686021234562"
	peiUnknown = "imei-356938035643809"
	alice      = "imsi-001010000000001"
)

// judge is a verifier that knows two devices.
type judge struct {
	mu     sync.Mutex
	asked  []verifier.Registration
	broken bool
	panics bool
	before time.Duration // since the verdict was made
	held   chan struct{} // if not nil, each question waits for it to be closed
	enters chan struct{} // and says here that it has come
}

func (j *judge) Appraise(ctx context.Context, in verifier.Input) (verifier.Verdict, error) {
	j.mu.Lock()
	j.asked = append(j.asked, *in.Registration)
	j.mu.Unlock()
	if j.held != nil {
		j.enters <- struct{}{}
		<-j.held
	}
	switch {
	case j.panics:
		panic("a fault")
	case j.broken:
		return verifier.Verdict{}, errors.New("the disk is gone")
	}
	v := verifier.Verdict{Answer: verifier.Answer{EIRStatus: attest.EIRUnknown}}
	v.IssuedAt = in.Now.Add(-j.before)
	switch in.Registration.PEI {
	case peiGood:
		v.Answer.EIRStatus = attest.AnswerTrack.EIR
		if in.Registration.SUPI != "" {
			v.Answer.EIRStatus = attest.AnswerPermit.EIR
		}
	case peiBad:
		v.Answer.EIRStatus = attest.AnswerProhibit.EIR
	}
	return v, nil
}

func (j *judge) Unjudged(verifier.Input) verifier.Verdict {
	return verifier.Verdict{Answer: verifier.Answer{EIRStatus: attest.AnswerTrack.EIR}}
}

// front is one under test, asked without a network.
type front struct {
	t       testing.TB
	handler http.Handler
	judge   *judge
	log     *bytes.Buffer
	counts  map[string]int
}

func newFront(t testing.TB, edits ...func(*eirfront.Config)) *front {
	t.Helper()
	f := &front{t: t, judge: new(judge), log: new(bytes.Buffer), counts: make(map[string]int)}
	var mu sync.Mutex
	c := eirfront.Config{Verifier: f.judge, InFlight: 8, Now: func() time.Time { return noon }, Log: slog.New(slog.NewJSONHandler(f.log, nil)),
		Answered: func(result string) {
			mu.Lock()
			defer mu.Unlock()
			f.counts[result]++
		}}
	for _, edit := range edits {
		edit(&c)
	}
	var err error
	if f.handler, err = eirfront.New(c); err != nil {
		t.Fatal(err)
	}
	return f
}

// reply is an answer, read.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// ask sends a request with headers in pairs, and holds the answer to the schema.
func (f *front) ask(method, target string, headers ...string) reply {
	f.t.Helper()
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return f.do(r)
}

func (f *front) do(r *http.Request) reply {
	f.t.Helper()
	w := httptest.NewRecorder()
	f.handler.ServeHTTP(w, r)
	got := reply{w.Code, w.Header(), w.Body.Bytes()}
	got.conforms(f.t)
	return got
}

// about is the target of a question.
func about(query string) string { return eirfront.Path + "?" + query }

// status is the equipment status, or the cause of a refusal, after its code.
func (r reply) String() string {
	var said struct {
		Status any
		Cause  string
	}
	_ = json.Unmarshal(r.body, &said)
	text := http.StatusText(r.status)
	if s, ok := said.Status.(string); ok {
		text += " " + s
	}
	if said.Cause != "" {
		text += " " + said.Cause
	}
	return text
}

// transport asks a handler without a network. A handler that aborts is a connection that breaks.
type transport struct{ http.Handler }

func (h transport) RoundTrip(r *http.Request) (response *http.Response, err error) {
	if r.Body == nil {
		r.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	defer func() {
		if cause := recover(); cause != nil {
			response, err = nil, errors.New("connection reset by peer")
		}
	}()
	h.ServeHTTP(w, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return w.Result(), nil
}

// silent never answers.
type silent struct{}

func (silent) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func readAll(t testing.TB, r *http.Response) reply {
	t.Helper()
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{r.StatusCode, r.Header, body}
}
