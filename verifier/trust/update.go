package trust

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"imei-attest/verifier"
)

// Files reads the manufacturers' files of a folder, in the order of their names. The folder is as [Load] demands.
func Files(dir string) ([]*File, error) {
	written, err := read(dir)
	if err != nil {
		return nil, err
	}
	if _, _, err := parse(written); err != nil {
		return nil, err
	}
	var files []*File
	for _, w := range written {
		f, err := decode(w.raw)
		if err != nil {
			return nil, refused(w.path, err)
		}
		files = append(files, f)
	}
	return files, nil
}

// Update changes the file of one manufacturer, whose anchor choose returns. change says whether there is something to write, which is
// done in one step: a crash leaves the old file or the new one, and a folder that [Load] would refuse then stays as it is. Updates wait
// for each other; nothing keeps a person with an editor from undoing one. The errors of choose and change are returned as they are.
func Update(dir string, choose func(*verifier.Trust) (*verifier.Anchor, error), change func(*File) (write bool, err error)) error {
	unlock, err := lock(dir)
	if err != nil {
		return err
	}
	defer unlock()
	files, err := read(dir)
	if err != nil {
		return err
	}
	trust, anchors, err := parse(files)
	if err != nil {
		return err
	}
	anchor, err := choose(trust)
	if err != nil {
		return err
	}
	changed := &files[slices.Index(anchors, anchor)]
	f, err := decode(changed.raw)
	if err != nil {
		return refused(changed.path, err)
	}
	write, err := change(f)
	if err != nil {
		return err
	}
	before := changed.raw
	if changed.raw, err = f.Encode(); err != nil {
		return inFile(changed.path, err)
	}
	if _, _, err := parse(files); err != nil {
		return err
	}
	if !write {
		return nil
	}
	return replace(changed.path, before, changed.raw)
}

// lock waits until nobody else updates the folder. The lock ends with the process.
func lock(dir string) (unlock func(), err error) {
	folder, err := os.Open(dir)
	if err != nil {
		return nil, unreadable(err)
	}
	if err := syscall.Flock(int(folder.Fd()), syscall.LOCK_EX); err != nil {
		_ = folder.Close()
		return nil, fmt.Errorf("locking the trust folder: %w", err)
	}
	return func() { _ = folder.Close() }, nil
}

// replace writes a file that stands in a folder under lock. Its name in between begins with a dot, which no verifier reads, and what a
// crash left there is written over.
func replace(path string, before, after []byte) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is a link, or no file: change what it leads to, where that is written", path)
	}
	temporary := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".new")
	err = writeAs(info, temporary, after)
	if now, readErr := readBounded(path); err == nil && (readErr != nil || !bytes.Equal(now, before)) {
		err = fmt.Errorf("somebody else is writing %s: try again", path)
	}
	if err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		return fmt.Errorf("nothing was changed: %w", errors.Join(err, removeIfThere(temporary)))
	}
	return syncFolder(filepath.Dir(path))
}

// writeAs makes a file with the owner and permissions of another, lest the server may not read it.
func writeAs(like fs.FileInfo, path string, content []byte) error {
	if err := removeIfThere(path); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if owner, ok := like.Sys().(*syscall.Stat_t); ok && (int(owner.Uid) != os.Geteuid() || int(owner.Gid) != os.Getegid()) {
		err = errors.Join(err, file.Chown(int(owner.Uid), int(owner.Gid)))
	}
	return errors.Join(err, file.Chmod(like.Mode().Perm()), file.Sync(), file.Close())
}

func removeIfThere(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func syncFolder(dir string) error {
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
