// Package sqlite keeps what a verifier knows in one file, so that it outlives the process. Start with [Open].
//
// What [Store.Commit] has answered is on the disk: the journal is synced before (WAL, synchronous=FULL). One goroutine writes. It
// takes all decisions that wait, at most 256, into one transaction, so that under load they share the cost of a sync. Where several came
// before, it waits about a millisecond for them to come again; decisions that come one by one wait for nobody. Readers have connections of their own and see what was answered.
//
// The file names nobody. IMEIs and subscribers are in it as pseudonyms, under two keys that are not in it. Credentials, which
// hold IMEIs, are sealed under a key that follows from the first, and what devices name subscribers by under one that follows from the second. While a key is exchanged, what is found under the former one is
// written anew under the current one when it is next seen.
//
// Each decision, and each [Event] that the operator should be able to account for, is a link of a chain of hashes: see [Store.Verify].
//
// One process writes: a second one is refused and told who has the file. Others may read meanwhile, with Config.ReadOnly.
//
// The errors that a service can act on are [ErrFull], [ErrReadOnly], [ErrDisk], [ErrCorrupt], [ErrBusy] and [*LockedError]; after each
// of the first five the store tries again with the next decision, so that it recovers by itself once the cause is gone. Nothing of a
// batch that failed is kept.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	_ "modernc.org/sqlite" // the driver

	"imei-attest/attest"
	"imei-attest/verifier"
)

// Config says where the store is and what it needs.
type Config struct {
	// Path of the file. Others appear beside it: -wal and -shm, which belong to it, and .lock.
	Path string
	// Devices and Subscribers are the keys of the pseudonyms of IMEIs and of subscribers.
	Devices, Subscribers verifier.PseudonymKeys
	// Signer signs the checkpoints of the audit chain with the verifier's key, whose id is KeyID; nil signs none.
	Signer attest.Signer
	KeyID  attest.KeyID
	// Keep is how long things are kept.
	Keep Retention
	// ReadOnly opens a store beside the process that writes to it. All methods that write fail.
	ReadOnly bool
	// Began, if not nil, is told when a transaction begins, and the function it returns how many decisions and events were in it.
	Began func() (ended func(jobs int))
	// Program names the writing program and its version, for the audit chain and for whoever is refused meanwhile.
	Program string
}

// Sizes of page caches in KiB: what one connection may hold of the file in memory.
const (
	writerCacheKiB = 8 << 10
	readerCacheKiB = 4 << 10
)

// journalPages is how many pages of 4 KiB the journal may have before they are written to their places in the file.
const journalPages = 8000

// busyWait is how long a statement waits for a program that has the file locked, such as a database shell, in milliseconds.
const busyWait = 2000

// Store is a store in a file. It is safe for use by many goroutines.
type Store struct {
	config Config
	names  *verifier.Pseudonyms
	seals  *seals // of Credentials
	claims *seals // of the subscribers that devices named
	lock   *lock  // nil when read-only
	db     *sql.DB
	reads  statements
	writer *writer

	closing sync.RWMutex // held by whoever hands a job in
	closed  bool
	pending atomic.Int64 // notes on their way
	lost    atomic.Int64 // notes that could not be written

	unwritten unwritten
}

var _ verifier.Store = (*Store)(nil)

// Open opens the store, making it if there is none, and brings an older one to this program's form. The error is [ErrNewer] for the
// file of a newer program, a [*LockedError], [ErrKeys], or one of the package's other errors.
func Open(ctx context.Context, c Config) (*Store, error) {
	s := &Store{config: c}
	var err error
	if s.names, err = verifier.NewPseudonyms(c.Devices, c.Subscribers); err != nil {
		return nil, err
	}
	if s.seals, err = newSeals(c.Devices, forCredentials); err != nil {
		return nil, err
	}
	if s.claims, err = newSeals(c.Subscribers, forClaims); err != nil {
		return nil, err
	}
	if !c.ReadOnly {
		if s.lock, err = acquire(c.Path+".lock", c.Program); err != nil {
			return nil, err
		}
	}
	if err = s.open(ctx); err != nil {
		return nil, errors.Join(err, s.release())
	}
	return s, nil
}

func (s *Store) open(ctx context.Context) (err error) {
	how := readWrite
	if s.config.ReadOnly {
		how = readOnly
		if _, err := os.Stat(s.config.Path); err != nil {
			return fmt.Errorf("store: %w", err)
		}
	} else if err := private(s.config.Path); err != nil {
		return err
	}
	if s.db, err = connect(s.config.Path, how, readerCacheKiB, max(4, 2*runtime.GOMAXPROCS(0))); err != nil {
		return err
	}
	s.reads.db = s.db
	if s.config.ReadOnly {
		return s.checkReadable(ctx)
	}
	s.writer, err = newWriter(ctx, s)
	return err
}

// private makes the file, if it is missing, so that only its owner can read it; its journal gets the same mode.
func private(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return f.Close()
}

// How a file is opened. Who only reads changes nothing in it, not even the kind of its journal: it may be a backup.
var (
	readOnly  = url.Values{"mode": {"ro"}}
	readWrite = url.Values{"mode": {"rwc"}, "_pragma": {"journal_mode(wal)", "synchronous(full)", fmt.Sprintf("wal_autocheckpoint(%d)", journalPages)}}
)

// connect opens a pool of connections.
func connect(path string, how url.Values, cacheKiB, most int) (*sql.DB, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	query := url.Values{"mode": how["mode"], "_pragma": append([]string{fmt.Sprintf("busy_timeout(%d)", busyWait), "temp_store(memory)",
		fmt.Sprintf("cache_size(-%d)", cacheKiB)}, how["_pragma"]...)}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: absolute, RawQuery: query.Encode()}).String())
	if err != nil {
		return nil, fault("opening it", err)
	}
	db.SetMaxOpenConns(most)
	db.SetMaxIdleConns(most)
	return db, nil
}

// Pseudonyms are those that the store names devices and subscribers by; the Verifier on it should use the same.
func (s *Store) Pseudonyms() *verifier.Pseudonyms { return s.names }

// Close writes what waits, signs a last checkpoint and lets go of the file.
func (s *Store) Close() error {
	s.closing.Lock()
	if s.closed {
		s.closing.Unlock()
		return nil
	}
	s.closed = true
	s.closing.Unlock()
	var err error
	if s.writer != nil {
		err = s.writer.close()
	}
	return errors.Join(err, s.release()) // the last connection to close moves the journal into the file
}

func (s *Store) release() (err error) {
	if s.db != nil {
		err = fault("closing it", errors.Join(s.reads.close(), s.db.Close()))
	}
	if s.lock != nil {
		err = errors.Join(err, s.lock.release())
	}
	return err
}

// statements are prepared ones by their text.
type statements struct {
	db    preparer
	known sync.Map // of *sql.Stmt
}

type preparer interface {
	PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
}

func (s *statements) get(query string) (*sql.Stmt, error) {
	if known, found := s.known.Load(query); found {
		return known.(*sql.Stmt), nil
	}
	stmt, err := s.db.PrepareContext(context.Background(), query)
	if err != nil {
		return nil, err
	}
	if known, loaded := s.known.LoadOrStore(query, stmt); loaded {
		return known.(*sql.Stmt), stmt.Close()
	}
	return stmt, nil
}

func (s *statements) close() (err error) {
	s.known.Range(func(_, stmt any) bool {
		err = errors.Join(err, stmt.(*sql.Stmt).Close())
		return true
	})
	return err
}

// row reads one row, if there is one. A look at one row is too short to be worth interrupting.
func (s *statements) row(query string, args []any, into ...any) (found bool, err error) {
	stmt, err := s.get(query)
	if err == nil {
		err = stmt.QueryRowContext(context.Background(), args...).Scan(into...)
	}
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// exec runs a statement and returns how many rows it changed.
func (s *statements) exec(query string, args ...any) (int64, error) {
	stmt, err := s.get(query)
	if err != nil {
		return 0, err
	}
	done, err := stmt.ExecContext(context.Background(), args...)
	if err != nil {
		return 0, err
	}
	return done.RowsAffected()
}

// nanos is a time as it is stored: nanoseconds since 1970, and 0 for none.
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func fromNanos(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}
