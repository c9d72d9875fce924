package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"imei-attest/attest/imei"
	"imei-attest/modem"
	"imei-attest/modem/serialport"
)

// identity is what a reading says of the modem. It holds full IMEIs: the user asked for them.
type identity struct {
	slot
	imeisv, manufacturer, model, revision, agreement string
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
	port := flags.String("port", "", "serial `path` of the modem's AT port, such as /dev/ttyUSB2")
	asJSON := flags.Bool("json", false, "print JSON")
	watching := flags.Bool("watch", false, "keep reading and print a line for each event, until interrupted")
	interval := flags.Duration("interval", defaultInterval, "with --watch: `time` between readings, at least 1s")
	if err := parse(flags, args); err != nil {
		return 0, err
	}
	if *watching {
		return exitYes, watch(ctx, *port, *interval, *asJSON, stdout)
	}
	if *interval != defaultInterval {
		return 0, fail(exitUsage, errors.New("--interval is for --watch"))
	}
	reading, err := readModem(ctx, *port)
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
	if id.err != "" || reading.Agreement == modem.AgreementConflict {
		return exitUndecided, nil
	}
	return exitYes, nil
}

// readModem opens the port for one reading.
func readModem(ctx context.Context, path string) (modem.Reading, error) {
	port, err := openModem(ctx, path)
	if err != nil {
		return modem.Reading{}, err
	}
	defer port.Close()
	reading, err := modem.NewReader(port, modem.Config{}).Read(ctx)
	if err != nil {
		return reading, fail(exitRefused, fmt.Errorf("reading the modem: %w", err))
	}
	return reading, nil
}

func openModem(ctx context.Context, path string) (*serialport.Port, error) {
	if path == "" {
		return nil, fail(exitUsage, errors.New("--port is missing: name the modem's AT port, such as /dev/ttyUSB2"))
	}
	port, err := serialport.Open(ctx, path, serialport.Config{})
	if err != nil {
		return nil, fail(exitRefused, err)
	}
	return port, nil
}

func newIdentity(r modem.Reading) identity {
	id := identity{manufacturer: r.Manufacturer, model: r.Model, revision: r.Revision, agreement: r.Agreement.String()}
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
		{"model", id.model}, {"revision", id.revision}, {"agreement", id.agreement}, {"slots", slots}, {"error", id.err}}
}

func (id *identity) print(w io.Writer) error {
	var b strings.Builder
	for _, line := range []struct{ name, value string }{
		{"IMEI", id.imei}, {"IMEISV", id.imeisv}, {"manufacturer", id.manufacturer}, {"model", id.model}, {"revision", id.revision},
		{"agreement", id.agreement}, {"read by", strings.Join(id.readBy, " ")}, {"answer", id.text}, {"error", id.err},
	} {
		if line.value != "" {
			fmt.Fprintf(&b, "%-13s %s\n", line.name, line.value)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
