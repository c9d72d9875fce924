//go:build unix

package modem_test

import (
	"context"
	"io"
	"syscall"
	"testing"
	"time"

	"imei-attest/modem"
	"imei-attest/modem/modemtest"
)

var benchLines = map[string]modemtest.Config{"echo": {}, "no echo": {EchoOff: true}}

// BenchmarkFullPlan reads a modem that answers at once. Each reading waits 20 ms for a quiet line first, so ns/op says
// little; cpu-ns/op is what the process used, the emulator's part included.
func BenchmarkFullPlan(b *testing.B) {
	for name, config := range benchLines {
		b.Run(name, func(b *testing.B) {
			port := newEmulator(b, config).Pipe()
			defer port.Close()
			reader := modem.NewReader(port, modem.Config{})
			b.ReportAllocs()
			start := cpuTime(b)
			for b.Loop() {
				readFully(b, reader)
			}
			b.ReportMetric(float64((cpuTime(b)-start).Nanoseconds())/float64(b.N), "cpu-ns/op")
		})
	}
}

func readFully(b *testing.B, reader *modem.Reader) {
	if r, err := reader.Read(b.Context()); err != nil || r.Agreement != modem.AgreementFull {
		b.Fatal(r, err)
	}
}

// cpuTime is what the process has used so far, in user mode and in the kernel.
func cpuTime(b *testing.B) time.Duration {
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		b.Fatal(err)
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

func BenchmarkAsk(b *testing.B) {
	port := newEmulator(b, modemtest.Config{}).Pipe()
	defer port.Close()
	channel := modem.NewChannel(port, modem.Config{})
	b.ReportAllocs()
	for b.Loop() {
		if a, err := channel.Ask(b.Context(), "AT+CGSN=1"); err != nil || a.Word != "" {
			b.Fatal(a, err)
		}
	}
}

// BenchmarkSlowModem reads a modem that takes 20 ms for each answer. ratio is the time of a reading, from its first command
// on, divided by the time in which the modem had a command and had not answered it: 1 is the least there can be. That
// time is measured, because a timer of 20 ms takes longer than that.
func BenchmarkSlowModem(b *testing.B) {
	for name, config := range benchLines {
		b.Run(name, func(b *testing.B) {
			config.Faults = []modemtest.Fault{{Kind: modemtest.FaultDelay, Command: "*", Delay: 20 * time.Millisecond}}
			host, end := modemtest.NewPipe()
			line := &busyLine{ReadWriteCloser: end}
			served := make(chan error, 1)
			go func() { served <- newEmulator(b, config).Serve(context.Background(), line) }()
			port := &tamperedPort{Port: host}
			var begun time.Time
			port.write = func(_ int, pass func() (int, error)) (int, error) {
				if begun.IsZero() {
					begun = time.Now()
				}
				return pass()
			}
			reader := modem.NewReader(port, modem.Config{})
			var took time.Duration
			for b.Loop() {
				begun = time.Time{}
				readFully(b, reader)
				took += time.Since(begun)
			}
			host.Close()
			if err := <-served; err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(took)/float64(line.busy), "ratio")
			b.ReportMetric(float64(port.writes)/float64(b.N), "commands/op")
			b.ReportMetric(float64(line.busy.Microseconds())/1000/float64(b.N), "modem-ms/op")
		})
	}
}

// busyLine measures how long a modem has something to do: from the return of a read to its last write.
type busyLine struct {
	io.ReadWriteCloser
	last time.Time
	busy time.Duration
}

func (l *busyLine) Read(p []byte) (int, error) {
	n, err := l.ReadWriteCloser.Read(p)
	l.last = time.Now()
	return n, err
}

func (l *busyLine) Write(p []byte) (int, error) {
	now := time.Now()
	l.busy += now.Sub(l.last)
	l.last = now
	return l.ReadWriteCloser.Write(p)
}

// BenchmarkEndlessStream reads a modem that answers AT+CGSN=1 with bytes that do not end. B/op is all that a reading
// allocates, garbage included; live-B is the most that is in use at a time.
func BenchmarkEndlessStream(b *testing.B) {
	for _, name := range []string{"line", "IMEIs", "newline"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				readEndless(b, &endlessPort{text: endlessTexts[name], proper: 1})
			}
			b.StopTimer()
			watched := &endlessPort{text: endlessTexts[name], proper: 1, watched: true}
			readEndless(b, watched)
			b.ReportMetric(float64(watched.grown), "live-B")
			b.ReportMetric(float64(watched.taken), "read-B/op")
		})
	}
}
