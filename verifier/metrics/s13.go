package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// s13 counts what the front of S13 does.
type s13 struct {
	answers  *prometheus.CounterVec
	seconds  prometheus.Histogram
	refused  *prometheus.CounterVec
	upstream *prometheus.CounterVec
}

func (s *s13) register(r *prometheus.Registry) {
	s.answers = counters("s13_answers_total", "Answers to questions over S13.", "outcome")
	s.seconds = histogram("s13_answer_seconds", "Time from a question over S13 to its answer.", []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10})
	s.refused = counters("s13_refused_connections_total", "Connections that S13 refused, by what was not right.", "reason")
	s.upstream = counters("s13_upstream_total", "Questions to the operator's own EIR over S13, by whether it answered.", "outcome")
	r.MustRegister(s.answers, s.seconds, s.refused, s.upstream)
}

// S13Prepare lets a dashboard see zeros: of all the outcomes, and reasons to refuse a connection, that there are.
func (m *Metrics) S13Prepare(outcomes, reasons []string) {
	for _, outcome := range outcomes {
		m.s13.answers.WithLabelValues(outcome)
	}
	for _, reason := range reasons {
		m.s13.refused.WithLabelValues(reason)
	}
	for _, outcome := range []string{"answered", "failed"} {
		m.s13.upstream.WithLabelValues(outcome)
	}
}

// S13Answered counts an answer.
func (m *Metrics) S13Answered(outcome string, took time.Duration) {
	m.s13.answers.WithLabelValues(outcome).Inc()
	m.s13.seconds.Observe(took.Seconds())
}

// S13Refused counts a connection that was refused.
func (m *Metrics) S13Refused(reason string) { m.s13.refused.WithLabelValues(reason).Inc() }

// S13Upstream counts a question to the operator's own EIR.
func (m *Metrics) S13Upstream(answered bool) {
	outcome := "failed"
	if answered {
		outcome = "answered"
	}
	m.s13.upstream.WithLabelValues(outcome).Inc()
}
