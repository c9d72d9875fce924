package eirfront

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"imei-attest/attest"
)

// Bounds on the operator's EIR.
const (
	upstreamTime     = time.Second // an AMF asks while a registration waits
	maxUpstreamBytes = 16 << 10
)

// Its breaker: after so many failures in a row it is left alone for a while, then tried by one question.
const (
	failuresToOpen = 5
	openTime       = 5 * time.Second
)

// Upstream is the operator's existing 5G-EIR, which is asked the same question. The worse of the two answers counts.
type Upstream struct {
	root      string
	transport http.RoundTripper
	least     string
	now       func() time.Time
	log       *slog.Logger
	asked     func(outcome string)

	mu       sync.Mutex
	failures int       // in a row
	until    time.Time // nobody asks before, while the breaker is open
}

// UpstreamConfig is what an Upstream needs.
type UpstreamConfig struct {
	Root      string // URI of its apiRoot, such as http://127.0.0.10:7777 (TS 29.501 clause 4.4.1)
	Transport http.RoundTripper
	// Least is the best status that is answered while it does not answer: attest.AnswerPermit.EIR to go on without it, AnswerTrack.EIR, or
	// AnswerProhibit.EIR.
	Least string
	Now   func() time.Time // for the breaker
	Log   *slog.Logger
	// Asked is told of each question, by one of [Outcomes], to count it; nil is allowed.
	Asked func(outcome string)
}

// What becomes of a question to the operator's EIR.
const (
	OutcomeAnswered = "answered"
	OutcomeFailed   = "failed"  // no answer, or none that an EIR gives
	OutcomeSkipped  = "skipped" // it failed lately
)

// Outcomes are all of them.
func Outcomes() []string { return []string{OutcomeAnswered, OutcomeFailed, OutcomeSkipped} }

// NewUpstream returns the operator's EIR.
func NewUpstream(c UpstreamConfig) *Upstream {
	if c.Asked == nil {
		c.Asked = func(string) {}
	}
	return &Upstream{root: strings.TrimSuffix(c.Root, "/"), transport: c.Transport, least: c.Least, now: c.Now, log: c.Log, asked: c.Asked}
}

// severity orders the statuses from good to bad. Nothing is known of unknown equipment, so any status counts before it.
var severity = map[string]int{attest.AnswerUnknown.EIR: 0, attest.AnswerPermit.EIR: 1, attest.AnswerTrack.EIR: 2, attest.AnswerProhibit.EIR: 3}

func worse(a, b string) string {
	if severity[b] > severity[a] {
		return b
	}
	return a
}

// combine is the worse of the verifier's status and of the operator's. Without a subscriber it is never better than tracking: an IMEI
// alone is what anybody can show.
func (u *Upstream) combine(ctx context.Context, own string, q query) string {
	if own == attest.AnswerProhibit.EIR {
		return own // nothing is worse
	}
	status := worse(own, u.status(ctx, q.raw))
	if q.supi == "" && status == attest.AnswerPermit.EIR {
		return attest.AnswerTrack.EIR
	}
	return status
}

// status asks, or says what counts meanwhile.
func (u *Upstream) status(ctx context.Context, query string) string {
	if !u.mayAsk() {
		u.asked(OutcomeSkipped)
		return u.meanwhile()
	}
	status, err := u.ask(ctx, query)
	if ctx.Err() != nil {
		return u.meanwhile() // the AMF has gone, which is no fault of the EIR; a trial is made up for by the next question
	}
	u.note(ctx, err)
	if err != nil {
		u.asked(OutcomeFailed)
		return u.meanwhile()
	}
	u.asked(OutcomeAnswered)
	return status
}

// meanwhile: to go on without an EIR is to know nothing.
func (u *Upstream) meanwhile() string {
	if u.least == attest.AnswerPermit.EIR {
		return attest.AnswerUnknown.EIR
	}
	return u.least
}

// mayAsk: once the breaker has been open long enough, one question is let through, and the next waits as long again.
func (u *Upstream) mayAsk() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.failures < failuresToOpen {
		return true
	}
	now := u.now()
	if now.Before(u.until) {
		return false
	}
	u.until = now.Add(openTime)
	return true
}

// note counts failures in a row, and logs where they begin and end.
func (u *Upstream) note(ctx context.Context, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case err == nil && u.failures > 0:
		u.log.InfoContext(ctx, "the operator's EIR answers again")
		u.failures = 0
	case err != nil:
		if u.failures == 0 {
			u.log.WarnContext(ctx, "the operator's EIR does not answer: eir_5g_upstream.fail says what counts meanwhile", "error", err)
		}
		u.failures = min(u.failures+1, failuresToOpen)
		if u.failures == failuresToOpen {
			u.until = u.now().Add(openTime)
		}
	}
}

// ask sends the question on as it came. An error names no identity: it is told without the URI.
func (u *Upstream) ask(ctx context.Context, query string) (status string, err error) {
	ctx, cancel := context.WithTimeout(ctx, upstreamTime)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.root+Path+"?"+query, nil)
	if err != nil {
		return "", errors.New("the question cannot be sent on")
	}
	request.Header.Set("Accept", "application/json, application/problem+json")
	response, err := u.transport.RoundTrip(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxUpstreamBytes))
	if err != nil {
		return "", err
	}
	var said struct {
		Status any // a text in EirResponseData, a number in ProblemDetails
		Cause  string
	}
	_ = json.Unmarshal(body, &said) // what is no JSON says nothing
	status, _ = said.Status.(string)
	switch {
	case response.StatusCode == http.StatusOK && bodies[status] != nil:
		return status, nil
	case response.StatusCode == http.StatusNotFound && said.Cause == attest.EIRUnknown:
		return attest.AnswerUnknown.EIR, nil
	}
	return "", fmt.Errorf("it answers %d, and no equipment status", response.StatusCode)
}
