//go:build linux

package serialport

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/sys/unix"

	"imei-attest/modem"
)

// DefaultBaud is what modules on a UART start with (bit/s); over USB any speed works.
const DefaultBaud = 115200

var bauds = map[int]uint32{
	9600: unix.B9600, 19200: unix.B19200, 38400: unix.B38400, 57600: unix.B57600, 115200: unix.B115200,
	230400: unix.B230400, 460800: unix.B460800, 921600: unix.B921600,
}

// lock takes the port for this program. TIOCEXCL turns other openers away, but not those with CAP_SYS_ADMIN and not
// those that are already in; flock finds both, when they use it.
func lock(fd int) error {
	if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
		return errBusy()
	} else if err != nil {
		return fmt.Errorf("locking: %w", err)
	}
	if err := unix.IoctlSetInt(fd, unix.TIOCEXCL, 0); err != nil {
		return notTTY(err)
	}
	return nil
}

func notTTY(err error) error {
	switch {
	case errors.Is(err, unix.ENOTTY), errors.Is(err, unix.EINVAL):
		return fmt.Errorf("%w: it is a device of another kind; give the device node of the modem, such as /dev/ttyUSB2", modem.ErrNotTTY)
	case errors.Is(err, unix.EIO):
		return explain(err)
	}
	return fmt.Errorf("setting up the line: %w", err)
}

// makeRaw sets the line and returns the settings it had.
func makeRaw(fd, baud int) (old *unix.Termios, err error) {
	if baud == 0 {
		baud = DefaultBaud
	}
	speed, ok := bauds[baud]
	if !ok {
		return nil, fmt.Errorf("%d bit/s is no speed this program can set; take one of %v", baud, slices.Sorted(maps.Keys(bauds)))
	}
	old, err = unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil, notTTY(err)
	}
	raw := *old
	raw.Iflag, raw.Oflag, raw.Lflag = unix.IGNPAR, 0, 0
	// HUPCL stays as it was: whether closing drops DTR, and so perhaps the modem's connection, is the owner's setting.
	raw.Cflag &= unix.HUPCL
	raw.Cflag |= unix.CS8 | unix.CREAD | unix.CLOCAL | speed
	raw.Ispeed, raw.Ospeed = speed, speed
	// With VMIN 1 a read of 0 bytes means a hang-up; with 0 it would mean silence as well.
	raw.Cc[unix.VMIN], raw.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &raw); err != nil {
		return nil, notTTY(err)
	}
	return old, nil
}

// release undoes lock and makeRaw. Unsent output is thrown away first: close(2) would wait for it, 30 s by default.
// Errors do not matter: after an unplug every call fails, and closing is all that is left.
func release(fd int, old *unix.Termios) {
	_ = unix.IoctlSetInt(fd, unix.TCFLSH, unix.TCOFLUSH)
	_ = unix.IoctlSetTermios(fd, unix.TCSETS, old)
	_ = unix.IoctlSetInt(fd, unix.TIOCNXCL, 0)
}
