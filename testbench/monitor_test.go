//go:build linux

package testbench_test

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"imei-attest/agent"
	"imei-attest/attest/imei"
	"imei-attest/modem"
	"imei-attest/modem/modemtest"
	"imei-attest/modem/serialport"
)

const (
	oneIMEI     = "490154203237518"
	anotherIMEI = "356938035643809"
	patience    = 20 * time.Second
)

// watched is a modem on a terminal with a monitor that watches it, and a clock that the test turns.
type watched struct {
	t      *testing.T
	link   string
	modem  *modemtest.Emulator
	pty    *modemtest.PTY
	ticks  chan time.Time
	events chan agent.Event
	ended  chan error
}

var watchTime = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func watch(t *testing.T, config modemtest.Config) *watched {
	t.Helper()
	w := &watched{t: t, link: filepath.Join(t.TempDir(), "modem"), ticks: make(chan time.Time), events: make(chan agent.Event, 16),
		ended: make(chan error, 1)}
	w.plug(config)
	monitor, err := agent.NewMonitor(agent.MonitorConfig{
		Open: func(ctx context.Context) (modem.Port, error) {
			return serialport.Open(ctx, w.link, serialport.Config{})
		},
		Report: func(e agent.Event) error { w.events <- e; return nil },
		After:  func(time.Duration) <-chan time.Time { return w.ticks },
		Now:    func() time.Time { return watchTime }, Interval: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() { w.ended <- monitor.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-w.ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return w
}

func (w *watched) plug(config modemtest.Config) {
	w.t.Helper()
	var err error
	if w.modem, err = modemtest.New(config); err != nil {
		w.t.Fatal(err)
	}
	if w.pty, err = modemtest.OpenPTY(w.link); err != nil {
		w.t.Fatal(err)
	}
	pty, served := w.pty, make(chan struct{})
	go func() { defer close(served); _ = w.modem.ServePTY(context.Background(), pty) }() // ends with the terminal
	w.t.Cleanup(func() { pty.Close(); <-served })
}

// tick lets the pause end that the monitor is in, or comes to next.
func (w *watched) tick() {
	w.t.Helper()
	select {
	case w.ticks <- time.Time{}:
	case <-time.After(patience):
		w.t.Fatal("the monitor does not pause")
	}
}

// expect takes the next event and compares it, without the port.
func (w *watched) expect(want agent.Event) {
	w.t.Helper()
	select {
	case got := <-w.events:
		if got.Port.Path != w.link || got.Time != watchTime {
			w.t.Errorf("event %+v, want path %s and time %v", got, w.link, watchTime)
		}
		got.Port, got.Time = modem.PortInfo{}, time.Time{}
		if got != want {
			w.t.Fatalf("got  %+v\nwant %+v", got, want)
		}
	case <-time.After(patience):
		w.t.Fatalf("no event came, want %+v", want)
	}
}

func told(t *testing.T, kind agent.EventKind, digits string) agent.Event {
	return agent.Event{Kind: kind, Slot: 1, IMEI: mustIMEI(t, digits), Agreement: modem.AgreementFull}
}

func TestMonitorReportsAnIMEIThatChanges(t *testing.T) {
	w := watch(t, modemtest.Config{IMEI: oneIMEI})
	w.expect(told(t, agent.EventFirst, oneIMEI))
	w.tick() // the same again is no event
	w.tick()
	w.modem.SetIMEI(anotherIMEI)
	w.tick()
	changed := told(t, agent.EventChanged, anotherIMEI)
	changed.Previous = mustIMEI(t, oneIMEI)
	w.expect(changed)
}

func TestMonitorReportsAnIdentityThatCannotBeRead(t *testing.T) {
	const zero = "000000000000000"
	w := watch(t, modemtest.Config{IMEI: zero})
	w.expect(agent.Event{Kind: agent.EventFailed, Slot: 1, Error: "zero_imei", Text: zero})
	w.tick() // the same failure again is no event
	w.modem.SetIMEI(oneIMEI)
	w.tick()
	w.expect(told(t, agent.EventFirst, oneIMEI))
	w.modem.SetIMEI("490154203237519")
	w.tick()
	luhn := told(t, agent.EventFailed, oneIMEI)
	luhn.Error, luhn.Text = "luhn", "490154203237519"
	w.expect(luhn)
	w.modem.SetIMEI(oneIMEI)
	w.tick()
	w.expect(told(t, agent.EventSame, oneIMEI))
	w.modem.SetFaults(modemtest.Fault{Kind: modemtest.FaultVerbatim, Command: "+GSN", Text: "AT+GSN\r\r\n" + anotherIMEI + "\r\nOK\r\n"})
	w.tick()
	conflict := told(t, agent.EventFailed, oneIMEI)
	conflict.Error, conflict.Agreement = agent.WordConflict, modem.AgreementConflict
	w.expect(conflict)
}

func TestMonitorReportsUnplugAndReturn(t *testing.T) {
	w := watch(t, modemtest.Config{IMEI: oneIMEI})
	w.expect(told(t, agent.EventFirst, oneIMEI))
	old := w.pty.Path
	w.pty.Close()
	w.expect(agent.Event{Kind: agent.EventUnplugged}) // at once, without a tick
	w.tick()                                          // that there is no port is no further event
	filler, err := modemtest.OpenPTY("")              // takes the number, so that the modem comes back under another
	if err != nil {
		t.Fatal(err)
	}
	defer filler.Close()
	w.plug(modemtest.Config{IMEI: anotherIMEI})
	w.tick()
	w.expect(agent.Event{Kind: agent.EventReturned, OtherDevice: w.pty.Path != old})
	changed := told(t, agent.EventChanged, anotherIMEI)
	changed.Previous = mustIMEI(t, oneIMEI)
	w.expect(changed)
}

func TestMonitorConfirmsTheIMEIAfterAReturn(t *testing.T) {
	w := watch(t, modemtest.Config{IMEI: oneIMEI})
	w.expect(told(t, agent.EventFirst, oneIMEI))
	w.pty.Close()
	w.expect(agent.Event{Kind: agent.EventUnplugged})
	w.plug(modemtest.Config{IMEI: oneIMEI})
	other, err := os.Open(w.pty.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := syscall.Flock(int(other.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	w.tick()
	w.expect(agent.Event{Kind: agent.EventFailed, Error: "busy"})
	w.tick() // still busy is no event
	other.Close()
	w.tick()
	select {
	case e := <-w.events:
		if e.Kind != agent.EventReturned {
			t.Fatalf("got %+v, want returned", e)
		}
	case <-time.After(patience):
		t.Fatal("no event came")
	}
	w.expect(told(t, agent.EventSame, oneIMEI))
}

func TestMonitorHearsARestartBetweenReadings(t *testing.T) {
	w := watch(t, modemtest.Config{IMEI: oneIMEI})
	w.expect(told(t, agent.EventFirst, oneIMEI))
	if _, err := w.pty.Write([]byte("\r\nRDY\r\n\r\n+CFUN: 1\r\n")); err != nil {
		t.Fatal(err)
	}
	w.tick()
	w.expect(told(t, agent.EventRestarted, oneIMEI))
}

func TestMonitorSeesAnUnplugWhileItReads(t *testing.T) {
	w := watch(t, modemtest.Config{IMEI: oneIMEI})
	w.expect(told(t, agent.EventFirst, oneIMEI))
	w.modem.SetFaults(modemtest.Fault{Kind: modemtest.FaultHangUp, Command: "+CGSN=2", Text: "\r\n4901"})
	w.tick()
	w.expect(agent.Event{Kind: agent.EventUnplugged})
}

func mustIMEI(t *testing.T, digits string) imei.IMEI {
	t.Helper()
	id, err := imei.Parse(digits)
	if err != nil {
		t.Fatal(err)
	}
	return id
}
