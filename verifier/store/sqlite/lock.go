package sqlite

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
)

// lock is a file that its process keeps locked, and says in who it is. The kernel lets go of it when the process ends, however it ends.
type lock struct{ file *os.File }

func acquire(path, program string) (*lock, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		if errors.Is(err, syscall.EROFS) || errors.Is(err, syscall.EACCES) {
			err = fmt.Errorf("%w (%w)", ErrReadOnly, err)
		}
		return nil, fmt.Errorf("store: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer file.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("store: locking %s: %w", path, err)
		}
		const longest = 256
		who, _ := io.ReadAll(io.LimitReader(file, longest)) // who cannot be read is not named
		return nil, &LockedError{Path: strings.TrimSuffix(path, ".lock"), Who: strings.TrimSpace(string(who))}
	}
	l := &lock{file}
	err = file.Truncate(0)
	if err == nil {
		_, err = fmt.Fprintf(file, "process %d, %s\n", os.Getpid(), program)
	}
	if err != nil && !errors.Is(err, syscall.ENOSPC) { // on a full disk it is only nameless
		return nil, errors.Join(fmt.Errorf("store: %w", err), l.release())
	}
	return l, nil
}

func (l *lock) release() error { return l.file.Close() }
