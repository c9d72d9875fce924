package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"runtime"
	"time"

	"imei-attest/verifier"
)

// maxBatch is how many jobs share a transaction, and so a sync of the disk.
const maxBatch = 256

// Under load the first of a batch waits for others, for so long (an idle Go program wakes up to a millisecond late) and up to so many: what a
// larger batch shares is little by then.
const (
	companyWait = 500 * time.Microsecond
	maxCompany  = 32
)

// queued is how many jobs may wait before those who hand one in have to.
const queued = 4 * maxBatch

// job is a piece of work in the transaction of its batch. It may run twice: the first time is then undone.
type job struct {
	run    func(*writer) error
	answer func(error) // once it is on the disk, or cannot be
}

// writer is the one goroutine that writes, and what it alone knows.
type writer struct {
	store *Store
	db    *sql.DB
	conn  *sql.Conn
	statements
	queue chan job
	ended chan error

	company int // how many are likely to hand in: as many as in the last batch, and who came while it was written

	keys   keyIDs
	chain  chain
	forgot int64     // nonces that expired until then may be forgotten
	recent int       // nonces used since some were last looked at
	looked []byte    // the last of those, nil after the last of all
	now    time.Time // of the latest decision
	stale  bool      // what is above may not be what the file says: a transaction failed
}

func newWriter(ctx context.Context, s *Store) (w *writer, err error) {
	w = &writer{store: s, queue: make(chan job, queued), ended: make(chan error, 1), stale: true}
	if w.db, err = connect(s.config.Path, readWrite, writerCacheKiB, 1); err != nil {
		return nil, err
	}
	if w.conn, err = w.db.Conn(ctx); err != nil {
		return nil, errors.Join(fault("opening it", err), w.db.Close())
	}
	w.statements.db = w.conn
	err = migrate(ctx, w.conn, s.config.Program)
	if err == nil {
		err = w.transact([]job{{run: (*writer).enterKeys}})
	}
	if err != nil {
		return nil, errors.Join(err, w.statements.close(), w.conn.Close(), w.db.Close())
	}
	go w.loop()
	return w, nil
}

// loop ends when the queue is closed and empty.
func (w *writer) loop() {
	batch := make([]job, 0, maxBatch)
	for first := range w.queue {
		batch = w.gather(append(batch[:0], first))
		w.commit(batch)
		w.company = min(len(batch)+len(w.queue), maxCompany)
	}
	err := w.transact([]job{{run: (*writer).checkpoint}})
	w.ended <- errors.Join(err, fault("closing it", errors.Join(w.statements.close(), w.conn.Close(), w.db.Close())))
}

// gather takes what waits already, and what is about to: it lets every goroutine that can run have its turn first, while more come of it. A larger
// batch writes fewer pages of the journal for each, and syncs once. Under load it then gives those time who were answered last and come back. Who
// comes alone again and again waits for nobody.
func (w *writer) gather(batch []job) []job {
	batch = w.waiting(batch)
	for n := 0; n < len(batch) && len(batch) < maxCompany; batch = w.waiting(batch) {
		n = len(batch)
		runtime.Gosched()
	}
	if len(batch) >= w.company {
		return batch
	}
	patience := time.NewTimer(companyWait)
	defer patience.Stop()
	for len(batch) < w.company {
		select {
		case next, open := <-w.queue:
			if !open {
				return batch
			}
			batch = append(batch, next)
		case <-patience.C:
			return batch
		}
	}
	return w.waiting(batch)
}

// waiting adds what waits.
func (w *writer) waiting(batch []job) []job {
	for len(batch) < maxBatch {
		select {
		case next, open := <-w.queue:
			if !open {
				return batch
			}
			batch = append(batch, next)
		default:
			return batch
		}
	}
	return batch
}

// commit writes a batch and then answers. If one job of it cannot be done, the others are done alone.
func (w *writer) commit(batch []job) {
	err := w.transact(batch)
	if err != nil && len(batch) > 1 && kindOf(err) == nil {
		for i := range batch {
			answer(batch[i:i+1], w.transact(batch[i:i+1]))
		}
		return
	}
	answer(batch, err)
}

func answer(batch []job, err error) {
	for _, j := range batch {
		j.answer(err)
	}
}

func (w *writer) transact(batch []job) error {
	if began := w.store.config.Began; began != nil {
		ended := began()
		defer func() { ended(len(batch)) }()
	}
	err := w.begin()
	for i := 0; err == nil && i < len(batch); i++ {
		err = batch[i].run(w)
	}
	if err == nil {
		err = w.checkpointIfDue()
	}
	if err == nil {
		_, err = w.exec(`COMMIT`)
	}
	if err != nil {
		_, _ = w.exec(`ROLLBACK`) // there may be no transaction any more: then nothing is left to undo
		w.stale = true
		return fault("writing to it", err)
	}
	return nil
}

// begin starts a transaction. After a failure it learns anew how the file stands: whether a commit that failed is in it, nobody knows.
func (w *writer) begin() error {
	if _, err := w.exec(`BEGIN IMMEDIATE`); err != nil {
		return err
	}
	if !w.stale {
		return nil
	}
	w.forgot, w.recent, w.looked = 0, forgetEach, nil
	for name, into := range map[string]any{"forgot": &w.forgot, "looked": &w.looked} {
		if _, err := w.row(`SELECT value FROM meta WHERE name = ?`, []any{name}, into); err != nil {
			return err
		}
	}
	if err := w.chain.load(&w.statements); err != nil {
		return err
	}
	w.stale = false
	return nil
}

func (w *writer) close() error {
	close(w.queue)
	return <-w.ended
}

// do hands a job in and waits until it is on the disk.
func (s *Store) do(ctx context.Context, run func(*writer) error) error {
	done := make(chan error, 1)
	if err := s.hand(ctx, job{run, func(err error) { done <- err }}); err != nil {
		return err
	}
	return <-done // also when ctx is done: what happens to the job is known soon, and then only
}

func (s *Store) hand(ctx context.Context, j job) error {
	s.closing.RLock()
	defer s.closing.RUnlock()
	if s.closed || s.writer == nil {
		return ErrClosed
	}
	select {
	case s.writer.queue <- j:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// settle waits for notes that are on their way.
func (s *Store) settle(ctx context.Context) error {
	if s.pending.Load() == 0 {
		return nil
	}
	return s.do(ctx, func(*writer) error { return nil })
}

// Note implements verifier.Store. Nobody waits for the disk: it is written with the next decisions. What cannot be written is lost,
// and counted.
func (s *Store) Note(ctx context.Context, n verifier.Note) error {
	record, err := prepareRecord(n.Record)
	if err != nil {
		return err
	}
	mark, view := s.prepareSighting(n.Sighting), s.prepareView(n.View)
	s.unwritten.put(view)
	s.pending.Add(1)
	noted := func(err error) {
		s.unwritten.drop(view)
		s.pending.Add(-1)
		if err != nil {
			s.lost.Add(1)
		}
	}
	err = s.hand(ctx, job{func(w *writer) error { return errors.Join(w.keepRecord(record), w.mark(mark), w.view(view)) }, noted})
	if err != nil {
		s.unwritten.drop(view)
		s.pending.Add(-1)
	}
	return err
}

// LostNotes is how many notes could not be written since the store was opened.
func (s *Store) LostNotes() int64 { return s.lost.Load() }
