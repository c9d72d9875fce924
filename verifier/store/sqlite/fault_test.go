package sqlite_test

import (
	"bytes"
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"imei-attest/attest"
	"imei-attest/verifier"
	"imei-attest/verifier/store/sqlite"
)

// wantRecovery: the next decision succeeds without another Open, and nothing that was answered is missing.
func wantRecovery(t *testing.T, s *sqlite.Store, committed []verifier.DecisionID) {
	t.Helper()
	after := many(1<<16 + len(committed))
	commit(t, s, after)
	for _, id := range append(committed, after.Record.Verdict.ID) {
		if _, found, err := s.Record(ctx, id); !found || err != nil {
			t.Fatalf("decision %s: found %v, %v", id, found, err)
		}
	}
	if problems, err := s.Check(ctx); len(problems) > 0 || err != nil {
		t.Errorf("Check: %q, %v", problems, err)
	}
	if chain, err := verify(s); err != nil || chain.Last != uint64(len(committed)+1) {
		t.Errorf("the audit chain: %+v, %v; want %d entries", chain, err, len(committed)+1)
	}
}

// many is one of many decisions on devices of their own.
func many(n int) verifier.Decision {
	d := decision(1)
	d.Presentation.Nonce = append(attest.Nonce{2, byte(n >> 16), byte(n >> 8), byte(n)}, d.Presentation.Nonce...)
	d.Record.Verdict.ID = verifier.DecisionID{2, byte(n >> 16), byte(n >> 8), byte(n)}
	d.Device.Key = attest.KeyID{2, byte(n >> 16), byte(n >> 8), byte(n)}
	d.Device.Holds = nil
	return d
}

// fill commits until it fails.
func fill(t *testing.T, s *sqlite.Store) (committed []verifier.DecisionID, err error) {
	t.Helper()
	for n := range 1 << 14 {
		d := many(n)
		if _, err := s.Commit(ctx, d); err != nil {
			return committed, err
		}
		committed = append(committed, d.Record.Verdict.ID)
	}
	t.Fatal("the disk never became full")
	return nil, nil
}

func TestAFullDiskRefusesAndRecovers(t *testing.T) {
	folder := t.TempDir()
	if err := syscall.Mount("tmpfs", folder, "tmpfs", 0, "size=4m"); err != nil {
		t.Skipf("a small disk needs root: %v", err)
	}
	c := config(t)
	c.Path = filepath.Join(folder, "store.db")
	defer func() { _ = syscall.Unmount(folder, 0) }()
	s := open(t, c)
	defer closeStore(t, s)
	committed, err := fill(t, s)
	if !errors.Is(err, sqlite.ErrFull) || !strings.Contains(err.Error(), "make room") {
		t.Fatalf("after %d decisions: %v, want ErrFull", len(committed), err)
	}
	if _, err := s.Commit(ctx, many(1<<15)); !errors.Is(err, sqlite.ErrFull) {
		t.Errorf("still full: %v", err)
	}
	if h, err := s.Holder(ctx, device); h != (verifier.Holder{}) || err != nil {
		t.Errorf("reading meanwhile: %+v, %v", h, err)
	}
	if err := syscall.Mount("tmpfs", folder, "tmpfs", syscall.MS_REMOUNT, "size=64m"); err != nil {
		t.Fatal(err)
	}
	wantRecovery(t, s, committed)
}

// TestADiskThatFailsRefusesAndRecovers: the system writes no more than so much of a file.
func TestADiskThatFailsRefusesAndRecovers(t *testing.T) {
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	s := open(t, config(t))
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	limit := was
	limit.Cur = 1 << 20
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	committed, err := fill(t, s)
	if again := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &was); again != nil {
		t.Fatal(again)
	}
	if !errors.Is(err, sqlite.ErrDisk) {
		t.Fatalf("after %d decisions: %v, want ErrDisk", len(committed), err)
	}
	wantRecovery(t, s, committed)
}

func TestAFileThatCanOnlyBeReadIsRefused(t *testing.T) {
	folder := t.TempDir()
	if err := syscall.Mount("tmpfs", folder, "tmpfs", 0, ""); err != nil {
		t.Skipf("a disk that can only be read needs root: %v", err)
	}
	defer func() { _ = syscall.Unmount(folder, 0) }()
	c := config(t)
	c.Path = filepath.Join(folder, "store.db")
	s := open(t, c)
	commit(t, s, decision(1))
	closeStore(t, s)
	if err := syscall.Mount("tmpfs", folder, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.Open(ctx, c); !errors.Is(err, sqlite.ErrReadOnly) {
		t.Errorf("a read-only disk: %v", err)
	}
	if err := syscall.Mount("tmpfs", folder, "tmpfs", syscall.MS_REMOUNT, ""); err != nil {
		t.Fatal(err)
	}
	s = open(t, c)
	defer closeStore(t, s)
	wantRecovery(t, s, []verifier.DecisionID{{1}})
}

// TestADamagedFileIsToldFromAnEmptyOne and loses no acknowledged decision silently.
func TestADamagedFileIsToldFromAnEmptyOne(t *testing.T) {
	c := config(t)
	s := open(t, c)
	for n := range 200 {
		commit(t, s, many(n))
	}
	closeStore(t, s)
	sound, err := os.ReadFile(c.Path)
	if err != nil {
		t.Fatal(err)
	}
	const page = 4096
	for name, damage := range map[string]func([]byte) []byte{
		"a page of noise":   func(b []byte) []byte { copy(b[5*page:], bytes.Repeat([]byte{0xa5}, page)); return b },
		"half of the file":  func(b []byte) []byte { return b[:len(b)/2/page*page] },
		"another file":      func([]byte) []byte { return bytes.Repeat([]byte("no store\n"), 1000) },
		"a broken header":   func(b []byte) []byte { b[3]++; return b },
		"a schema of noise": func(b []byte) []byte { copy(b[200:], bytes.Repeat([]byte{0xa5}, page-200)); return b },
	} {
		if err := os.WriteFile(c.Path, damage(bytes.Clone(sound)), 0o600); err != nil {
			t.Fatal(err)
		}
		problem := ""
		s, err := sqlite.Open(ctx, c)
		if err == nil {
			problems, failed := s.Check(ctx)
			problem, err = strings.Join(problems, "; "), failed
			_ = s.Close() // of a damaged file, whatever it says
		}
		if !errors.Is(err, sqlite.ErrCorrupt) && problem == "" {
			t.Errorf("%s: %v, and Check finds nothing", name, err)
		}
	}
}

// TestAnotherProgramThatLocksTheFileIsWaitedForAndTold: a database shell, say.
func TestAnotherProgramThatLocksTheFileIsWaitedForAndTold(t *testing.T) {
	c := config(t)
	s := open(t, c)
	shell := connectShell(t, c.Path)
	if _, err := shell.Exec(`BEGIN IMMEDIATE`); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Commit(ctx, many(0)); !errors.Is(err, sqlite.ErrBusy) {
		t.Errorf("while it is locked: %v, want ErrBusy", err)
	}
	if _, err := shell.Exec(`ROLLBACK`); err != nil {
		t.Fatal(err)
	}
	wantRecovery(t, s, nil)
}
