// Package httpapi is the verifier's HTTP interface: challenge-response as Veraison's clients speak it, and one-shot
// appraisal with the registration that the network saw. Start with [New].
//
// Bad evidence is an answer (200 with a Result), not an HTTP error.
package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"time"

	"imei-attest/attest"
	"imei-attest/verifier"
	"imei-attest/verifier/ear"
)

// maxBodyBytes bounds what is read of a request: a token is at most 8 KiB, and JSON with base64 some more.
const maxBodyBytes = 64 << 10

// Media types of the interface.
const (
	typeSession   = "application/vnd.veraison.challenge-response-session+json"
	typeDiscovery = "application/vnd.veraison.discovery+json"
	typeProblem   = "application/problem+json" // RFC 9457
	typeJSON      = "application/json"
)

// Config is what the interface needs; every field is required.
type Config struct {
	Verifier *verifier.Verifier
	Results  *ear.Signer
	Rand     io.Reader
	Now      func() time.Time
	Log      *slog.Logger
	Version  string
}

type api struct{ Config }

// New returns the handler of the interface.
func New(c Config) (http.Handler, error) {
	if c.Verifier == nil || c.Results == nil || c.Rand == nil || c.Now == nil || c.Log == nil {
		return nil, errors.New("the HTTP interface needs a verifier, a result signer, randomness, a clock and a log")
	}
	a := &api{c}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/veraison/verification", a.discovery)
	mux.HandleFunc("POST /challenge-response/v1/newSession", a.newSession)
	mux.HandleFunc("POST /challenge-response/v1/session/{id}", a.submitEvidence)
	mux.HandleFunc("GET /challenge-response/v1/session/{id}", a.getSession)
	mux.HandleFunc("DELETE /challenge-response/v1/session/{id}", a.deleteSession)
	mux.HandleFunc("POST /v1/appraise", a.appraise)
	return http.MaxBytesHandler(mux, maxBodyBytes), nil
}

// problem is an error as RFC 9457 writes it.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
}

func refuse(w http.ResponseWriter, status int, format string, args ...any) {
	writeJSON(w, status, typeProblem, problem{
		Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: fmt.Sprintf(format, args...)})
}

func writeJSON(w http.ResponseWriter, status int, mediaType string, body any) {
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the peer may be gone: there is nobody left to tell
}

// readBody reads the whole body or refuses. A body that is longer than it may be is the caller's fault, not ours.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, bool) {
	body, err := io.ReadAll(r.Body)
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		refuse(w, http.StatusRequestEntityTooLarge, "the body is longer than %d bytes; a token has at most %d", maxBodyBytes, attest.MaxTokenBytes)
	case err != nil:
		refuse(w, http.StatusBadRequest, "the body could not be read: send it again")
	case len(body) == 0:
		refuse(w, http.StatusBadRequest, "the body is empty: send the evidence, or the question, as the body")
	default:
		return body, true
	}
	return nil, false
}

// isEvidence accepts the media type of Evidence, whose profile parameter may be left out (RFC 9782 section 3).
func isEvidence(contentType string) bool {
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil || kind != "application/eat+cwt" {
		return false
	}
	profile, stated := params["eat_profile"]
	return !stated || profile == attest.EvidenceProfile
}

// judge appraises and logs one event for the decision, without identities.
func (a *api) judge(ctx context.Context, w http.ResponseWriter, in verifier.Input) (verifier.Verdict, bool) {
	result, err := a.Verifier.Appraise(ctx, in)
	if err != nil {
		a.unavailable(ctx, w, "no judgement", err)
		return result, false
	}
	a.Log.InfoContext(ctx, "judged", "id", result.ID, "status", result.Status().String(), "reasons", result.Reasons(), "evidence_bytes", len(in.Evidence))
	return result, true
}

// unavailable answers a failure of ours.
func (a *api) unavailable(ctx context.Context, w http.ResponseWriter, what string, err error) {
	a.Log.ErrorContext(ctx, what, "error", err)
	w.Header().Set("Retry-After", "1") // seconds
	refuse(w, http.StatusServiceUnavailable, "nothing was decided: try again")
}

type discovery struct {
	Key        ear.JWK           `json:"ear-verification-key"`
	MediaTypes []string          `json:"media-types"`
	Schemes    []string          `json:"attestation-schemes"`
	Version    string            `json:"version"`
	State      string            `json:"service-state"`
	Endpoints  map[string]string `json:"api-endpoints"`
}

func (a *api) discovery(w http.ResponseWriter, _ *http.Request) {
	key, err := a.Results.JWK()
	if err != nil {
		a.Log.Error("discovery", "error", err)
		refuse(w, http.StatusInternalServerError, "the result key is unusable")
		return
	}
	writeJSON(w, http.StatusOK, typeDiscovery, discovery{
		Key: key, MediaTypes: []string{attest.EvidenceMediaType}, Schemes: []string{attest.EvidenceProfile},
		Version: a.Version, State: "READY",
		Endpoints: map[string]string{
			"newChallengeResponseSession": "/challenge-response/v1/newSession",
			"appraise":                    "/v1/appraise",
		},
	})
}
