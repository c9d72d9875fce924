package gate

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// benchVariable is the environment variable that asks for TestRatios, as make bench-registration does.
const benchVariable = "IMEI_ATTEST_BENCH_REGISTRATION"

const (
	benchPairs   = 9    // of loads without the gate and with it
	benchFresh   = 5    // pairs with fresh tokens
	benchDevices = 4000 // register with a token, prolong, and register with fresh tokens
	benchWarming = 27   // loads before one is measured: each of Kamailio's processes uses each page of its memory once
)

// benchAtOnce are how many register at once. sipp begins new ones every 4 ms only, so that these bound what Kamailio alone is given to do: at
// most 4 000, 8 000 and 16 000 registrations a second.
var benchAtOnce = []int{16, 32, 64}

// measured is what one load made of one registrar.
type measured struct {
	perSecond float64
	cpu       time.Duration // of Kamailio, for each registration
}

// pair is a registrar with the gate, and the same one without, a moment before: the speed of a shared machine drifts.
type pair struct{ plain, gate measured }

// TestRatios measures a registrar with the gate against the same one without, in one run and in turns.
func TestRatios(t *testing.T) {
	if os.Getenv(benchVariable) != "1" {
		t.Skip("measures for some minutes: make bench-registration runs it")
	}
	use(t, "gate: speed against Kamailio alone")
	of := make(map[string][]pair)
	for _, auth := range []string{"Digest", "no authentication"} {
		maps.Copy(of, measure(t, auth))
	}
	kinds := slices.Sorted(maps.Keys(of))
	fmt.Printf("%-106s %8s  %-8s %s\n", "registrar with the gate against the same one without, medians of pairs", "measured", "goal", "met")
	for _, kind := range kinds {
		goal := 0.6
		if strings.HasPrefix(kind, "fresh") {
			goal = 0.35 // on sqlite, which syncs each transaction
		}
		ratio := median(of[kind], func(p pair) float64 { return p.gate.perSecond / p.plain.perSecond })
		fmt.Printf("%-106s %8.2f  >= %.2f  %s\n", "registrations/s, "+kind, ratio, goal, yes(ratio >= goal))
	}
	for _, kind := range kinds {
		added := median(of[kind], func(p pair) float64 { return float64((p.gate.cpu - p.plain.cpu).Microseconds()) })
		fmt.Printf("%-106s %8.0f  <= 120   %s\n", "us of Kamailio's processor time more for a registration, "+kind, added, yes(added <= 120))
	}
	fmt.Println()
	for _, kind := range kinds {
		for _, p := range of[kind] {
			fmt.Printf("%-48s without %6.0f/s and %4d us, with %6.0f/s and %4d us\n", kind, p.plain.perSecond, p.plain.cpu.Microseconds(), p.gate.perSecond, p.gate.cpu.Microseconds())
		}
	}
}

func median(pairs []pair, value func(pair) float64) float64 {
	var all []float64
	for _, p := range pairs {
		all = append(all, value(p))
	}
	slices.Sort(all)
	return all[len(all)/2]
}

func yes(met bool) string {
	if met {
		return "yes"
	}
	return "no"
}

// measure lets devices register and prolong their registrations, then with fresh tokens, at a registrar without the gate and at one with it.
func measure(t *testing.T, auth string) map[string][]pair {
	t.Helper()
	crowd := newCrowd(t)
	s := newService(t, crowd, "enforce", nil)
	s.kill()
	s.configuration = "log: warn\n" // a line for each decision would cost this program time, too
	s.start()
	s.enroll(crowd, benchDevices)
	plain, gate := settings{"WITH_ALL_MEMORY": ""}, gated(s.address, patient)
	gate["WITH_ALL_MEMORY"] = ""
	first, then := "register.xml", "again.xml"
	sign := func(prefix string) []string {
		return texts(s.signForChallenges(crowd, prefix, 0, benchDevices, benchDevices), nil)
	}
	if auth == "Digest" {
		plain["WITH_DIGEST"], gate["WITH_DIGEST"] = "", ""
		first, then = "digest.xml", "digest-again.xml"
		sign = func(string) []string {
			return texts(s.signFor(crowd, 0, benchDevices), func(_ int, r deviceRow) deviceRow { return r.digest() })
		}
	}
	without, with := newProxy(t, plain), newProxy(t, gate)
	l := load{atOnce: slices.Max(benchAtOnce), callID: "bench%u", port: freePort(t), cseq: 1, patience: 2 * time.Minute}
	next := func(scenario string) pair {
		l.scenario = scenario
		l.cseq += 2
		return pair{s.under(t, without, l, false), s.under(t, with, l, true)}
	}
	l.rows = sign("first")
	next(first)
	for range benchWarming {
		next(then)
	}
	of := make(map[string][]pair)
	for _, l.atOnce = range benchAtOnce {
		kind := fmt.Sprintf("%s, %d at once", auth, l.atOnce)
		for range benchPairs {
			of["earlier results, "+kind] = append(of["earlier results, "+kind], next(then))
		}
		for round := range benchFresh {
			l.rows = sign(fmt.Sprint("fresh", l.atOnce, round))
			of["fresh tokens, "+kind] = append(of["fresh tokens, "+kind], next(first))
		}
	}
	s.kill()
	without.stop()
	with.stop()
	return of
}

// under runs a load, all of which must be judged where there is a gate.
func (s *service) under(t *testing.T, p *proxy, l load, gate bool) measured {
	t.Helper()
	asked, before := s.checks(), p.processorTime()
	got := l.run(t, p)
	cpu := p.processorTime() - before
	got.only(t, l.scenario, http.StatusOK, http.StatusUnauthorized)
	if asked = s.checks() - asked; got.codes[http.StatusOK] != len(l.rows) || gate && asked != len(l.rows) {
		t.Errorf("%s: %d of %d are registered, the verifier was asked %d times", l.scenario, got.codes[http.StatusOK], len(l.rows), asked)
	}
	return measured{got.rate(), cpu / time.Duration(len(l.rows))}
}
