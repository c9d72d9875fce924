package modem_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"imei-attest/modem"
	"imei-attest/modem/modemtest"
)

// endlessTexts are what a broken or hostile modem may repeat.
var endlessTexts = map[string]string{
	"line":    strings.Repeat("9", 256),
	"URCs":    "\r\n+CREG: 1\r\n",
	"IMEIs":   "\r\n352656105937836\r\n",
	"OKs":     "\r\nOK\r\n",
	"answers": "\r\n352656105937836\r\n\r\nOK\r\n",
	"echoes":  "AT+CGSN=1\r",
	"newline": "\n",
	"NULs":    "\x00\x00\x00\x00",
}

func readEndless(t testing.TB, port *endlessPort) modem.Reading {
	t.Helper()
	r, err := modem.NewReader(port, modem.Config{CommandTimeout: 50 * time.Millisecond, TotalTimeout: time.Second}).Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestEndlessStreams: whatever never ends, memory stays below 1 MiB, and what is read within the session's budget.
func TestEndlessStreams(t *testing.T) {
	for name, text := range endlessTexts {
		for _, after := range []int{0, 2, 5} {
			t.Run(fmt.Sprintf("%s after %d commands", name, after), func(t *testing.T) {
				port := &endlessPort{text: text, proper: after, watched: true}
				r := readEndless(t, port)
				if s := r.Slots[0]; s.IMEI.Digits() == otherIMEI && r.Agreement > modem.AgreementConflict {
					t.Errorf("slot %+v, agreement %v", s, r.Agreement)
				}
				if port.grown > 1<<20 {
					t.Errorf("%d bytes of memory were in use", port.grown)
				}
				if port.taken > modem.MaxSession+1024 {
					t.Errorf("%d bytes were read, want at most %d", port.taken, modem.MaxSession)
				}
			})
		}
	}
}

// TestAnEndlessStreamAllocatesLittle: all that a reading allocates, garbage included, stays below 1 MiB.
func TestAnEndlessStreamAllocatesLittle(t *testing.T) {
	for name, text := range endlessTexts {
		for _, after := range []int{0, 2, 5} {
			var before, behind runtime.MemStats
			port := &endlessPort{text: text, proper: after}
			runtime.ReadMemStats(&before)
			readEndless(t, port)
			runtime.ReadMemStats(&behind)
			if got := behind.TotalAlloc - before.TotalAlloc; got > 1<<20 {
				t.Errorf("%s after %d commands: %d bytes allocated for %d bytes read, want at most %d", name, after, got, port.taken, 1<<20)
			}
		}
	}
}

// endlessPort answers the first commands properly, then repeats its text for ever.
type endlessPort struct {
	watched       bool // look at the memory in use now and then
	text          string
	proper        int
	answer        string
	calls, taken  int
	start, grown  int64
	commandsTaken int
}

func (p *endlessPort) Read(_ context.Context, b []byte) (int, error) {
	n := 0
	switch {
	case p.answer != "":
		n = copy(b, p.answer)
		p.answer = p.answer[n:]
	case p.commandsTaken <= p.proper:
		return 0, modem.ErrTimeout
	}
	for n < len(b) && p.commandsTaken > p.proper {
		n += copy(b[n:], p.text)
	}
	p.taken += n
	if p.calls++; p.watched && p.calls%100 == 1 {
		p.watch()
	}
	return n, nil
}

func (p *endlessPort) watch() {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	if p.start == 0 {
		p.start = int64(m.HeapAlloc)
	}
	p.grown = max(p.grown, int64(m.HeapAlloc)-p.start)
}

func (p *endlessPort) Write(_ context.Context, b []byte) (int, error) {
	if p.commandsTaken++; p.commandsTaken <= p.proper {
		p.answer = "\r\nOK\r\n"
		if strings.HasPrefix(string(b), "AT+CGSN") {
			p.answer = "\r\n490154203237518\r\n\r\nOK\r\n"
		}
	}
	return len(b), nil
}

func (p *endlessPort) Close() error         { return nil }
func (p *endlessPort) Info() modem.PortInfo { return modem.PortInfo{} }

// TestForeignNumbersInTheStream: an IMSI, a caller's number or another modem's answer never becomes the IMEI silently.
func TestForeignNumbersInTheStream(t *testing.T) {
	for _, noise := range []string{
		"\r\n352656105937836\r\n", "\r\n352656105937836\r\n\r\nOK\r\n", "\r\n+CGSN: \"352656105937836\"\r\n", "\r\n+CLIP: \"352656105937836\",145\r\n",
		"\r\n+CMT: ,24\r\n352656105937836\r\n", "AT+CGSN\r\r\n352656105937836\r\n\r\nOK\r\n", "\r\nOK\r\n", "\r\n0\r", "352656105937836", "\r\nIMEI: 352656105937836\r\n",
	} {
		for _, command := range []string{"", "+CGSN=1", "+CGSN=2", "+CGSN=3", "+CGSN", "+GSN", "+CGMM", "I"} {
			for _, echoOff := range []bool{false, true} {
				synctest.Test(t, func(t *testing.T) {
					fault := modemtest.Fault{Kind: modemtest.FaultGarbage, Command: command, Text: noise}
					r := read(t, modemtest.Config{EchoOff: echoOff, Faults: []modemtest.Fault{fault}})
					if s := r.Slots[0]; s.IMEI.Digits() == otherIMEI && r.Agreement > modem.AgreementConflict {
						t.Errorf("noise %q before the answer to %q (echo off: %v): slot %+v, agreement %v", noise, command, echoOff, s, r.Agreement)
					}
				})
			}
		}
	}
}
