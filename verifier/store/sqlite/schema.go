package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// migrations bring a store from each version to the next; the version is how many were applied. A migration that was released is
// never changed. The keys of all tables begin with what a distributed store would spread them by, and no statement needs sequences,
// triggers or locks: the same tables serve in other databases.
//
// All names are pseudonyms, 16 bytes; beside them stands the id of their key. Times are nanoseconds since 1970. Counters are kept as
// signed numbers with the same bits.
var migrations = []string{`
CREATE TABLE devices (        -- what a device key last proved
	kid       BLOB PRIMARY KEY,
	counter   INTEGER NOT NULL,
	resets    INTEGER NOT NULL,
	clock     INTEGER NOT NULL,
	binding   BLOB NOT NULL,
	seen      INTEGER NOT NULL,
	convicted INTEGER NOT NULL -- the audit entry of its last conviction, or 0
) WITHOUT ROWID;
CREATE TABLE credentials (
	kid        BLOB PRIMARY KEY,
	generation INTEGER NOT NULL, -- of the trust that it verified under
	key        INTEGER NOT NULL, -- that it is sealed under
	sealed     BLOB NOT NULL
);
CREATE TABLE holders (        -- whose an IMEI is
	device BLOB PRIMARY KEY,
	key    INTEGER NOT NULL,
	kid    BLOB NOT NULL,
	issuer TEXT NOT NULL,
	serial INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE sightings (      -- the last subscribers of an IMEI
	device BLOB PRIMARY KEY,
	key    INTEGER NOT NULL,
	at     INTEGER NOT NULL,    -- the last
	seen   BLOB NOT NULL        -- each time, subscriber
) WITHOUT ROWID;
CREATE TABLE days (           -- on which days of a month a subscriber registered an IMEI
	device     BLOB NOT NULL,
	month      INTEGER NOT NULL, -- year * 12 + month - 1
	subscriber BLOB NOT NULL,
	key        INTEGER NOT NULL,
	subkey     INTEGER NOT NULL,
	bits       INTEGER NOT NULL,
	PRIMARY KEY (device, month, subscriber)
) WITHOUT ROWID;
CREATE TABLE priors (         -- the last lasting answer
	device     BLOB NOT NULL,
	subscriber BLOB NOT NULL,
	key        INTEGER NOT NULL,
	subkey     INTEGER NOT NULL,
	at         INTEGER NOT NULL,
	generation INTEGER NOT NULL,
	record     BLOB NOT NULL,
	PRIMARY KEY (device, subscriber)
) WITHOUT ROWID;
CREATE TABLE nonces (         -- the used ones
	nonce     BLOB PRIMARY KEY,
	expiry    INTEGER NOT NULL,
	presented BLOB NOT NULL,    -- pseudonym of the presentation
	asked     BLOB NOT NULL,    -- the same by any token
	kid       BLOB,             -- NULL where it was given up
	record    BLOB,
	seq       INTEGER NOT NULL  -- the decision's audit entry
) WITHOUT ROWID;
CREATE INDEX nonces_expiry ON nonces (expiry);
CREATE TABLE records (
	id   BLOB PRIMARY KEY,
	at   INTEGER NOT NULL,
	body BLOB NOT NULL
);
CREATE INDEX records_at ON records (at);
CREATE TABLE audit (
	seq     INTEGER PRIMARY KEY,
	at      INTEGER NOT NULL,
	kind    INTEGER NOT NULL,
	subject BLOB NOT NULL,      -- the id of a decision, or empty
	digest  BLOB NOT NULL,      -- SHA-256 of the record or of the text
	text    TEXT NOT NULL,
	hash    BLOB NOT NULL
);
CREATE TABLE checkpoints (
	seq    INTEGER PRIMARY KEY,
	signed BLOB NOT NULL
);
CREATE TABLE meta (
	name  TEXT PRIMARY KEY,
	value INTEGER NOT NULL
) WITHOUT ROWID;
`, `
CREATE TABLE claims (         -- the last answer to a device that named the subscriber in an IMEI's slot
	device     BLOB PRIMARY KEY,
	key        INTEGER NOT NULL,
	at         INTEGER NOT NULL,
	generation INTEGER NOT NULL,
	record     BLOB NOT NULL,
	subkey     INTEGER NOT NULL, -- that the name is sealed under
	sealed     BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE views (          -- the IMEI that a subscriber last showed in NAS and in IMS
	subscriber BLOB NOT NULL,
	access     INTEGER NOT NULL,
	device     BLOB NOT NULL,
	key        INTEGER NOT NULL,
	subkey     INTEGER NOT NULL,
	since      INTEGER NOT NULL,
	at         INTEGER NOT NULL,
	PRIMARY KEY (subscriber, access)
) WITHOUT ROWID;
ALTER TABLE records ADD COLUMN public BLOB; -- the public identity that an S-CSCF registered; NULL of none
CREATE INDEX records_public ON records (public, at) WHERE public IS NOT NULL;
`, `
DROP INDEX nonces_expiry; -- they are swept in the order of the table
`}

// migrate brings the store to this program's version, each step in a transaction.
func migrate(ctx context.Context, c *sql.Conn, program string) error {
	_, err := c.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS migrations (version INTEGER PRIMARY KEY, program TEXT NOT NULL)`)
	if err != nil {
		return fault("opening it", err)
	}
	version, err := versionOf(ctx, c)
	if err != nil {
		return err
	}
	for ; version < len(migrations); version++ {
		if err := migrateOne(ctx, c, version, program); err != nil {
			return fault(fmt.Sprintf("changing it to version %d", version+1), err)
		}
	}
	return nil
}

func migrateOne(ctx context.Context, c *sql.Conn, from int, program string) error {
	tx, err := c.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(ctx, migrations[from]); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO migrations (version, program) VALUES (?, ?)`, from+1, program); err != nil {
		return err
	}
	return tx.Commit()
}

type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// versionOf refuses a store of a newer program.
func versionOf(ctx context.Context, q querier) (version int, err error) {
	if err := q.QueryRowContext(ctx, `SELECT coalesce(max(version), 0) FROM migrations`).Scan(&version); err != nil {
		return 0, fault("reading its version", err)
	}
	if version > len(migrations) {
		return version, fmt.Errorf("store: version %d, and this program knows %d: %w", version, len(migrations), ErrNewer)
	}
	return version, nil
}

var errOlder = errors.New("it is of an older version: start the server once, which brings it to version")

// checkReadable refuses a store that this program would misread.
func (s *Store) checkReadable(ctx context.Context) error {
	var there bool
	err := s.db.QueryRowContext(ctx, `SELECT count(*) > 0 FROM sqlite_schema WHERE name = 'migrations'`).Scan(&there)
	if err != nil || !there {
		return fault("opening it", cmp.Or(err, ErrNoStore))
	}
	version, err := versionOf(ctx, s.db)
	if err == nil && version < len(migrations) {
		err = fmt.Errorf("store: version %d: %w %d", version, errOlder, len(migrations))
	}
	return err
}
