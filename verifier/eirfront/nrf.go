package eirfront

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"
)

// Bounds on an NRF.
const (
	nrfTime         = 5 * time.Second // for an answer
	leavingTime     = 2 * time.Second // for the last one: the service waits to stop
	maxNRFBytes     = 256 << 10       // of a profile that it may have added to
	usualHeartbeat  = 10 * time.Second
	longestInterval = time.Hour
	firstRetry      = time.Second
	longestRetry    = time.Minute
)

// heartbeat says that the network function is there (TS 29.510 clause 5.2.2.3.2), as a JSON Patch (RFC 6902).
var heartbeat = []byte(`[{"op":"replace","path":"/nfStatus","value":"` + registered + `"}]`)

// Registrar keeps a network function known at an NRF. Whether it is known changes nothing of what the function answers.
type Registrar struct {
	// Root is the URI of the NRF's apiRoot, such as http://127.0.0.10:7777.
	Root      string
	Transport http.RoundTripper
	Profile   Profile
	Log       *slog.Logger
	// Changed is told whether the NRF knows of the function, when that changes; nil is allowed.
	Changed func(known bool)
}

// Run registers, sends heartbeats at the interval that the NRF asks for, registers anew when the NRF has forgotten, and takes the
// registration back once ctx is done. An NRF that does not answer is tried again, less and less often.
func (r *Registrar) Run(ctx context.Context) error {
	profile, err := r.Profile.encode()
	if err != nil {
		return err
	}
	n := &registration{Registrar: r, profile: profile, uri: strings.TrimSuffix(r.Root, "/") + "/nnrf-nfm/v1/nf-instances/" + r.Profile.Instance,
		retry: firstRetry}
	for next := time.Duration(0); wait(ctx, next); {
		next = n.step(ctx)
	}
	n.leave(context.WithoutCancel(ctx))
	return nil
}

// wait returns false if ctx ends before the time is over.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// registration is where a Registrar stands.
type registration struct {
	*Registrar
	profile  []byte
	uri      string
	asked    bool          // the NRF may know of the function
	known    bool          // it said so last
	failing  bool          // its last answer was none
	interval time.Duration // of heartbeats, as the NRF asked for
	retry    time.Duration // until the next try after a failure
}

// step registers, or sends a heartbeat, and returns how long to wait before the next.
func (n *registration) step(ctx context.Context) time.Duration {
	method, kind, body := http.MethodPut, "application/json", n.profile
	if n.known && !n.failing { // after a failure it is safer to say all: the NRF may be another, or have forgotten
		method, kind, body = http.MethodPatch, "application/json-patch+json", heartbeat
	}
	n.asked = true
	status, answer, err := n.send(ctx, nrfTime, method, kind, body)
	switch {
	case ctx.Err() != nil:
		return 0
	case err == nil && (status == http.StatusOK || status == http.StatusCreated || status == http.StatusNoContent):
		n.succeeded(ctx, answer)
		return n.interval
	case err == nil && n.known && status == http.StatusNotFound:
		n.Log.WarnContext(ctx, "the NRF has forgotten this network function: it is registered anew")
		n.setKnown(false)
		return 0
	case err == nil:
		err = fmt.Errorf("it answers %d", status)
	}
	return n.failed(ctx, err)
}

func (n *registration) succeeded(ctx context.Context, answer []byte) {
	wasKnown, wasFailing := n.known, n.failing
	n.interval, n.failing, n.retry = heartbeatOf(answer, n.interval), false, firstRetry
	n.setKnown(true)
	if !wasKnown {
		n.Log.InfoContext(ctx, "registered at the NRF", "heartbeat", n.interval.String())
	} else if wasFailing {
		n.Log.InfoContext(ctx, "the NRF answers again")
	}
}

// heartbeatOf is the interval that the NRF asks for in a profile, in whole seconds; without one it stays as it was.
func heartbeatOf(profile []byte, before time.Duration) time.Duration {
	var said struct {
		HeartBeatTimer int64 `json:"heartBeatTimer"`
	}
	if json.Unmarshal(profile, &said) == nil && said.HeartBeatTimer > 0 {
		return time.Duration(min(said.HeartBeatTimer, int64(longestInterval/time.Second))) * time.Second
	}
	if before == 0 {
		return usualHeartbeat
	}
	return before
}

// failed returns how long to wait: each time twice as long, and not the same at all nodes, so that they do not all come at once to an NRF
// that has just started. A heartbeat that was lost is not late by more than its interval.
func (n *registration) failed(ctx context.Context, err error) time.Duration {
	if !n.failing {
		n.Log.WarnContext(ctx, "the NRF does not take the registration: AMFs that are told of this network function go on asking it", "error", err)
	}
	n.failing = true
	pause := n.retry/2 + rand.N(n.retry/2)
	n.retry = min(2*n.retry, longestRetry)
	if n.known {
		pause = min(pause, n.interval)
	}
	return pause
}

func (n *registration) setKnown(known bool) {
	if n.known != known && n.Changed != nil {
		n.Changed(known)
	}
	n.known = known
}

// leave takes the registration back, also one whose answer was lost.
func (n *registration) leave(ctx context.Context) {
	if !n.asked {
		return
	}
	status, _, err := n.send(ctx, leavingTime, http.MethodDelete, "", nil)
	n.setKnown(false)
	if err == nil && status != http.StatusNoContent && status != http.StatusOK && status != http.StatusNotFound {
		err = fmt.Errorf("it answers %d", status)
	}
	if err != nil {
		n.Log.WarnContext(ctx, "the registration could not be taken back: the NRF drops it when no heartbeat comes", "error", err)
		return
	}
	n.Log.InfoContext(ctx, "the registration at the NRF was taken back")
}

// send asks the NRF. Of an answer that is not read to its end, nothing is told.
func (n *registration) send(ctx context.Context, patience time.Duration, method, kind string, body []byte) (status int, answer []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, n.uri, bytes.NewReader(body))
	if err != nil {
		return 0, nil, fmt.Errorf("its URI: %w", err)
	}
	if kind != "" {
		request.Header.Set("Content-Type", kind)
	}
	request.Header.Set("Accept", "application/json, application/problem+json")
	response, err := n.Transport.RoundTrip(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(response.Body, maxNRFBytes))
	return response.StatusCode, answer, err
}
