package agent

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"imei-attest/attest/imei"
	"imei-attest/modem"
)

// EventKind says what a [Monitor] noticed.
type EventKind string

// The kinds of events. Between two events nothing has changed.
const (
	EventFirst     EventKind = "first"     // the IMEI was read for the first time
	EventChanged   EventKind = "changed"   // the modem now tells another IMEI
	EventSame      EventKind = "same"      // after failed or returned: the IMEI was read again and is what it was
	EventRestarted EventKind = "restarted" // a start-up banner was seen
	EventUnplugged EventKind = "unplugged" // the port went away
	EventReturned  EventKind = "returned"  // the port is there again and open
	EventFailed    EventKind = "failed"    // the identity, or the port, cannot be read; Error says why
)

// Words of [Event.Error] beside those of the modem's answers.
const (
	WordConflict   = "conflict"    // an IMEI was read, and another source in the modem contradicts it
	wordBusy       = "busy"        // another program has the port
	wordNotTTY     = "not_tty"     // the path names something that is no serial port
	wordReplaced   = "replaced"    // the device changed while it was opened
	wordDenied     = "denied"      // no permission to open the port
	wordNoPort     = "no_port"     // the port is not there
	wordPortFailed = "port_failed" // any other failure of the port
)

// Event is one thing noticed. It holds IMEIs in full.
type Event struct {
	Kind      EventKind
	Time      time.Time // UTC
	Slot      int       // of the modem, from 1; 0 when the event is about the port
	IMEI      imei.IMEI // now; zero when none is told
	Previous  imei.IMEI // with changed: what it was
	Agreement modem.Agreement
	Error     string         // a word; "" if nothing is wrong
	Text      string         // the answer as sent when it is no IMEI, see modem.Slot
	Port      modem.PortInfo // of the open port, or of the one that went
	// OtherDevice: with returned, the path leads to another device node than before.
	OtherDevice bool
}

// MonitorConfig is what a Monitor needs; all of it but Modem is required.
type MonitorConfig struct {
	// Open opens the port. It is called again, with the same path, after the port went away.
	Open func(context.Context) (modem.Port, error)
	// Modem says how the modem is read.
	Modem modem.Config
	// Report is given each event, in order. An error of it ends the monitoring.
	Report func(Event) error
	// Interval is the pause between readings.
	Interval time.Duration
	// Now is the time of events, After the clock of pauses: time.Now and time.After.
	Now   func() time.Time
	After func(time.Duration) <-chan time.Time
}

// reopenInterval is how often a port that went away is looked for: a modem needs seconds to come back.
const reopenInterval = time.Second

// Monitor reads a modem's identity again and again and reports what changes. It keeps the port open between readings, so
// that it sees an unplugged modem at once and hears the banner of one that restarts. What it reports is for people and
// logs: it signs nothing.
type Monitor struct {
	MonitorConfig
	slots   [modem.MaxSlots]watched
	problem string         // word of the port's last failure reported
	port    modem.PortInfo // last open
}

// watched is what is known of one slot.
type watched struct {
	imei    imei.IMEI // last told; zero before the first
	problem string    // word of the last failure reported
	confirm bool      // say so when the IMEI is the same
}

// NewMonitor returns a Monitor.
func NewMonitor(c MonitorConfig) (*Monitor, error) {
	if c.Open == nil || c.Report == nil || c.Now == nil || c.After == nil || c.Interval <= 0 {
		return nil, errors.New("a monitor needs an opener, a reporter, a clock and an interval")
	}
	return &Monitor{MonitorConfig: c}, nil
}

// reportError is an error of Report.
type reportError struct{ err error }

func (e *reportError) Error() string { return "reporting what happened: " + e.err.Error() }
func (e *reportError) Unwrap() error { return e.err }

func isReport(err error) bool { return errors.As(err, new(*reportError)) }

// Run monitors until ctx ends, and then returns nil. The error is that of the first opening, which is likely a wrong
// path, or that of Report. Run is called once.
func (m *Monitor) Run(ctx context.Context) error {
	port, err := m.Open(ctx)
	for err == nil {
		m.port = port.Info()
		err = m.watch(ctx, port)
		_ = port.Close() // nothing is on its way that could be lost
		if isReport(err) || ctx.Err() != nil {
			break
		}
		if err = m.portFailed(err); err == nil {
			port, err = m.reopen(ctx)
		}
	}
	if !isReport(err) && ctx.Err() != nil {
		return nil
	}
	return err
}

// watch reads until the port fails.
func (m *Monitor) watch(ctx context.Context, port modem.Port) error {
	line := &quietPort{Port: port}
	reader := modem.NewReader(line, m.Modem)
	for {
		reading, err := reader.Read(ctx)
		if err != nil {
			return err
		}
		if err := m.judge(reading); err != nil {
			return err
		}
		if err := line.listen(ctx, m.After(m.Interval)); err != nil {
			return err
		}
	}
}

// judge reports what differs from the reading before.
func (m *Monitor) judge(r modem.Reading) error {
	if r.RestartSeen {
		e := newEvent(1, r)
		e.Kind = EventRestarted
		if err := m.report(e); err != nil {
			return err
		}
	}
	for i := range m.slots {
		if e := m.slots[i].compare(newEvent(i+1, r)); e.Kind != "" {
			if err := m.report(e); err != nil {
				return err
			}
		}
	}
	return nil
}

// newEvent says what the reading found of one slot, whatever that means.
func newEvent(number int, r modem.Reading) Event {
	e := Event{Slot: number, Agreement: r.Agreement, Error: wordNotObserved}
	if number <= len(r.Slots) {
		slot := r.Slots[number-1]
		e.IMEI, e.Error, e.Text = slot.IMEI, slot.Word, slot.Text
	}
	if e.Error == "" && r.Agreement == modem.AgreementConflict {
		e.Error = WordConflict
	}
	return e
}

// compare gives the event its kind, none when there is nothing new, and remembers what it says.
func (w *watched) compare(e Event) Event {
	isUnknown := w.imei.IsZero() && w.problem == "" && e.Error == wordNotObserved // a slot that the modem does not have
	switch {
	case isUnknown:
		return Event{}
	case !e.IMEI.IsZero() && w.imei.IsZero():
		e.Kind = EventFirst
	case !e.IMEI.IsZero() && e.IMEI != w.imei:
		e.Kind, e.Previous = EventChanged, w.imei
	case e.Error != "" && e.Error != w.problem:
		e.Kind = EventFailed
	case e.Error == "" && w.confirm:
		e.Kind = EventSame
	}
	if !e.IMEI.IsZero() {
		w.imei = e.IMEI
	}
	w.problem, w.confirm = e.Error, e.Error != ""
	return e
}

func (m *Monitor) report(e Event) error {
	e.Time, e.Port = m.Now().UTC(), m.port
	if err := m.Report(e); err != nil {
		return &reportError{err}
	}
	return nil
}

// portFailed reports the end of an open port.
func (m *Monitor) portFailed(err error) error {
	if errors.Is(err, modem.ErrHangup) {
		m.problem = wordNoPort // that it cannot be opened now is no news
		return m.report(Event{Kind: EventUnplugged})
	}
	m.problem = portWord(err)
	return m.report(Event{Kind: EventFailed, Error: m.problem})
}

// reopen tries until the port is open. Another reason why it cannot be opened is another failure.
func (m *Monitor) reopen(ctx context.Context) (modem.Port, error) {
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-m.After(reopenInterval):
		}
		port, err := m.Open(ctx)
		if err == nil {
			return port, m.returned(port)
		}
		word := portWord(err)
		if ctx.Err() != nil || word == m.problem {
			continue
		}
		m.problem = word
		if err := m.report(Event{Kind: EventFailed, Error: word}); err != nil {
			return nil, err
		}
	}
}

func (m *Monitor) returned(port modem.Port) error {
	before, now := m.port, port.Info()
	m.port, m.problem = now, ""
	for i := range m.slots {
		m.slots[i].problem, m.slots[i].confirm = "", true
	}
	other := now.Major != before.Major || now.Minor != before.Minor
	if err := m.report(Event{Kind: EventReturned, OtherDevice: other}); err != nil {
		return errors.Join(err, port.Close())
	}
	return nil
}

// portWord is the word for an error of a port.
func portWord(err error) string {
	for _, w := range []struct {
		is   error
		word string
	}{
		{modem.ErrBusy, wordBusy}, {modem.ErrNotTTY, wordNotTTY}, {modem.ErrReplaced, wordReplaced}, {modem.ErrNoPort, wordNoPort},
		{modem.ErrHangup, wordNoPort}, {modem.ErrTimeout, modem.WordTimeout}, {fs.ErrPermission, wordDenied},
	} {
		if errors.Is(err, w.is) {
			return w.word
		}
	}
	return wordPortFailed
}

// maxHeard is how many bytes said between two readings are kept, the newest: with what the kernel holds for a terminal
// (4 KiB) they stay below modem.MaxAnswer, which a Reader throws away at the start without taking it for a flood.
const maxHeard = 2 << 10

// quietPort listens between readings and gives what it heard to the next one: a banner in it tells of a restart.
type quietPort struct {
	modem.Port
	heard []byte
}

// Read implements modem.Port.
func (q *quietPort) Read(ctx context.Context, p []byte) (int, error) {
	if len(q.heard) > 0 {
		n := copy(p, q.heard)
		q.heard = q.heard[n:]
		return n, nil
	}
	return q.Port.Read(ctx, p)
}

// listen returns nil when until fires, or why the port or ctx ended before.
func (q *quietPort) listen(ctx context.Context, until <-chan time.Time) error {
	listening, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- q.hear(listening) }()
	select {
	case err := <-ended:
		return err
	case <-until:
	}
	stop()
	if err := <-ended; ctx.Err() != nil || !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

func (q *quietPort) hear(ctx context.Context) error {
	var chunk [256]byte
	for {
		n, err := q.Port.Read(ctx, chunk[:])
		q.heard = append(q.heard, chunk[:n]...)
		q.heard = q.heard[max(0, len(q.heard)-maxHeard):]
		if err != nil {
			return err
		}
	}
}
