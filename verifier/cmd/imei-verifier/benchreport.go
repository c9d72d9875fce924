package main

import (
	"fmt"
	"io"
	"strings"

	"imei-attest/verifier/bench"
	"imei-attest/verifier/store/sqlite"
)

// benchReport is what a run measured.
type benchReport struct {
	Devices int  `json:"devices"`
	Clients int  `json:"clients"`
	Check   bool `json:"check"`
	S13     bool `json:"s13"`
	bench.Figures
	// Processor is the time that an answer took of the processors, in microseconds.
	Processor struct {
		Server  float64 `json:"server"`
		Clients float64 `json:"clients"`
	} `json:"cpu_us"`
	PeakRSS     int64        `json:"peak_rss_bytes,omitempty"` // of the server while it answered
	LoadAverage float64      `json:"load_average,omitempty"`   // of the machine, over a minute
	Store       sqlite.Stats `json:"store"`
}

func (r *benchReport) print(w io.Writer) error {
	what := "tokens"
	switch {
	case r.Check:
		what = "checks"
	case r.S13:
		what = "S13 questions"
	}
	var b strings.Builder
	row := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-14s %s\n", name, fmt.Sprintf(format, args...))
	}
	row(what+"/s", "%.0f, with %d clients and %d devices known", r.PerSecond, r.Clients, r.Devices)
	row("latency", "%.2f ms median, %.2f ms p90, %.2f ms p99, %.2f ms at most", r.Latency.P50, r.Latency.P90, r.Latency.P99, r.Latency.Max)
	row("processor", "%.0f us the server and %.0f us the clients, for each", r.Processor.Server, r.Processor.Clients)
	row("memory", "%.0f MB at most, of the server", float64(r.PeakRSS)/1e6)
	row("load average", "%.2f", r.LoadAverage)
	row("store", "%.1f MB, %.0f bytes a device", float64(r.Store.Bytes)/1e6, float64(r.Store.Bytes)/float64(r.Devices))
	for _, t := range r.Store.Tables {
		if t.Rows > 0 {
			row("  "+t.Name, "%d rows of %.0f bytes", t.Rows, float64(t.Bytes)/float64(t.Rows))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
