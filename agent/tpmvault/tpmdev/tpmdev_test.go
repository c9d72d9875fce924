package tpmdev

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

var command = []byte{0x80, 0x01, 0, 0, 0, 12, 0, 0, 1, 0x44, 0, 0} // TPM2_Startup(CLEAR)

func response(tag uint16, size uint32, code uint32, body ...byte) []byte {
	r := binary.BigEndian.AppendUint16(nil, tag)
	r = binary.BigEndian.AppendUint32(r, size)
	return append(binary.BigEndian.AppendUint32(r, code), body...)
}

// serve answers each command on a unix socket with what answer writes.
func serve(t *testing.T, answer func(net.Conn)) *Conn {
	t.Helper()
	folder, err := os.MkdirTemp("", "tpmdev") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	path := filepath.Join(folder, "s")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		for buffer := make([]byte, 4096); ; {
			if _, err := conn.Read(buffer); err != nil {
				return
			}
			answer(conn)
		}
	}()
	c, err := Open(t.Context(), "tpm:unix:"+path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestResponseInPieces(t *testing.T) {
	want := response(tagNoSessions, 14, 0, 1, 2, 3, 4)
	c := serve(t, func(conn net.Conn) {
		for i := range want {
			conn.Write(want[i : i+1])
			time.Sleep(time.Millisecond)
		}
	})
	for range 2 {
		if got, err := c.Send(command); err != nil || string(got) != string(want) {
			t.Errorf("Send = %x, %v; want %x", got, err, want)
		}
	}
}

func TestBrokenResponsesCloseTheConnection(t *testing.T) {
	for name, c := range map[string]struct {
		raw  []byte
		want string
	}{
		"too short a length": {response(tagNoSessions, 9, 0), "9 bytes"},
		"too long a length":  {response(tagNoSessions, 4097, 0), "4097 bytes"},
		"length of 4 GiB":    {response(tagNoSessions, 0xFFFFFFFF, 0), "bytes"},
		"unknown tag":        {response(0x1234, 10, 0), "0x1234"},
		"TPM 1.2":            {response(tagRspCommand, 10, 0x1E), "TPM 1.2"},
	} {
		t.Run(name, func(t *testing.T) {
			conn := serve(t, func(conn net.Conn) { conn.Write(c.raw) })
			if _, err := conn.Send(command); !errors.Is(err, ErrBroken) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Send: %v; want %v with %q", err, ErrBroken, c.want)
			}
			if _, err := conn.Send(command); !errors.Is(err, ErrBroken) || !strings.Contains(err.Error(), "open it again") {
				t.Errorf("Send afterwards: %v; want %v", err, ErrBroken)
			}
		})
	}
}

func TestShortResponseThenEnd(t *testing.T) {
	for _, n := range []int{0, 4, 12} {
		c := serve(t, func(conn net.Conn) {
			conn.Write(response(tagNoSessions, 14, 0, 1, 2, 3, 4)[:n])
			conn.Close()
		})
		if _, err := c.Send(command); !errors.Is(err, ErrBroken) {
			t.Errorf("%d bytes of 14: %v; want %v", n, err, ErrBroken)
		}
	}
}

func TestSilenceEndsByTheDeadline(t *testing.T) {
	c := serve(t, func(net.Conn) {})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	start := time.Now()
	if _, err := c.SendContext(ctx, command); !errors.Is(err, ErrTimeout) {
		t.Errorf("SendContext: %v; want %v", err, ErrTimeout)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
	if _, err := c.Send(command); !errors.Is(err, ErrBroken) {
		t.Errorf("Send after a timeout: %v; want %v, or the late response answers it", err, ErrBroken)
	}
}

func TestRetryUntilTheTPMIsReady(t *testing.T) {
	var n atomic.Int32
	c := serve(t, func(conn net.Conn) {
		codes := []uint32{rcRetry, rcYielded, rcTesting, 0}
		conn.Write(response(tagNoSessions, 10, codes[n.Add(1)-1]))
	})
	c.backoff = time.Millisecond
	if got, err := c.Send(command); err != nil || responseCode(got) != 0 || n.Load() != 4 {
		t.Errorf("Send = %x, %v after %d commands; want success after 4", got, err, n.Load())
	}
}

func TestRetryForEverIsAnError(t *testing.T) {
	c := serve(t, func(conn net.Conn) { conn.Write(response(tagNoSessions, 10, rcRetry)) })
	c.backoff, c.timeout = time.Millisecond, 20*time.Millisecond
	got, err := c.Send(command)
	if got != nil || !errors.Is(err, ErrBusy) {
		t.Errorf("Send = %x, %v; want %v", got, err, ErrBusy)
	}
}

func TestCancelledContextSendsNothing(t *testing.T) {
	c := serve(t, func(net.Conn) { t.Error("a command was sent") })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.SendContext(ctx, command); !errors.Is(err, context.Canceled) {
		t.Errorf("SendContext: %v; want %v", err, context.Canceled)
	}
}

func TestOpenErrorsSayWhatToDo(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		spec string
		want error
		says string
	}{
		{"", ErrSpec, "tpm:/dev/tpmrm0"},
		{"/dev/tpmrm0", ErrSpec, "tpm:/dev/tpmrm0"},
		{"tpm:", ErrSpec, "tpm:/dev/tpmrm0"},
		{"tpm:unix:", ErrSpec, "tpm:unix:SOCKET"},
		{"tpm:simulator", ErrSpec, "tpm:/dev/tpmrm0"},
		{"tpm:" + file, ErrSpec, "not a character device"},
		{"tpm:/dev/no-such-tpm", ErrAbsent, "enabled in the firmware"},
		{"tpm:unix:" + filepath.Join(folder, "s"), ErrAbsent, "start swtpm"},
	} {
		conn, err := Open(t.Context(), c.spec)
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("Open(%q) = %v, %v; want %v with %q", c.spec, conn, err, c.want, c.says)
		}
	}
}

func TestOpenErrorSortsSystemErrors(t *testing.T) {
	for _, c := range []struct{ err, want error }{
		{os.ErrPermission, ErrPermission}, {os.ErrNotExist, ErrAbsent}, {io.ErrNoProgress, io.ErrNoProgress},
	} {
		if got := openError("spec", "absent", "busy", "permission", c.err); !errors.Is(got, c.want) {
			t.Errorf("openError(%v) = %v; want %v", c.err, got, c.want)
		}
	}
}
