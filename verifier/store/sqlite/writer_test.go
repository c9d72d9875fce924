package sqlite

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestABatchWaitsForItsCompany: for who was answered last, and not for long; who comes alone waits for nobody.
func TestABatchWaitsForItsCompany(t *testing.T) {
	for name, c := range map[string]struct {
		company  int
		arriving []time.Duration // after the first
		size     int
		waited   time.Duration
	}{
		"alone":                         {0, nil, 1, 0},
		"alone, as before":              {1, nil, 1, 0},
		"others wait already":           {1, []time.Duration{0, 0, 0}, 4, 0},
		"all come back":                 {3, []time.Duration{100 * time.Microsecond, 200 * time.Microsecond}, 3, 200 * time.Microsecond},
		"one does not come back":        {3, []time.Duration{100 * time.Microsecond}, 2, companyWait},
		"nobody comes back":             {8, nil, 1, companyWait},
		"one comes late":                {2, []time.Duration{2 * companyWait}, 1, companyWait},
		"who comes does not add a wait": {4, []time.Duration{companyWait / 2, companyWait - 1}, 3, companyWait},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &writer{queue: make(chan job, queued), company: c.company}
				for _, after := range c.arriving {
					if after == 0 {
						w.queue <- job{}
						continue
					}
					time.AfterFunc(after, func() { w.queue <- job{} })
				}
				begun := time.Now()
				batch := w.gather(make([]job, 1, maxBatch))
				if waited := time.Since(begun); len(batch) != c.size || waited < c.waited || waited > c.waited+time.Microsecond {
					t.Errorf("%d after %s, want %d after %s", len(batch), waited, c.size, c.waited)
				}
				time.Sleep(10 * companyWait)
			})
		})
	}
}

// TestABatchIsBounded, however many wait.
func TestABatchIsBounded(t *testing.T) {
	w := &writer{queue: make(chan job, queued), company: maxBatch}
	for range queued {
		w.queue <- job{}
	}
	if batch := w.gather(make([]job, 1, maxBatch)); len(batch) != maxBatch {
		t.Errorf("%d", len(batch))
	}
	close(w.queue)
	for len(w.queue) > 0 {
		<-w.queue
	}
	if batch := w.gather(make([]job, 1, maxBatch)); len(batch) != 1 {
		t.Errorf("%d of a queue that is closed", len(batch))
	}
}
