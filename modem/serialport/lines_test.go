//go:build linux

package serialport

import (
	"errors"
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"imei-attest/modem"
)

// portLines are modem lines without a port.
type portLines struct {
	up          int
	get, change error // what the driver answers
}

func (p *portLines) lines() modemLines {
	return modemLines{
		get: func() (int, error) { return p.up, p.get },
		change: func(request uint, lines int) error {
			switch {
			case p.change != nil:
				return p.change
			case request == unix.TIOCMBIS:
				p.up |= lines
			case request == unix.TIOCMBIC:
				p.up &^= lines
			default:
				return fmt.Errorf("request %#x", request)
			}
			return nil
		},
	}
}

func TestHostLinesAreUpWhileThePortIsOpen(t *testing.T) {
	const dtr, rts, cts = unix.TIOCM_DTR, unix.TIOCM_RTS, unix.TIOCM_CTS
	for _, tt := range []struct {
		name         string
		port         portLines
		open, closed int
		err          error
	}{
		{"both down", portLines{up: cts}, cts | dtr | rts, cts, nil},
		{"DTR down", portLines{up: rts}, dtr | rts, rts, nil},
		{"both up stay so", portLines{up: dtr | rts | cts}, dtr | rts | cts, dtr | rts | cts, nil},
		{"no lines", portLines{get: unix.ENOTTY}, 0, 0, nil},
		{"lines that cannot be read", portLines{get: unix.EINVAL}, 0, 0, nil},
		{"lines that cannot be changed", portLines{up: rts, change: unix.EINVAL}, rts, rts, nil},
		{"unplugged before", portLines{get: unix.EIO}, 0, 0, modem.ErrHangup},
		{"unplugged amid", portLines{up: rts, change: unix.EIO}, rts, rts, modem.ErrHangup},
	} {
		putBack, err := tt.port.lines().raise()
		open := tt.port.up
		putBack()
		if !errors.Is(err, tt.err) || open != tt.open || tt.port.up != tt.closed {
			t.Errorf("%s: lines %#x while open and %#x after, error %v; want %#x, %#x, %v", tt.name, open, tt.port.up, err, tt.open, tt.closed, tt.err)
		}
	}
}
