package sqlite_test

import (
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/verifier"
	"imei-attest/verifier/store/sqlite"
)

// use is a decision that gives number i of many nonces up, at its own time.
func use(i int, each time.Duration) verifier.Decision {
	digest := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(i)))
	digest[0] = 16 // as all have that one key makes
	now := attesttest.Now.Add(time.Duration(i) * each)
	return verifier.Decision{Presentation: verifier.Presentation{Nonce: digest[:]}, Now: now, Expiry: now.Add(attest.NonceLife)}
}

// TestNoncesAreSweptAsDecisionsComeIn, also where the process ends often, each once it expired long enough ago.
func TestNoncesAreSweptAsDecisionsComeIn(t *testing.T) {
	const decisions, each = 20_000, 4 * time.Second
	const alive, forgetLook = int64((attest.NonceLife + time.Hour) / each), 256
	for name, c := range map[string]struct {
		life int   // in decisions
		most int64 // of the nonces that are kept, for each that counts
	}{"one process": {decisions, 2}, "many": {100, 2}} {
		t.Run(name, func(t *testing.T) {
			file := config(t)
			var s *sqlite.Store
			for from := 0; from < decisions; from += c.life {
				if s != nil {
					closeStore(t, s)
				}
				s = open(t, file)
				atOnce(from, from+c.life, func(i int) {
					if done, err := s.Commit(ctx, use(i, each)); err != nil || done.Closed || done.Conflict || done.Repeat || done.Replay {
						t.Errorf("decision %d: %+v, %v", i, done, err)
					}
				})
			}
			if kept, _ := nonces(t, s); kept < alive || kept > c.most*alive+forgetLook {
				t.Errorf("%d nonces are kept, of which %d count: want at most %d times as many", kept, alive, c.most)
			}
			now := attesttest.Now.Add(decisions * each)
			if _, err := s.Sweep(ctx, now); err != nil {
				t.Fatal(err)
			}
			if kept, oldest := nonces(t, s); kept > alive || kept < alive-1 || !oldest.Add(time.Hour).After(now) {
				t.Errorf("after a sweep %d nonces are kept, the oldest expired %v; want the %d that expired within the last hour, or did not", kept, oldest, alive)
			}
			closeStore(t, s)
			s = open(t, file)
			if done := commit(t, s, use(1, each)); !done.Closed {
				t.Errorf("the clock was set back, and the process began anew: %+v, want closed", done)
			}
		})
	}
}

// atOnce does something for some numbers, many at a time.
func atOnce(from, to int, do func(int)) {
	const most = 64
	var all sync.WaitGroup
	var next atomic.Int64
	next.Store(int64(from))
	for range most {
		all.Go(func() {
			for i := next.Add(1) - 1; i < int64(to); i = next.Add(1) - 1 {
				do(int(i))
			}
		})
	}
	all.Wait()
}

// nonces tells how many used nonces are kept, and when the first of them expired.
func nonces(t *testing.T, s *sqlite.Store) (rows int64, oldest time.Time) {
	t.Helper()
	stats, err := s.Stats(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range stats.Tables {
		if table.Name == "nonces" {
			return table.Rows, table.Oldest
		}
	}
	t.Fatalf("no table of nonces in %+v", stats)
	return 0, time.Time{}
}
