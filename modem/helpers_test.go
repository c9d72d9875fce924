package modem_test

import (
	"io"
	"testing"
	"time"

	"imei-attest/modem"
	"imei-attest/modem/modemtest"
)

const (
	goodIMEI  = "490154203237518"
	otherIMEI = "352656105937836"
)

func newEmulator(t testing.TB, config modemtest.Config) *modemtest.Emulator {
	t.Helper()
	e, err := modemtest.New(config)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// read runs the whole plan against an emulator in memory.
func read(t testing.TB, config modemtest.Config) modem.Reading {
	t.Helper()
	port := newEmulator(t, config).Pipe()
	defer port.Close()
	reading, err := modem.NewReader(port, modem.Config{}).Read(t.Context())
	if err != nil {
		t.Fatalf("Read: %v", err)
	}
	return reading
}

// askScripted sends one command to a peer that answers with script, in pieces of the given sizes.
func askScripted(t testing.TB, command, script string, sizes ...int) modem.Answer {
	t.Helper()
	host, line := modemtest.NewPipe()
	defer host.Close()
	go playScript(line, script, sizes)
	a, err := modem.NewChannel(host, modem.Config{CommandTimeout: 50 * time.Millisecond}).Ask(t.Context(), command)
	if err != nil {
		t.Fatalf("Ask(%q) with %q: %v", command, script, err)
	}
	return a
}

func playScript(line io.ReadWriter, script string, sizes []int) {
	var b [64]byte
	if _, err := line.Read(b[:]); err != nil {
		return
	}
	for i := 0; script != ""; i++ {
		n := len(script)
		if len(sizes) > 0 {
			n = min(n, sizes[i%len(sizes)])
		}
		if _, err := io.WriteString(line, script[:n]); err != nil {
			return
		}
		script = script[n:]
	}
}

func verbatim(command, text string) modemtest.Fault {
	return modemtest.Fault{Kind: modemtest.FaultVerbatim, Command: command, Text: text}
}
