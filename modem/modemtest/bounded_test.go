package modemtest

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"imei-attest/modem"
)

// What a man in the middle remembers is bounded, however many lines programs make up.
func TestMemoryIsBounded(t *testing.T) {
	for after, want := range map[int]int{0: 0, 1: maxRemembered, 1 << 30: maxRemembered} {
		m := memory{after: after}
		for n := range 3 * maxRemembered {
			m.recall(fmt.Sprintf("AT+X=%d\r", n))
			m.heard("OK")
		}
		if len(m.answers) != want {
			t.Errorf("replay after %d: it keeps %d lines, want %d", after, len(m.answers), want)
		}
		for line, answer := range m.answers {
			if answer != "OK" {
				t.Errorf("replay after %d: %s is answered %q, want its own answer only", after, line, answer)
			}
		}
	}
}

// deafModem takes every byte.
type deafModem struct {
	modem.Port
	heard int
}

func (d *deafModem) Write(_ context.Context, p []byte) (int, error) {
	d.heard += len(p)
	return len(p), nil
}

// deafProgram takes every answer.
type deafProgram struct{ io.ReadWriteCloser }

func (deafProgram) Write(p []byte) (int, error) { return len(p), nil }

// Lines that ESC ends, with no CR ever, take neither room nor time that grows.
func TestRelayWithoutCRIsBounded(t *testing.T) {
	const lines, most = 20000, 20 << 20
	port := &deafModem{}
	r := &relay{port: port}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range lines {
		for _, b := range []byte("hello\x1b") {
			if err := r.take(t.Context(), b); err != nil {
				t.Fatal(err)
			}
		}
	}
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > most || port.heard != lines*len("hello\x1b") {
		t.Errorf("%d lines took %d bytes of memory, want at most %d; the modem heard %d bytes", lines, took, most, port.heard)
	}
}

// A line that is refused does not make the relay forget what the modem has heard of the same line before.
func TestRelayRemembersDigitsBeforeARefusedLine(t *testing.T) {
	port := &deafModem{}
	r := &relay{line: deafProgram{}, port: port}
	const passes = "AT+X=4901542\x1b"
	for _, text := range []string{passes, "4901542\x1b", strings.Repeat("x", 600) + "\x1b", "0323751\r"} {
		for _, b := range []byte(text) {
			if err := r.take(t.Context(), b); err != nil {
				t.Fatal(err)
			}
		}
	}
	if port.heard != len(passes) {
		t.Errorf("the modem heard %d bytes, want the %d before the digits became too many", port.heard, len(passes))
	}
}
