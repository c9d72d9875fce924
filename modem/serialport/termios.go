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

// lock takes the port for this program. TIOCEXCL, which comes later, turns other openers away, but not those with CAP_SYS_ADMIN and
// not those that are already in; flock finds both, when they use it.
func lock(fd int) error {
	if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
		return errBusy()
	} else if err != nil {
		return fmt.Errorf("locking: %w", err)
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

// speedOf gives the speed in bit/s that baud stands for. Each is one that tarm/serial knows too.
func speedOf(baud int) (int, error) {
	if baud == 0 {
		baud = DefaultBaud
	}
	if _, ok := bauds[baud]; !ok {
		return 0, fmt.Errorf("%d bit/s is no speed this program can set; take one of %v", baud, slices.Sorted(maps.Keys(bauds)))
	}
	return baud, nil
}

// makeRaw sets the line whose settings were old. tarm/serial has done so too, but took HUPCL off and waits for a byte.
func makeRaw(fd, baud int, old *unix.Termios) error {
	raw := *old
	raw.Iflag, raw.Oflag, raw.Lflag = unix.IGNPAR, 0, 0
	// HUPCL stays as it was: whether closing drops DTR, and so perhaps the modem's connection, is the owner's setting.
	raw.Cflag &= unix.HUPCL
	raw.Cflag |= unix.CS8 | unix.CREAD | unix.CLOCAL | bauds[baud]
	raw.Ispeed, raw.Ospeed = bauds[baud], bauds[baud]
	// A read returns what is there, be it nothing: tarm/serial's descriptor blocks, and somebody else who has the port open may take
	// the bytes that poll has told of.
	raw.Cc[unix.VMIN], raw.Cc[unix.VTIME] = 0, 0
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &raw); err != nil {
		return notTTY(err)
	}
	return nil
}
