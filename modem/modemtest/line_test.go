//go:build linux

package modemtest_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"imei-attest/modem"
	"imei-attest/modem/modemtest"
	"imei-attest/modem/serialport"
)

// hostStream makes a plain stream of a port.
type hostStream struct{ modem.Port }

func (h hostStream) Read(p []byte) (int, error) {
	n, err := h.Port.Read(context.Background(), p)
	if errors.Is(err, modem.ErrHangup) || errors.Is(err, modem.ErrClosed) {
		err = io.EOF
	}
	return n, err
}

func (h hostStream) Write(p []byte) (int, error) { return h.Port.Write(context.Background(), p) }

// pipeStreams returns the two ends of a line in memory as streams.
func pipeStreams(t *testing.T) (host io.ReadWriteCloser, line io.ReadWriteCloser) {
	t.Helper()
	port, line := modemtest.NewPipe()
	return hostStream{port}, line
}

// TestPortContract holds the line in memory and the real one against the same promises of modem.Port.
func TestPortContract(t *testing.T) {
	kinds := map[string]func(t *testing.T) (modem.Port, io.ReadWriteCloser){
		"memory": func(t *testing.T) (modem.Port, io.ReadWriteCloser) { return modemtest.NewPipe() },
		"terminal": func(t *testing.T) (modem.Port, io.ReadWriteCloser) {
			line, err := modemtest.OpenPTY("")
			if err != nil {
				t.Fatal(err)
			}
			port, err := serialport.Open(t.Context(), line.Path, serialport.Config{})
			if err != nil {
				t.Fatal(err)
			}
			return port, line
		},
	}
	for name, open := range kinds {
		t.Run(name, func(t *testing.T) {
			port, line := open(t)
			defer port.Close()
			checkDelivery(t, port, line)
			checkWaiting(t, port)
			line.Close()
			for range 2 {
				expectRead(t, port, t.Context(), modem.ErrHangup)
			}
			port.Close()
			if err := port.Close(); err != nil {
				t.Errorf("second Close: %v", err)
			}
			expectRead(t, port, t.Context(), modem.ErrClosed)
			if _, err := port.Write(t.Context(), []byte("x")); !errors.Is(err, modem.ErrClosed) {
				t.Errorf("Write after Close: %v", err)
			}
		})
	}
}

func checkDelivery(t *testing.T, port modem.Port, line io.ReadWriter) {
	t.Helper()
	passed, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	expectRead(t, port, passed, modem.ErrTimeout)
	if _, err := io.WriteString(line, "abc"); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 8)
	if n, err := port.Read(passed, b); string(b[:n]) != "abc" || err != nil {
		t.Errorf("Read with a passed deadline = %q, %v", b[:n], err)
	}
	if n, err := port.Write(t.Context(), []byte("AT\r")); n != 3 || err != nil {
		t.Errorf("Write = %d, %v", n, err)
	}
	if n, err := io.ReadFull(line, b[:3]); string(b[:n]) != "AT\r" || err != nil {
		t.Errorf("the modem read %q, %v", b[:n], err)
	}
}

func checkWaiting(t *testing.T, port modem.Port) {
	t.Helper()
	short, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
	defer cancel()
	expectRead(t, port, short, modem.ErrTimeout)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(5*time.Millisecond, cancel)
	expectRead(t, port, ctx, context.Canceled)
	short, cancel = context.WithTimeout(t.Context(), 5*time.Millisecond)
	defer cancel()
	if n, err := port.Write(short, make([]byte, 1<<20)); !errors.Is(err, modem.ErrTimeout) || n == 1<<20 {
		t.Errorf("Write to a peer that takes nothing = %d, %v", n, err)
	}
}

func expectRead(t *testing.T, port modem.Port, ctx context.Context, want error) {
	t.Helper()
	if n, err := port.Read(ctx, make([]byte, 8)); n != 0 || !errors.Is(err, want) {
		t.Errorf("Read = %d, %v; want %v", n, err, want)
	}
}

func TestOpenPTYReplacesNothingButALinkToATerminal(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	if err := errors.Join(os.WriteFile(file, []byte("kept"), 0o600), os.Symlink(file, link)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, link, dir} {
		if p, err := modemtest.OpenPTY(path); err == nil {
			p.Close()
			t.Errorf("%s was replaced", path)
		}
	}
	if content, err := os.ReadFile(link); string(content) != "kept" {
		t.Errorf("the file holds %q, %v", content, err)
	}
}

func TestServePTY(t *testing.T) {
	link := filepath.Join(t.TempDir(), "modem")
	if err := os.Symlink("/dev/pts/nowhere", link); err != nil { // left over from a crash
		t.Fatal(err)
	}
	e, err := modemtest.New(modemtest.Config{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	pty, err := modemtest.OpenPTY(link)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- e.ServePTY(ctx, pty) }()
	port := openSoon(t, link)
	r, err := modem.NewReader(port, modem.Config{}).Read(t.Context())
	if err != nil || r.Slots[0].IMEI.Digits() != "490154203237518" || r.Agreement != modem.AgreementFull || r.Port.Path != link || r.Port.Major == 0 {
		t.Errorf("reading %+v, %v", r, err)
	}
	port.Close()
	port = openSoon(t, link) // the line stays up between clients
	cancel()
	if err := <-served; err != nil {
		t.Errorf("ServePTY: %v", err)
	}
	if _, err := modem.NewReader(port, modem.Config{}).Read(t.Context()); !errors.Is(err, modem.ErrHangup) {
		t.Errorf("reading a modem that is gone: %v", err)
	}
	port.Close()
	if _, err := os.Lstat(link); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the link is left over: %v", err)
	}
}

func openSoon(t *testing.T, path string) *serialport.Port {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		port, err := serialport.Open(t.Context(), path, serialport.Config{})
		if err == nil {
			return port
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func TestUnplugInTheMiddleOfALine(t *testing.T) {
	line, err := modemtest.OpenPTY("")
	if err != nil {
		t.Fatal(err)
	}
	e, err := modemtest.New(modemtest.Config{EchoOff: true, Faults: []modemtest.Fault{{Kind: modemtest.FaultHangUp, Command: "+CGSN=1", Text: "\r\n+CGSN: 4901"}}})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- e.Serve(t.Context(), line) }()
	port := openSoon(t, line.Path)
	defer port.Close()
	if _, err := modem.NewReader(port, modem.Config{}).Read(t.Context()); !errors.Is(err, modem.ErrHangup) {
		t.Errorf("Read: %v, want ErrHangup", err)
	}
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
}
