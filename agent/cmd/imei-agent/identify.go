package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"imei-attest/attest/imei"
	"imei-attest/modem"
)

// identity is what a reading says of the modem. It holds full IMEIs: the user asked for them.
type identity struct {
	slot
	imeisv, manufacturer, model, revision, agreement string
	alternating                                      []string
	slots                                            []slot
}

type slot struct {
	number    int
	imei, svn string
	text      string // the answer as sent, when it is no IMEI
	readBy    []string
	err       string // a word of the modem's README
}

func identify(ctx context.Context, args []string, stdout, _ io.Writer) (int, error) {
	flags := newFlags("identify", stdout)
	var m modemFlags
	m.add(flags)
	asJSON := flags.Bool("json", false, "print JSON")
	watching := flags.Bool("watch", false, "keep reading and print a line for each event, until interrupted")
	interval := flags.Duration("interval", defaultInterval, "with --watch: `time` between readings, at least 1s")
	if err := parse(flags, args); err != nil {
		return 0, err
	}
	if *watching {
		return exitYes, watch(ctx, m, *interval, *asJSON, stdout)
	}
	if *interval != defaultInterval {
		return 0, fail(exitUsage, errors.New("--interval is for --watch"))
	}
	reading, err := m.read(ctx)
	if err != nil {
		return 0, err
	}
	id := newIdentity(reading)
	if *asJSON {
		if err := writeJSON(stdout, id.json()); err != nil {
			return 0, fail(exitFailed, err)
		}
	} else {
		if err := id.print(stdout); err != nil {
			return 0, fail(exitFailed, err)
		}
	}
	if id.isIncomplete() || reading.Agreement == modem.AgreementConflict {
		return exitUndecided, nil
	}
	return exitYes, nil
}

func newIdentity(r modem.Reading) identity {
	id := identity{manufacturer: r.Manufacturer, model: r.Model, revision: r.Revision, agreement: r.Agreement.String(),
		alternating: r.Alternating.Strings()}
	for _, s := range r.Slots {
		id.slots = append(id.slots, slot{number: s.Number, imei: s.IMEI.Digits(), svn: string(s.SVN), text: s.Text,
			readBy: s.Methods.Strings(), err: s.Word})
	}
	if len(id.slots) > 0 {
		id.slot = id.slots[0]
		if first := r.Slots[0]; first.SVN != "" && !first.IMEI.IsZero() {
			id.imeisv = imei.IMEISV{IMEI: first.IMEI, SVN: first.SVN}.Digits()
		}
	}
	return id
}

func (id *identity) json() object {
	slots := make([]object, 0, len(id.slots))
	for _, s := range id.slots {
		slots = append(slots, object{{"slot", s.number}, {"imei", s.imei}, {"text", s.text}, {"svn", s.svn}, {"read_by", s.readBy}, {"error", s.err}})
	}
	return object{{"imei", id.imei}, {"imeisv", id.imeisv}, {"svn", id.svn}, {"read_by", id.readBy}, {"manufacturer", id.manufacturer},
		{"model", id.model}, {"revision", id.revision}, {"agreement", id.agreement}, {"alternating", id.alternating}, {"slots", slots}, {"error", id.err}}
}

func (id *identity) isIncomplete() bool {
	return slices.ContainsFunc(id.slots, func(s slot) bool { return s.err != "" })
}

type line struct{ name, value string }

func (id *identity) print(w io.Writer) error {
	lines := []line{{"IMEI", id.imei}, {"IMEISV", id.imeisv}, {"manufacturer", id.manufacturer}, {"model", id.model}, {"revision", id.revision},
		{"agreement", id.agreement}, {"alternating", strings.Join(id.alternating, " ")}, {"read by", strings.Join(id.readBy, " ")},
		{"answer", id.text}, {"error", id.err}}
	for i := 1; i < len(id.slots); i++ {
		s, in := id.slots[i], fmt.Sprintf(" in slot %d", i+1)
		lines = append(lines, line{"IMEI" + in, s.imei}, line{"read by" + in, strings.Join(s.readBy, " ")},
			line{"answer" + in, s.text}, line{"error" + in, s.err})
	}
	var b strings.Builder
	for _, l := range lines {
		if l.value != "" {
			fmt.Fprintf(&b, "%-13s %s\n", l.name, l.value)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
