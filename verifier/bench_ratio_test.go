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

// The tests of this file hold the cost of a judgement to a multiple of another cost, both in time of the processor: that of the garbage
// collector counts, that of other programs does not. The kinds take turns, and the best of several rounds counts, for what disturbs a
// processor makes a round slower and none faster. They tell what they measured, at the end of make soak.

// costly is a kind of work and what it may cost, in multiples of the first kind.
type costly struct {
	name  string
	round func() time.Duration // the cost of one
	most  float64
}

func TestWhatAJudgementCosts(t *testing.T) {
	soaks(t)
	warm, first := newBench(t, false, false), newBench(t, true, false)
	compareCosts(t, "What a judgement costs, in verifications", []costly{
		{"one P-256 verification", verifyRound(t), 1},
		{"a warm judgement", func() time.Duration { return warm.round(t, true) }, 1.15},
		{"a judgement at first contact", func() time.Duration { return first.round(t, false) }, 2.3},
	})
}

func TestAJudgementCostsTheSameAmongManyDevices(t *testing.T) {
	soaks(t)
	var kinds []costly
	for i, devices := range crowdSizes {
		c := newCrowd(t, devices)
		kinds = append(kinds, costly{fmt.Sprintf("among %d devices", devices), func() time.Duration { return c.round(t) }, []float64{1, 1.05}[min(i, 1)]})
	}
	compareCosts(t, "What a warm judgement costs among other devices in the memory store", kinds)
}

func soaks(t *testing.T) {
	t.Helper()
	if os.Getenv("IMEI_ATTEST_SOAK") != "1" || underRace {
		t.Skip("takes a minute, and tells nothing under the race detector: set IMEI_ATTEST_SOAK=1")
	}
}

func compareCosts(t *testing.T, title string, kinds []costly) {
	t.Helper()
	const rounds = 20
	best := make([]time.Duration, len(kinds))
	for range rounds {
		for i, kind := range kinds {
			if took := kind.round(); best[i] == 0 || took < best[i] {
				best[i] = took
			}
		}
	}
	rows := [][]string{{"", "processor", "times", "at most"}}
	for i, kind := range kinds {
		cost := float64(best[i]) / float64(best[0])
		if cost > kind.most {
			t.Errorf("%s costs %.3f times %s, want at most %v", kind.name, cost, kinds[0].name, kind.most)
		}
		rows = append(rows, []string{kind.name, fmt.Sprintf("%.1f µs", float64(best[i].Nanoseconds())/1000), fmt.Sprintf("%.3f", cost), fmt.Sprint(kind.most)})
	}
	text := new(strings.Builder)
	fmt.Fprintf(text, "\n%s\n", title)
	align(text, rows)
	t.Log(text)
	peertest.Show(t, text.String())
}

// roundOf is how many of a kind a round has: some cycles of the garbage collector.
const roundOf = 2 * benchTokens

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
	for range roundOf / benchTokens {
		took += s.judgeAll(t, s.fresh(t, known), s.tokens)
	}
	return took / roundOf
}

func (c *crowd) round(t *testing.T) (took time.Duration) {
	for range roundOf / benchTokens {
		c.sign(t)
		took += c.bench.judgeAll(t, c.verifier, c.tokens)
	}
	return took / roundOf
}

func (s *bench) judgeAll(t *testing.T, v *verifier.Verifier, tokens [][]byte) time.Duration {
	start := processorTime(t)
	for _, token := range tokens {
		s.judge(t, v, token)
	}
	return processorTime(t) - start
}

// processorTime is what this process has taken, in user and in system mode.
func processorTime(t *testing.T) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
