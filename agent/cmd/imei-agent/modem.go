package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"

	"imei-attest/modem"
	"imei-attest/modem/serialport"
)

// modemFlags say which modem is read, and how.
type modemFlags struct {
	port, profiles string
	given          bool // --modem-profiles was, and may be empty
}

func (f *modemFlags) add(flags *flag.FlagSet) {
	flags.StringVar(&f.port, "port", "", "serial `path` of the modem's AT port, such as /dev/ttyUSB2")
	flags.Func("modem-profiles", "`file` that says how further modems tell the IMEI of each slot", func(file string) error {
		f.profiles, f.given = file, true
		return nil
	})
}

// check refuses what is missing before anything is opened.
func (f *modemFlags) check() error {
	if f.port == "" {
		return errors.New("--port is missing: name the modem's AT port, such as /dev/ttyUSB2")
	}
	return nil
}

func (f *modemFlags) config() (config modem.Config, err error) {
	if !f.given {
		return config, nil
	}
	text, err := os.ReadFile(f.profiles)
	if err == nil {
		config.Profiles, err = modem.ParseProfiles(string(text))
	}
	if err != nil {
		return config, fail(exitUsage, fmt.Errorf("--modem-profiles %s: %w", f.profiles, err))
	}
	return config, nil
}

func (f *modemFlags) open(ctx context.Context) (*serialport.Port, error) {
	if err := f.check(); err != nil {
		return nil, fail(exitUsage, err)
	}
	port, err := serialport.Open(ctx, f.port, serialport.Config{})
	if err != nil {
		return nil, fail(exitRefused, err)
	}
	return port, nil
}

// read opens the port for one reading.
func (f *modemFlags) read(ctx context.Context) (modem.Reading, error) {
	config, err := f.config()
	if err != nil {
		return modem.Reading{}, err
	}
	port, err := f.open(ctx)
	if err != nil {
		return modem.Reading{}, err
	}
	defer port.Close()
	reading, err := modem.NewReader(port, config).Read(ctx)
	if err != nil {
		return reading, fail(exitRefused, fmt.Errorf("reading the modem: %w", err))
	}
	return reading, nil
}
