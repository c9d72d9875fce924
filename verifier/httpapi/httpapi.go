// Package httpapi is the verifier's HTTP interface: challenge-response as Veraison's clients speak it, and one-shot
// appraisal with the registration that the network saw. Start with [New]; openapi.yaml describes every exchange.
//
// Bad evidence is an answer (200 with a Result), not an HTTP error.
package httpapi

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	"imei-attest/verifier"
	"imei-attest/verifier/ear"
)

// maxBodyBytes bounds what is read of a request: a token is at most 8 KiB, and JSON with base64 some more.
const maxBodyBytes = 64 << 10

// Config is what the interface needs; every field but Batch is required.
type Config struct {
	Verifier *verifier.Verifier
	Results  *ear.Signer
	// Identify says who asks. It is called at least once for a request.
	Identify func(*http.Request) Client
	Rand     io.Reader
	Now      func() time.Time
	Log      *slog.Logger
	Version  string
	// Batch is told how many registrations a question of many is about.
	Batch func(registrations int)
}

type api struct {
	Config
	retold retold
}

// New returns the handler of the interface.
func New(c Config) (http.Handler, error) {
	if c.Verifier == nil || c.Results == nil || c.Identify == nil || c.Rand == nil || c.Now == nil || c.Log == nil {
		return nil, errors.New("the HTTP interface needs a verifier, a result signer, who its clients are, randomness, a clock and a log")
	}
	if c.Batch == nil {
		c.Batch = func(int) {}
	}
	a := &api{Config: c}
	d := newDoor(c.Identify, c.Log, published)
	d.handle(0, "GET /.well-known/veraison/verification", a.discovery)
	d.handle(0, "GET /openapi.yaml", a.openAPI)
	d.handle(RoleDevice, "POST /challenge-response/v1/newSession", a.newSession)
	d.handle(RoleDevice, "POST /challenge-response/v1/session/{id}", a.submitEvidence)
	d.handle(RoleDevice, "GET /challenge-response/v1/session/{id}", a.getSession)
	d.handle(RoleDevice, "DELETE /challenge-response/v1/session/{id}", a.deleteSession)
	d.handle(RoleNetwork, "POST /v1/appraise", a.appraise)
	d.handle(RoleNetwork, "POST /v1/registrations/check", a.checkRegistration)
	d.handle(RoleNetwork, "POST /v1/registrations/batch", a.checkBatch)
	d.handle(RoleNetwork, "GET /v1/results", a.latest)
	d.handle(RoleNetwork, "GET /v1/results/{id}", a.result)
	return bounded(d, maxBodyBytes), nil
}

// bounded bounds the body. Unlike [http.MaxBytesHandler] it hands on the request itself, so that whoever measures sees its route.
func bounded(next http.Handler, most int64) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, most)
		next.ServeHTTP(w, r)
	})
}

// judge appraises, or refuses for a failure of ours.
func (a *api) judge(r *http.Request, w http.ResponseWriter, in verifier.Input) (verifier.Verdict, bool) {
	verdict, err := a.decide(r, in)
	if err != nil {
		var meanwhile *verifier.Answer
		if in.Registration != nil && in.Registration.Front != verifier.FrontDevice {
			unjudged := a.Verifier.Unjudged(in)
			meanwhile = &unjudged.Answer
		}
		a.fail(r.Context(), w, "no judgement", err, meanwhile)
	}
	return verdict, err == nil
}

// decide appraises and logs one event for the decision, without identities.
func (a *api) decide(r *http.Request, in verifier.Input) (verifier.Verdict, error) {
	verdict, err := a.Verifier.Appraise(r.Context(), in)
	if err == nil {
		a.logVerdict(r.Context(), a.Identify(r), &verdict, in)
	}
	return verdict, err
}

func (a *api) logVerdict(ctx context.Context, by Client, v *verifier.Verdict, in verifier.Input) {
	level := v.LogLevel(in.Now)
	if !a.Log.Enabled(ctx, level) {
		return
	}
	attrs := []any{"id", v.ID, "status", v.Status().String(), "reasons", v.Reasons(), "evidence_bytes", len(in.Evidence)}
	if by.Name != "" {
		attrs = append(attrs, "client", by.Name)
	}
	a.Log.Log(ctx, level, "judged", attrs...)
}
