package gate

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"testing"
	"time"

	"imei-attest/attest"
)

// benchVariable is the environment variable that asks for TestRatios, as make bench-registration does.
const benchVariable = "IMEI_ATTEST_BENCH_REGISTRATION"

const (
	benchRounds  = 3
	benchDevices = 4000 // each registers with a token and then prolongs
	benchAtOnce  = 64
)

// measured is what one load made of one registrar.
type measured struct {
	perSecond float64
	cpu       time.Duration // of Kamailio, for each message
}

// TestRatios measures a registrar with the gate against the same one without, in one run and in turns.
func TestRatios(t *testing.T) {
	if os.Getenv(benchVariable) != "1" {
		t.Skip("measures for a minute: make bench-registration runs it")
	}
	use(t, "gate: speed against Kamailio alone")
	of := make(map[string][]measured)
	for round := range benchRounds {
		for _, gate := range []bool{false, true} {
			again, fresh := measure(t, fmt.Sprint(round), gate)
			of[fmt.Sprint("again ", gate)] = append(of[fmt.Sprint("again ", gate)], again)
			of[fmt.Sprint("fresh ", gate)] = append(of[fmt.Sprint("fresh ", gate)], fresh)
		}
	}
	fmt.Printf("%-72s %10s  %-9s %s\n", "what, median of 3", "measured", "goal", "met")
	ratio := func(what, kind string, goal float64) {
		r := ofEach(of[kind+" true"], of[kind+" false"], func(gate, plain measured) float64 { return gate.perSecond / plain.perSecond })
		fmt.Printf("%-72s %10.2f  %-9s %v\n", what, r, fmt.Sprintf(">= %.2f", goal), yes(r >= goal))
	}
	ratio("registrations/s with the gate, earlier results, of Kamailio alone", "again", 0.6)
	ratio("registrations/s with the gate, fresh tokens, sqlite FULL, of Kamailio alone", "fresh", 0.35)
	for _, kind := range []string{"again", "fresh"} {
		added := ofEach(of[kind+" true"], of[kind+" false"], func(gate, plain measured) float64 { return float64((gate.cpu - plain.cpu).Microseconds()) })
		fmt.Printf("%-72s %10.0f  %-9s %v\n", "us of Kamailio's processor time more for a message, "+kind, added, "<= 120", yes(added <= 120))
	}
	for _, kind := range []string{"again false", "again true", "fresh false", "fresh true"} {
		for _, m := range of[kind] {
			fmt.Printf("%-12s %8.0f/s  Kamailio %4d us\n", kind, m.perSecond, m.cpu.Microseconds())
		}
	}
}

func yes(met bool) string {
	if met {
		return "yes"
	}
	return "no"
}

// ofEach is the median of something over pairs.
func ofEach(gates, plains []measured, value func(gate, plain measured) float64) float64 {
	var all []float64
	for i := range gates {
		all = append(all, value(gates[i], plains[i]))
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// measure lets devices register with fresh tokens, and prolong their registrations.
func measure(t *testing.T, round string, gate bool) (again, fresh measured) {
	t.Helper()
	crowd := newCrowd(t)
	s := newService(t, crowd, "enforce", nil)
	s.enroll(crowd, benchDevices)
	given := settings{}
	if gate {
		given = gated(s.address, patient)
	}
	p := newProxy(t, given)
	rows := make([]deviceRow, benchDevices)
	each(benchDevices, func(i int) {
		challenge := fmt.Sprint("round", round, "of", i)
		rows[i] = s.show(crowd, i, attest.NonceFrom401(challenge), challenge)
	})
	l := load{rows: texts(rows, nil), atOnce: benchAtOnce, callID: "bench%u", port: freePort(t, "127.0.0.1")}
	l.scenario = "register.xml"
	fresh = s.under(t, p, l, gate)
	l.scenario, l.cseq = "again.xml", 2
	s.under(t, p, l, gate) // so that the answers are there
	l.cseq = 3
	again = s.under(t, p, l, gate)
	s.kill()
	p.stop()
	return again, fresh
}

// under runs a load, all of which must be judged where there is a gate.
func (s *service) under(t *testing.T, p *proxy, l load, gate bool) measured {
	t.Helper()
	asked, before := s.checks(), p.processorTime()
	got := l.run(t, p)
	cpu := p.processorTime() - before
	got.only(t, l.scenario, http.StatusOK)
	if asked = s.checks() - asked; got.codes[http.StatusOK] != len(l.rows) || gate && asked != len(l.rows) {
		t.Errorf("%s: %d of %d are registered, the verifier was asked %d times", l.scenario, got.codes[http.StatusOK], len(l.rows), asked)
	}
	return measured{got.rate(), cpu / time.Duration(len(l.rows))}
}
