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

// down is what poll says of a line that was hung up.
const down = unix.POLLERR | unix.POLLHUP | unix.POLLNVAL

// wait returns when one of events has come, and then all that poll says: a line that went down may still hold bytes, which the caller's
// read gets. Else it says what ended the wait. A passed deadline ends only the waiting: what is there already is told.
func (p *Port) wait(ctx context.Context, events int16, by waker) (ready int16, err error) {
	for {
		if ready, err = p.poll(ctx, events, by); err != nil {
			return 0, err
		}
		switch err := ctx.Err(); {
		case p.closed.Load():
			return 0, modem.ErrClosed
		case errors.Is(err, context.Canceled):
			return 0, err
		case ready&events != 0:
			return ready, nil
		case ready&down != 0:
			return 0, hangup("waiting")
		case err != nil, passed(ctx):
			return 0, modem.ErrTimeout
		} // else a signal came
	}
}

func (p *Port) poll(ctx context.Context, events int16, by waker) (ready int16, err error) {
	fds := []unix.PollFd{
		{Fd: int32(p.fd), Events: events},
		{Fd: int32(by.fd), Events: unix.POLLIN},
		{Fd: int32(p.closing.fd), Events: unix.POLLIN},
	}
	if _, err := unix.Ppoll(fds, timeLeft(ctx), nil); err != nil && !errors.Is(err, unix.EINTR) {
		return 0, explainIO("waiting", err)
	}
	return fds[0].Revents, nil
}

// passed decides by the clock, because the context's own timer may not have fired yet.
func passed(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ok && !time.Now().Before(deadline)
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
