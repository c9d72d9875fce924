package verifier_test

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"imei-attest/testbench/peertest"
	"imei-attest/verifier"
)

// TestWhatAJudgementCosts holds a judgement to a multiple of the verification of one signature, both in time of the processor: that of the
// garbage collector counts, that of other programs does not. The kinds take turns, and the best of several rounds counts, for what disturbs
// the processor makes a round slower and none faster.
func TestWhatAJudgementCosts(t *testing.T) {
	if os.Getenv("IMEI_ATTEST_SOAK") != "1" || underRace {
		t.Skip("takes half a minute, and means something without the race detector: set IMEI_ATTEST_SOAK=1")
	}
	const rounds = 10
	warm, first := newBench(t, false, false), newBench(t, true, false)
	kinds := []struct {
		name  string
		round func() time.Duration
		most  float64 // verifications
	}{
		{"one P-256 verification", verifyRound(t), 1},
		{"warm judgement", func() time.Duration { return warm.round(t, true) }, 1.15},
		{"judgement at first contact", func() time.Duration { return first.round(t, false) }, 2.3},
	}
	best := make([]time.Duration, len(kinds))
	for range rounds {
		for i, kind := range kinds {
			if took := kind.round(); best[i] == 0 || took < best[i] {
				best[i] = took
			}
		}
	}
	text := new(strings.Builder)
	fmt.Fprintf(text, "\nWhat a judgement costs, the best of %d rounds\n", rounds)
	rows := [][]string{{"", "processor", "verifications", "at most"}}
	for i, kind := range kinds {
		cost := float64(best[i]) / float64(best[0])
		if cost > kind.most {
			t.Errorf("a %s costs %.2f verifications, want at most %v", kind.name, cost, kind.most)
		}
		rows = append(rows, []string{kind.name, fmt.Sprintf("%.1f µs", float64(best[i].Nanoseconds())/1000), fmt.Sprintf("%.2f", cost), fmt.Sprint(kind.most)})
	}
	align(text, rows)
	t.Log(text)
	peertest.Show(t, text.String())
}

// roundOf is how many of each kind a round has: some cycles of the garbage collector.
const roundOf = 4 * benchTokens

func verifyRound(t *testing.T) func() time.Duration {
	verify := newVerification(t)
	return func() time.Duration {
		start := processorTime(t)
		for range roundOf {
			verify()
		}
		return (processorTime(t) - start) / roundOf
	}
}

func (s *bench) round(t *testing.T, known bool) (took time.Duration) {
	var v *verifier.Verifier
	for range roundOf / benchTokens {
		v = s.fresh(t, known)
		start := processorTime(t)
		for _, token := range s.tokens {
			s.judge(t, v, token)
		}
		took += processorTime(t) - start
	}
	return took / roundOf
}

// processorTime is what this process has taken, in user and in system mode.
func processorTime(t *testing.T) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
