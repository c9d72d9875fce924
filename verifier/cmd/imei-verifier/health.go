package main

import (
	"context"
	"encoding/json"
	"net/http"
	"runtime"
	"sync/atomic"
	"time"

	"imei-attest/verifier"
)

// health is what the operator's load balancer and service manager ask for.
type health struct {
	store    *guardedStore
	draining atomic.Bool
}

// earliest is when this program was written: a clock before it was not set.
var earliest = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

const pingTime = time.Second

// unready says why the service should get no requests; "" if it should.
func (h *health) unready(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, pingTime)
	defer cancel()
	switch {
	case h.draining.Load():
		return "it is being stopped"
	case wallClock().Before(earliest):
		return "the system's clock is not set"
	case h.store.failing.Load():
		return "the store fails"
	}
	if _, _, err := h.store.Record(ctx, verifier.DecisionID{}); err != nil {
		return "the store does not answer"
	}
	return ""
}

func (h *health) routes(mux *http.ServeMux) {
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		say(w, http.StatusOK, map[string]string{"status": "live"})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if why := h.unready(r.Context()); why != "" {
			say(w, http.StatusServiceUnavailable, map[string]string{"status": "not ready", "reason": why})
			return
		}
		say(w, http.StatusOK, map[string]string{"status": "ready"})
	})
	mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) {
		say(w, http.StatusOK, map[string]string{"version": versionText(), "go": runtime.Version()})
	})
}

func say(w http.ResponseWriter, status int, body map[string]string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the peer may be gone: there is nobody left to tell
}
