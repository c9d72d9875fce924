package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// eir is what the front for AMFs counts.
type eir struct {
	answers  map[string]prometheus.Counter // by result
	upstream map[string]prometheus.Counter // by outcome
	known    prometheus.Gauge
	tlsEnds  prometheus.Gauge
}

// CountEIR names what answers to AMFs, and questions to the operator's own 5G-EIR, are counted by.
func (m *Metrics) CountEIR(results, outcomes []string) {
	m.eir.answers = m.named(counters("eir_5g_answers_total", "Answers to AMFs by result.", "result"), results)
	m.eir.upstream = m.named(counters("eir_5g_upstream_total", "Questions to the operator's own 5G-EIR by outcome.", "outcome"), outcomes)
	m.eir.known = gauge("eir_5g_registered", "1 while the NRF knows of the 5G-EIR.")
	m.eir.tlsEnds = gauge("eir_5g_tls_certificate_expiry_timestamp_seconds", "When the certificate of the 5G-EIR ends; 0 without TLS.")
	m.registry.MustRegister(m.eir.known, m.eir.tlsEnds)
}

// named registers counters and looks each up.
func (m *Metrics) named(all *prometheus.CounterVec, names []string) map[string]prometheus.Counter {
	m.registry.MustRegister(all)
	found := make(map[string]prometheus.Counter)
	for _, name := range names {
		found[name] = all.WithLabelValues(name)
	}
	return found
}

// EIRAnswered counts an answer to an AMF.
func (m *Metrics) EIRAnswered(result string) { m.eir.answers[result].Inc() }

// EIRUpstream counts a question to the operator's own 5G-EIR.
func (m *Metrics) EIRUpstream(outcome string) { m.eir.upstream[outcome].Inc() }

// EIRRegistered says whether the NRF knows of the 5G-EIR.
func (m *Metrics) EIRRegistered(known bool) { m.eir.known.Set(flag(known)) }

// EIRCertificate says when the certificate of the 5G-EIR ends.
func (m *Metrics) EIRCertificate(ends time.Time) { m.eir.tlsEnds.Set(seconds(ends)) }
