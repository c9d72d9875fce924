package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"imei-attest/verifier"
)

// problem is an error as RFC 9457 writes it.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	// Answer is what the operator's policy does with a registration that could not be judged.
	Answer *verifier.Answer `json:"answer,omitempty"`
}

func refuse(w http.ResponseWriter, status int, format string, args ...any) {
	writeJSON(w, status, typeProblem, problem{
		Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: fmt.Sprintf(format, args...)})
}

// unavailable answers a failure of ours. It is at level debug: whoever runs the store says once that it fails, and not for each caller.
func (a *api) unavailable(ctx context.Context, w http.ResponseWriter, what string, err error) {
	a.fail(ctx, w, what, err, nil)
}

// fail is unavailable to who asked about a registration: it goes on meanwhile as the policy says.
func (a *api) fail(ctx context.Context, w http.ResponseWriter, what string, err error, meanwhile *verifier.Answer) {
	a.Log.DebugContext(ctx, what, "error", err)
	w.Header().Set("Retry-After", "1") // seconds
	const status = http.StatusServiceUnavailable
	writeJSON(w, status, typeProblem, problem{Type: "about:blank", Title: http.StatusText(status), Status: status,
		Detail: nothingDecided, Answer: meanwhile})
}

// What details say of failures of ours.
const (
	nothingDecided = "nothing was decided: try again"
	aFault         = "a fault of this program, which its log describes: nothing is known of what was decided"
)

func writeJSON(w http.ResponseWriter, status int, mediaType string, body any) {
	write(w, status, mediaType, encodeJSON(body))
}

func encodeJSON(body any) []byte {
	var text bytes.Buffer
	if err := json.NewEncoder(&text).Encode(body); err != nil {
		panic(err) // only types of this program come here
	}
	return text.Bytes()
}

func write(w http.ResponseWriter, status int, mediaType string, body []byte) {
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the peer may be gone: there is nobody left to tell
}
