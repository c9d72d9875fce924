package policy_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"imei-attest/verifier"
	"imei-attest/verifier/policy"
)

// count hands in registrations at one time, the denied ones last, and returns how the breaker stands then.
func count(b *policy.Breaker, at time.Time, all, denied int) (tripped bool, changes int) {
	for i := range all {
		var changed bool
		if tripped, changed = b.Count(at, i >= all-denied); changed {
			changes++
		}
	}
	return tripped, changes
}

func TestTheBreakerTripsAtItsLimit(t *testing.T) {
	for _, c := range []struct {
		name        string
		share       float64
		minimum     int
		all, denied int
		want        bool
	}{
		{"nobody denied", 0.05, 100, 1000, 0, false},
		{"one below the share", 0.05, 100, 100, 4, false},
		{"at the share", 0.05, 100, 100, 5, true},
		{"a share that binary fractions miss", 0.07, 100, 100, 7, true},
		{"below the minimum", 0.05, 100, 99, 99, false},
		{"all denied, and all allowed to be but one", 1, 100, 100, 99, false},
		{"all denied", 1, 100, 100, 100, true},
		{"the first registration", 1, 1, 1, 1, true},
		{"a share too small to write", 1e-9, 1, 1_000_000, 1, true},
		{"no breaker", 0, 0, 1000, 1000, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := policy.NewBreaker(verifier.Breaker{Share: c.share, Within: 10 * time.Minute, Minimum: c.minimum})
			got, changes := count(b, now, c.all, c.denied)
			if got != c.want || changes > 1 || got != (changes == 1) {
				t.Errorf("tripped %v with %d changes, want %v", got, changes, c.want)
			}
		})
	}
}

// step is so long after the one before, and what is counted then.
type step struct {
	after       time.Duration
	all, denied int
	want        bool // tripped afterwards
}

func TestTheBreakerOverTime(t *testing.T) {
	const m = time.Minute
	for _, c := range []struct {
		name  string
		steps []step
	}{
		{"a burst trips it at once", []step{{0, 95, 0, false}, {time.Second, 5, 5, true}}},
		{"denials that are spread thin do not", []step{{0, 50, 4, false}, {11 * m, 60, 4, false}, {11 * m, 60, 4, false}}},
		{"denials of two halves of the window add up", []step{{0, 60, 3, false}, {9 * m, 60, 3, true}}},
		{"it does not recover before a whole window has passed", []step{{0, 100, 100, true}, {5 * m, 10000, 0, true}, {4*m + 59*time.Second, 1, 0, true}, {time.Second, 1, 0, false}}},
		{"it does not recover while the share is too high", []step{{0, 100, 100, true}, {6 * m, 100, 50, true}, {6 * m, 100, 4, true}, {5 * m, 1, 0, false}}},
		{"it recovers at one below the share", []step{{0, 100, 100, true}, {11 * m, 100, 4, false}}},
		{"it trips again", []step{{0, 100, 100, true}, {11 * m, 100, 4, false}, {time.Second, 5, 5, true}}},
		{"it recovers in a quiet night", []step{{0, 100, 100, true}, {8 * time.Hour, 1, 1, false}}},
		{"a clock set back a little counts on", []step{{0, 99, 99, false}, {-m, 1, 0, true}}},
		{"a clock set back far begins anew", []step{{0, 99, 99, false}, {-24 * time.Hour, 1, 1, false}, {m, 99, 0, false}}},
		{"a clock set back far while tripped takes a window", []step{{0, 100, 100, true}, {-24 * time.Hour, 100, 0, true}, {9 * m, 1, 0, true}, {m, 1, 0, false}}},
		{"a clock a year ahead, mended", []step{{0, 100, 1, false}, {8760 * time.Hour, 1, 1, false}, {-8760 * time.Hour, 99, 4, false}, {time.Second, 1, 1, true}, {11 * m, 1, 0, false}}},
		{"a clock beyond all durations", []step{{0, 1, 0, false}, {1<<63 - 1, 1, 0, false}, {-1 << 63, 100, 100, true}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := policy.NewBreaker(verifier.Breaker{Share: 0.05, Within: 10 * m, Minimum: 100})
			at, before := now, false
			for i, s := range c.steps {
				at = at.Add(s.after)
				got, changes := count(b, at, s.all, s.denied)
				if got != s.want || (changes%2 == 1) != (got != before) {
					t.Fatalf("step %d: tripped %v after %d changes, want %v", i+1, got, changes, s.want)
				}
				before = got
			}
		})
	}
}

func TestTheBreakerInManyGoroutines(t *testing.T) {
	b := policy.NewBreaker(verifier.Breaker{Share: 0.5, Within: time.Minute, Minimum: 1000})
	var changes atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range 1000 {
				if _, changed := b.Count(now.Add(time.Duration(i)*time.Millisecond), true); changed {
					changes.Add(1)
				}
			}
		})
	}
	all.Wait()
	if got := changes.Load(); got != 1 {
		t.Errorf("changed %d times, want once", got)
	}
}

func BenchmarkBreaker(b *testing.B) {
	breaker := policy.NewBreaker(verifier.Breaker{Share: 0.05, Within: 10 * time.Minute, Minimum: 100})
	at := now
	b.ReportAllocs()
	for b.Loop() {
		at = at.Add(50 * time.Microsecond)
		breaker.Count(at, false)
	}
}
