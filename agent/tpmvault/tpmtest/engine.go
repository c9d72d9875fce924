// Package tpmtest runs a TPM 2.0 for tests and for the laboratory: a swtpm of its own in a folder. It is an emulator
// whose state anyone can copy, so nothing it holds proves anything; no shipped program may import this package.
//
// Start with [Start], or in a test with [New]. What the tests of the project do to a TPM (extend a register, clear
// it, count or spoil its commands) is here too; there is no mock TPM, only transports that stand before a real engine.
package tpmtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// ErrNoEngine means swtpm is not installed.
var ErrNoEngine = errors.New("swtpm is not installed (Debian: apt-get install swtpm)")

const (
	startTimeout = 10 * time.Second
	stopTimeout  = 5 * time.Second
	maxSocket    = 107 // bytes of a unix socket's path (unix(7), sun_path less its NUL)
)

// Engine is a running swtpm.
type Engine struct {
	command *exec.Cmd
	sockets string // folder of the sockets, removed at the end
	log     *tail

	done chan struct{} // closed when the process has ended
}

// Start runs swtpm with its state in folder, which is made when absent and outlives the engine: started again there,
// it is the same TPM after a reboot. The engine is killed when ctx ends.
func Start(ctx context.Context, folder string) (*Engine, error) {
	path, err := exec.LookPath("swtpm")
	if err != nil {
		return nil, ErrNoEngine
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	sockets, err := os.MkdirTemp("", "swtpm")
	if err != nil {
		return nil, err
	}
	e := &Engine{sockets: sockets, log: &tail{}, done: make(chan struct{})}
	if len(e.Socket()+controlSuffix) > maxSocket {
		_ = os.RemoveAll(sockets)
		return nil, fmt.Errorf("the path %s is too long for a socket: set TMPDIR to a shorter folder", e.Socket())
	}
	e.command = exec.CommandContext(ctx, path, "socket", "--tpm2", "--tpmstate", "dir=.",
		"--server", "type=unixio,path="+e.Socket(), "--ctrl", "type=unixio,path="+e.Socket()+controlSuffix,
		"--flags", "not-need-init,startup-clear", "--pid", "file="+filepath.Join(sockets, "pid"))
	e.command.Dir = folder // a comma in its path would end the option
	// A program that is killed takes its engine along.
	e.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	e.command.Stdout, e.command.Stderr = e.log, e.log
	if err := e.command.Start(); err != nil {
		_ = os.RemoveAll(sockets)
		return nil, fmt.Errorf("starting swtpm: %w", err)
	}
	go e.reap()
	return e, e.ready(ctx)
}

// controlSuffix is what tpm2-tools expect of the control socket's name (TPM2TOOLS_TCTI=swtpm:path=SOCKET).
const controlSuffix = ".ctrl"

// Socket is the path of the unix socket.
func (e *Engine) Socket() string { return filepath.Join(e.sockets, "s") }

// Spec names the engine as tpmdev.Open and the command lines take it.
func (e *Engine) Spec() string { return "tpm:unix:" + e.Socket() }

// Stop ends the engine as a power-off after a clean shutdown of the program would.
func (e *Engine) Stop() error { return e.end(syscall.SIGTERM) }

// Kill ends it at once, as a power failure.
func (e *Engine) Kill() error { return e.end(syscall.SIGKILL) }

func (e *Engine) end(signal syscall.Signal) error {
	if err := e.command.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-e.done:
		return nil
	case <-time.After(stopTimeout):
		_ = e.command.Process.Kill()
		<-e.done
		return fmt.Errorf("swtpm did not end within %s and was killed", stopTimeout)
	}
}

func (e *Engine) reap() {
	_ = e.command.Wait() // a signal is how it ends
	_ = os.RemoveAll(e.sockets)
	close(e.done)
}

// ready waits until the engine takes connections.
func (e *Engine) ready(ctx context.Context) error {
	const pause = 5 * time.Millisecond
	for deadline := time.Now().Add(startTimeout); ; {
		conn, err := net.Dial("unix", e.Socket())
		if err == nil {
			return conn.Close()
		}
		select {
		case <-e.done:
			return fmt.Errorf("swtpm ended at once: %s", e.log)
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		if time.Now().After(deadline) {
			_ = e.Kill()
			return fmt.Errorf("swtpm takes no connection: %w; it said: %s", err, e.log)
		}
	}
}

// tail keeps the first lines a process wrote, for a message.
type tail struct {
	mu   sync.Mutex
	text strings.Builder
}

func (t *tail) Write(p []byte) (int, error) {
	const limit = 4 << 10
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.text.Len() < limit {
		t.text.Write(p)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(t.text.String())
}
