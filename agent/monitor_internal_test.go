package agent

import (
	"context"
	"strings"
	"testing"
	"time"

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
