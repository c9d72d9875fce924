//go:build linux

package serialport

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"imei-attest/modem"
)

// waker ends a poll from another goroutine, by an eventfd. The zero value is not open.
type waker struct{ fd int }

func newWaker() (waker, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	return waker{fd}, err
}

func (w waker) raise() {
	_, _ = unix.Write(w.fd, binary.NativeEndian.AppendUint64(nil, 1)) // fails only when raised 2^64 times
}

func (w waker) lower() {
	var count [8]byte
	_, _ = unix.Read(w.fd, count[:])
}

func (w waker) close() {
	if w.fd > 0 {
		unix.Close(w.fd)
	}
}

// raiseWhenDone raises w when ctx ends. The function it returns undoes that and leaves w lowered.
func (w waker) raiseWhenDone(ctx context.Context) (undo func()) {
	raised := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		w.raise()
		close(raised)
	})
	return func() {
		if !stop() {
			<-raised
			w.lower()
		}
	}
}

// wait returns nil when events may have come or the line went down: the caller's next read or write tells, and
// gets what the kernel still holds. Else it says what ended the wait.
func (p *Port) wait(ctx context.Context, events int16, by waker) error {
	fds := []unix.PollFd{
		{Fd: int32(p.fd), Events: events},
		{Fd: int32(by.fd), Events: unix.POLLIN},
		{Fd: int32(p.closing.fd), Events: unix.POLLIN},
	}
	_, err := unix.Ppoll(fds, timeLeft(ctx), nil)
	if err != nil && !errors.Is(err, unix.EINTR) {
		return explainIO("waiting", err)
	}
	const down = unix.POLLERR | unix.POLLHUP | unix.POLLNVAL
	switch ready := fds[0].Revents; {
	case p.closed.Load():
		return modem.ErrClosed
	case ready&events != 0:
		return nil
	case ready&down != 0:
		return hangup("waiting")
	case ctx.Err() == nil:
		return p.timedOut(ctx)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return modem.ErrTimeout
	}
	return ctx.Err()
}

// timedOut decides by the clock when the context's own timer has not fired yet.
func (p *Port) timedOut(ctx context.Context) error {
	if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) {
		return modem.ErrTimeout
	}
	return nil // a signal; the caller tries again
}

// timeLeft is the time to the deadline of ctx, nil for none. It has nanoseconds where poll(2) has milliseconds.
func timeLeft(ctx context.Context) *unix.Timespec {
	deadline, ok := ctx.Deadline()
	if !ok {
		return nil
	}
	ts := unix.NsecToTimespec(max(0, time.Until(deadline).Nanoseconds()))
	return &ts
}
