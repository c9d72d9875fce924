package eirfront_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"imei-attest/attest"
	"imei-attest/verifier"
	"imei-attest/verifier/eirfront"
	"imei-attest/verifier/redact"
)

// ready is a verifier that has its answer ready: what is left is the front.
type ready struct{ verdict verifier.Verdict }

func (r ready) Appraise(context.Context, verifier.Input) (verifier.Verdict, error) {
	return r.verdict, nil
}
func (r ready) Unjudged(verifier.Input) verifier.Verdict { return r.verdict }

// BenchmarkFront is what the front costs a question, with its event in a log like that of serve, which goes nowhere; the verifier and HTTP/2 cost
// more.
func BenchmarkFront(b *testing.B) {
	v := verifier.Verdict{Answer: verifier.Answer{EIRStatus: attest.AnswerPermit.EIR}}
	v.Submods = []attest.Submod{{Name: "slot1"}, {Name: attest.RegistrationSubmod}}
	v.Submods[0].Add(attest.ReasonIMEIConsistent, attest.ReasonHardwareVault, attest.ReasonBootApproved)
	v.Submods[1].Add(attest.ReasonIMEIConsistent, attest.ReasonSubscriberBound)
	handler, err := eirfront.New(eirfront.Config{Verifier: ready{v}, InFlight: 1, Now: func() time.Time { return noon }, Log: slog.New(redact.NewHandler(slog.NewJSONHandler(io.Discard, nil)))})
	if err != nil {
		b.Fatal(err)
	}
	r := httptest.NewRequest("GET", about("pei="+peiGood+subscribed), nil)
	r.Header.Set("Accept", "application/json, application/problem+json")
	b.ReportAllocs()
	w := sink{make(http.Header)}
	for b.Loop() {
		handler.ServeHTTP(w, r)
	}
}

// sink takes an answer and forgets it.
type sink struct{ header http.Header }

func (s sink) Header() http.Header         { return s.header }
func (s sink) Write(p []byte) (int, error) { return len(p), nil }
func (s sink) WriteHeader(int)             {}
