package sqlite

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"imei-attest/attest"
)

// tables are those of the store, with the time that tells how old a row is; empty where there is none.
var tables = []struct{ name, at string }{
	{"devices", "seen"}, {"credentials", ""}, {"holders", ""}, {"sightings", "at"}, {"days", ""}, {"priors", "at"}, {"claims", "at"}, {"views", "at"},
	{"nonces", "expiry"}, {"records", "at"}, {"audit", "at"}, {"checkpoints", ""},
}

// TableStats is what one table holds.
type TableStats struct {
	Name   string    `json:"name"`
	Rows   int64     `json:"rows"`
	Bytes  int64     `json:"bytes"` // on the disk, with its indexes
	Oldest time.Time `json:"oldest,omitzero"`
}

// Stats is what the store holds.
type Stats struct {
	Version int          `json:"version"`
	Bytes   int64        `json:"bytes"`
	Tables  []TableStats `json:"tables"`
	// FormerKeys is how many rows have names, or seals, of a key that is not the current one: while there are any, the former key is needed.
	FormerKeys int64 `json:"former_keys"`
}

// Stats counts what the store holds. It reads the whole file.
func (s *Store) Stats(ctx context.Context) (stats Stats, err error) {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return stats, fault("counting", err)
	}
	defer tx.Rollback()
	if stats.Version, err = versionOf(ctx, tx); err != nil {
		return stats, err
	}
	err = tx.QueryRowContext(ctx, `SELECT page_count * page_size FROM pragma_page_count, pragma_page_size`).Scan(&stats.Bytes)
	for _, t := range tables {
		if err != nil {
			break
		}
		var one TableStats
		if one, err = tableStats(ctx, tx, t.name, t.at); err == nil {
			stats.Tables = append(stats.Tables, one)
		}
	}
	if err == nil {
		stats.FormerKeys, err = s.formerKeys(ctx, tx)
	}
	return stats, fault("counting", err)
}

func tableStats(ctx context.Context, tx *sql.Tx, name, at string) (t TableStats, err error) {
	t.Name = name
	if at == "" {
		at = "NULL"
	}
	var oldest sql.NullInt64
	if err = tx.QueryRowContext(ctx, fmt.Sprintf(`SELECT count(*), min(nullif(%s, 0)) FROM %s`, at, name)).Scan(&t.Rows, &oldest); err != nil {
		return t, err
	}
	t.Oldest = fromNanos(oldest.Int64)
	err = tx.QueryRowContext(ctx, `SELECT coalesce(sum(pgsize), 0) FROM dbstat WHERE name IN (SELECT name FROM sqlite_schema WHERE tbl_name = ?)`, name).Scan(&t.Bytes)
	return t, err
}

func (s *Store) formerKeys(ctx context.Context, tx *sql.Tx) (rows int64, err error) {
	devices, subscribers := s.config.Devices.Current.ID(), s.config.Subscribers.Current.ID()
	err = tx.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM credentials WHERE key <> ?1) + (SELECT count(*) FROM holders WHERE key <> ?1)
		+ (SELECT count(*) FROM sightings WHERE key <> ?1) + (SELECT count(*) FROM days WHERE key <> ?1 OR subkey <> ?2)
		+ (SELECT count(*) FROM priors WHERE key <> ?1 OR subkey <> ?2) + (SELECT count(*) FROM claims WHERE key <> ?1 OR subkey <> ?2)
		+ (SELECT count(*) FROM views WHERE key <> ?1 OR subkey <> ?2)`, devices, subscribers).Scan(&rows)
	return rows, err
}

// Check looks for damage: of the file, and of what must be true of its content. It returns what it found, nothing for a sound store.
// The audit chain is another matter: see [Store.Verify].
func (s *Store) Check(ctx context.Context) (problems []string, err error) {
	if problems, err = s.integrity(ctx); err != nil || len(problems) > 0 {
		return problems, err // what a damaged file says of itself is worth nothing
	}
	for _, invariant := range []struct{ problem, count string }{
		{"IMEIs are held by a device key without a Credential", `SELECT count(*) FROM holders WHERE kid NOT IN (SELECT kid FROM credentials)`},
		{"used nonces belong to an audit entry that is not there", `SELECT count(*) FROM nonces WHERE seq > (SELECT coalesce(max(seq), 0) FROM audit)`},
		{"devices were convicted by an audit entry that is not there", `SELECT count(*) FROM devices WHERE convicted > (SELECT coalesce(max(seq), 0) FROM audit)`},
		{"names or times are malformed", `SELECT count(*) FROM holders WHERE length(device) <> 16 OR length(kid) <> 16`},
	} {
		var count int64
		if err := s.db.QueryRowContext(ctx, invariant.count).Scan(&count); err != nil {
			return problems, fault("checking it", err)
		}
		if count > 0 {
			problems = append(problems, fmt.Sprintf("%d %s", count, invariant.problem))
		}
	}
	altered, err := s.checkContent(ctx)
	return append(problems, altered...), err
}

func (s *Store) integrity(ctx context.Context) (problems []string, err error) {
	rows, err := s.db.QueryContext(ctx, `PRAGMA integrity_check`)
	if err != nil {
		return nil, fault("checking it", err)
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return problems, fault("checking it", err)
		}
		if text != "ok" {
			problems = append(problems, text)
		}
	}
	return problems, fault("checking it", rows.Err())
}

// checkContent compares recorded decisions with their audit entries, and opens the seals.
func (s *Store) checkContent(ctx context.Context) (problems []string, err error) {
	rows, err := s.db.QueryContext(ctx, `SELECT a.seq, a.digest, r.body FROM audit a JOIN records r ON r.id = a.subject WHERE a.kind = ?`, Decided)
	if err != nil {
		return nil, fault("checking it", err)
	}
	defer rows.Close()
	for rows.Next() {
		var seq int64
		var digest, body []byte
		if err := rows.Scan(&seq, &digest, &body); err != nil {
			return problems, fault("checking it", err)
		}
		if [sha256.Size]byte(digest) != sha256.Sum256(body) {
			problems = append(problems, fmt.Sprintf("the recorded decision of audit entry %d was altered", seq))
		}
	}
	if err := rows.Err(); err != nil {
		return problems, fault("checking it", err)
	}
	for _, sealed := range []struct {
		what, query string
		open        func(about []byte, generation uint64, by uint32, content []byte) error
	}{
		{"Credentials", `SELECT kid, generation, key, sealed FROM credentials`, func(kid []byte, generation uint64, by uint32, content []byte) error {
			if len(kid) != len(attest.KeyID{}) {
				return errSeal
			}
			_, err := s.seals.open(attest.KeyID(kid), by, generation, content)
			return err
		}},
		{"claims", `SELECT record, generation, subkey, sealed FROM claims`, func(record []byte, _ uint64, by uint32, content []byte) error {
			_, err := s.openClaim(by, content, record)
			return err
		}},
	} {
		broken, err := s.brokenSeals(ctx, sealed.query, sealed.open)
		if err != nil {
			return problems, err
		}
		if broken > 0 {
			problems = append(problems, fmt.Sprintf("%d %s have a broken seal", broken, sealed.what))
		}
	}
	return problems, nil
}

// brokenSeals counts the rows of a query, each about something, that open refuses.
func (s *Store) brokenSeals(ctx context.Context, query string, open func(about []byte, generation uint64, by uint32, content []byte) error) (broken int, err error) {
	rows, err := s.db.QueryContext(ctx, query)
	if err != nil {
		return 0, fault("checking it", err)
	}
	defer rows.Close()
	for rows.Next() {
		var about, content []byte
		var generation int64
		var by uint32
		if err := rows.Scan(&about, &generation, &by, &content); err != nil {
			return broken, fault("checking it", err)
		}
		if open(about, uint64(generation), by, content) != nil {
			broken++
		}
	}
	return broken, fault("checking it", rows.Err())
}

// Backup writes a copy of the store, as it is at one moment, to a new file, while decisions come in. It appears whole or not at all.
func (s *Store) Backup(ctx context.Context, path string) error {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("store: %s is there already: a backup does not replace anything", path)
	}
	part := fmt.Sprintf("%s.%x.part", path, randomID())
	defer os.Remove(part)
	if _, err := s.db.ExecContext(ctx, `VACUUM INTO ?`, part); err != nil {
		return fault("writing the backup", err)
	}
	if err := secure(part); err != nil {
		return err
	}
	if err := os.Link(part, path); err != nil { // unlike a rename it replaces nothing
		return fmt.Errorf("store: %w", err)
	}
	return syncFolder(filepath.Dir(path))
}

// secure makes a file its owner's only and sees that it is on the disk.
func secure(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	err = errors.Join(f.Chmod(0o600), f.Sync(), f.Close())
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}

func syncFolder(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}
