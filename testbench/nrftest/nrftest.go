// Package nrftest is a small NRF for tests: it keeps the profiles of network functions (TS 29.510, Nnrf_NFManagement), drops those whose
// heartbeats stop, and can lose requests or forget everything, as one that is restarted. Start with a zero [NRF], which is an http.Handler.
package nrftest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

const instances = "/nnrf-nfm/v1/nf-instances/"

// NRF is one NRF. It is safe for use by many goroutines.
type NRF struct {
	// Heartbeat is the interval that it asks for, in whole seconds; 0 asks for none.
	Heartbeat time.Duration

	mu       sync.Mutex
	profiles map[string]profile
	lose     int
	refuse   int
	seen     []string
}

// profile is what is kept of a network function.
type profile struct {
	text map[string]any
	beat time.Time
}

// graceIntervals is how many heartbeats may be missing before a network function counts as gone.
const graceIntervals = 2

// Lose lets the next requests come to nothing: half of them before the NRF has seen them, the others before it has answered.
func (n *NRF) Lose(requests int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lose = requests
}

// Refuse answers the next requests with 503.
func (n *NRF) Refuse(requests int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.refuse = requests
}

// Restart forgets all profiles.
func (n *NRF) Restart() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.profiles = nil
}

// Profile is what AMFs are told of a network function, nil if it is not registered or its heartbeats have stopped.
func (n *NRF) Profile(instance string) map[string]any {
	n.mu.Lock()
	defer n.mu.Unlock()
	p, found := n.profiles[instance]
	if !found || n.Heartbeat > 0 && time.Since(p.beat) > graceIntervals*n.Heartbeat {
		return nil
	}
	return p.text
}

// Seen lists the requests so far: method, and the status of the answer or "lost".
func (n *NRF) Seen() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.seen)
}

// ServeHTTP implements http.Handler.
func (n *NRF) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.lose > 0 {
		n.lose--
		if n.lose%2 == 0 {
			n.answer(r, body)
		}
		n.seen = append(n.seen, r.Method+" lost")
		panic(http.ErrAbortHandler) // net/http closes the connection, or the stream
	}
	status, answer := http.StatusServiceUnavailable, any(problem("NF_CONGESTION", "later"))
	if n.refuse > 0 {
		n.refuse--
	} else {
		status, answer = n.answer(r, body)
	}
	n.seen = append(n.seen, fmt.Sprintf("%s %d", r.Method, status))
	write(w, status, answer)
}

func write(w http.ResponseWriter, status int, answer any) {
	if answer == nil {
		w.WriteHeader(status)
		return
	}
	kind := "application/json"
	if status >= http.StatusBadRequest {
		kind = "application/problem+json"
	}
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer) // the peer may be gone
}

func problem(cause, detail string) map[string]any {
	return map[string]any{"cause": cause, "detail": detail}
}

// answer does what a request wants.
func (n *NRF) answer(r *http.Request, body []byte) (int, any) {
	id, ours := strings.CutPrefix(r.URL.Path, instances)
	if !ours || id == "" {
		return http.StatusNotFound, problem("RESOURCE_URI_STRUCTURE_NOT_FOUND", "want "+instances)
	}
	switch r.Method {
	case http.MethodPut:
		return n.register(r, id, body)
	case http.MethodPatch:
		return n.beat(r, id, body)
	case http.MethodDelete:
		if _, found := n.profiles[id]; !found {
			return http.StatusNotFound, problem("CONTEXT_NOT_FOUND", "no such instance")
		}
		delete(n.profiles, id)
		return http.StatusNoContent, nil
	}
	return http.StatusMethodNotAllowed, problem("", "want PUT, PATCH or DELETE")
}

func (n *NRF) register(r *http.Request, id string, body []byte) (int, any) {
	var text map[string]any
	if err := json.Unmarshal(body, &text); err != nil || r.Header.Get("Content-Type") != "application/json" {
		return http.StatusBadRequest, problem("INVALID_MSG_FORMAT", "want a profile in JSON")
	}
	if missing := lacking(text, id); missing != "" {
		return http.StatusBadRequest, problem("MANDATORY_IE_INCORRECT", missing)
	}
	if n.Heartbeat > 0 {
		text["heartBeatTimer"] = int(n.Heartbeat / time.Second)
	}
	if n.profiles == nil {
		n.profiles = make(map[string]profile)
	}
	status := http.StatusCreated
	if _, found := n.profiles[id]; found {
		status = http.StatusOK
	}
	n.profiles[id] = profile{text, time.Now()}
	return status, text
}

// lacking names what a profile must have and has not (TS 29.510 tables 6.1.6.2.2-1 and 6.1.6.2.3-1).
func lacking(text map[string]any, id string) string {
	services, _ := text["nfServices"].([]any)
	byID, _ := text["nfServiceList"].(map[string]any)
	switch {
	case text["nfInstanceId"] != id:
		return "nfInstanceId is not that of the URI"
	case text["nfType"] == nil || text["nfStatus"] == nil:
		return "nfType or nfStatus is missing"
	case text["fqdn"] == nil && text["ipv4Addresses"] == nil && text["ipv6Addresses"] == nil:
		return "there is no address"
	case len(services) == 0 || len(byID) != len(services):
		return "the services are missing, or not the same twice"
	}
	for _, s := range services {
		s, _ := s.(map[string]any)
		for _, name := range []string{"serviceInstanceId", "serviceName", "versions", "scheme", "nfServiceStatus"} {
			if s[name] == nil {
				return "a service has no " + name
			}
		}
	}
	return ""
}

// beat takes a heartbeat: the one operation that replaces nfStatus.
func (n *NRF) beat(r *http.Request, id string, body []byte) (int, any) {
	var patch []struct{ Op, Path, Value string }
	if err := json.Unmarshal(body, &patch); err != nil || r.Header.Get("Content-Type") != "application/json-patch+json" || len(patch) != 1 ||
		patch[0].Op != "replace" || patch[0].Path != "/nfStatus" || patch[0].Value != "REGISTERED" {
		return http.StatusBadRequest, problem("INVALID_MSG_FORMAT", "want a JSON Patch of nfStatus")
	}
	p, found := n.profiles[id]
	if !found {
		return http.StatusNotFound, problem("CONTEXT_NOT_FOUND", "no such instance")
	}
	p.beat = time.Now()
	n.profiles[id] = p
	return http.StatusNoContent, nil
}
