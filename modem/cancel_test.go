package modem_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"imei-attest/modem"
	"imei-attest/modem/modemtest"
)

// tamperedPort changes what passes a port. Each hook is optional.
type tamperedPort struct {
	modem.Port
	write func(n int, pass func() (int, error)) (int, error) // n counts writes, from 0
	read  func(b []byte, pass func([]byte) (int, error)) (int, error)

	writes, reads int
}

func (p *tamperedPort) Write(ctx context.Context, b []byte) (int, error) {
	n := p.writes
	p.writes++
	pass := func() (int, error) { return p.Port.Write(ctx, b) }
	if p.write == nil {
		return pass()
	}
	return p.write(n, pass)
}

func (p *tamperedPort) Read(ctx context.Context, b []byte) (int, error) {
	p.reads++
	pass := func(b []byte) (int, error) { return p.Port.Read(ctx, b) }
	if p.read == nil {
		return pass(b)
	}
	return p.read(b, pass)
}

// planSize counts the commands and the bytes of a reading.
func planSize(t *testing.T, config modemtest.Config) (commands, bytes int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		port := &tamperedPort{Port: newEmulator(t, config).Pipe()}
		defer port.Close()
		port.read = func(b []byte, pass func([]byte) (int, error)) (int, error) {
			n, err := pass(b)
			bytes += n
			return n, err
		}
		if r, err := modem.NewReader(port, modem.Config{}).Read(t.Context()); err != nil || r.Agreement != modem.AgreementFull {
			t.Fatalf("the undisturbed reading is %+v, %v", r, err)
		}
		commands = port.writes
	})
	return commands, bytes
}

// cancelPoints are where within a command its context is cancelled.
var cancelPoints = []string{"before", "while waiting", "within the answer", "after"}

// TestCancelAtEachCommandAndReadAgain: whatever the cancelled reading left on the line, the next one gets the right IMEI.
func TestCancelAtEachCommandAndReadAgain(t *testing.T) {
	for _, config := range []modemtest.Config{{}, {EchoOff: true}, {Numeric: true, EchoOff: true}, {UCS2: true}} {
		commands, _ := planSize(t, config)
		for _, delay := range []time.Duration{0, 5 * time.Millisecond, 40 * time.Millisecond, 300 * time.Millisecond} {
			config.Faults = []modemtest.Fault{{Kind: modemtest.FaultDelay, Command: "*", Delay: delay}}
			for at := range commands {
				for point, name := range cancelPoints {
					t.Run(fmt.Sprintf("echoOff=%v numeric=%v ucs2=%v delay=%v command=%d %s", config.EchoOff, config.Numeric, config.UCS2, delay, at, name),
						func(t *testing.T) { synctest.Test(t, func(t *testing.T) { cancelAndReadAgain(t, config, at, point) }) })
				}
			}
		}
	}
}

func cancelAndReadAgain(t *testing.T, config modemtest.Config, at, point int) {
	port := &tamperedPort{Port: newEmulator(t, config).Pipe()}
	defer port.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var cancelled atomic.Pointer[time.Time]
	stop := func() { now := time.Now(); cancelled.Store(&now); cancel() }
	answered := 0
	port.write = func(n int, pass func() (int, error)) (int, error) {
		switch {
		case n == at && point == 0:
			stop()
		case n == at && point == 1:
			time.AfterFunc(time.Millisecond, stop)
		case n == at+1 && point == 3:
			stop()
		}
		return pass()
	}
	port.read = func(b []byte, pass func([]byte) (int, error)) (int, error) {
		if port.writes != at+1 || point != 2 || ctx.Err() != nil {
			return pass(b)
		}
		n, err := pass(b[:1])
		if answered += n; answered == 5 {
			stop()
		}
		return n, err
	}
	reader := modem.NewReader(port, modem.Config{})
	_, err := reader.Read(ctx)
	if at := cancelled.Load(); at != nil && (!errors.Is(err, context.Canceled) || time.Since(*at) != 0) {
		t.Errorf("error %v, %v after the cancellation; want a cancellation at once", err, time.Since(*at))
	}
	port.write, port.read = nil, nil
	r, err := reader.Read(t.Context())
	if err != nil || r.Slots[0].IMEI.Digits() != goodIMEI || r.Slots[0].Word != "" || r.Agreement != modem.AgreementFull {
		t.Errorf("the next reading: slot %+v, agreement %v, %v; want the right IMEI and full agreement", r.Slots, r.Agreement, err)
	}
}

// TestCancelTwiceAndReadAgain: a reading that is cancelled while it waits for a cancelled one's answers forgets neither.
func TestCancelTwiceAndReadAgain(t *testing.T) {
	for wait := 5 * time.Millisecond; wait < time.Second; wait += 15 * time.Millisecond {
		synctest.Test(t, func(t *testing.T) {
			faults := []modemtest.Fault{{Kind: modemtest.FaultDelay, Command: "*", Delay: 300 * time.Millisecond}}
			port := newEmulator(t, modemtest.Config{EchoOff: true, Faults: faults}).Pipe()
			defer port.Close()
			reader := modem.NewReader(port, modem.Config{})
			for _, after := range []time.Duration{1500 * time.Millisecond, wait} {
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(after, cancel)
				if _, err := reader.Read(ctx); !errors.Is(err, context.Canceled) {
					t.Fatalf("cancelled after %v: %v", after, err)
				}
			}
			r, err := reader.Read(t.Context())
			if err != nil || r.Slots[0].IMEI.Digits() != goodIMEI || r.Agreement != modem.AgreementFull {
				t.Errorf("cancelled again after %v: slot %+v, agreement %v, %v", wait, r.Slots, r.Agreement, err)
			}
		})
	}
}
