package privatefile_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"imei-attest/agent/softvault/privatefile"
)

func folder(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a", "b")
	if err := privatefile.MakeFolder(path); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCreateThenReplace(t *testing.T) {
	path := filepath.Join(folder(t), "file")
	if err := privatefile.Create(path, []byte("one")); err != nil {
		t.Fatal(err)
	}
	if err := privatefile.Create(path, []byte("two")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Create over a file: %v; want %v", err, fs.ErrExist)
	}
	if got, err := privatefile.Read(path); err != nil || string(got) != "one" {
		t.Errorf("Read = %q, %v; want the first content", got, err)
	}
	if err := privatefile.Replace(path, []byte("three"), privatefile.FileMode); err != nil {
		t.Fatal(err)
	}
	if got, err := privatefile.Read(path); err != nil || string(got) != "three" {
		t.Errorf("Read = %q, %v; want the new content", got, err)
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("the folder holds %v, %v; want one file", entries, err)
	}
}

func TestReadRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(path string) error
		says  string
	}{
		"a file others may read":     {func(p string) error { return os.Chmod(p, 0o644) }, "chmod 600"},
		"a file the group may write": {func(p string) error { return os.Chmod(p, 0o660) }, "chmod 600"},
		"a folder others may enter":  {func(p string) error { return os.Chmod(filepath.Dir(p), 0o711) }, "chmod 700"},
		"a file of 1 MiB":            {func(p string) error { return os.Truncate(p, 1<<20) }, "at most"},
		"a folder":                   {func(p string) error { return errors.Join(os.Remove(p), os.Mkdir(p, 0o700)) }, "regular"},
		"a pipe":                     {func(p string) error { return errors.Join(os.Remove(p), syscall.Mkfifo(p, 0o600)) }, "regular"},
		"a link": {func(p string) error {
			return errors.Join(os.Rename(p, p+".real"), os.Symlink(p+".real", p))
		}, "symbolic links"},
	} {
		path := filepath.Join(folder(t), "file")
		if err := errors.Join(privatefile.Create(path, []byte("secret")), c.spoil(path)); err != nil {
			t.Fatal(err)
		}
		if got, err := privatefile.Read(path); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("Read of %s = %q, %v; want an error with %q", name, got, err, c.says)
		}
	}
}

func TestReadRefusesWhatBelongsToAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a file to another user")
	}
	const stranger = 65534 // nobody
	for name, owned := range map[string]func(path string) string{
		"a file":   func(p string) string { return p },
		"a folder": filepath.Dir,
	} {
		path := filepath.Join(folder(t), "file")
		if err := errors.Join(privatefile.Create(path, []byte("secret")), os.Chown(owned(path), stranger, stranger)); err != nil {
			t.Fatal(err)
		}
		if got, err := privatefile.Read(path); !errors.Is(err, privatefile.ErrExposed) || !strings.Contains(err.Error(), "belongs to user 65534") {
			t.Errorf("Read of %s of another user = %q, %v; want %v that names the user", name, got, err, privatefile.ErrExposed)
		}
	}
}

func TestMakeFolderRefusesAnExposedOne(t *testing.T) {
	path := t.TempDir()
	if err := os.Chmod(path, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := privatefile.MakeFolder(path); !errors.Is(err, privatefile.ErrExposed) {
		t.Errorf("MakeFolder: %v; want %v", err, privatefile.ErrExposed)
	}
}
