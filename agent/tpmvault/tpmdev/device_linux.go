package tpmdev

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

func openDevice(ctx context.Context, spec, path string) (*Conn, error) {
	// O_NONBLOCK makes write return while the TPM works, so that the deadline covers the command itself. Kernels
	// before 4.20 ignore it and block in write.
	fd, err := retryEINTR(func() (int, error) { return unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0) })
	if err != nil {
		return nil, openError(spec,
			"no such device; is the TPM enabled in the firmware and its driver loaded? See ls /dev/tpm*",
			"another program has it open; use /dev/tpmrm0, which several may share",
			"let the agent's user open it with a udev rule, or add the user to group tss", err)
	}
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil || stat.Mode&unix.S_IFMT != unix.S_IFCHR {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("%s: %w: not a character device (a swtpm socket is named tpm:unix:SOCKET)", spec, ErrSpec)
	}
	if err := lock(ctx, fd); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("%s: %w: another program of this project has it open and did not end in time (%w)", spec, ErrBusy, err)
	}
	return newConn(spec, device(fd)), nil
}

// Times of waiting for another program: an agent keeps the TPM for as long as it reads the modem, 20 s at most.
const (
	lockPatience = 30 * time.Second
	lockInterval = 20 * time.Millisecond
)

// lock keeps other programs of this project away until the device is closed. A resource manager lets several share a TPM, but
// two that prove at once would certify one value of the counter for two tokens, which looks like a copied TPM.
func lock(ctx context.Context, fd int) error {
	ctx, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	for {
		_, err := retryEINTR(func() (int, error) { return 0, unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) })
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(lockInterval):
		}
	}
}

// device is a TPM whose driver keeps messages apart: one write is a command, one read its response. Older kernels
// drop what one read leaves behind, and a read before the response is ready looks like the end of the file; hence
// poll, then one read of the longest response.
//
// No hardware was at hand: the tests run it over a SOCK_SEQPACKET socket that is bridged to swtpm, which keeps
// messages apart in the same way.
type device int

func (d device) close() error { return unix.Close(int(d)) }

func (d device) exchange(command []byte, deadline time.Time) ([]byte, error) {
	n, err := retryEINTR(func() (int, error) { return unix.Write(int(d), command) })
	if err != nil {
		return nil, fmt.Errorf("sending the command: %w (%w)", ErrBroken, err)
	}
	if n != len(command) {
		return nil, fmt.Errorf("%w: the driver took %d of %d bytes", ErrBroken, n, len(command))
	}
	if err := d.wait(deadline); err != nil {
		return nil, err
	}
	response := make([]byte, maxResponse)
	n, err = retryEINTR(func() (int, error) { return unix.Read(int(d), response) })
	if err != nil {
		return nil, fmt.Errorf("reading the response: %w (%w)", ErrBroken, err)
	}
	return response[:n], nil
}

// wait returns when a response can be read.
func (d device) wait(deadline time.Time) error {
	for {
		left := time.Until(deadline)
		if left <= 0 {
			return fmt.Errorf("%w: no response within the time allowed; see the kernel's log (dmesg)", ErrTimeout)
		}
		fds := []unix.PollFd{{Fd: int32(d), Events: unix.POLLIN}}
		milliseconds := int(left/time.Millisecond) + 1
		n, err := unix.Poll(fds, milliseconds)
		switch {
		case err != nil && !errors.Is(err, unix.EINTR):
			return fmt.Errorf("waiting for the response: %w (%w)", ErrBroken, err)
		case err == nil && n > 0:
			return nil // also for POLLERR and POLLHUP: read says what is wrong
		}
	}
}

func retryEINTR(call func() (int, error)) (int, error) {
	for {
		if n, err := call(); !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}
