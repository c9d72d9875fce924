package tpmdev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// openSocket makes the socket by hand: package net is a third of a megabyte in the agent's program and serves nothing
// else there.
func openSocket(ctx context.Context, spec, path string) (*Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("%s: making a socket: %w", spec, err)
	}
	// A unix socket is connected at once or not at all (unix(7)): EAGAIN is a queue that is full.
	if _, err := retryEINTR(func() (int, error) { return 0, unix.Connect(fd, &unix.SockaddrUnix{Name: path}) }); err != nil {
		_ = unix.Close(fd)
		if errors.Is(err, unix.EAGAIN) {
			err = unix.EBUSY
		}
		return nil, openError(spec,
			"nobody listens there; start swtpm first",
			"another program is connected",
			"run as the user who started swtpm", err)
	}
	return newConn(spec, stream{os.NewFile(uintptr(fd), path)}), nil
}

// stream is a TPM at the other end of a byte stream, as swtpm serves it: a response may come in pieces. The file is
// of a socket that does not block, so its deadlines work.
type stream struct{ *os.File }

func (s stream) close() error { return s.Close() }

func (s stream) exchange(command []byte, deadline time.Time) ([]byte, error) {
	if err := s.SetDeadline(deadline); err != nil {
		return nil, err
	}
	if _, err := s.Write(command); err != nil {
		return nil, streamError("sending the command", err)
	}
	response := make([]byte, headerSize, maxResponse)
	if _, err := io.ReadFull(s, response); err != nil {
		return nil, streamError("reading the response", err)
	}
	size := responseSize(response)
	if size < headerSize || size > maxResponse {
		return nil, fmt.Errorf("%w: response says it has %d bytes (%d to %d)", ErrBroken, size, headerSize, maxResponse)
	}
	response = response[:size]
	if _, err := io.ReadFull(s, response[headerSize:]); err != nil {
		return nil, streamError("reading the response", err)
	}
	return response, nil
}

func streamError(doing string, err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("%s: %w: swtpm serves one program at a time; is another one connected?", doing, ErrTimeout)
	}
	return fmt.Errorf("%s: %w (%w)", doing, ErrBroken, err)
}
