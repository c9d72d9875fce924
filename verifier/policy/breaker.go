package policy

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"imei-attest/verifier"
)

// Breaker tells when a policy denies too many: that is more likely a fault of ours, or an attack, than a network of bad
// devices. It is safe for use by many goroutines.
//
// It trips when the share of denials in the window reaches the limit. It recovers when that is below the limit again, and
// nothing from before it tripped is in the window. The window moves by a sixtieth of its length at a time.
type Breaker struct {
	millionths, minimum int64
	within, width       time.Duration // of the window, and of a bucket

	mu      sync.Mutex
	start   time.Time // of bucket 0
	current int64     // the number of the latest bucket
	buckets [bucketCount]tally
	sum     tally // of all buckets
	tripped atomic.Bool
	calm    time.Duration // after start: not before does it recover
}

const (
	bucketCount = 60
	million     = 1_000_000 // shares are counted in whole millionths: 7 of 100 are 7 %
)

// tally counts registrations, and those of them that are denied or would be.
type tally struct{ all, denied int64 }

// NewBreaker returns a breaker that has not tripped.
func NewBreaker(b verifier.Breaker) *Breaker {
	millionths := int64(math.Round(b.Share * million))
	if b.Share > 0 {
		millionths = max(millionths, 1)
	}
	return &Breaker{millionths: millionths, minimum: int64(b.Minimum), within: b.Within, width: max(b.Within/bucketCount, 1)}
}

// Tripped implements verifier.BreakerCounter.
func (b *Breaker) Tripped() bool { return b.tripped.Load() }

// Count takes in a registration, and whether the policy denies it, tripped or not. Changed is true for the one call that found it so.
func (b *Breaker) Count(now time.Time, denied bool) (tripped, changed bool) {
	if b.millionths == 0 {
		return false, false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	at := b.advance(now)
	b.add(denied)
	tripped = b.tripped.Load()
	switch tooMany := b.tooMany(); {
	case tooMany && !tripped:
		b.tripped.Store(true)
		b.calm = at + b.within
		return true, true
	case !tooMany && tripped && at >= b.calm:
		b.tripped.Store(false)
		return false, true
	}
	return tripped, false
}

// advance empties the buckets that the window has left behind, and returns the time since the start. A clock that is set
// back a little counts in the latest bucket; one that is set back by a window or more begins a new one.
func (b *Breaker) advance(now time.Time) time.Duration {
	if b.start.IsZero() {
		b.start = now
	}
	at := now.Sub(b.start)
	ahead := int64(at/b.width) - b.current
	switch {
	case ahead <= -bucketCount:
		b.start, b.current, b.calm = now, 0, b.within
		b.buckets, b.sum = [bucketCount]tally{}, tally{}
		return 0
	case ahead >= bucketCount:
		b.current += ahead
		b.buckets, b.sum = [bucketCount]tally{}, tally{}
	default:
		for ; ahead > 0; ahead-- {
			b.current++
			b.dropOldest()
		}
	}
	return at
}

// dropOldest makes room for the bucket that is now the latest.
func (b *Breaker) dropOldest() {
	oldest := &b.buckets[b.current%bucketCount]
	b.sum.all -= oldest.all
	b.sum.denied -= oldest.denied
	*oldest = tally{}
}

func (b *Breaker) add(denied bool) {
	latest := &b.buckets[b.current%bucketCount]
	latest.all++
	b.sum.all++
	if denied {
		latest.denied++
		b.sum.denied++
	}
}

func (b *Breaker) tooMany() bool {
	return b.sum.all >= b.minimum && b.sum.denied*million >= b.millionths*b.sum.all
}
