package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"imei-attest/agent"
	"imei-attest/modem"
)

const (
	defaultInterval = 10 * time.Second
	minInterval     = time.Second // a reading may take longer: the pause begins when it ends
)

// watch prints events until ctx ends.
func watch(ctx context.Context, m modemFlags, interval time.Duration, asJSON bool, stdout io.Writer) error {
	if interval < minInterval {
		return fail(exitUsage, fmt.Errorf("--interval %v: want at least %v", interval, minInterval))
	}
	config, err := m.config()
	if err != nil {
		return err
	}
	monitor, err := agent.NewMonitor(agent.MonitorConfig{
		Open:     func(ctx context.Context) (modem.Port, error) { return m.open(ctx) },
		Modem:    config,
		Report:   func(e agent.Event) error { return writeEvent(stdout, e, asJSON) },
		Interval: interval, Now: time.Now, After: time.After,
	})
	if err != nil {
		return err
	}
	return monitor.Run(ctx)
}

// timeFormat is RFC 3339 with milliseconds.
const timeFormat = "2006-01-02T15:04:05.000Z07:00"

// writeEvent holds full IMEIs: the user asked for them.
func writeEvent(w io.Writer, e agent.Event, asJSON bool) error {
	device := fmt.Sprintf("%d:%d", e.Port.Major, e.Port.Minor)
	agreement := ""
	if isReading(e.Kind) {
		agreement = e.Agreement.String()
	}
	if asJSON {
		return writeJSONLine(w, object{{"time", e.Time.Format(timeFormat)}, {"event", string(e.Kind)}, {"imei", e.IMEI.Digits()},
			{"previous", e.Previous.Digits()}, {"agreement", agreement}, {"error", e.Error}, {"text", e.Text},
			{"slot", e.Slot}, {"device", device}, {"other_device", e.OtherDevice}})
	}
	line := fmt.Sprintf("%s %s", e.Time.Format(timeFormat), e.Kind)
	if e.Slot > 1 {
		line += fmt.Sprintf(" slot=%d", e.Slot)
	}
	for _, part := range []struct{ name, value string }{
		{"imei", e.IMEI.Digits()}, {"previous", e.Previous.Digits()}, {"agreement", agreement}, {"error", e.Error},
	} {
		if part.value != "" {
			line += " " + part.name + "=" + part.value
		}
	}
	if e.Text != "" {
		line += fmt.Sprintf(" text=%q", e.Text)
	}
	if e.Kind == agent.EventReturned {
		line += " device=" + device
		if e.OtherDevice {
			line += " (another one than before)"
		}
	}
	_, err := fmt.Fprintln(w, line)
	return err
}

// isReading: the event is about what the modem answered, so that its agreement means something.
func isReading(kind agent.EventKind) bool {
	return kind != agent.EventUnplugged && kind != agent.EventReturned
}
