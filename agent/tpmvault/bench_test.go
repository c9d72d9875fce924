package tpmvault_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2/transport"

	"imei-attest/agent/tpmvault"
	"imei-attest/attest"
	"imei-attest/attest/attesttest"
)

// stopwatch is a transport that counts the time spent below it: in tpmdev, on the socket and in the TPM.
type stopwatch struct {
	transport.TPM
	spent    time.Duration
	commands int
}

// Send implements transport.TPM.
func (s *stopwatch) Send(command []byte) ([]byte, error) {
	start := time.Now()
	response, err := s.TPM.Send(command)
	s.spent += time.Since(start)
	s.commands++
	return response, err
}

// BenchmarkToken is one token on swtpm after the first, of profile A and of profile B, with and without an epoch in the boot
// approval. tpm-ms/op is spent below the vault: in the engine, on the socket and in the framing of tpmdev; own-ms/op above it, in
// this project and its libraries, and own-%, its share, must not be above 10 %. cpu-ms/op is the processor time of this whole
// process, tpmdev, system calls, scheduler and collector included: what is ours can be no more.
func BenchmarkToken(b *testing.B) {
	for _, c := range []struct {
		name  string
		epoch uint64
		proof bool
	}{
		{"A", 0, false},
		{"A with an epoch", 1, false},
		{"B", 0, true},
		{"B with an epoch", 1, true},
	} {
		b.Run(c.name, func(b *testing.B) {
			u := newUnit(b)
			u.openWith(bootPCRs, c.epoch)
			watch := &stopwatch{TPM: u.conn}
			v, err := tpmvault.Open(b.Context(), watch, tpmvault.Config{Approvals: u.approvals})
			u.must(err)
			defer v.Close()
			kid, claims := attest.KeyIDOf(v.Describe().Key), attesttest.Claims()
			var enclosed attest.Enclosure
			if c.proof {
				enclosed.Prove = func(binding [32]byte) ([]byte, error) { return v.Evidence(b.Context(), binding) }
			}
			produce := func() {
				_, err := attest.SignEvidence(nil, claims, v.Signer(b.Context()), kid, enclosed)
				u.must(err)
			}
			produce()
			watch.spent, watch.commands = 0, 0
			before := cpuTime(b)
			b.ReportAllocs()
			for b.Loop() {
				produce()
			}
			report(b, watch, cpuTime(b)-before)
		})
	}
}

// cpuTime is what this process has used of the processors, for itself and in the kernel.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

func report(b *testing.B, watch *stopwatch, cpu time.Duration) {
	b.Helper()
	whole := b.Elapsed()
	own := whole - watch.spent
	perToken := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 / float64(b.N) }
	b.ReportMetric(perToken(watch.spent), "tpm-ms/op")
	b.ReportMetric(perToken(own), "own-ms/op")
	b.ReportMetric(perToken(cpu), "cpu-ms/op")
	share := 100 * float64(own) / float64(whole)
	b.ReportMetric(share, "own-%")
	const enough, most = 100, 10 // tokens to measure by; percent
	if b.N >= enough && share > most {
		b.Errorf("%.1f %% of a token's time is ours, at most %d", share, most)
	}
	b.ReportMetric(float64(watch.commands)/float64(b.N), "commands/op")
}
