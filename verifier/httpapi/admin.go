package httpapi

import (
	"bufio"
	"encoding/json"
	"log/slog"
	"net/http"
	"time"

	"imei-attest/verifier"
)

type admin struct {
	verifier *verifier.Verifier
	log      *slog.Logger
}

// NewAdmin returns the handler of the operator's own interface: recorded decisions. Identify says who has [RoleAdmin].
func NewAdmin(v *verifier.Verifier, identify func(*http.Request) Client, log *slog.Logger) http.Handler {
	a := &admin{v, log}
	d := newDoor(identify, log, "this is the operator's address, with /admin/v1/decisions, and with /metrics, /livez, /readyz and /version of serve")
	d.handle(RoleAdmin, "GET /admin/v1/decisions", a.decisions)
	d.handle(RoleAdmin, "GET /admin/v1/decisions/{id}", a.decision)
	return d
}

func (a *admin) decision(w http.ResponseWriter, r *http.Request) {
	id, err := verifier.ParseDecisionID(r.PathValue("id"))
	if err != nil {
		refuse(w, http.StatusBadRequest, "%v", err)
		return
	}
	record, found, err := a.verifier.Record(r.Context(), id)
	switch {
	case err != nil:
		a.log.ErrorContext(r.Context(), "reading a decision", "id", id, "error", err)
		w.Header().Set("Retry-After", "1") // seconds
		refuse(w, http.StatusServiceUnavailable, "the decision could not be read: try again")
	case !found:
		refuse(w, http.StatusNotFound, "no decision with this identifier is kept here: it may be too old, or another server's")
	default:
		writeJSON(w, http.StatusOK, typeJSON, record)
	}
}

// decisions lists the decisions since a time (RFC 3339), all that are kept without one, the oldest first.
func (a *admin) decisions(w http.ResponseWriter, r *http.Request) {
	var since time.Time
	if text := r.URL.Query().Get("since"); text != "" {
		var err error
		if since, err = time.Parse(time.RFC3339, text); err != nil {
			refuse(w, http.StatusBadRequest, "since must be a time such as 2026-11-22T08:00:00Z")
			return
		}
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{}) // many decisions take long; not every server has a deadline
	w.Header().Set("Content-Type", typeRecords)
	buffered := bufio.NewWriter(w)
	encoder := json.NewEncoder(buffered)
	var failed error
	err := a.verifier.Records(r.Context(), since, func(record *verifier.Record) bool {
		failed = encoder.Encode(record)
		return failed == nil
	})
	if err != nil {
		a.log.ErrorContext(r.Context(), "listing decisions", "error", err)
		panic(http.ErrAbortHandler) // so that the reader sees that the list is not whole
	}
	if failed == nil {
		_ = buffered.Flush() // the peer may be gone: there is nobody left to tell
	}
}
