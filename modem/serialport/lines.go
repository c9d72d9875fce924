//go:build linux

package serialport

import (
	"errors"

	"golang.org/x/sys/unix"
)

// hostLines say that the host is there and ready to receive. Some modems answer nothing while they are down. open(2) raises
// them on most drivers, but not where another program has the port open and took them down.
const hostLines = unix.TIOCM_DTR | unix.TIOCM_RTS

// modemLines reads and changes the lines of a port.
type modemLines struct {
	get    func() (int, error)
	change func(request uint, lines int) error // TIOCMBIS or TIOCMBIC
}

func linesOf(fd int) modemLines {
	return modemLines{
		get:    func() (int, error) { return unix.IoctlGetInt(fd, unix.TIOCMGET) },
		change: func(request uint, lines int) error { return unix.IoctlSetPointerInt(fd, request, lines) },
	}
}

// raise raises the host's lines where the port has such, and returns how to put them back. A pseudo-terminal has none, and
// some drivers take no change of them.
func (m modemLines) raise() (putBack func(), err error) {
	nothing := func() {}
	before, err := m.get()
	if isNoSuchLine(err) {
		return nothing, nil
	} else if err != nil {
		return nothing, notTTY(err)
	}
	down := hostLines &^ before
	if down == 0 {
		return nothing, nil
	}
	if err := m.change(unix.TIOCMBIS, down); isNoSuchLine(err) {
		return nothing, nil
	} else if err != nil {
		return nothing, notTTY(err)
	}
	return func() { _ = m.change(unix.TIOCMBIC, down) }, nil // fails after an unplug, which took them down
}

func isNoSuchLine(err error) bool { return errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.EINVAL) }
