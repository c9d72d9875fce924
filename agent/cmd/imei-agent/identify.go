package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"imei-attest/modem"
	"imei-attest/modem/serialport"
)

// identity is the JSON form of a reading. It holds full IMEIs: the user asked for them.
type identity struct {
	IMEI         string   `json:"imei,omitempty"`
	IMEISV       string   `json:"imeisv,omitempty"`
	SVN          string   `json:"svn,omitempty"`
	ReadBy       []string `json:"read_by"`
	Manufacturer string   `json:"manufacturer,omitempty"`
	Model        string   `json:"model,omitempty"`
	Revision     string   `json:"revision,omitempty"`
	Agreement    string   `json:"agreement"`
	Slots        []slot   `json:"slots"`
	Error        string   `json:"error,omitempty"` // of slot 1
}

type slot struct {
	Slot   int      `json:"slot"`
	IMEI   string   `json:"imei,omitempty"`
	Text   string   `json:"text,omitempty"` // the answer as sent, when it is no IMEI
	SVN    string   `json:"svn,omitempty"`
	ReadBy []string `json:"read_by"`
	Error  string   `json:"error,omitempty"`
}

func identify(ctx context.Context, args []string, stdout, _ io.Writer) (int, error) {
	flags := newFlags("identify", stdout)
	port := flags.String("port", "", "serial `path` of the modem's AT port, such as /dev/ttyUSB2")
	asJSON := flags.Bool("json", false, "print JSON")
	if err := parse(flags, args); err != nil {
		return 0, err
	}
	reading, err := readModem(ctx, *port)
	if err != nil {
		return 0, err
	}
	id := newIdentity(reading)
	if *asJSON {
		if err := writeJSON(stdout, id); err != nil {
			return 0, fail(exitFailed, err)
		}
	} else {
		printIdentity(stdout, id)
	}
	if id.Error != "" || reading.Agreement == modem.AgreementConflict {
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
	id := identity{Manufacturer: r.Manufacturer, Model: r.Model, Revision: r.Revision, Agreement: r.Agreement.String(), ReadBy: []string{}}
	for _, s := range r.Slots {
		methods := s.Methods.Strings()
		if methods == nil {
			methods = []string{}
		}
		id.Slots = append(id.Slots, slot{Slot: s.Number, IMEI: s.IMEI.Digits(), Text: s.Text, SVN: string(s.SVN), ReadBy: methods, Error: s.Word})
	}
	if len(id.Slots) > 0 {
		first := id.Slots[0]
		id.IMEI, id.SVN, id.ReadBy, id.Error = first.IMEI, first.SVN, first.ReadBy, first.Error
		if first.SVN != "" && first.IMEI != "" {
			id.IMEISV = r.Slots[0].IMEI.Body() + first.SVN
		}
	}
	return id
}

func printIdentity(w io.Writer, id identity) {
	for _, line := range []struct{ name, value string }{
		{"IMEI", id.IMEI}, {"IMEISV", id.IMEISV}, {"manufacturer", id.Manufacturer}, {"model", id.Model},
		{"revision", id.Revision}, {"agreement", id.Agreement}, {"read by", fmt.Sprint(id.ReadBy)}, {"error", id.Error},
	} {
		if line.value != "" {
			fmt.Fprintf(w, "%-13s %s\n", line.name, line.value)
		}
	}
}

func writeJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}
