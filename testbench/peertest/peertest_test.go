package peertest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"imei-attest/testbench/peertest"
)

// A row for each peer: one that is here, and one that cannot be.
func TestUse(t *testing.T) {
	table := filepath.Join(t.TempDir(), "table")
	t.Setenv(peertest.TableVariable, table)
	t.Setenv(peertest.RequireVariable, "0")
	t.Run("here", func(t *testing.T) {
		row := peertest.Use(t, peertest.Peer{Name: "shell", Program: "sh", Version: []string{"-c", "echo shell 1.2.3"}}, "")
		row.Asserted = "tells\nits version"
	})
	t.Run("missing", func(t *testing.T) {
		peertest.Use(t, peertest.Peer{Name: "no-such-program", Package: "no-such-package"}, "nothing")
		t.Error("goes on without its peer")
	})
	t.Run("helper missing", func(t *testing.T) {
		peertest.Use(t, peertest.Peer{Name: "shell", Program: "sh"}, "nothing", peertest.Peer{Name: "no-such-helper"})
		t.Error("goes on without its helper")
	})
	got := withoutIDs(t, table)
	want := "shell\t-\t\tnot finished\nshell\t1.2.3\ttells its version\tok\n" +
		"no-such-program\t-\tnothing\tnot finished\nno-such-program\t-\tnothing\tskipped: needs the Debian package no-such-package\n" +
		"shell\t-\tnothing\tnot finished\nshell\t-\tnothing\tskipped: needs the Debian package no-such-helper\n"
	if got != want {
		t.Errorf("the table is\n%s\nwant\n%s", got, want)
	}
}

// withoutIDs reads a table in which each row has two lines, of one identifier.
func withoutIDs(t *testing.T, table string) (lines string) {
	t.Helper()
	raw, err := os.ReadFile(table)
	if err != nil {
		t.Fatal(err)
	}
	last := ""
	for i, line := range strings.SplitAfter(strings.TrimSuffix(string(raw), "\n"), "\n") {
		id, rest, _ := strings.Cut(line, "\t")
		if (id == last) != (i%2 == 1) {
			t.Errorf("line %d has the identifier %q, after %q", i+1, id, last)
		}
		last = id
		lines += rest
	}
	return lines + "\n"
}

// A peer that does not tell its version in time has none, also where it left its output to a child.
func TestAPeerThatHangs(t *testing.T) {
	t.Setenv(peertest.TableVariable, "") // no row of a table that others read
	defer peertest.SetVersionPatience(50 * time.Millisecond)()
	start := time.Now()
	row := peertest.Use(t, peertest.Peer{Name: "hangs", Program: "sh", Version: []string{"-c", "sleep 60 & wait"}}, "")
	if took := time.Since(start); row.Version != "?" || took > 30*time.Second {
		t.Errorf("after %v its version is %q", took, row.Version)
	}
}

// playVariable makes this test binary play tests that do not end well.
const playVariable = "IMEI_ATTEST_PEERTEST_PLAY"

func TestPlay(t *testing.T) {
	how := os.Getenv(playVariable)
	if how == "" {
		t.Skip("it is played by TestTableOfTestsThatDoNotEnd")
	}
	use := func(t *testing.T, name string) {
		peertest.Use(t, peertest.Peer{Name: name, Program: "sh", Version: []string{"-c", "echo 1.0"}}, "plays")
	}
	if how == "early" {
		panic("before any peer")
	}
	t.Run("good", func(t *testing.T) { use(t, "good") })
	t.Run("fails", func(t *testing.T) { use(t, "fails"); t.FailNow() })
	use(t, "outer")
	t.Run("bad", func(t *testing.T) {
		use(t, "bad")
		switch how {
		case "panic":
			panic("as told")
		case "exit":
			runtime.Goexit()
		case "hang":
			time.Sleep(time.Minute)
		case "kill":
			os.Exit(7)
		}
	})
}

// What is printed of tests that panic, hang or are killed: their rows, and never ok.
func TestTableOfTestsThatDoNotEnd(t *testing.T) {
	row := func(name, result string) string { return name + " +1\\.0 +plays +" + result + "\n" }
	// The outer test has failed where the panic has come through, or else the failure of a part.
	some := `1 ok, [12] failed, 0 skipped, [12] not finished: the test hung, panicked or was killed, and its test binary ended early\npeer .*\n` +
		`bad +(1\.0|-) +plays +not finished\n` + row("fails", "FAILED") + row("good", "ok") + `outer +(1\.0|-) +plays +(FAILED|not finished)\n` + "$"
	for how, want := range map[string]string{
		"panic": some,
		"exit":  some,
		"hang":  some,
		"kill":  some,
		"early": `No program of others was tried: the command failed before, with exit status 2\.\n$`,
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			command := exec.Command("../../.ci/peer-table", os.Args[0], "-test.run=^TestPlay$", "-test.timeout=2s")
			command.Env = append(os.Environ(), playVariable+"="+how)
			out, err := command.Output()
			if !regexp.MustCompile(want).Match(out) || err == nil {
				t.Errorf("%v\n%s\nwant\n%s", err, out, want)
			}
		})
	}
}

// TestStoriesArePrinted before the table, also of a command that fails.
func TestStoriesArePrinted(t *testing.T) {
	command := exec.Command("../../.ci/peer-table", "sh", "-c", `echo "a story" >"$IMEI_ATTEST_STORY_TABLE"; exit 3`)
	out, err := command.Output()
	if want := "a story\n\nNo program of others was tried"; !strings.HasPrefix(string(out), want) || command.ProcessState.ExitCode() != 3 {
		t.Errorf("%v\n%s\nwant %s..., exit status 3", err, out, want)
	}
}

// failing is a test that may fail without failing the one that plays it.
type failing struct {
	testing.TB
	said string
}

func (f *failing) Fatalf(format string, args ...any) { f.said = format }

func TestUnavailableFailsWherePeersAreRequired(t *testing.T) {
	t.Setenv(peertest.RequireVariable, "1")
	f := &failing{TB: t}
	peertest.Unavailable(f, peertest.Peer{Name: "no-such-program"}, "it is not there")
	if !strings.Contains(f.said, "make peers") {
		t.Errorf("a missing peer that is required: %q, want a failure that says what to do", f.said)
	}
}
