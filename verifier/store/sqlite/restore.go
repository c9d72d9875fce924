package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"imei-attest/attest"
)

// ErrOccupied: there is a store already where one is to be restored.
var ErrOccupied = errors.New("there is a store already: move it away, or say that it may be replaced")

// Restore puts a backup in the place of the store at c.Path. A store that is there is refused with [ErrOccupied], unless it may be
// replaced; it is then kept beside, under its name, .replaced and the time. What the backup does not know is forgotten: among that are used
// nonces, so those minted until now are refused from then on.
func Restore(ctx context.Context, c Config, backup string, replace bool, now time.Time) (err error) {
	held, err := acquire(c.Path+".lock", c.Program)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, held.release()) }()
	older, err := checkBackup(ctx, c, backup)
	if err != nil {
		return err
	}
	_, err = os.Lstat(c.Path)
	switch there := err == nil; {
	case !there && !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("store: %w", err)
	case there && !replace:
		return fmt.Errorf("store: %s: %w", c.Path, ErrOccupied)
	}
	part := c.Path + ".part"
	defer os.Remove(part)
	if err := copyFile(part, backup); err != nil {
		return err
	}
	if err := enterRestore(ctx, c, part, older, now); err != nil {
		return err
	}
	return putInPlace(part, c.Path, ".replaced-"+now.UTC().Format("20060102T150405Z"))
}

// checkBackup refuses what is no sound store under these keys, with [ErrBackup] if it is damaged or something else. An older one is
// looked into when its copy was brought to this program's version.
func checkBackup(ctx context.Context, c Config, backup string) (older bool, err error) {
	if _, err := os.Stat(backup); err != nil {
		return false, fmt.Errorf("store: the backup: %w", err)
	}
	c.Path, c.ReadOnly = backup, true
	s, err := Open(ctx, c)
	if err == nil {
		err = errors.Join(s.checkSound(ctx), s.Close())
	}
	switch {
	case errors.Is(err, errOlder):
		return true, nil
	case errors.Is(err, ErrNoStore):
		err = fmt.Errorf("%s is no backup of imei-verifier store backup: %w", backup, ErrBackup)
	case errors.Is(err, ErrCorrupt):
		err = fmt.Errorf("the backup %s is damaged: %w", backup, ErrBackup)
	case err != nil:
		err = fmt.Errorf("the backup: %w", err)
	}
	return false, err
}

// checkSound is [Store.Check] with [ErrCorrupt] for what it finds.
func (s *Store) checkSound(ctx context.Context) error {
	problems, err := s.Check(ctx)
	if err == nil && len(problems) > 0 {
		err = ErrCorrupt
	}
	return err
}

func copyFile(to, from string) error {
	source, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("store: the backup: %w", err)
	}
	defer source.Close()
	target, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	_, err = io.Copy(target, source)
	if err = errors.Join(err, target.Sync(), target.Close()); err != nil {
		return fmt.Errorf("store: copying the backup: %w", err)
	}
	return nil
}

// enterRestore closes the nonces of before, and enters the restoration in the audit chain.
func enterRestore(ctx context.Context, c Config, path string, older bool, now time.Time) error {
	c.Path = path
	s, err := Open(ctx, c)
	if err != nil {
		return err
	}
	defer os.Remove(path + ".lock")
	if older {
		if err := s.checkSound(ctx); err != nil {
			return errors.Join(fmt.Errorf("the backup is damaged: %w (%w)", ErrBackup, err), s.Close())
		}
	}
	err = s.do(ctx, func(w *writer) error {
		w.forgot = max(w.forgot, now.Add(attest.NonceLife).UnixNano())
		if err := w.setMeta("forgot", w.forgot); err != nil {
			return err
		}
		return w.appendEvent(Event{At: now, Kind: Restored, Text: fmt.Sprintf("from a backup that ends at entry %d", w.chain.seq)})
	})
	return errors.Join(err, s.Close())
}

// putInPlace replaces a store by another one that is closed. The journal of the old one goes with it: it must not be read into the new.
func putInPlace(part, path, replaced string) error {
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Rename(path+suffix, path+replaced+suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("store: %w", err)
		}
	}
	if err := os.Rename(part, path); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return syncFolder(filepath.Dir(path))
}
