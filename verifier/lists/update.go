package lists

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// How much a list may change at once.
const (
	fewGone  = 100  // entries, of a list that loses more than half, or gives them another status
	fewAdded = 1000 // entries, of a list that gains more than it had
)

// Guard says why a list must not take the place of another, nil for none, unless somebody says so: then it is probably cut off, or
// another file.
func Guard(was, is *List) error {
	if was == nil || is.Forced {
		return nil
	}
	d := Compare(was, is)
	before, now, gone, recoloured := d.Was.Total(), d.Is.Total(), d.Removed.Total(), d.Recoloured.Total()
	many := max(before/2, fewGone)
	switch {
	case before > 0 && now == 0:
		return fmt.Errorf("the list is empty, and the one in force has %d entries: %s", before, forcing)
	case gone > many:
		return fmt.Errorf("the list has lost more than half of its entries, %d of %d: %s", gone, before, forcing)
	case recoloured > many:
		return fmt.Errorf("more than half of the list's entries have another status, %d of %d: %s", recoloured, before, forcing)
	case before > 0 && now-before > max(before, fewAdded):
		return fmt.Errorf("the list has more than doubled, from %d entries to %d: %s", before, now, forcing)
	}
	return nil
}

const forcing = "if that is meant, imei-verifier list import --force puts it into force"

// Import puts the list in a file in the place of the one in force, or of none, in one step, and says what that changes. Whether it was
// forced is said by force alone. Where it is refused, or only tried, nothing is written.
func Import(from, into string, force, try bool) (Delta, error) {
	was, err := Load(into)
	if errors.Is(err, os.ErrNotExist) {
		was, err = new(List), nil
	}
	if err != nil && !force {
		return Delta{}, fmt.Errorf("what is in force cannot be read: %w: mend it, or import with --force", err)
	}
	is, err := Load(from)
	if err != nil {
		return Delta{}, err
	}
	if was == nil {
		was = new(List)
	}
	d := Compare(was, is)
	is.Forced = force
	if err := Guard(was, is); err != nil {
		return d, &RefusedError{err}
	}
	if try {
		return d, nil
	}
	if err := replace(from, into, is); err != nil {
		return d, fmt.Errorf("nothing was changed: %w", err)
	}
	return d, nil
}

// RefusedError is of a good list that changes more than a list usually does.
type RefusedError struct{ Why error }

func (e *RefusedError) Error() string { return e.Why.Error() }

// replace copies the list, under the name of the one in force or where that is a link to.
func replace(from, into string, l *List) error {
	if led, err := filepath.EvalSymlinks(into); err == nil {
		into = led
	}
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	like, err := os.Stat(into)
	if errors.Is(err, fs.ErrNotExist) {
		like, err = source.Stat()
	}
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(into), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	err = errors.Join(copyList(f, source, l), owned(f, like), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), into)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// copyList copies what l was read from, but for whether it is forced.
func copyList(to io.Writer, from io.Reader, l *List) error {
	hash := sha256.New()
	source := bufio.NewReader(io.TeeReader(from, hash))
	if first, err := source.Peek(len(ForcedLine)); err == nil && string(first) == ForcedLine {
		if _, err := source.ReadString('\n'); err != nil {
			return err
		}
	}
	if l.Forced {
		if _, err := fmt.Fprintln(to, ForcedLine); err != nil {
			return err
		}
	}
	if _, err := io.Copy(to, source); err != nil {
		return err
	}
	if [32]byte(hash.Sum(nil)) != l.Digest {
		return errors.New("somebody is writing the new list: try again")
	}
	return nil
}

// owned gives a file the owner and the permissions of another, lest the server may not read it.
func owned(f *os.File, like fs.FileInfo) error {
	if of, ok := like.Sys().(*syscall.Stat_t); ok && (int(of.Uid) != os.Geteuid() || int(of.Gid) != os.Getegid()) {
		if err := f.Chown(int(of.Uid), int(of.Gid)); err != nil {
			return err
		}
	}
	return f.Chmod(like.Mode().Perm())
}
