//go:build linux

package serialport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tarm/serial"
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
	fd      int          // waits, locks and sets; no byte goes through it
	line    *serial.Port // reads and writes, and blocks: only called for what fd says is there
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
func newPort(fd int, path string, before unix.Stat_t, config Config) (*Port, error) {
	baud, err := speedOf(config.Baud)
	if err != nil {
		return nil, err
	}
	if err := sameDevice(fd, path, before); err != nil {
		return nil, err
	}
	if err := lock(fd); err != nil {
		return nil, err
	}
	old, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil, notTTY(err)
	}
	device := uint64(before.Rdev) // has 32 bits on MIPS
	p := &Port{fd: fd, old: old, info: modem.PortInfo{
		Path: path, Major: unix.Major(device), Minor: unix.Minor(device), Inode: before.Ino,
	}}
	if err = p.setUp(baud); err == nil {
		// Nobody else can open it any more, so the name is checked once more behind the lock.
		err = sameDevice(fd, path, before)
	}
	if err != nil {
		p.release()
		return nil, err
	}
	return p, nil
}

// setUp does what release undoes. The modem lines come first, because a second open(2) can raise them; exclusive use comes after
// it, because it would refuse that one too.
func (p *Port) setUp(baud int) (err error) {
	if p.lower, err = linesOf(p.fd).raise(); err != nil {
		return err
	}
	if p.line, err = openLine(p.fd, baud); err != nil {
		return err
	}
	if err := unix.IoctlSetInt(p.fd, unix.TIOCEXCL, 0); err != nil {
		return notTTY(err)
	}
	if err := makeRaw(p.fd, baud, p.old); err != nil {
		return err
	}
	return p.makeWakers()
}

// release undoes setUp, also in part. Unsent output is thrown away first: close(2) would wait for it, 30 s by default.
// Exclusive use would outlive fd as long as anybody else has the terminal open.
// Errors do not matter: after an unplug every call fails, and closing is all that is left.
func (p *Port) release() {
	if p.lower != nil {
		p.lower()
	}
	_ = unix.IoctlSetInt(p.fd, unix.TCFLSH, unix.TCOFLUSH)
	_ = unix.IoctlSetTermios(p.fd, unix.TCSETS, p.old)
	_ = unix.IoctlSetInt(p.fd, unix.TIOCNXCL, 0)
	if p.line != nil {
		_ = p.line.Close()
	}
	p.closeWakers()
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
	if p.closed.Load() {
		return 0, modem.ErrClosed // before the wakers are touched: their numbers may be other files by now
	}
	if len(b) == 0 {
		return 0, nil
	}
	defer p.readBy.raiseWhenDone(ctx)()
	for {
		ready, err := p.wait(ctx, unix.POLLIN, p.readBy)
		if err != nil {
			return 0, err
		}
		n, err := p.line.Read(b)
		switch {
		case n > 0:
			return n, nil
		case !errors.Is(err, io.EOF):
			return 0, explainIO("reading", err)
		case ready&down != 0:
			return 0, hangup("reading")
		} // else somebody else took it
	}
}

// Write implements modem.Port.
func (p *Port) Write(ctx context.Context, b []byte) (n int, err error) {
	p.writing.Lock()
	defer p.writing.Unlock()
	if p.closed.Load() {
		return 0, modem.ErrClosed
	}
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, DefaultWriteTimeout)
		defer cancel()
	}
	defer p.writeBy.raiseWhenDone(ctx)()
	for n < len(b) {
		if _, err := p.wait(ctx, unix.POLLOUT, p.writeBy); err != nil {
			return n, err
		}
		sent, err := p.line.Write(b[n:min(len(b), n+writeChunk)])
		n += sent
		if err != nil {
			return n, explainIO("writing", err)
		}
	}
	return n, nil
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
	p.release()
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
	return fmt.Errorf("%s: %w", doing, bare(err))
}
