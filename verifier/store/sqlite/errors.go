package sqlite

import (
	"database/sql"
	"errors"
	"fmt"

	driver "modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"
)

// What keeps a store from working. A service answers that it cannot judge now; it need not be started anew.
var (
	ErrFull     = errors.New("there is no room on the disk: make room, and it goes on by itself")
	ErrReadOnly = errors.New("the file or its disk can only be read: let the program write to it, and it goes on by itself")
	ErrDisk     = errors.New("the disk fails: see the system's log")
	ErrCorrupt  = errors.New("the file is damaged: stop the server, and put a backup in its place with imei-verifier store restore --from FILE")
	ErrBusy     = errors.New("another program keeps the file locked, perhaps a database shell: end it")
	// ErrNoStore: the file is something else. It is an [ErrCorrupt], because a store that lost its beginning looks the same.
	ErrNoStore = fmt.Errorf("it is no store, or has lost its beginning: %w", ErrCorrupt)
	// ErrBackup: what is to be restored is no sound backup.
	ErrBackup = errors.New("nothing was changed: take another file, that imei-verifier store backup wrote")
	// ErrNewer: the file was written by a newer program.
	ErrNewer = errors.New("the store was written by a newer version of this program: use that version, or restore a backup made before it")
	// ErrKeys: the file was written under other pseudonym keys.
	ErrKeys = errors.New("the store was written under another key of pseudonyms: with this one every device would be forgotten; put the right key file back")
	// ErrClosed: the store is closed, or open for reading only.
	ErrClosed = errors.New("the store is not open for writing")
)

// LockedError says which process has the store.
type LockedError struct {
	Path string
	Who  string // its process id and program, as it wrote them down; empty if it did not yet
}

func (e *LockedError) Error() string {
	who := e.Who
	if who == "" {
		who = "another process"
	}
	return fmt.Sprintf("the store %s is in use by %s: one process writes to it at a time; stop that one", e.Path, who)
}

// kinds are the package's errors by SQLite's primary result code.
var kinds = map[int]error{
	codes.SQLITE_FULL: ErrFull, codes.SQLITE_READONLY: ErrReadOnly, codes.SQLITE_IOERR: ErrDisk, codes.SQLITE_CANTOPEN: ErrDisk,
	codes.SQLITE_CORRUPT: ErrCorrupt, codes.SQLITE_NOTADB: ErrNoStore, codes.SQLITE_BUSY: ErrBusy, codes.SQLITE_LOCKED: ErrBusy,
}

// fault says what the store was doing, and gives the error its kind. SQLite's texts hold no values.
func fault(doing string, err error) error {
	if err == nil {
		return nil
	}
	if kind := kindOf(err); kind != nil {
		return fmt.Errorf("store: %s: %w (%w)", doing, kind, err)
	}
	return fmt.Errorf("store: %s: %w", doing, err)
}

// kindOf is nil for an error of ours.
func kindOf(err error) error {
	var e *driver.Error
	if !errors.As(err, &e) {
		if errors.Is(err, sql.ErrConnDone) {
			return ErrClosed
		}
		return nil
	}
	const primary = 0xff // the rest is detail (SQLite, "Result and Error Codes")
	return kinds[e.Code()&primary]
}
