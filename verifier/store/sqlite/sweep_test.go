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

// TestNoncesAreSweptAsDecisionsComeIn, each once it expired long enough ago, and the table does not grow for ever.
func TestNoncesAreSweptAsDecisionsComeIn(t *testing.T) {
	s := open(t, config(t))
	const decisions, each = 20_000, 4 * time.Second
	var all sync.WaitGroup
	var next atomic.Int64
	for range 64 {
		all.Go(func() {
			for i := next.Add(1); i <= decisions; i = next.Add(1) {
				d := verifier.Decision{Now: attesttest.Now.Add(time.Duration(i) * each)}
				d.Expiry = d.Now.Add(attest.NonceLife)
				digest := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(i)))
				d.Presentation.Nonce = digest[:]
				if done, err := s.Commit(ctx, d); err != nil || done.Closed || done.Conflict || done.Repeat || done.Replay {
					t.Errorf("decision %d: %+v, %v", i, done, err)
				}
			}
		})
	}
	all.Wait()
	alive := int64((attest.NonceLife + time.Hour) / each)
	if kept, _ := nonces(t, s); kept < alive || kept > 2*alive+256 {
		t.Errorf("%d nonces are kept, of which %d count: want at most twice as many", kept, alive)
	}
	now := attesttest.Now.Add(decisions * each)
	if _, err := s.Sweep(ctx, now); err != nil {
		t.Fatal(err)
	}
	if kept, oldest := nonces(t, s); kept != alive || !oldest.Add(time.Hour).After(now) {
		t.Errorf("after a sweep %d nonces are kept, the oldest expired %v; want the %d that expired within the last hour, or did not", kept, oldest, alive)
	}
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
