package metrics

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// eir is what the front for AMFs counts.
type eir struct {
	answers  *prometheus.CounterVec
	byResult sync.Map // of prometheus.Counter
	upstream *prometheus.CounterVec
	known    prometheus.Gauge
	tlsEnds  prometheus.Gauge
}

func (m *Metrics) registerEIR() {
	m.eir.answers = counters("eir_5g_answers_total", "Answers to AMFs by result.", "result")
	m.eir.upstream = counters("eir_5g_upstream_total", "Questions to the operator's own 5G-EIR by outcome.", "outcome")
	m.eir.known = gauge("eir_5g_registered", "1 while the NRF knows of the 5G-EIR.")
	m.eir.tlsEnds = gauge("eir_5g_tls_certificate_expiry_timestamp_seconds", "When the certificate of the 5G-EIR ends; 0 without TLS.")
	m.registry.MustRegister(m.eir.answers, m.eir.upstream, m.eir.known, m.eir.tlsEnds)
}

// EIRAnswered counts an answer to an AMF. Results are few.
func (m *Metrics) EIRAnswered(result string) {
	counter, known := m.eir.byResult.Load(result)
	if !known {
		counter, _ = m.eir.byResult.LoadOrStore(result, m.eir.answers.WithLabelValues(result))
	}
	counter.(prometheus.Counter).Inc()
}

// EIRUpstream counts a question to the operator's own 5G-EIR.
func (m *Metrics) EIRUpstream(outcome string) { m.eir.upstream.WithLabelValues(outcome).Inc() }

// EIRRegistered says whether the NRF knows of the 5G-EIR.
func (m *Metrics) EIRRegistered(known bool) { m.eir.known.Set(flag(known)) }

// EIRCertificate says when the certificate of the 5G-EIR ends.
func (m *Metrics) EIRCertificate(ends time.Time) { m.eir.tlsEnds.Set(seconds(ends)) }
