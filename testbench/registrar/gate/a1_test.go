package gate

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
)

// gated are the settings of a registrar with the gate, which asks a verifier.
func gated(address string, more settings) settings {
	all := settings{"WITH_GATE": "", "IMEI_GATE_URL": "http://" + address}
	maps.Copy(all, more)
	return all
}

// patient is for tests of many registrations at once on a busy machine: what comes late is asked about all the same, and answers may take long.
var patient = settings{"IMEI_GATE_PATIENCE": "60000", "IMEI_GATE_WAITING": "10000", "IMEI_GATE_TIMEOUT": "20"}

func byTransport(t *testing.T, try func(t *testing.T, transport string, tcp bool)) {
	for _, tcp := range []bool{false, true} {
		transport := "UDP"
		if tcp {
			transport = "TCP"
		}
		t.Run(transport, func(t *testing.T) { try(t, transport, tcp) })
	}
}

// want compares what came of all calls with one expectation.
func (got tally) want(t *testing.T, codes map[int]int) {
	t.Helper()
	if !maps.Equal(got.codes, codes) || got.failed != 0 {
		t.Errorf("got %v and %d failed, want %v\n%s", got.codes, got.failed, codes, got.report)
	}
}

// TestGoodTokens: each device answers the registrar's challenge by Digest and shows evidence for a nonce of the verifier.
func TestGoodTokens(t *testing.T) {
	n := 1000
	byTransport(t, func(t *testing.T, transport string, tcp bool) {
		row := use(t, "A1 gate: good tokens")
		crowd := newCrowd(t)
		s := newService(t, crowd, "enforce", nil)
		s.enroll(crowd, n)
		given := gated(s.address, patient)
		given["WITH_DIGEST"] = ""
		p := newProxy(t, given)
		rows := s.signFor(crowd, 0, n)
		got := load{scenario: "digest.xml", tcp: tcp, rows: texts(rows, func(_ int, r deviceRow) deviceRow { return r.digest() })}.run(t, p)
		got.want(t, map[int]int{http.StatusUnauthorized: n, http.StatusOK: n})
		if asked, kept := s.checks(), p.bindings(); asked != n || kept != n {
			t.Errorf("the verifier was asked %d times and %d bindings are kept, want %d of both", asked, kept, n)
		}
		row.Asserted = fmt.Sprintf("A1 gate, enforce.yaml, %s: %d good tokens, %d x 200, %.0f a second", transport, n, got.codes[http.StatusOK], got.rate())
	})
}

func (got tally) rate() float64 {
	return float64(got.codes[http.StatusOK]+got.codes[http.StatusForbidden]) / got.took.Seconds()
}

// TestSpoofedInstanceIDs: each device shows the IMEI of its neighbour. The breaker of the policy is out: it takes so many for a mistake.
func TestSpoofedInstanceIDs(t *testing.T) {
	n := 1000
	byTransport(t, func(t *testing.T, transport string, tcp bool) {
		row := use(t, "A1 gate: tampered instance-ids")
		crowd := newCrowd(t)
		s := newService(t, crowd, "enforce", withoutBreaker)
		s.enroll(crowd, n)
		p := newProxy(t, gated(s.address, patient))
		rows := s.signFor(crowd, 0, n)
		spoof := func(i int, r deviceRow) deviceRow { return r.spoofing(rows[(i+1)%n]) }
		got := load{scenario: "register.xml", tcp: tcp, rows: texts(rows, spoof)}.run(t, p)
		got.want(t, map[int]int{http.StatusForbidden: n})
		if kept := p.bindings(); kept != 0 {
			t.Errorf("%d bindings are kept", kept)
		}
		row.Asserted = fmt.Sprintf("A1 gate, enforce.yaml, %s: %d tampered instance-ids, %d x 403", transport, n, got.codes[http.StatusForbidden])
	})
}

// TestPolicyBreaker: under enforce.yaml as it is shipped so many bad devices are taken for a mistake, and let in with labels.
func TestPolicyBreaker(t *testing.T) {
	row := use(t, "A1 gate: the policy's breaker")
	const n, minimum = 300, 100 // as enforce.yaml has it
	crowd := newCrowd(t)
	s := newService(t, crowd, "enforce", nil)
	s.enroll(crowd, n)
	p := newProxy(t, gated(s.address, patient))
	rows := s.signFor(crowd, 0, n)
	got := load{scenario: "register.xml", atOnce: 1, rows: texts(rows, func(i int, r deviceRow) deviceRow { return r.spoofing(rows[(i+1)%n]) })}.run(t, p)
	got.want(t, map[int]int{http.StatusForbidden: minimum, http.StatusOK: n - minimum})
	row.Asserted = fmt.Sprintf("A1 gate, enforce.yaml and its breaker: of %d tampered instance-ids %d x 403, then %d x 200 with labels", n, got.codes[403], got.codes[200])
}

// TestEachGetsItsOwnVerdict: good tokens, tampered instance-ids and what the verifier cannot read, side by side in the same questions.
func TestEachGetsItsOwnVerdict(t *testing.T) {
	row := use(t, "A1 gate: many in one question")
	const n, kinds = 300, 3
	crowd := newCrowd(t)
	s := newService(t, crowd, "enforce", withoutBreaker)
	s.enroll(crowd, n)
	p := newProxy(t, gated(s.address, patient))
	rows := s.signFor(crowd, 0, n)
	mix := func(i int, r deviceRow) deviceRow {
		switch i % kinds {
		case 1:
			return r.spoofing(rows[(i+1)%n])
		case 2:
			r.authorization += `, opaque="\\"`
		}
		return r
	}
	got := load{scenario: "register.xml", atOnce: n, rows: texts(rows, mix)}.run(t, p)
	got.want(t, map[int]int{http.StatusOK: n / kinds, http.StatusForbidden: n / kinds, http.StatusBadRequest: n / kinds})
	var kept any
	if err := p.rpc("ul.dump", &kept); err != nil {
		t.Fatal(err)
	}
	all := fmt.Sprint(kept)
	for i, r := range rows {
		if user, _, _ := strings.Cut(r.impi, "@"); strings.Contains(all, user) != (i%kinds == 0) {
			t.Errorf("registration %d is kept: %v", i, i%kinds != 0)
		}
	}
	questions := s.count("imeiatt_http_batch_size_count")
	if asked := s.checks(); asked != n || questions > n/2 {
		t.Errorf("the verifier was asked about %d of %d, in %d questions", asked, n, questions)
	}
	row.Asserted = fmt.Sprintf("A1 gate: %d good, tampered and unreadable in turns, %d questions: each gets its own verdict", n, questions)
}
