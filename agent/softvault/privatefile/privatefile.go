// Package privatefile keeps files that only their owner may use: keys of a manufacturer and of a software vault. A
// file or a folder that others could read or exchange is refused before anything in it is believed.
package privatefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Permissions of what this package makes.
const (
	FolderMode fs.FileMode = 0o700
	FileMode   fs.FileMode = 0o600
)

// ErrExposed means that others than the owner have a permission they must not have.
var ErrExposed = errors.New("not private")

// MakeFolder makes a folder and those above it; one that exists must be private.
func MakeFolder(folder string) error {
	if err := os.MkdirAll(folder, FolderMode); err != nil {
		return err
	}
	return CheckFolder(folder)
}

// CheckFolder refuses a folder that belongs to another user or that others may enter or write.
func CheckFolder(folder string) error {
	info, err := os.Stat(folder)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is no folder", folder)
	}
	return check(folder, info, "chmod 700")
}

// Read reads a private file in a private folder.
func Read(path string) ([]byte, error) {
	if err := CheckFolder(filepath.Dir(path)); err != nil {
		return nil, err
	}
	return ReadAnywhere(path)
}

// ReadAnywhere reads a private file in any folder, such as a passphrase that a service manager lays out.
func ReadAnywhere(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0) // a pipe that nobody writes to would wait
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", path)
	}
	if err := check(path, info, "chmod 600"); err != nil {
		return nil, err
	}
	const limit = 64 << 10 // keys and credentials have a few hundred bytes
	if info.Size() > limit {
		return nil, fmt.Errorf("%s has %d bytes, at most %d are looked at", path, info.Size(), limit)
	}
	raw := make([]byte, info.Size())
	n, err := f.ReadAt(raw, 0)
	if err != nil {
		return nil, err
	}
	return raw[:n], nil
}

func check(path string, info fs.FileInfo, remedy string) error {
	const others = 0o077
	if mode := info.Mode().Perm(); mode&others != 0 {
		return fmt.Errorf("%s is %w: others have permissions (%#o); run %s on it", path, ErrExposed, mode, remedy)
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) != os.Geteuid() {
		return fmt.Errorf("%s is %w: it belongs to user %d, this program runs as %d", path, ErrExposed, stat.Uid, os.Geteuid())
	}
	return nil
}

// Create writes a new file and refuses to overwrite one ([fs.ErrExist]).
func Create(path string, data []byte) error {
	temporary, err := writeTemporary(path, data, FileMode)
	if err != nil {
		return err
	}
	defer os.Remove(temporary)
	// A hard link appears whole or not at all, and never replaces anything.
	if err := os.Link(temporary, path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// Replace writes a file in one step: after a crash there is the old one or the new one.
func Replace(path string, data []byte, mode fs.FileMode) error {
	temporary, err := writeTemporary(path, data, mode)
	if err != nil {
		return err
	}
	if err := os.Rename(temporary, path); err != nil {
		_ = os.Remove(temporary)
		return err
	}
	return syncFolder(filepath.Dir(path))
}

func writeTemporary(path string, data []byte, mode fs.FileMode) (name string, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return "", err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err != nil {
		_ = os.Remove(f.Name())
		return "", err
	}
	return f.Name(), nil
}

func syncFolder(folder string) error {
	d, err := os.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
