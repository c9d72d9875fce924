//go:build linux

package modemtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// PTY is a pair of terminals: programs open the one at Path or Link, the emulator reads and writes the PTY.
// It is also useful alone, to play a modem by hand in a test.
type PTY struct {
	Path   string // of the terminal, such as /dev/pts/7; another one each time
	Link   string // a symbolic link to it with a name that stays, or ""
	master *os.File
	slave  *os.File // kept open: without it the line hangs up whenever a client closes it

	closing  sync.Once // whoever calls Close second waits for the first
	closeErr error
}

var _ io.ReadWriteCloser = (*PTY)(nil)

// OpenPTY makes a pair and, unless link is empty, publishes it there. A link to a terminal, left over from an earlier
// run, is replaced; anything else is not.
func OpenPTY(link string) (*PTY, error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("opening /dev/ptmx: %w: see whether devpts is mounted", err)
	}
	p := &PTY{Link: link, master: os.NewFile(uintptr(fd), "/dev/ptmx")}
	if err := p.setUp(fd); err != nil {
		p.Link = "" // not ours to remove
		return nil, errors.Join(fmt.Errorf("making a terminal: %w", err), p.Close())
	}
	return p, nil
}

func (p *PTY) setUp(fd int) error {
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return fmt.Errorf("unlocking it: %w", err)
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		return fmt.Errorf("asking for its number: %w", err)
	}
	p.Path = "/dev/pts/" + strconv.Itoa(number)
	if p.slave, err = os.OpenFile(p.Path, os.O_RDWR|syscall.O_NOCTTY, 0); err != nil {
		return err
	}
	// Raw before anybody can open it: a terminal that echoes talks to itself.
	if err := setRaw(p.slave); err != nil {
		return fmt.Errorf("setting it raw: %w", err)
	}
	if p.Link == "" {
		return nil
	}
	return publish(p.Path, p.Link)
}

func setRaw(f *os.File) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var raw *unix.Termios
	ctlErr := conn.Control(func(fd uintptr) {
		if raw, err = unix.IoctlGetTermios(int(fd), unix.TCGETS); err != nil {
			return
		}
		raw.Iflag, raw.Oflag, raw.Lflag = 0, 0, 0
		raw.Cflag |= unix.CS8 | unix.CREAD | unix.CLOCAL
		raw.Cc[unix.VMIN], raw.Cc[unix.VTIME] = 1, 0
		err = unix.IoctlSetTermios(int(fd), unix.TCSETS, raw)
	})
	return errors.Join(ctlErr, err)
}

// publish replaces the link in one step, so that its name always leads somewhere.
func publish(path, link string) error {
	target, err := os.Readlink(link)
	if !errors.Is(err, fs.ErrNotExist) && !strings.HasPrefix(target, "/dev/pts/") {
		return fmt.Errorf("%s is there and is no link to a terminal: choose another name or remove it", link)
	}
	next := fmt.Sprintf("%s.%d", link, os.Getpid())
	if err := os.Symlink(path, next); err != nil {
		return fmt.Errorf("linking %s: %w", link, err)
	}
	if err := os.Rename(next, link); err != nil {
		return errors.Join(fmt.Errorf("linking %s: %w", link, err), os.Remove(next))
	}
	return nil
}

// Read reads what programs wrote. After Close it ends with io.EOF.
func (p *PTY) Read(b []byte) (int, error) {
	n, err := p.master.Read(b)
	if errors.Is(err, os.ErrClosed) {
		err = io.EOF
	}
	return n, err
}

// Write sends to the programs that have the terminal open. When nobody reads it blocks after about 4 KiB.
func (p *PTY) Write(b []byte) (int, error) {
	n, err := p.master.Write(b)
	if errors.Is(err, os.ErrClosed) {
		err = io.EOF
	}
	return n, err
}

// SetDeadline bounds Read and Write.
func (p *PTY) SetDeadline(t time.Time) error { return p.master.SetDeadline(t) }

// SetWriteDeadline bounds Write alone.
func (p *PTY) SetWriteDeadline(t time.Time) error { return p.master.SetWriteDeadline(t) }

// Drain waits until programs have read what was written, at most for limit: the kernel throws away what is unread when
// the line hangs up.
func (p *PTY) Drain(limit time.Duration) {
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(time.Millisecond) {
		unread := 0
		conn, err := p.slave.SyscallConn()
		if err == nil {
			err = conn.Control(func(fd uintptr) {
				// Linux hands over what was written in a worker of its own; poll waits for it, TIOCINQ does not.
				_, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
				unread, _ = unix.IoctlGetInt(int(fd), unix.TIOCINQ)
			})
		}
		if err != nil || unread == 0 {
			return
		}
	}
}

// Close hangs the line up, as unplugging does, and removes the link. It may be called again, and at any time.
func (p *PTY) Close() error {
	p.closing.Do(func() { p.closeErr = p.close() })
	return p.closeErr
}

func (p *PTY) close() error {
	err := p.master.Close()
	if p.slave != nil {
		err = errors.Join(err, p.slave.Close())
	}
	if target, readErr := os.Readlink(p.Link); readErr == nil && target == p.Path {
		err = errors.Join(err, os.Remove(p.Link))
	}
	return err
}

// ServePTY serves a terminal until ctx ends or the modem hangs up; then terminal and link are gone.
func (e *Emulator) ServePTY(ctx context.Context, p *PTY) error {
	return errors.Join(e.Serve(ctx, p), p.Close())
}
