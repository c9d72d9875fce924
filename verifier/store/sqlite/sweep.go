package sqlite

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"imei-attest/verifier"
)

// Retention is how long things are kept after they were last seen. Zero takes the default.
type Retention struct {
	Records     time.Duration // recorded decisions; they also answer retransmissions and re-registrations, so at least 24 hours
	Subscribers time.Duration // pseudonyms of subscribers: sightings, days, earlier answers
	Audit       time.Duration // entries of the audit chain, up to a signed checkpoint
}

// The defaults. Subscribers: six months, as national registers of devices keep them.
const (
	DefaultKeepRecords     = 90 * day
	DefaultKeepSubscribers = 183 * day
	DefaultKeepAudit       = 366 * day
	day                    = 24 * time.Hour
)

// LeastKeep is the shortest that anything is kept: retransmissions and re-registrations rest on it. What is set shorter is kept so long.
const LeastKeep = day

func (r Retention) orDefault() Retention {
	or := func(d, fallback time.Duration) time.Duration {
		if d <= 0 {
			return fallback
		}
		return max(d, LeastKeep)
	}
	return Retention{or(r.Records, DefaultKeepRecords), or(r.Subscribers, DefaultKeepSubscribers), or(r.Audit, DefaultKeepAudit)}
}

// Nonces are swept while decisions come in: after so many decisions, so many nonces are looked at, in the order of the table, and those of
// them that expired are dropped. They lie side by side, so that few pages change. Twice as many are looked at as came in: while as many come in
// as expire, the table has at most as many that expired as that did not.
const (
	forgetEach = 128
	forgetLook = 2 * forgetEach
	// forgetAfter is how long a used nonce is kept beyond its expiry, so that a clock which is set right within that time makes none
	// good again.
	forgetAfter = time.Hour
)

// forget drops nonces that expired: their evidence is refused as expired before it gets here. If the clock comes back from further
// than forgetAfter, those that may have been forgotten are refused too.
func (w *writer) forget() (err error) {
	if w.recent++; w.recent < forgetEach {
		return nil
	}
	w.recent = 0
	if w.looked, _, err = w.dropNonces(w.looked, forgetLook, w.now.Add(-forgetAfter).UnixNano()); err != nil {
		return err
	}
	return w.setMeta("looked", append([]byte{}, w.looked...)) // or the last ones would never be looked at where the process ends often
}

// dropNonces looks at so many nonces after one, and drops those that expired until a time. It returns the last that it looked at, or nil
// where it came to the end.
func (w *writer) dropNonces(after []byte, most int, until int64) (last []byte, gone int64, err error) {
	after = append([]byte{}, after...) // nil would be NULL
	var looked int
	_, err = w.row(`SELECT count(*), max(nonce) FROM (SELECT nonce FROM nonces WHERE nonce > ? ORDER BY nonce LIMIT ?)`, []any{after, most}, &looked, &last)
	if err != nil || looked == 0 {
		return nil, 0, err
	}
	if gone, err = w.exec(`DELETE FROM nonces WHERE nonce > ? AND nonce <= ? AND expiry <= ?`, after, last, until); err != nil {
		return nil, 0, err
	}
	if looked < most {
		last = nil
	}
	if gone == 0 || until <= w.forgot {
		return last, gone, nil
	}
	w.forgot = until
	return last, gone, w.setMeta("forgot", until)
}

// Sweeping is what a sweep removed.
type Sweeping struct {
	Nonces      int64 `json:"nonces"`
	Records     int64 `json:"records"`
	Days        int64 `json:"days"`
	Priors      int64 `json:"priors"`
	Claims      int64 `json:"claims"`
	Views       int64 `json:"views"`
	Sightings   int64 `json:"sightings"`
	Audit       int64 `json:"audit"`
	Checkpoints int64 `json:"checkpoints"`
}

// broom removes rows of one kind, a handful at a time, so that no decision waits long.
type broom struct {
	count *int64
	text  string
	until int64
}

// Sweep removes what was kept long enough, and enters it in the audit chain. It may run while decisions come in.
func (s *Store) Sweep(ctx context.Context, now time.Time) (done Sweeping, err error) {
	keep := s.config.Keep.orDefault()
	ago := func(d time.Duration) int64 { return now.Add(-d).UnixNano() }
	oldest := now.Add(-keep.Subscribers)
	if err := s.sweepNonces(ctx, ago(forgetAfter), &done.Nonces); err != nil {
		return done, err
	}
	records := broom{&done.Records, `DELETE FROM records WHERE id IN (SELECT id FROM records WHERE at <= ?1 LIMIT ?2)`, ago(keep.Records)}
	if err := s.sweep(ctx, records); err != nil {
		return done, err
	}
	for _, b := range []broom{
		{&done.Days, `DELETE FROM days WHERE month < ?1 AND device >= ?2 AND device < ?3`, int64(monthNumber(oldest.UTC().Year(), oldest.UTC().Month()))},
		{&done.Priors, `DELETE FROM priors WHERE at <= ?1 AND device >= ?2 AND device < ?3`, ago(min(keep.Records, keep.Subscribers))},
		{&done.Claims, `DELETE FROM claims WHERE at <= ?1 AND device >= ?2 AND device < ?3`, ago(LeastKeep)}, // none serves longer
		{&done.Views, `DELETE FROM views WHERE at <= ?1 AND subscriber >= ?2 AND subscriber < ?3`, ago(LeastKeep)},
		{&done.Sightings, `DELETE FROM sightings WHERE at <= ?1 AND device >= ?2 AND device < ?3`, ago(keep.Subscribers)},
	} {
		if err := s.sweepDevices(ctx, b); err != nil {
			return done, err
		}
	}
	if err := s.sweepAudit(ctx, now, ago(keep.Audit), &done); err != nil || done == (Sweeping{}) {
		return done, err
	}
	return done, s.Audit(ctx, Event{At: now, Kind: Swept, Text: fmt.Sprintf("%+v", done)})
}

func (s *Store) sweep(ctx context.Context, b broom) error {
	const handful = 500
	for removed := int64(handful); removed == handful; *b.count += removed {
		err := s.do(ctx, func(w *writer) (err error) {
			removed, err = w.exec(b.text, b.until, handful)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// sweepDevices looks through a table that has no index by time. It goes by the name of the device or subscriber, some hundred rows at a time: decisions
// come in between, however many devices there are.
func (s *Store) sweepDevices(ctx context.Context, b broom) error {
	const pagesEach, most = 256, 1 << 16 // of the whole file
	var pages int
	if _, err := s.reads.row(`SELECT page_count FROM pragma_page_count`, nil, &pages); err != nil {
		return fault("counting its pages", err)
	}
	bounds := split(min(1+pages/pagesEach, most))
	for i := range len(bounds) - 1 {
		var gone int64
		err := s.do(ctx, func(w *writer) (err error) {
			gone, err = w.exec(b.text, b.until, bounds[i], bounds[i+1])
			return err
		})
		if err != nil {
			return err
		}
		*b.count += gone
	}
	return nil
}

// split divides all names, which are evenly spread, into n ranges, and returns their bounds: the first of each, and one above all.
func split(n int) (bounds [][]byte) {
	for i := range n {
		bounds = append(bounds, binary.BigEndian.AppendUint32(nil, uint32(uint64(i)<<32/uint64(n))))
	}
	above := bytes.Repeat([]byte{math.MaxUint8}, len(verifier.Pseudonym{})+1)
	return append(bounds, above)
}

// sweepNonces looks through all nonces, some at a time: decisions come in between.
func (s *Store) sweepNonces(ctx context.Context, until int64, count *int64) error {
	const each = 2048
	var last []byte
	for more := true; more; more = last != nil {
		after, gone := last, int64(0)
		err := s.do(ctx, func(w *writer) (err error) {
			last, gone, err = w.dropNonces(after, each, until)
			return err
		})
		if err != nil {
			return err
		}
		*count += gone
	}
	return nil
}

// sweptUpTo is the text of the event without which missing entries are no sweep.
const sweptUpTo = "entries of the audit chain up to %d"

// sweepAudit removes entries up to the last checkpoint before a time: it stays, and tells the hash that the rest begins from. The
// chain says so first.
func (s *Store) sweepAudit(ctx context.Context, now time.Time, until int64, done *Sweeping) error {
	var last int64
	_, err := s.reads.row(`SELECT coalesce(max(c.seq), 0) FROM checkpoints c JOIN audit a ON a.seq = c.seq WHERE a.at <= ?`, []any{until}, &last)
	if err != nil || last == 0 {
		return fault("reading checkpoints", err)
	}
	if err := s.Audit(ctx, Event{At: now, Kind: Swept, Text: fmt.Sprintf(sweptUpTo, last)}); err != nil {
		return err
	}
	for _, b := range []broom{
		{&done.Audit, `DELETE FROM audit WHERE seq IN (SELECT seq FROM audit WHERE seq <= ?1 ORDER BY seq LIMIT ?2)`, last},
		{&done.Checkpoints, `DELETE FROM checkpoints WHERE seq IN (SELECT seq FROM checkpoints WHERE seq < ?1 ORDER BY seq LIMIT ?2)`, last},
	} {
		if err := s.sweep(ctx, b); err != nil {
			return err
		}
	}
	return nil
}
