//go:build linux

package serialport

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"

	"github.com/tarm/serial"
	"golang.org/x/sys/unix"

	"imei-attest/modem"
)

// Config sets the line. The zero value suits every modem that is attached by USB, where the speed means nothing.
type Config struct {
	// Baud is the speed in bit/s; 0 means [DefaultBaud].
	Baud int
}

// maxStuckOpens is how many calls of open(2) may hang in a broken driver before further ones are refused. Each costs
// a thread that nothing can free.
const maxStuckOpens = 4

var stuckOpens atomic.Int32

// Open opens the serial port at path, locks it, sets the line to raw, 8 data bits, no parity, 1 stop bit, no flow
// control, and raises DTR and RTS where the port has them. The error is one of modem's sentinels with the cause and the remedy, or that of ctx: a broken USB driver
// can make open(2) itself hang.
func Open(ctx context.Context, path string, config Config) (*Port, error) {
	p, err := openWithin(ctx, func() (*Port, error) { return open(path, config) })
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	return p, nil
}

func open(path string, config Config) (*Port, error) {
	before, err := statTTY(path)
	if err != nil {
		return nil, err
	}
	fd, err := openRetrying(path)
	if err != nil {
		return nil, explain(err)
	}
	p, err := newPort(fd, path, before, config)
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return p, nil
}

// openWithin runs open aside, because O_NONBLOCK does not keep every driver from blocking in open(2), neither the first time nor the
// second. What a late one brings is closed there too: that can hang in the same driver.
func openWithin(ctx context.Context, open func() (*Port, error)) (*Port, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if stuckOpens.Load() >= maxStuckOpens {
		return nil, fmt.Errorf("%w: %d earlier attempts hang in the kernel: unplug the modem or restart the device", modem.ErrTimeout, maxStuckOpens)
	}
	type opened struct {
		port *Port
		err  error
	}
	result := make(chan opened)
	go func() {
		p, err := open()
		select {
		case result <- opened{p, err}:
		case <-ctx.Done():
			if err == nil {
				p.Close()
			}
			stuckOpens.Add(-1)
		}
	}()
	select {
	case r := <-result:
		return r.port, r.err
	case <-ctx.Done():
		stuckOpens.Add(1) // until it returns after all
		return nil, ctx.Err()
	}
}

func openRetrying(path string) (int, error) {
	for {
		fd, err := unix.Open(path, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if !errors.Is(err, unix.EINTR) {
			return fd, err
		}
	}
}

// openLine has tarm/serial open the terminal behind fd once more. By way of /proc that is this terminal, whatever the path names by now.
func openLine(fd, baud int) (*serial.Port, error) {
	line, err := serial.OpenPort(&serial.Config{Name: fmt.Sprintf("/proc/self/fd/%d", fd), Baud: baud})
	switch {
	case err == nil:
		return line, nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, errors.New("the descriptors of this program are not in /proc/self/fd: mount /proc")
	case errors.Is(err, unix.ENOTTY), errors.Is(err, unix.EINVAL):
		return nil, notTTY(err)
	}
	return nil, explain(bare(err))
}

// bare takes the name of a file in /proc off an error.
func bare(err error) error {
	if p := (*fs.PathError)(nil); errors.As(err, &p) {
		return p.Err
	}
	return err
}

// statTTY looks before opening: opening a FIFO or some other kind of device can already have an effect.
func statTTY(path string) (unix.Stat_t, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return st, explain(err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFCHR {
		return st, fmt.Errorf("%w: it is %s; give the device node of the modem, such as /dev/ttyUSB2", modem.ErrNotTTY, kindOf(st.Mode))
	}
	return st, nil
}

func kindOf(mode uint32) string {
	switch mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return "a directory"
	case unix.S_IFREG:
		return "a regular file"
	case unix.S_IFIFO:
		return "a FIFO"
	case unix.S_IFSOCK:
		return "a socket"
	case unix.S_IFBLK:
		return "a block device"
	}
	return "no character device"
}

// explain adds cause and remedy to what the kernel says about a path.
func explain(err error) error {
	switch {
	case errors.Is(err, unix.EBUSY):
		return errBusy()
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENOTDIR):
		return fmt.Errorf("%w: see whether the modem is plugged in and which /dev/ttyUSB*, ttyACM* or ttyS* it has", modem.ErrNoPort)
	case errors.Is(err, unix.ENXIO), errors.Is(err, unix.ENODEV):
		return fmt.Errorf("%w: the node is there but no device answers behind it: plug the modem in again", modem.ErrNoPort)
	case errors.Is(err, unix.ELOOP):
		return fmt.Errorf("%w: its symbolic links lead in a circle: see the udev rule that makes them", modem.ErrNoPort)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: the user of this program needs the group that owns the device, usually dialout", err)
	case errors.Is(err, unix.EIO):
		return fmt.Errorf("%w: it went while it was opened", modem.ErrHangup)
	}
	return err
}

func errBusy() error {
	return fmt.Errorf("%w: stop the program that uses it (fuser names it); tell ModemManager to ignore it with the udev property ID_MM_PORT_IGNORE=1", modem.ErrBusy)
}
