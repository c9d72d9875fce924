package metrics

import (
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// endpoint counts the requests to one route.
type endpoint struct {
	name    string
	seconds prometheus.Observer
	codes   sync.Map // of prometheus.Counter, by status code
	all     *prometheus.CounterVec
}

// endpoint finds that of a route, METHOD /PATH as [http.ServeMux] has it; all requests that took no route are one.
func (m *Metrics) endpoint(route string) *endpoint {
	if known, found := m.endpoints.Load(route); found {
		return known.(*endpoint)
	}
	name := route
	if name == "" {
		name = "other"
	}
	e, _ := m.endpoints.LoadOrStore(route, &endpoint{name: name, seconds: m.seconds.WithLabelValues(name), all: m.requests})
	return e.(*endpoint)
}

// count takes in an answer. Codes are those that net/http lets a handler send, so they are few.
func (e *endpoint) count(code int, took time.Duration) {
	e.seconds.Observe(took.Seconds())
	counter, known := e.codes.Load(code)
	if !known {
		counter, _ = e.codes.LoadOrStore(code, e.all.WithLabelValues(e.name, strconv.Itoa(code)))
	}
	counter.(prometheus.Counter).Inc()
}

// Measure counts the requests to a handler that routes as [http.ServeMux] does, on the request itself. The clock measures durations
// only.
func (m *Metrics) Measure(next http.Handler, now func() time.Time) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun := now()
		answer := answered{ResponseWriter: w}
		defer func() { m.endpoint(r.Pattern).count(answer.status(), now().Sub(begun)) }()
		next.ServeHTTP(&answer, r)
	})
}

// answered remembers the status code of an answer.
type answered struct {
	http.ResponseWriter
	code int
}

// WriteHeader implements http.ResponseWriter. The first code that is not provisional counts (RFC 9110 section 15.2).
func (a *answered) WriteHeader(code int) {
	if a.code == 0 && code >= http.StatusOK {
		a.code = code
	}
	a.ResponseWriter.WriteHeader(code)
}

// Unwrap is for http.ResponseController.
func (a *answered) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *answered) status() int {
	if a.code == 0 {
		return http.StatusOK
	}
	return a.code
}
