//go:build linux

package modemtest_test

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"imei-attest/attest/imei"
	"imei-attest/modem/modemtest"
	"imei-attest/testbench/peertest"
)

// desk is where one client works: a folder, a terminal with an emulated modem behind it, and a time after which the client
// is taken to hang. Whatever is started there ends with the test.
type desk struct {
	t        *testing.T
	ctx      context.Context
	folder   string
	terminal string
	settings []string // environment of the programs, which see nothing else of ours
}

// newDesk sets up a modem. The folder's path is short: it holds sockets, whose paths end at 107 bytes (unix(7)).
func newDesk(t *testing.T, config modemtest.Config, patience time.Duration) *desk {
	t.Helper()
	folder, err := os.MkdirTemp("", "desk")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	emulator, err := modemtest.New(config)
	if err != nil {
		t.Fatal(err)
	}
	line, err := modemtest.OpenPTY(filepath.Join(folder, "modem"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	served := make(chan error, 1)
	go func() { served <- emulator.ServePTY(t.Context(), line) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("the emulated modem: %v", err)
		}
	})
	return &desk{t: t, ctx: ctx, folder: folder, terminal: line.Link, settings: []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + folder, "LC_ALL=C",
	}}
}

// hangs reports that the client's time is over.
func (d *desk) hangs() bool { return d.ctx.Err() != nil }

// file writes a file into the folder and returns its path.
func (d *desk) file(name, content string) string {
	d.t.Helper()
	path := filepath.Join(d.folder, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		d.t.Fatal(err)
	}
	return path
}

func (d *desk) command(program string, args ...string) *exec.Cmd {
	d.t.Helper()
	path, err := peertest.Find(program)
	if err != nil {
		d.t.Fatal(err)
	}
	cmd := exec.CommandContext(d.ctx, path, args...)
	cmd.Dir, cmd.Env = d.folder, d.settings
	// A process group of its own, so that what the program starts ends with it, too.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	return cmd
}

// run returns all that a program says. How it exits says little: some of the clients exit with 0 whatever happens.
func (d *desk) run(cmd *exec.Cmd) string {
	out, err := cmd.CombinedOutput()
	d.logIfFailed(cmd, func() string { return string(out) + errorText(err) })
	return string(out)
}

// start runs a program until the test ends, and returns what the group in ready matches of a line it says.
func (d *desk) start(ready string, cmd *exec.Cmd) string {
	d.t.Helper()
	said, toHere, err := os.Pipe()
	if err != nil {
		d.t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = toHere, toHere
	err = cmd.Start()
	toHere.Close()
	if err != nil {
		said.Close()
		d.t.Fatal(err)
	}
	w := &watcher{ready: regexp.MustCompile(ready), found: make(chan string, 1)}
	go w.watch(said)
	d.logIfFailed(cmd, w.text)
	d.t.Cleanup(func() { _ = cmd.Wait() }) // killed by then: t.Context is done before anything is cleaned up
	if found, ok := <-w.found; ok {
		return found
	}
	d.t.Fatalf("%s ended, or was ended after its time, before it was ready", cmd.Args[0])
	return ""
}

// startSilent is start for a program that does not say when it is ready: whoever needs it tries until it answers.
func (d *desk) startSilent(cmd *exec.Cmd) {
	d.t.Helper()
	out, err := os.Create(filepath.Join(d.folder, filepath.Base(cmd.Path)+".log"))
	if err != nil {
		d.t.Fatal(err)
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	d.logIfFailed(cmd, func() string { text, err := os.ReadFile(out.Name()); return string(text) + errorText(err) })
	d.t.Cleanup(func() { _ = cmd.Wait() })
}

// eventually repeats try until it succeeds or the client's time is over.
func (d *desk) eventually(try func() bool) bool {
	const pause = 50 * time.Millisecond // dbus-send takes a tenth of it
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for !try() {
		select {
		case <-tick.C:
		case <-d.ctx.Done():
			return false
		}
	}
	return true
}

func (d *desk) logIfFailed(cmd *exec.Cmd, said func() string) {
	d.t.Cleanup(func() {
		if d.t.Failed() {
			d.t.Logf("%s said:\n%s", strings.Join(cmd.Args, " "), imei.RedactAll(said()))
		}
	})
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// watcher keeps what a program says and finds the line by which it is ready.
type watcher struct {
	ready *regexp.Regexp
	found chan string // one match, or closed without: the program has ended

	mu   sync.Mutex
	said strings.Builder
}

func (w *watcher) watch(said *os.File) {
	defer said.Close()
	defer close(w.found)
	isReady := false
	for lines := bufio.NewScanner(said); lines.Scan(); {
		w.mu.Lock()
		w.said.WriteString(lines.Text() + "\n")
		w.mu.Unlock()
		if match := w.ready.FindStringSubmatch(lines.Text()); match != nil && !isReady {
			isReady = true
			w.found <- match[len(match)-1]
		}
	}
}

func (w *watcher) text() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.said.String()
}
