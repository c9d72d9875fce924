package tpmvault_test

import (
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2/transport"

	"imei-attest/agent/tpmvault"
	"imei-attest/attest"
	"imei-attest/attest/attesttest"
)

// stopwatch is a transport that counts the time spent below it: in the TPM and on the way to it.
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
// approval. tpm-ms/op is spent in the engine and on the socket, own-ms/op in this project and its libraries; own-%, the share
// of the latter, is to stay below 10 %.
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
			b.ReportAllocs()
			for b.Loop() {
				produce()
			}
			report(b, watch)
		})
	}
}

func report(b *testing.B, watch *stopwatch) {
	b.Helper()
	whole := b.Elapsed()
	own := whole - watch.spent
	perToken := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 / float64(b.N) }
	b.ReportMetric(perToken(watch.spent), "tpm-ms/op")
	b.ReportMetric(perToken(own), "own-ms/op")
	b.ReportMetric(100*float64(own)/float64(whole), "own-%")
	b.ReportMetric(float64(watch.commands)/float64(b.N), "commands/op")
}
