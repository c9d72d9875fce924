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
	imeisv, manufacturer, model, revision string
	agreement                             string // of all slots
	alternating                           []string
	slots                                 []slot
	told                                  []told
}

type slot struct {
	number          int
	imei, form, svn string // the IMEI only if it is one as sent, but for a spare digit
	agreement       string
	text            string // the answer as sent, when it is no IMEI
	readBy          []string
	err             string // a word of the modem's README
}

// told is what one form answered.
type told struct{ command, identity, err string }

func identify(ctx context.Context, args []string, stdout, _ io.Writer) (int, error) {
	flags := newFlags("identify")
	var m modemFlags
	m.add(flags)
	asJSON := flags.Bool("json", false, "print JSON")
	watching := flags.Bool("watch", false, "keep reading and print a line for each event, until interrupted")
	interval := flags.Duration("interval", defaultInterval, "with --watch: `time` between readings, at least 1s")
	if err := parse(flags, args, stdout); err != nil {
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
		id.slots = append(id.slots, newSlot(s))
	}
	for _, a := range r.Answers {
		if a.Method != 0 {
			id.told = append(id.told, newTold(a))
		}
	}
	if len(id.slots) > 0 {
		id.slot = id.slots[0]
		if first := r.Slots[0]; first.Methods&modem.MethodSNT2 != 0 && first.SVN != "" {
			id.imeisv = imei.IMEISV{IMEI: first.IMEI, SVN: first.SVN}.Digits()
		}
	}
	return id
}

func newSlot(s modem.Slot) slot {
	out := slot{number: s.Number, svn: string(s.SVN), text: s.Text, readBy: s.Methods.Strings(), agreement: s.Agreement.String(), err: s.Word}
	if s.Word == "" {
		out.imei, out.form = s.IMEI.Digits(), "check-digit"
	}
	if s.Form == imei.FormSpareDigit {
		out.form = "spare-digit"
	}
	return out
}

func newTold(a modem.Answer) told {
	t := told{command: a.Command, identity: a.IMEI.Digits(), err: a.Word}
	switch {
	case a.Word != "" || a.IMEI.IsZero() && a.IMEISV == (imei.IMEISV{}):
		t.identity = a.Text
	case a.IMEI.IsZero():
		t.identity = a.IMEISV.Digits()
	}
	if t.identity == "" {
		t.identity = string(a.SVN)
	}
	return t
}

func (id *identity) json() object {
	slots, answers := make([]object, 0, len(id.slots)), make([]object, 0, len(id.told))
	for _, s := range id.slots {
		slots = append(slots, object{{"slot", s.number}, {"imei", s.imei}, {"form", s.form}, {"text", s.text}, {"svn", s.svn},
			{"read_by", s.readBy}, {"agreement", s.agreement}, {"error", s.err}})
	}
	for _, t := range id.told {
		answers = append(answers, object{{"command", t.command}, {"told", t.identity}, {"error", t.err}})
	}
	return object{{"imei", id.imei}, {"form", id.form}, {"imeisv", id.imeisv}, {"svn", id.svn}, {"read_by", id.readBy},
		{"manufacturer", id.manufacturer}, {"model", id.model}, {"revision", id.revision}, {"agreement", id.agreement},
		{"alternating", id.alternating}, {"slots", slots}, {"answers", answers}, {"error", id.err}}
}

func (id *identity) isIncomplete() bool {
	return slices.ContainsFunc(id.slots, func(s slot) bool { return s.err != "" })
}

// line is one line of the text for people.
type line struct{ name, value string }

func (id *identity) print(w io.Writer) error {
	lines := []line{{"IMEI", id.imei}, {"IMEISV", id.imeisv}, {"manufacturer", id.manufacturer}, {"model", id.model}, {"revision", id.revision},
		{"agreement", id.agreement}, {"alternating", strings.Join(id.alternating, " ")}}
	if len(id.slots) > 0 {
		lines = append(lines, id.slots[0].lines("")...)
	}
	for i := 1; i < len(id.slots); i++ {
		of := fmt.Sprintf(" %d", i+1)
		lines = append(lines, line{"IMEI" + of, id.slots[i].imei})
		lines = append(lines, id.slots[i].lines(of)...)
	}
	if id.agreement == modem.AgreementConflict.String() {
		for _, t := range id.told {
			lines = append(lines, line{t.command, strings.TrimSpace(t.identity + " " + t.err)})
		}
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

// lines say how a slot was read; of is its number where there are several.
func (s slot) lines(of string) []line {
	form := s.form
	if form == "check-digit" {
		form = "" // as it should be
	}
	return []line{{"form" + of, form}, {"read by" + of, strings.Join(s.readBy, " ")}, {"answer" + of, s.text}, {"error" + of, s.err}}
}
