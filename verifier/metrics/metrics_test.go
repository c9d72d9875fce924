package metrics_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"imei-attest/attest"
	"imei-attest/verifier"
	"imei-attest/verifier/metrics"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func newMetrics() *metrics.Metrics {
	return metrics.New("v1", metrics.Gauges{InFlight: func() int { return 3 }, Connections: func() int { return 5 }, Ready: func() bool { return true },
		Checkpoint: func() time.Time { return noon }, LostNotes: func() int64 { return 0 }, S13Peers: func() int { return 2 }})
}

// shown are the metrics as Prometheus gets them.
func shown(t *testing.T, m *metrics.Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatal(w.Code, w.Body)
	}
	return w.Body.String()
}

func want(t *testing.T, m *metrics.Metrics, lines ...string) {
	t.Helper()
	got := shown(t, m)
	for _, line := range lines {
		if !strings.Contains(got, "\n"+line+"\n") {
			t.Errorf("there is no %s", line)
		}
	}
}

func TestSIPIsCounted(t *testing.T) {
	m := newMetrics()
	m.SIP("REGISTER", "read", 200)
	m.SIP("REGISTER", "read", 200)
	m.SIP("unreadable", "", 0)
	m.Limited("peers")
	want(t, m, `imeiatt_sip_requests_total{code="200",method="REGISTER",original="read"} 2`, `imeiatt_sip_requests_total{code="0",method="unreadable",original=""} 1`,
		`imeiatt_limited_total{limit="peers"} 1`)
}

func TestRequestsAreCountedByRouteAndCode(t *testing.T) {
	m, at := newMetrics(), noon
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/results/{id}", func(w http.ResponseWriter, r *http.Request) {
		at = at.Add(20 * time.Millisecond)
		if r.PathValue("id") == "absent" {
			w.WriteHeader(http.StatusNotFound)
		}
		io.WriteString(w, "x")
	})
	mux.HandleFunc("GET /broken", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	h := m.Measure(mux, func() time.Time { return at })
	for _, path := range []string{"/v1/results/490154203237518", "/v1/results/b", "/v1/results/absent", "/nothing/490154203237518", "/broken"} {
		func() {
			defer func() { _ = recover() }()
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", path, nil))
		}()
	}
	want(t, m, `imeiatt_http_requests_total{code="200",endpoint="GET /v1/results/{id}"} 2`, `imeiatt_http_requests_total{code="404",endpoint="GET /v1/results/{id}"} 1`,
		`imeiatt_http_requests_total{code="404",endpoint="other"} 1`, `imeiatt_http_request_seconds_bucket{endpoint="GET /v1/results/{id}",le="0.01"} 0`,
		`imeiatt_http_request_seconds_bucket{endpoint="GET /v1/results/{id}",le="0.025"} 3`, `imeiatt_http_request_seconds_count{endpoint="GET /broken"} 1`)
	if strings.Contains(shown(t, m), "490154203237518") {
		t.Error("an IMEI in a path is in a label")
	}
}

func TestWhatIsInForceStandsAlone(t *testing.T) {
	m := newMetrics()
	m.Trust(1, noon)
	m.Trust(0xabc, noon.Add(time.Minute))
	m.Policy("observe")
	m.Policy("enforce")
	m.Breaker(true)
	m.Certificate(noon)
	want(t, m, `imeiatt_trust_info{generation="abc"} 1`, `imeiatt_policy_info{name="enforce"} 1`, `imeiatt_breaker_open 1`, `imeiatt_trust_loaded_timestamp_seconds 1.79534886e+09`,
		`imeiatt_http_in_flight 3`, `imeiatt_connections 5`, `imeiatt_ready 1`, `imeiatt_audit_checkpoint_timestamp_seconds 1.7953488e+09`, `imeiatt_store_lost_notes_total 0`)
	if got := shown(t, m); strings.Count(got, "imeiatt_trust_info{") != 1 || strings.Count(got, "imeiatt_policy_info{") != 1 {
		t.Errorf("what was in force before is still shown:\n%s", got)
	}
}

func TestDecisionsAreCounted(t *testing.T) {
	m := newMetrics()
	v := verifier.Verdict{Result: attest.Result{Submods: []attest.Submod{{Name: "slot1", Status: attest.StatusWarning, Reasons: []attest.Reason{"stale", "no-such-reason"}}}},
		Answer: verifier.Answer{Action: "observe"}}
	m.Verdict(&v)
	m.Batch(12)
	m.Committed(7, 3*time.Millisecond)
	m.Limited("rate")
	m.Reloaded("trust", nil)
	m.Reloaded("trust", io.EOF)
	want(t, m, `imeiatt_http_batch_size_sum 12`, `imeiatt_verdicts_total{action="observe",status="warning"} 1`, `imeiatt_reasons_total{reason="stale"} 1`, `imeiatt_reasons_total{reason="imei-tampered"} 0`,
		`imeiatt_store_batch_size_bucket{le="8"} 1`, `imeiatt_store_commit_seconds_bucket{le="0.002"} 0`, `imeiatt_limited_total{limit="rate"} 1`, `imeiatt_limited_total{limit="in_flight"} 0`,
		`imeiatt_reloads_total{outcome="taken",part="trust"} 1`, `imeiatt_reloads_total{outcome="refused",part="trust"} 1`)
	if strings.Contains(shown(t, m), "no-such-reason") {
		t.Error("what is no reason is in a label")
	}
}

func TestWhatAMFsAreAnsweredIsCounted(t *testing.T) {
	m := newMetrics()
	m.CountEIR([]string{"permitted", "unknown"}, []string{"answered", "failed"})
	m.EIRAnswered("permitted")
	m.EIRUpstream("failed")
	m.EIRRegistered(true)
	m.EIRCertificate(noon)
	want(t, m, `imeiatt_eir_5g_answers_total{result="permitted"} 1`, `imeiatt_eir_5g_answers_total{result="unknown"} 0`, `imeiatt_eir_5g_upstream_total{outcome="failed"} 1`,
		`imeiatt_eir_5g_upstream_total{outcome="answered"} 0`, `imeiatt_eir_5g_registered 1`, fmt.Sprintf("imeiatt_eir_5g_tls_certificate_expiry_timestamp_seconds %g", float64(noon.Unix())))
	m.EIRRegistered(false)
	want(t, m, `imeiatt_eir_5g_registered 0`)
}

func TestS13IsCounted(t *testing.T) {
	m := newMetrics()
	m.S13Prepare([]string{"whitelisted", "blacklisted"}, []string{"peer"})
	m.S13Answered("whitelisted", 3*time.Millisecond)
	m.S13Refused("address")
	m.S13Upstream(true)
	m.S13Upstream(false)
	want(t, m, `imeiatt_s13_answers_total{outcome="whitelisted"} 1`, `imeiatt_s13_answers_total{outcome="blacklisted"} 0`, `imeiatt_s13_answer_seconds_bucket{le="0.0025"} 0`,
		`imeiatt_s13_answer_seconds_bucket{le="0.005"} 1`, `imeiatt_s13_refused_connections_total{reason="address"} 1`, `imeiatt_s13_refused_connections_total{reason="peer"} 0`,
		`imeiatt_s13_upstream_total{outcome="answered"} 1`, `imeiatt_s13_upstream_total{outcome="failed"} 1`, `imeiatt_s13_peers 2`)
}

// TestLabelsAreThoseThatAreAllowed: a new one is a decision, because it may name somebody.
func TestLabelsAreThoseThatAreAllowed(t *testing.T) {
	m := newMetrics()
	m.Trust(1, noon)
	m.Policy("observe")
	m.Reloaded("trust", nil)
	m.Verdict(&verifier.Verdict{})
	m.CountEIR([]string{"permitted"}, []string{"failed"})
	m.S13Answered("unknown", time.Millisecond)
	m.S13Refused("peer")
	m.S13Upstream(true)
	m.Measure(http.NotFoundHandler(), time.Now).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	var labels []string
	for _, of := range regexp.MustCompile(`(?m)^imeiatt_[a-z0-9_]+\{(.*)\} `).FindAllStringSubmatch(shown(t, m), -1) {
		for _, label := range regexp.MustCompile(`([a-z_]+)="`).FindAllStringSubmatch(of[1], -1) {
			labels = append(labels, label[1])
		}
	}
	slices.Sort(labels)
	if got := strings.Join(slices.Compact(labels), " "); got != "action code endpoint generation go le limit method name original outcome part reason result status version" {
		t.Errorf("got %s", got)
	}
}

func BenchmarkMeasure(b *testing.B) {
	m := newMetrics()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/appraise", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	w, r := httptest.NewRecorder(), httptest.NewRequest("POST", "/v1/appraise", nil)
	for name, h := range map[string]http.Handler{"with": m.Measure(mux, time.Now), "without": mux} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				h.ServeHTTP(w, r)
			}
		})
	}
}
