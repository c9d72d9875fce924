package agent

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"imei-attest/attest/imei"
	"imei-attest/modem"
)

// talker is a port whose modem says text and is then silent.
type talker struct {
	modem.Port
	text string
	done chan time.Time // closed when all is said
}

func (p *talker) Read(ctx context.Context, b []byte) (int, error) {
	if p.text == "" {
		close(p.done)
		<-ctx.Done()
		return 0, ctx.Err()
	}
	n := copy(b, p.text)
	p.text = p.text[n:]
	return n, nil
}

// A modem that talks all the time must not make the monitor keep all of it; a banner is in what it said last.
func TestTheNewestIsKeptOfWhatAModemSaysBetweenReadings(t *testing.T) {
	for _, said := range []string{"", "\r\nRDY\r\n", strings.Repeat("\r\n+CREG: 1\r\n", 2000) + "\r\nRDY\r\n"} {
		port := &talker{text: said, done: make(chan time.Time)}
		quiet := &quietPort{Port: port}
		if err := quiet.listen(t.Context(), port.done); err != nil {
			t.Fatal(err)
		}
		want := said[max(0, len(said)-maxHeard):]
		if got := string(quiet.heard); got != want {
			t.Errorf("of %d bytes %d were kept, want %d: %q", len(said), len(got), len(want), got)
		}
	}
}

// Each slot has its own history; a slot that the modem never had is no news.
func TestSlotsAreWatchedOneByOne(t *testing.T) {
	first, second, third := mustIMEI(t, "490154203237518"), mustIMEI(t, "352656105937836"), mustIMEI(t, "356938035643809")
	slots := func(ids ...imei.IMEI) modem.Reading {
		r := modem.Reading{Agreement: modem.AgreementFull}
		for i, id := range ids {
			s := modem.Slot{Number: i + 1, IMEI: id}
			if id.IsZero() {
				s.Word = "blank_imei"
			}
			r.Slots = append(r.Slots, s)
		}
		return r
	}
	var events []string
	m, err := NewMonitor(MonitorConfig{
		Open: func(context.Context) (modem.Port, error) { return nil, modem.ErrNoPort },
		Report: func(e Event) error {
			events = append(events, fmt.Sprintf("%d %s %s", e.Slot, e.Kind, e.Error))
			return nil
		},
		Interval: time.Second, Now: time.Now, After: time.After,
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		reading modem.Reading
		want    []string
	}{
		{slots(first, second), []string{"1 first ", "2 first "}},
		{slots(first, second), nil},
		{slots(first, third), []string{"2 changed "}},
		{slots(third, first), []string{"1 changed ", "2 changed "}},
		{slots(third), []string{"2 failed not_observed"}},
		{slots(third), nil},
		{slots(third, imei.IMEI{}), []string{"2 failed blank_imei"}},
		{slots(third, first), []string{"2 same "}},
	} {
		events = nil
		if err := m.judge(step.reading); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(events, step.want) {
			t.Errorf("%+v: got %q, want %q", step.reading.Slots, events, step.want)
		}
	}
}

func mustIMEI(t *testing.T, digits string) imei.IMEI {
	t.Helper()
	id, _, err := imei.ParseSent(digits)
	if err != nil {
		t.Fatal(err)
	}
	return id
}
