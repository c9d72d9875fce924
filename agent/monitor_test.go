package agent_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"imei-attest/agent"
	"imei-attest/modem"
	"imei-attest/modem/modemtest"
)

// What the monitor makes of a modem on a terminal is tested in testbench, which may open one.

func TestMonitorEnds(t *testing.T) {
	noPort := fmt.Errorf("opening: %w", modem.ErrNoPort)
	full := errors.New("no space left")
	emulator, err := modemtest.New(modemtest.Config{})
	if err != nil {
		t.Fatal(err)
	}
	port := emulator.Pipe()
	defer port.Close()
	config := agent.MonitorConfig{
		Open:     func(context.Context) (modem.Port, error) { return nil, noPort },
		Report:   func(agent.Event) error { return full },
		Interval: time.Second, Now: time.Now, After: time.After,
	}
	run := func(ctx context.Context) error {
		m, err := agent.NewMonitor(config)
		if err != nil {
			t.Fatal(err)
		}
		return m.Run(ctx)
	}
	if err := run(t.Context()); !errors.Is(err, modem.ErrNoPort) {
		t.Errorf("a port that cannot be opened: %v", err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := run(cancelled); err != nil {
		t.Errorf("cancelled before the port was open: %v", err)
	}
	config.Open = func(context.Context) (modem.Port, error) { return port, nil }
	if err := run(t.Context()); !errors.Is(err, full) {
		t.Errorf("a report that fails: %v, want %v", err, full)
	}
	if _, err := agent.NewMonitor(agent.MonitorConfig{Open: config.Open}); err == nil {
		t.Error("a monitor without a clock was made")
	}
}
