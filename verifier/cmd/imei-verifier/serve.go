package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"imei-attest/verifier/redact"
)

func newServe() *cobra.Command {
	var path string
	c := &cobra.Command{
		Use:   "serve [--config FILE] [--trust DIR] [--state DIR] [--listen ADDR] [--policy FILE] [--admin ADDR]",
		Short: "Judge over HTTP",
		Long: `Serve challenge-response and one-shot appraisal over HTTP or TLS until interrupted.

A flag goes before the environment (IMEIATT_LISTEN and so on), that before the file of --config, that before the default. Trust folder,
policy, certificates and what can be changed of the configuration take effect within a second, or at once on SIGHUP; a change that is
refused leaves in force what was. The state folder keeps the store and the server's keys, which are made at the first start.`,
		Example: `  imei-verifier serve --config /etc/imei-attest/verifier.yaml
  imei-verifier serve --trust trust/ --state state/ --listen 127.0.0.1:8080 --policy policy.yaml --admin :8081`,
		Args: none,
		RunE: func(c *cobra.Command, _ []string) error {
			from := configuration{path: path, environment: os.Environ(), flags: given(c)}
			return serve(c.Context(), from, c.ErrOrStderr())
		},
	}
	c.Flags().StringVar(&path, "config", "", "`file` of the configuration; imei-verifier config print prints one to start from")
	c.Flags().String("trust", "", "`folder` of manufacturers' anchors, one YAML file each; changes take effect within a second")
	c.Flags().String("policy", "", "`file` of the appraisal policy; changes take effect within a second (default: the shipped policy observe)")
	c.Flags().String("state", "", "`folder` of the store and of the server's own keys")
	c.Flags().String("listen", "", "`address` to listen on, such as 127.0.0.1:8080; port 0 takes a free one")
	c.Flags().String("admin", "", "`address` for the operator alone, such as :8081; without a host it is of this machine only (default: none)")
	return c
}

// serve runs the service until ctx is done.
func serve(ctx context.Context, from configuration, stderr io.Writer) error {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP) // from the beginning: one that comes early must not end the program
	defer signal.Stop(hangup)
	syscall.Umask(0o077) // what the service writes is its own
	now, err := from.read()
	if err != nil {
		return fail(exitUsage, err)
	}
	level := new(slog.LevelVar)
	level.Set(now.Log)
	log := slog.New(redact.NewHandler(slog.NewJSONHandler(stderr, &slog.HandlerOptions{Level: level})))
	s := &service{from: from, config: now, level: level, log: log}
	if err := s.open(ctx); err != nil {
		return fail(exitUsage, errors.Join(err, s.close()))
	}
	doors, err := s.doors()
	if err != nil {
		return fail(exitUsage, errors.Join(err, s.close()))
	}
	err = s.run(ctx, doors, hangup)
	if err = errors.Join(err, s.close()); err != nil {
		return fail(exitFailed, err)
	}
	log.Info("stopped")
	return nil
}

// run serves until ctx is done, and keeps watch meanwhile.
func (s *service) run(ctx context.Context, doors []door, hangup <-chan os.Signal) error {
	ctx, stop := context.WithCancel(ctx)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer stop()
	watching.Go(func() { s.watch(ctx, hangup) })
	watching.Go(func() { (&clockWatch{log: s.log, jump: s.clockWasSet}).run(ctx) })
	watching.Go(func() { s.care(ctx) })
	if s.eir != nil {
		watching.Go(func() { s.eir.register(ctx) })
	}
	watching.Go(func() { giveRoom(ctx) })
	waitUntil(ctx, s.since)
	return s.serveUntil(ctx, stop, doors)
}

func waitUntil(ctx context.Context, t time.Time) {
	select {
	case <-time.After(t.Sub(wallClock())):
	case <-ctx.Done():
	}
}
