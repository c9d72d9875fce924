package access_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"imei-attest/verifier/access"
	"imei-attest/verifier/metrics"
)

// BenchmarkHotPath is what metrics, limits and the recognition of a client cost a request with a token's body: bare is the handler alone.
func BenchmarkHotPath(b *testing.B) {
	const body = 1024
	mux := http.NewServeMux()
	answer := []byte(strings.Repeat("x", 2048))
	mux.HandleFunc("POST /v1/appraise", func(w http.ResponseWriter, r *http.Request) {
		_, _ = r.Body.Read(make([]byte, body))
		_, _ = w.Write(answer)
	})
	clients := access.NewClients([]access.Grant{{Name: "a", Certificates: []string{"spiffe://operator.example/pcscf"}, Rate: 1e9, Burst: 1e9}},
		access.Unnamed{Rate: 1e6, Burst: 1e9, Addresses: 1 << 16})
	none := func() time.Time { return time.Time{} }
	m := metrics.New("v", metrics.Gauges{InFlight: func() int { return 0 }, Connections: func() int { return 0 }, Ready: func() bool { return true },
		Checkpoint: none, LostNotes: func() int64 { return 0 }, S13Peers: func() int { return 0 }})
	gate := access.NewGate(clients, 256, time.Now, func(access.Limit) {})
	full := m.Measure(gate.Handler(mux), time.Now)
	for _, c := range []struct {
		name    string
		handler http.Handler
		named   bool
	}{{"bare", mux, false}, {"by address", full, false}, {"by certificate", full, true}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			r := from("192.0.2.1:1000", nil, false)
			if c.named {
				r = from("192.0.2.1:1000", named(b, []string{"spiffe://operator.example/pcscf"}), true)
			}
			r.Method, r.URL.Path, r.ContentLength = http.MethodPost, "/v1/appraise", body
			text := strings.Repeat("x", body)
			for b.Loop() {
				r.Body = io.NopCloser(strings.NewReader(text))
				c.handler.ServeHTTP(httptest.NewRecorder(), r)
			}
		})
	}
}
