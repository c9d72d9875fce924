//go:build linux

package serialport

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"imei-attest/modem"
)

const (
	// DefaultWriteTimeout bounds a Write whose context has no deadline.
	DefaultWriteTimeout = 3 * time.Second
	// writeChunk keeps one write(2) within the smallest FIFO of the UARTs in use, in bytes, so that a cancelled
	// Write leaves at most so much behind.
	writeChunk = 64
)

// Port is an open serial port. It implements modem.Port.
type Port struct {
	fd      int
	info    modem.PortInfo
	old     *unix.Termios
	lower   func()     // puts the modem lines back
	reading sync.Mutex // holds Close back until a running Read has left, and keeps a second one out
	writing sync.Mutex
	readBy  waker
	writeBy waker
	closing waker // stays raised
	closed  atomic.Bool
}

var _ modem.Port = (*Port)(nil)

// newPort locks and sets up fd, after making sure that it is still the device the path named.
func newPort(fd int, path string, before unix.Stat_t, config Config) (_ *Port, err error) {
	if err := sameDevice(fd, path, before); err != nil {
		return nil, err
	}
	if err := lock(fd); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil { // exclusive use would outlive fd as long as anybody else has the terminal open
			_ = unix.IoctlSetInt(fd, unix.TIOCNXCL, 0)
		}
	}()
	// From here on nobody else can open it, so the name is checked once more behind the lock.
	if err := sameDevice(fd, path, before); err != nil {
		return nil, err
	}
	old, err := makeRaw(fd, config.Baud)
	if err != nil {
		return nil, err
	}
	lower, err := linesOf(fd).raise()
	if err != nil {
		release(fd, old)
		return nil, err
	}
	device := uint64(before.Rdev) // has 32 bits on MIPS
	p := &Port{fd: fd, old: old, lower: lower, info: modem.PortInfo{
		Path: path, Major: unix.Major(device), Minor: unix.Minor(device), Inode: before.Ino,
	}}
	if err := p.makeWakers(); err != nil {
		lower()
		release(fd, old)
		return nil, err
	}
	return p, nil
}

// sameDevice finds out whether the node was exchanged between looking and opening.
func sameDevice(fd int, path string, before unix.Stat_t) error {
	var opened, after unix.Stat_t
	if err := unix.Fstat(fd, &opened); err != nil {
		return fmt.Errorf("looking at the open device: %w", err)
	}
	if err := unix.Stat(path, &after); err != nil {
		return explain(err)
	}
	for _, st := range []unix.Stat_t{opened, after} {
		if st.Rdev != before.Rdev || st.Ino != before.Ino || st.Dev != before.Dev {
			return fmt.Errorf("%w: try again when udev has settled, and find out who changed it if it happens twice", modem.ErrReplaced)
		}
	}
	return nil
}

func (p *Port) makeWakers() (err error) {
	for _, w := range []*waker{&p.readBy, &p.writeBy, &p.closing} {
		if *w, err = newWaker(); err != nil {
			p.closeWakers()
			return fmt.Errorf("making an eventfd: %w", err)
		}
	}
	return nil
}

func (p *Port) closeWakers() {
	for _, w := range []waker{p.readBy, p.writeBy, p.closing} {
		w.close()
	}
}

// Info implements modem.Port.
func (p *Port) Info() modem.PortInfo { return p.info }

// Read implements modem.Port.
func (p *Port) Read(ctx context.Context, b []byte) (int, error) {
	p.reading.Lock()
	defer p.reading.Unlock()
	if len(b) == 0 {
		return 0, nil
	}
	defer p.readBy.raiseWhenDone(ctx)()
	for {
		if err := p.mayRun(ctx); err != nil {
			return 0, err
		}
		n, err := unix.Read(p.fd, b)
		switch {
		case n > 0:
			return n, nil
		case n == 0 && err == nil:
			return 0, hangup("reading")
		case errors.Is(err, unix.EINTR):
			continue
		case !errors.Is(err, unix.EAGAIN):
			return 0, explainIO("reading", err)
		}
		if err := p.wait(ctx, unix.POLLIN, p.readBy); err != nil {
			return 0, err
		}
	}
}

// Write implements modem.Port.
func (p *Port) Write(ctx context.Context, b []byte) (n int, err error) {
	p.writing.Lock()
	defer p.writing.Unlock()
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, DefaultWriteTimeout)
		defer cancel()
	}
	defer p.writeBy.raiseWhenDone(ctx)()
	for n < len(b) {
		if err := p.mayRun(ctx); err != nil {
			return n, err
		}
		sent, err := unix.Write(p.fd, b[n:min(len(b), n+writeChunk)])
		switch {
		case err == nil:
			n += sent
			continue
		case errors.Is(err, unix.EINTR):
			continue
		case !errors.Is(err, unix.EAGAIN):
			return n, explainIO("writing", err)
		}
		if err := p.wait(ctx, unix.POLLOUT, p.writeBy); err != nil {
			return n, err
		}
	}
	return n, nil
}

// mayRun is asked before every system call. A passed deadline is not its business: what can be done without waiting is done.
func (p *Port) mayRun(ctx context.Context) error {
	if p.closed.Load() {
		return modem.ErrClosed
	}
	if err := ctx.Err(); errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// Close implements modem.Port.
func (p *Port) Close() error {
	if p.closed.Swap(true) {
		return nil
	}
	p.closing.raise()
	p.reading.Lock() // a running call sees the waker and leaves at once
	defer p.reading.Unlock()
	p.writing.Lock()
	defer p.writing.Unlock()
	p.lower()
	release(p.fd, p.old)
	p.closeWakers()
	if err := unix.Close(p.fd); err != nil {
		return fmt.Errorf("closing %s: %w", p.info.Path, err)
	}
	return nil
}

func hangup(doing string) error {
	return fmt.Errorf("%s: %w: see its cable, its power and the kernel log", doing, modem.ErrHangup)
}

// explainIO: what the kernel answers after an unplug depends on the driver.
func explainIO(doing string, err error) error {
	for _, gone := range []error{unix.EIO, unix.ENXIO, unix.ENODEV, unix.ESHUTDOWN, unix.EPIPE} {
		if errors.Is(err, gone) {
			return hangup(doing)
		}
	}
	return fmt.Errorf("%s: %w", doing, err)
}
