// Package eirfront answers an AMF as its 5G-EIR (TS 29.511): may this equipment be used by this subscriber? Start with [New]; the
// handler serves on HTTP/2, with TLS or without (h2c). [Upstream] asks the operator's existing EIR as well, [Registrar] makes the
// front known to an NRF (TS 29.510), and [Tokens] checks the NRF's access tokens.
//
// What is answered is the verifier's to say. The front reads the request, forwards nothing that it did not understand, and answers
// every mistake with a ProblemDetails document (TS 29.571 clause 5.2.4.1). No answer, event or error names a device or a subscriber.
package eirfront

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"imei-attest/attest"
	"imei-attest/verifier"
)

// Path is the one resource (TS 29.511 clause 6.1.3), and Route what measurements call it.
const (
	Path  = "/n5g-eir-eic/v1/equipment-status"
	Route = "GET " + Path
)

// Appraiser is the verifier, as far as the front needs it.
type Appraiser interface {
	Appraise(context.Context, verifier.Input) (verifier.Verdict, error)
	Unjudged(verifier.Input) verifier.Verdict
}

// Config is what the front needs. What may be nil says so.
type Config struct {
	Verifier Appraiser
	// Tokens checks access tokens; nil if callers need none.
	Tokens *Tokens
	// Upstream is the operator's existing EIR; nil if there is none.
	Upstream *Upstream
	// Wait takes a turn of a caller; above zero there is none before that time has passed. Nil if callers are not limited.
	Wait func(*http.Request) time.Duration
	// InFlight is how many requests are judged at once, at least 1.
	InFlight int
	Now      func() time.Time
	Log      *slog.Logger
	// Answered is told of each answer, by one of [Results], to count it; nil is allowed.
	Answered func(result string)
}

// What an answer is counted as, beside the four outcomes.
const (
	ResultPermitted  = "permitted"  // 200 WHITELISTED
	ResultTracked    = "tracked"    // 200 GREYLISTED
	ResultProhibited = "prohibited" // 200 BLACKLISTED
	ResultUnknown    = "unknown"    // 404 ERROR_EQUIPMENT_UNKNOWN
	ResultRefused    = "refused"    // the request was wrong, or its sender may not ask
	ResultLimited    = "limited"    // 429, 503
	ResultFailed     = "failed"     // 500
)

// Results are all of them.
func Results() []string {
	return []string{ResultPermitted, ResultTracked, ResultProhibited, ResultUnknown, ResultRefused, ResultLimited, ResultFailed}
}

type front struct {
	Config
	places chan struct{}
}

// New returns the handler of the front.
func New(c Config) (http.Handler, error) {
	if c.Verifier == nil || c.Now == nil || c.Log == nil || c.InFlight < 1 {
		return nil, errors.New("the 5G-EIR needs a verifier, a clock, a log and places to judge in")
	}
	if c.Answered == nil {
		c.Answered = func(string) {}
	}
	return &front{c, make(chan struct{}, c.InFlight)}, nil
}

// ServeHTTP implements http.Handler.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer f.survive(w, r)
	q, refused := f.admit(r)
	var status string
	if refused == nil {
		status, refused = f.decide(r.Context(), q)
	}
	if refused != nil {
		f.Answered(refused.result)
		refused.write(w)
		return
	}
	f.Answered(results[status])
	tell(w, status)
}

// admit reads a request, and refuses it before anybody is asked about anything.
func (f *front) admit(r *http.Request) (q query, refused *problem) {
	if refused = f.address(r); refused != nil {
		return q, refused
	}
	if f.Wait != nil {
		if wait := f.Wait(r); wait > 0 {
			return q, congestionRisk(wait)
		}
	}
	if f.Tokens != nil {
		if refused = f.Tokens.check(r.Header["Authorization"], f.Now()); refused != nil {
			return q, refused
		}
	}
	if !acceptsJSON(r.Header["Accept"]) {
		return q, notAcceptable
	}
	return readQuery(r.URL.RawQuery)
}

// address: is it our resource that is asked for, in the way it can be?
func (f *front) address(r *http.Request) *problem {
	switch {
	case len(r.RequestURI) > maxURIBytes:
		return uriTooLong
	case r.URL.Path != Path:
		return noResource(r.URL.Path)
	}
	r.Pattern = Route
	if r.Method != http.MethodGet {
		return notAllowed
	}
	return nil
}

// decide asks the verifier and the operator's EIR. A place is held until the answer is known, and not while it is written.
func (f *front) decide(ctx context.Context, q query) (status string, refused *problem) {
	select {
	case f.places <- struct{}{}:
	default:
		return "", congestion
	}
	defer func() { <-f.places }()
	status = attest.AnswerUnknown.EIR
	if q.holdsIMEI() {
		status = f.judge(ctx, q)
	}
	if f.Upstream != nil {
		status = f.Upstream.combine(ctx, status, q)
	}
	return status, nil
}

// judge appraises, and logs one event for the decision, without identities. Where nothing can be judged the policy says what the network
// does meanwhile: an AMF may take an error for leave to let anybody in.
func (f *front) judge(ctx context.Context, q query) string {
	again := false // an AMF asks whenever it likes, and says nothing of a beginning: what was found lately counts
	in := verifier.Input{Registration: &verifier.Registration{PEI: q.pei, SUPI: q.supi, Front: verifier.Front5GEIR, Initial: &again}, Now: f.Now()}
	verdict, err := f.Verifier.Appraise(ctx, in)
	if err != nil {
		f.Log.DebugContext(ctx, "no judgement", "error", err) // whoever runs the store says once that it fails
		return f.Verifier.Unjudged(in).Answer.EIRStatus
	}
	f.Log.LogAttrs(ctx, verdict.LogLevel(in.Now), "judged", slog.String("front", string(verifier.Front5GEIR)), slog.Any("id", verdict.ID),
		slog.String("status", verdict.Status().String()), slog.Any("reasons", verdict.Reasons()), slog.String("answer", verdict.Answer.EIRStatus))
	return verdict.Answer.EIRStatus
}

// survive answers for a handler that panicked. The log says where, and nothing of what it worked on.
func (f *front) survive(w http.ResponseWriter, r *http.Request) {
	cause := recover()
	switch cause {
	case nil:
		return
	case http.ErrAbortHandler:
		panic(cause) // on purpose: the answer is not whole
	}
	f.Log.ErrorContext(r.Context(), "a fault of this program", "front", string(verifier.Front5GEIR), "problem", fmt.Sprintf("%T", cause), "at", string(debug.Stack()))
	f.Answered(failure.result)
	failure.write(w)
}
