// Package metrics counts what the verifier's service does, for Prometheus. Start with [New]. No label names a device, a subscriber or an
// address: each has few values, which the program or its operator chose.
package metrics

import (
	"net/http"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"imei-attest/attest"
	"imei-attest/verifier"
)

const namespace = "imeiatt"

// Metrics are those of one service. They are safe for use by many goroutines.
type Metrics struct {
	registry  *prometheus.Registry
	endpoints sync.Map // of *endpoint, by the pattern of the route

	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	verdicts *prometheus.CounterVec
	reasons  map[attest.Reason]prometheus.Counter
	limited  *prometheus.CounterVec
	sip      *prometheus.CounterVec
	reloads  *prometheus.CounterVec
	asked    prometheus.Histogram
	batch    prometheus.Histogram
	commit   prometheus.Histogram
	trust    *prometheus.GaugeVec
	loaded   prometheus.Gauge
	policy   *prometheus.GaugeVec
	breaker  prometheus.Gauge
	tlsEnds  prometheus.Gauge
	eir      eir
	s13      s13
}

// Gauges are looked at when somebody asks for the metrics; all are required.
type Gauges struct {
	InFlight    func() int       // requests that are judged now
	Connections func() int       // open at the interface
	Ready       func() bool      // as /readyz has it
	Checkpoint  func() time.Time // of the audit chain, the last one; zero if there is none
	LostNotes   func() int64     // decisions without evidence that could not be recorded
	S13Peers    func() int       // peers of S13 that are connected
}

// New returns metrics that start at zero.
func New(version string, g Gauges) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), reasons: make(map[attest.Reason]prometheus.Counter)}
	m.requests = counters("http_requests_total", "Requests by endpoint and status code.", "endpoint", "code")
	m.seconds = prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: "http_request_seconds", Help: "Time from a request's header to its answer.",
		Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10}}, []string{"endpoint"})
	m.verdicts = counters("verdicts_total", "Decisions by status and by what the policy made of them.", "status", "action")
	m.limited = counters("limited_total", "Requests turned away, and connections closed, by the limit.", "limit")
	m.sip = counters("sip_requests_total", "SIP requests by method, by what became of the original REGISTER in them, and by status code, 0 without an answer.", "method", "original", "code")
	m.reloads = counters("reloads_total", "Changes of configured files, by part and by whether they were taken.", "part", "outcome")
	m.asked = histogram("http_batch_size", "Registrations in one question of POST /v1/registrations/batch.", prometheus.ExponentialBuckets(1, 2, 7))
	m.batch = histogram("store_batch_size", "Decisions in one transaction of the store.", prometheus.ExponentialBuckets(1, 2, 9))
	m.commit = histogram("store_commit_seconds", "Time of one transaction of the store, with its sync of the disk.", prometheus.ExponentialBuckets(.0005, 2, 12))
	m.trust = gauges("trust_info", "1 for the generation of the trust folder that is in force.", "generation")
	m.loaded = gauge("trust_loaded_timestamp_seconds", "When the trust folder in force was read.")
	m.policy = gauges("policy_info", "1 for the policy that is in force.", "name")
	m.breaker = gauge("breaker_open", "1 while the policy's breaker lets everybody in.")
	m.tlsEnds = gauge("tls_certificate_expiry_timestamp_seconds", "When the server's certificate ends; 0 without TLS.")
	build := gauges("build_info", "1 for the program.", "version", "go")
	build.WithLabelValues(version, runtime.Version()).Set(1)
	m.registry.MustRegister(m.requests, m.seconds, m.verdicts, m.limited, m.sip, m.reloads, m.asked, m.batch, m.commit, m.trust, m.loaded, m.policy, m.breaker, m.tlsEnds, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.look(g)
	m.prepare()
	m.s13.register(m.registry)
	return m
}

func (m *Metrics) look(g Gauges) {
	of := func(name, help string, value func() float64) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, value))
	}
	of("http_in_flight", "Requests that are judged now.", func() float64 { return float64(g.InFlight()) })
	of("connections", "Connections that are open.", func() float64 { return float64(g.Connections()) })
	of("s13_peers", "Peers that are connected over S13.", func() float64 { return float64(g.S13Peers()) })
	of("ready", "1 while /readyz says so.", func() float64 { return flag(g.Ready()) })
	of("audit_checkpoint_timestamp_seconds", "When the audit chain was last signed; 0 if never.", func() float64 { return seconds(g.Checkpoint()) })
	m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Namespace: namespace, Name: "store_lost_notes_total",
		Help: "Decisions without evidence that could not be recorded."}, func() float64 { return float64(g.LostNotes()) }))
}

// prepare looks up what has a name of its own, so that a dashboard sees zeros, and counting looks nothing up.
func (m *Metrics) prepare() {
	reasons := counters("reasons_total", "Reasons of decisions.", "reason")
	m.registry.MustRegister(reasons)
	for _, r := range attest.Reasons() {
		m.reasons[r] = reasons.WithLabelValues(string(r))
	}
	for _, limit := range []string{"rate", "in_flight", "connections", "peers"} {
		m.limited.WithLabelValues(limit)
	}
	m.sip.WithLabelValues("REGISTER", "read", "200")
}

// Handler answers with the metrics in the text format of Prometheus.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// Verdict counts a decision.
func (m *Metrics) Verdict(v *verifier.Verdict) {
	m.verdicts.WithLabelValues(v.Status().String(), v.Answer.Action).Inc()
	for _, r := range v.Reasons() {
		if counter, known := m.reasons[r]; known {
			counter.Inc()
		}
	}
}

// Limited counts what was turned away.
func (m *Metrics) Limited(limit string) { m.limited.WithLabelValues(limit).Inc() }

// SIP counts an answer of the application server.
func (m *Metrics) SIP(method, original string, code int) {
	m.sip.WithLabelValues(method, original, strconv.Itoa(code)).Inc()
}

// Reloaded counts a change of a part of the configuration.
func (m *Metrics) Reloaded(part string, err error) {
	outcome := "taken"
	if err != nil {
		outcome = "refused"
	}
	m.reloads.WithLabelValues(part, outcome).Inc()
}

// Batch counts a question about so many registrations.
func (m *Metrics) Batch(registrations int) { m.asked.Observe(float64(registrations)) }

// Committed counts a transaction of the store.
func (m *Metrics) Committed(decisions int, took time.Duration) {
	m.batch.Observe(float64(decisions))
	m.commit.Observe(took.Seconds())
}

// Trust says which trust folder is in force.
func (m *Metrics) Trust(generation uint64, at time.Time) {
	m.trust.Reset()
	m.trust.WithLabelValues(strconv.FormatUint(generation, 16)).Set(1)
	m.loaded.Set(seconds(at))
}

// Policy says which policy is in force.
func (m *Metrics) Policy(name string) {
	m.policy.Reset()
	m.policy.WithLabelValues(name).Set(1)
	m.Breaker(false)
}

// Breaker says whether the policy's breaker is open.
func (m *Metrics) Breaker(open bool) { m.breaker.Set(flag(open)) }

// Certificate says when the server's certificate ends.
func (m *Metrics) Certificate(ends time.Time) { m.tlsEnds.Set(seconds(ends)) }

func flag(on bool) float64 {
	if on {
		return 1
	}
	return 0
}

func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
}

func gauges(name, help string, labels ...string) *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, labels)
}

func gauge(name, help string) prometheus.Gauge {
	return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help})
}

func histogram(name, help string, buckets []float64) prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets})
}
