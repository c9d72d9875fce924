//go:build linux

package modemtest_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"imei-attest/modem"
	"imei-attest/modem/modemtest"
)

// write sends text and waits a second for the line to take it.
func write(t *testing.T, port modem.Port, text string) (int, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	return port.Write(ctx, []byte(text))
}

// A modem that stops reading lets the host's writes back up; one that goes on answers what was written meanwhile.
func TestNoDrain(t *testing.T) {
	for name, tt := range map[string]struct {
		lasts time.Duration
		want  string
	}{
		"for ever":  {0, ""},
		"for a day": {24 * time.Hour, text(genericIMEI) + ok},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e, err := modemtest.New(modemtest.Config{EchoOff: true, Faults: []modemtest.Fault{{Kind: modemtest.FaultNoDrain, Command: "+GSN", Delay: tt.lasts}}})
				if err != nil {
					t.Fatal(err)
				}
				port := e.Pipe()
				if _, err := write(t, port, "AT+GSN\r"); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				// A line holds 4 KiB: what a reader sends fits, so it is not the write that tells it.
				if n, err := write(t, port, "AT\r"+strings.Repeat("x", 5000)); n != 4096 || !errors.Is(err, modem.ErrTimeout) {
					t.Errorf("Write to a modem that does not read = %d, %v", n, err)
				}
				time.Sleep(25 * time.Hour)
				if got := say(t, port, ""); got != tt.want {
					t.Errorf("a day later it said %q, want %q", got, tt.want)
				}
			})
		})
	}
}

func TestDrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, err := modemtest.New(modemtest.Config{EchoOff: true, Faults: []modemtest.Fault{{Kind: modemtest.FaultDrip, Command: "*", Delay: time.Second}}})
		if err != nil {
			t.Fatal(err)
		}
		port := e.Pipe()
		defer port.Close()
		if _, err := write(t, port, "AT\r"); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		for i := range len(ok) {
			var b [8]byte
			n, err := port.Read(t.Context(), b[:])
			if at := time.Since(start); err != nil || n != 1 || b[0] != ok[i] || at != time.Duration(i)*time.Second {
				t.Errorf("after %v read %q, %v", at, b[:n], err)
			}
		}
	})
}
