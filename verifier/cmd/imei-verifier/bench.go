package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"time"

	"github.com/spf13/cobra"

	"imei-attest/verifier/bench"
	"imei-attest/verifier/config"
	"imei-attest/verifier/policy"
	"imei-attest/verifier/redact"
)

// benchRun is one run of bench.
type benchRun struct {
	folder  *benchFolder
	devices int
	clients int
	seconds int
	check   bool
	s13     bool
	asked   int // devices that check and s13 ask about
	stderr  io.Writer
}

func newBench() *cobra.Command {
	var b benchRun
	var dir string
	var asJSON bool
	c := &cobra.Command{
		Use:   "bench [--devices N] [--clients N] [--seconds N] [--state DIR] [--check | --s13] [--asked N] [--json]",
		Short: "Measure how many tokens a second this machine can judge",
		Long: `Start the server on a free port of this machine, with a store that knows many devices, and let clients in another process attest as
these devices do: two requests and one durable decision for each token. The devices and their manufacturer are made up, with keys of
their own that follow from a secret in the folder; no other verifier believes them. Making the store takes a while: with --state it is kept,
used again by later runs, and completed if it was interrupted.`,
		Example: `  imei-verifier bench
  imei-verifier bench --devices 1000000 --clients 64 --seconds 20 --state bench/ --json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if b.devices < 1 || b.devices > bench.MaxDevices || b.clients < 1 || b.seconds < 1 || b.asked < 1 {
				return fail(exitUsage, fmt.Errorf("--devices, --clients, --seconds and --asked are at least 1, and devices at most %d", bench.MaxDevices))
			}
			if b.check && b.s13 {
				return fail(exitUsage, errors.New("want --check or --s13, not both"))
			}
			b.asked = min(b.asked, b.devices)
			b.stderr = c.ErrOrStderr()
			r, err := b.inFolder(c.Context(), dir)
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(c.OutOrStdout()).Encode(r)
			}
			return r.print(c.OutOrStdout())
		},
	}
	c.Flags().IntVar(&b.devices, "devices", 10_000, "`number` of devices that the store knows")
	c.Flags().IntVar(&b.clients, "clients", 8, "`number` of clients that ask at once, each on a connection of its own")
	c.Flags().IntVar(&b.seconds, "seconds", 10, "`number` of seconds to measure for")
	c.Flags().StringVar(&dir, "state", "", "`folder` to keep the store in, for later runs (default: one that is removed at the end)")
	c.Flags().BoolVar(&b.check, "check", false, "instead of tokens, check re-registrations that an earlier result answers")
	c.Flags().BoolVar(&b.s13, "s13", false, "instead of tokens, ask over S13 about devices that have registered, under the policy enforce")
	c.Flags().IntVar(&b.asked, "asked", 10_000, "`number` of devices that --check and --s13 ask about, again and again")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// inFolder runs in a folder, or in one that is removed afterwards.
func (b *benchRun) inFolder(ctx context.Context, dir string) (r *benchReport, err error) {
	if dir == "" {
		if dir, err = os.MkdirTemp("", "imei-verifier-bench-"); err != nil {
			return nil, fail(exitUsage, err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	if b.folder, err = openBenchFolder(dir); err != nil {
		return nil, fail(exitUsage, err)
	}
	if b.folder.Registered > b.devices {
		return nil, fail(exitUsage, fmt.Errorf("the store in %s knows %d devices: ask for as many, or more, or give another folder", dir, b.folder.Registered))
	}
	if r, err = b.run(ctx); err != nil {
		return nil, fail(exitFailed, err)
	}
	return r, nil
}

// run opens the service as serve does, registers the devices that it does not know, serves, and measures.
func (b *benchRun) run(ctx context.Context) (r *benchReport, err error) {
	log, err := os.OpenFile(b.folder.file(benchLog), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	from := configuration{flags: map[string]string{"trust": b.folder.file(benchTrust), "state": b.folder.file(benchServer), "listen": "127.0.0.1:0"}}
	settings, err := from.read()
	if err == nil && b.s13 {
		err = b.serveS13(settings)
	}
	if err != nil {
		return nil, err
	}
	level := new(slog.LevelVar)
	s := &service{from: from, config: settings, level: level, log: slog.New(redact.NewHandler(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: level})))}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	if err := b.register(ctx, s.verifier); err != nil {
		return nil, err
	}
	return b.measure(ctx, s)
}

// serveS13 adds S13 to the settings, with the clients as its peers.
func (b *benchRun) serveS13(c *config.Config) error {
	c.S13 = config.S13{Listen: "127.0.0.1:0", Host: "eir." + bench.S13Realm, Realm: bench.S13Realm, InFlight: c.S13.InFlight, Watchdog: c.S13.Watchdog}
	for i := range b.clients {
		c.S13.Peers = append(c.S13.Peers, config.S13Peer{Host: bench.S13Host(i), Addresses: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	}
	c.Policy = b.folder.file(benchPolicy)
	text, _ := policy.Shipped(policy.Enforce)
	return os.WriteFile(c.Policy, text, 0o600)
}

// measure serves while the clients ask.
func (b *benchRun) measure(ctx context.Context, s *service) (*benchReport, error) {
	doors, err := s.doors()
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	served := make(chan error, 1)
	go func() { served <- s.run(ctx, doors, nil) }()
	load := &bench.Load{Address: doors[len(doors)-1].address(), Secret: b.folder.secret, Devices: b.devices, Clients: b.clients,
		Time: time.Duration(b.seconds) * time.Second, Check: b.check, S13: b.s13}
	r, err := b.underLoad(ctx, load)
	stop()
	if err = errors.Join(err, <-served); err != nil {
		return nil, err
	}
	r.Store, err = s.durable.Stats(context.WithoutCancel(ctx))
	return r, err
}
