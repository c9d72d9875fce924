//go:build linux

package serialport_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"imei-attest/modem"
)

func BenchmarkReadReady(b *testing.B) {
	line, port := newLine(b)
	buf := make([]byte, 64)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := line.Write(buf[:16]); err != nil {
			b.Fatal(err)
		}
		if _, err := port.Read(b.Context(), buf); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCancel measures how long Read and Write take to return after their context was cancelled: nobody writes to the line,
// and nobody reads from it. ns/op includes 1 ms for the call to block.
func BenchmarkCancel(b *testing.B) {
	_, port := newLine(b)
	much := make([]byte, 1<<20) // made anew for each call, it has the garbage collector measured
	for _, call := range []struct {
		name string
		run  func(context.Context) error
	}{
		{"Read", func(ctx context.Context) error { _, err := port.Read(ctx, make([]byte, 8)); return err }},
		{"Write", func(ctx context.Context) error { _, err := port.Write(ctx, much); return err }},
	} {
		b.Run(call.name, func(b *testing.B) {
			var took []time.Duration
			for b.Loop() {
				took = append(took, cancelLatency(b, call.run))
			}
			slices.Sort(took)
			for _, p := range []struct {
				unit string
				part float64
			}{{"p50-ms", 0.5}, {"p99-ms", 0.99}, {"max-ms", 1}} {
				at := took[min(len(took)-1, int(p.part*float64(len(took))))]
				b.ReportMetric(float64(at.Microseconds())/1000, p.unit)
			}
		})
	}
}

func cancelLatency(b *testing.B, call func(context.Context) error) time.Duration {
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	returned := make(chan time.Time, 1)
	go func() {
		err := call(ctx)
		at := time.Now()
		if !errors.Is(err, context.Canceled) {
			b.Errorf("a cancelled call ended with %v", err)
		}
		returned <- at
	}()
	time.Sleep(time.Millisecond)
	start := time.Now()
	cancel()
	return (<-returned).Sub(start)
}

// BenchmarkTimeout measures how late Read is with ErrTimeout after a deadline of 1 ms.
func BenchmarkTimeout(b *testing.B) {
	_, port := newLine(b)
	var late time.Duration
	for b.Loop() {
		deadline := time.Now().Add(time.Millisecond)
		ctx, cancel := context.WithDeadline(b.Context(), deadline)
		_, err := port.Read(ctx, make([]byte, 8))
		late += time.Since(deadline)
		cancel()
		if !errors.Is(err, modem.ErrTimeout) {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(late.Nanoseconds())/float64(b.N), "late-ns/op")
}
