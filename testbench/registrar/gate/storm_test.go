package gate

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"imei-attest/attest"
	"imei-attest/verifier/bench"
)

// crowdedBy is how many devices a load has; each registers several times, with a token for a challenge of its own each time.
const crowdedBy = 500

// signForChallenges lets devices sign in turns for challenges of the registrar's stub. The evidence of each row is new.
func (s *service) signForChallenges(crowd *bench.Crowd, prefix string, from, devices, rows int) []deviceRow {
	s.t.Helper()
	all := make([]deviceRow, rows)
	each(rows, func(i int) {
		challenge := fmt.Sprintf("%s%08d", prefix, i)
		all[i] = s.show(crowd, from+i%devices, attest.NonceFrom401(challenge), challenge)
	})
	return all
}

// capacity is how many fresh tokens a second the registrar takes from a load that waits for its answers.
func (s *service) capacity(t *testing.T, p *proxy, crowd *bench.Crowd) float64 {
	t.Helper()
	const registrations = 2000
	got := load{scenario: "register.xml", rows: texts(s.signForChallenges(crowd, "capacity", 0, crowdedBy, registrations), nil), atOnce: 20}.run(t, p)
	got.only(t, "capacity", http.StatusOK, http.StatusServiceUnavailable)
	return got.rate()
}

// TestStorm sends twice what the registrar and the verifier can take, and does not wait for answers. What cannot be judged in time is told
// to come later; no verdict is another than it would be without a storm.
func TestStorm(t *testing.T) {
	row := use(t, "A3 storm")
	seconds := many(8, 60)
	crowd := newCrowd(t)
	s := newService(t, crowd, "enforce", withoutBreaker)
	s.enroll(crowd, 2*crowdedBy+1)
	p := newProxy(t, gated(s.address, settings{"IMEI_GATE_MODE": "deny"}))
	capacity := s.capacity(t, p, crowd)
	const oneIn = 10 // is bad
	bad := int(2*capacity) / oneIn
	good := int(2*capacity) - bad
	goodRows := s.signForChallenges(crowd, "good", 0, crowdedBy, good*seconds)
	badRows := s.signForChallenges(crowd, "bad", crowdedBy, crowdedBy, bad*seconds)
	stranger := s.show(crowd, 2*crowdedBy+1, attest.NonceFrom401("x"), "x")

	var ofGood, ofBad tally
	var storm sync.WaitGroup
	begun := time.Now()
	storm.Go(func() {
		ofGood = load{scenario: "register.xml", rows: texts(goodRows, nil), rate: good, atOnce: len(goodRows), patience: 3 * time.Minute}.run(t, p)
	})
	storm.Go(func() {
		spoof := func(_ int, r deviceRow) deviceRow { return r.spoofing(stranger) }
		ofBad = load{scenario: "register.xml", rows: texts(badRows, spoof), rate: bad, atOnce: len(badRows), patience: 3 * time.Minute}.run(t, p)
	})
	time.Sleep(time.Until(begun.Add(time.Duration(seconds) * time.Second)))
	recovery := s.recovery(t, p, crowd)
	storm.Wait()

	ofGood.only(t, "good tokens", http.StatusOK, http.StatusServiceUnavailable)
	ofBad.only(t, "tampered instance-ids", http.StatusForbidden, http.StatusServiceUnavailable)
	if replays := s.count("imeiatt_reasons_total", `"nonce-reused"`); replays != 0 {
		t.Errorf("%d registrations are taken for replays", replays)
	}
	if recovery > 5*time.Second {
		t.Errorf("a registration is judged again %v after the storm, want 5 s", recovery)
	}
	row.Asserted = fmt.Sprintf("A3 storm, 2 x %.0f/s for %d s: good %s; bad %s; sent again %d; no replays; judged again after %.1f s",
		capacity, seconds, ofGood.codesText(), ofBad.codesText(), ofGood.again+ofBad.again, recovery.Seconds())
}

// recovery is how long it takes until a registration gets a verdict.
func (s *service) recovery(t *testing.T, p *proxy, crowd *bench.Crowd) time.Duration {
	t.Helper()
	begun := time.Now()
	const tries = 100
	for i := range tries {
		u := newUE(t, p, "127.0.0.1")
		challenge := fmt.Sprintf("recovery%d", i)
		q := u.register(s.show(crowd, 2*crowdedBy, attest.NonceFrom401(challenge), challenge))
		if r, err := u.try(q.text(), 500*time.Millisecond); err == nil && r.code == http.StatusOK {
			return time.Since(begun)
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Errorf("no registration is judged after %v", time.Since(begun))
	return time.Since(begun)
}

// only allows some codes, and calls that nobody answered.
func (got tally) only(t *testing.T, of string, allowed ...int) {
	t.Helper()
	others := 0
	for code, n := range got.codes {
		others += n
		for _, a := range allowed {
			if code == a {
				others -= n
			}
		}
	}
	if others > 0 || got.codes[allowed[0]] == 0 {
		t.Errorf("%s: %v, want some %d, and else only %v\n%s", of, got.codes, allowed[0], allowed, got.report)
	}
}

func (got tally) codesText() string {
	text := ""
	for _, code := range []int{200, 403, 503} {
		if n := got.codes[code]; n > 0 {
			text += fmt.Sprintf("%d x %d ", n, code)
		}
	}
	return fmt.Sprintf("%sunanswered %d", text, got.failed)
}
