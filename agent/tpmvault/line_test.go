package tpmvault_test

import (
	"encoding/binary"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"

	"github.com/google/go-tpm/tpm2"

	"imei-attest/agent/tpmvault/tpmdev"
)

// line is a unix socket before the engine of a unit: what comes back over it can be spoiled byte by byte, as a driver, a
// bus or a busy TPM would, while the engine itself is real and whole.
type line struct {
	u    *unit
	path string

	mu    sync.Mutex
	spoil spoiler
}

// spoiler answers a command on conn; pass has the engine run it. It returns false to hang up.
type spoiler func(command []byte, pass func() []byte, conn net.Conn) bool

func newLine(u *unit) *line {
	u.t.Helper()
	folder, err := os.MkdirTemp("", "line") // TempDir may be too long for a socket
	u.must(err)
	u.t.Cleanup(func() { os.RemoveAll(folder) })
	l := &line{u: u, path: filepath.Join(folder, "s")}
	listener, err := net.Listen("unix", l.path)
	u.must(err)
	u.t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go l.serve(conn)
		}
	}()
	return l
}

// open connects as a device does.
func (l *line) open() *tpmdev.Conn {
	l.u.t.Helper()
	conn, err := tpmdev.Open(l.u.t.Context(), "tpm:unix:"+l.path)
	l.u.must(err)
	l.u.t.Cleanup(func() { conn.Close() })
	return conn
}

func (l *line) set(s spoiler) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.spoil = s
}

func (l *line) serve(conn net.Conn) {
	defer conn.Close()
	for {
		command, err := readMessage(conn)
		if err != nil {
			return
		}
		pass := func() []byte {
			response, err := l.u.conn.Send(command)
			if err != nil {
				return nil
			}
			return response
		}
		l.mu.Lock()
		spoil := l.spoil
		l.mu.Unlock()
		if spoil == nil {
			spoil = honest
		}
		if !spoil(command, pass, conn) {
			return
		}
	}
}

func honest(_ []byte, pass func() []byte, conn net.Conn) bool {
	_, err := conn.Write(pass())
	return err == nil
}

func readMessage(r io.Reader) ([]byte, error) {
	header := make([]byte, 10)
	if _, err := io.ReadFull(r, header); err != nil {
		return nil, err
	}
	message := make([]byte, binary.BigEndian.Uint32(header[2:]))
	copy(message, header)
	_, err := io.ReadFull(r, message[len(header):])
	return message, err
}

// once spoils the first command of a kind, and n-1 more if it comes again.
func once(code tpm2.TPMCC, n int, s spoiler) spoiler {
	return func(command []byte, pass func() []byte, conn net.Conn) bool {
		if tpm2.TPMCC(binary.BigEndian.Uint32(command[6:])) != code || n == 0 {
			return honest(command, pass, conn)
		}
		n--
		return s(command, pass, conn)
	}
}
