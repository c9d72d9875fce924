// Package peertest finds the peers of tests: programs that nobody of this project wrote and that ours are tried against.
//
// Start with [Use]. A test that calls it is skipped where the peer is missing, or fails where [RequireVariable] is 1, and
// leaves a row in the table that `make test` prints at the end. Only tests may import this package.
package peertest

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"
)

// RequireVariable is the environment variable that turns a missing peer from a skip into a failure.
const RequireVariable = "IMEI_ATTEST_REQUIRE_PEERS"

// TableVariable is the environment variable that names the file for rows of the table; without it there is no table.
const TableVariable = "IMEI_ATTEST_PEER_TABLE"

// TextVariable is the environment variable that names the file for texts of [Show].
const TextVariable = "IMEI_ATTEST_STORY_TABLE"

// Peer is a program of others.
type Peer struct {
	Name    string   // as people call it
	Program string   // as it is started; "" means Name
	Package string   // of Debian, that has it; "" means Name
	Version []string // arguments on which it tells its version; nil means --version
}

// Row is what a test leaves in the table.
type Row struct {
	Version  string // of the peer, found by Use
	Asserted string // in a few words; an identity in it is redacted by whoever writes it
	peer     Peer
	missing  *Peer
	id       string // of the row: its lines in the table have the same
}

// unfinished is the result of a row until its test ends, and for ever where the test does not: it hung, panicked, or was killed.
const unfinished = "not finished"

// versionPatience is how long a peer may take to tell its version.
var versionPatience = 10 * time.Second

// Use looks for the peer, and for helpers without which it cannot be tried, and adds the peer's row: as not finished now, and
// with its result when the test ends. The test may say more in the row as it learns more.
func Use(t testing.TB, p Peer, asserted string, helpers ...Peer) *Row {
	t.Helper()
	row := &Row{Version: "-", Asserted: asserted, peer: p, id: rand.Text()}
	row.write(t, unfinished)
	t.Cleanup(func() { row.write(t, row.result(t)) })
	for _, needed := range append([]Peer{p}, helpers...) {
		if _, err := Find(needed.program()); err != nil {
			row.missing = &needed
			Unavailable(t, needed, err.Error())
		}
	}
	row.Version = p.version()
	return row
}

// Unavailable skips the test, or fails it where peers are required. It is for what only the peer itself can find missing.
func Unavailable(t testing.TB, p Peer, why string) {
	t.Helper()
	end := t.Skipf
	if os.Getenv(RequireVariable) == "1" {
		end = t.Fatalf
	}
	end("%s; the Debian package %s has it, make peers installs it", why, p.debian())
}

func (p Peer) program() string { return cmp.Or(p.Program, p.Name) }
func (p Peer) debian() string  { return cmp.Or(p.Package, p.Name) }

// Find returns the path of a program. Daemons are often where only root's PATH leads.
func Find(program string) (path string, err error) {
	for _, name := range []string{program, "/usr/sbin/" + program} {
		if path, err = exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not installed", program)
}

var versionNumber = regexp.MustCompile(`[0-9]+(\.[0-9]+)+`)

// version asks the peer; "?" if it does not say, or not in time.
func (p Peer) version() string {
	args := p.Version
	if args == nil {
		args = []string{"--version"}
	}
	path, err := Find(p.program())
	if err != nil {
		return "?"
	}
	ctx, cancel := context.WithTimeout(context.Background(), versionPatience)
	defer cancel()
	command := exec.CommandContext(ctx, path, args...)
	command.WaitDelay = time.Second    // for what the peer started and left with its output
	out, _ := command.CombinedOutput() // some exit with 1 after telling it
	return cmp.Or(versionNumber.FindString(string(out)), "?")
}

// write adds a line to the table; of the lines of a row the last counts.
func (r *Row) write(t testing.TB, result string) {
	t.Helper()
	appendTo(t, TableVariable, strings.Join([]string{r.id, r.peer.Name, r.Version, oneLine.Replace(r.Asserted), result}, "\t")+"\n")
}

// Show adds a text, such as a table, to what `make test` prints at its end.
func Show(t testing.TB, text string) {
	t.Helper()
	appendTo(t, TextVariable, text)
}

// appendTo writes at once: tests of several packages append at the same time.
func appendTo(t testing.TB, variable, text string) {
	t.Helper()
	name := os.Getenv(variable)
	if name == "" {
		return
	}
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		t.Errorf("%s: %v", variable, err)
		return
	}
	_, err = file.WriteString(text)
	if err = cmp.Or(err, file.Close()); err != nil {
		t.Errorf("%s: %v", variable, err)
	}
}

var oneLine = strings.NewReplacer("\t", " ", "\n", " ")

func (r *Row) result(t testing.TB) string {
	why := ""
	if r.missing != nil {
		why = ": needs the Debian package " + r.missing.debian()
	}
	switch {
	case t.Failed():
		return "FAILED" + why
	case t.Skipped():
		return "skipped" + why
	case unwinding():
		return unfinished
	}
	return "ok"
}

// unwinding reports that the test did not reach its end: its cleanup runs in the midst of a panic or of runtime.Goexit,
// while the test counts as neither failed nor skipped yet.
func unwinding() bool {
	callers := make([]uintptr, 100)
	frames := runtime.CallersFrames(callers[:runtime.Callers(1, callers)])
	for {
		frame, more := frames.Next()
		if frame.Function == "runtime.gopanic" || frame.Function == "runtime.Goexit" {
			return true
		}
		if !more {
			return false
		}
	}
}
