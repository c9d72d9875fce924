package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"imei-attest/attest"
	"imei-attest/attest/imei"
	"imei-attest/verifier"
	"imei-attest/verifier/ear"
	"imei-attest/verifier/httpapi"
	"imei-attest/verifier/store"
	"imei-attest/verifier/trust"
)

// Bounds on a client of the server: a registration is small and hurried.
const (
	readHeaderTime = 5 * time.Second
	readTime       = 10 * time.Second
	writeTime      = 10 * time.Second
	idleTime       = 2 * time.Minute
	drainTime      = 10 * time.Second
	maxHeaderBytes = 16 << 10
)

func newServe() *cobra.Command {
	var s server
	c := &cobra.Command{
		Use:   "serve --trust DIR --state DIR --listen ADDR",
		Short: "Judge over HTTP",
		Long: `Serve challenge-response and one-shot appraisal over HTTP until interrupted.

The state folder keeps the key that signs results and the key that makes nonces; both are made at the first start.
What was seen of devices and nonces is kept in memory and ends with the process.`,
		Example: "  imei-verifier serve --trust trust/ --state state/ --listen 127.0.0.1:8080",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return s.run(c.Context(), c.ErrOrStderr()) },
	}
	c.Flags().StringVar(&s.trust, "trust", "", "`folder` of manufacturers' anchors, one YAML file each; changes take effect within a second")
	c.Flags().StringVar(&s.state, "state", "", "`folder` of the server's own keys")
	c.Flags().StringVar(&s.listen, "listen", "", "`address` to listen on, such as 127.0.0.1:8080; port 0 takes a free one")
	for _, name := range []string{"trust", "state", "listen"} {
		if err := c.MarkFlagRequired(name); err != nil {
			panic(err) // a misspelt name in the line above
		}
	}
	return c
}

type server struct{ trust, state, listen string }

func (s *server) run(ctx context.Context, stderr io.Writer) error {
	log := slog.New(slog.NewJSONHandler(stderr, nil))
	// What the store knew ended with the last process: nonces of before are refused, and the second that both could
	// have minted in is waited out.
	since := time.Now().Truncate(time.Second).Add(time.Second)
	handler, watch, err := s.handler(log, since)
	if err != nil {
		return fail(exitUsage, err)
	}
	listener, err := net.Listen("tcp", s.listen)
	if err != nil {
		return fail(exitUsage, fmt.Errorf("--listen: %w", err))
	}
	ctx, stop := context.WithCancel(ctx)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer stop()
	watching.Go(func() { watch(ctx) })
	log.Info("listening", "address", listener.Addr().String(), "version", versionText())
	waitUntil(ctx, since)
	if err := serveUntil(ctx, listener, handler, log); err != nil {
		return fail(exitFailed, err)
	}
	log.Info("stopped")
	return nil
}

// handler comes with what keeps its trust as the folder is, until a context is done.
func (s *server) handler(log *slog.Logger, since time.Time) (_ http.Handler, watch func(context.Context), err error) {
	anchors, list, err := trust.Load(s.trust)
	if err != nil {
		return nil, nil, err
	}
	warn(log, list)
	keys, err := openState(s.state)
	if err != nil {
		return nil, nil, err
	}
	nonces, err := attest.NewNonceKeys(0, keys.nonce, nil) // one key, never rotated yet
	if err != nil {
		return nil, nil, err
	}
	v, err := verifier.New(verifier.Config{Store: store.NewMemory(), Nonces: nonces, Trust: anchors, Since: since})
	if err != nil {
		return nil, nil, err
	}
	results, err := ear.NewSigner(keys.result, versionText())
	if err != nil {
		return nil, nil, err
	}
	handler, err := httpapi.New(httpapi.Config{Verifier: v, Results: results, Rand: rand.Reader, Now: time.Now, Log: log, Version: versionText()})
	return handler, func(ctx context.Context) { trust.Watch(ctx, s.trust, anchors, exchange(v, log)) }, err
}

// exchange puts a changed trust folder into force, or says that it does not.
func exchange(v *verifier.Verifier, log *slog.Logger) func(*verifier.Trust, []*verifier.Anchor, error) {
	return func(t *verifier.Trust, anchors []*verifier.Anchor, err error) {
		if err != nil {
			log.Error("the trust folder was refused: what was trusted before still holds", "error", imei.RedactAll(err.Error()))
			return
		}
		v.SetTrust(t)
		var issuers []string
		for _, a := range anchors {
			issuers = append(issuers, a.Issuer)
		}
		log.Info("the trust folder was read again", "issuers", issuers, "generation", fmt.Sprintf("%016x", t.Generation))
		warn(log, anchors)
	}
}

// warn names the anchors that no operator should trust: through them an emulated TPM, or a file, passes.
func warn(log *slog.Logger, anchors []*verifier.Anchor) {
	for _, a := range anchors {
		if a.Development || slices.Contains(a.StorageKinds, attest.StorageTPMEmulated) {
			log.Warn("a development anchor is trusted: emulated TPMs and unfinished devices may be affirmed; remove it from the trust folder outside a laboratory",
				"issuer", a.Issuer)
		}
		if a.TACs == nil {
			log.Warn("an anchor may endorse IMEIs of every manufacturer: list its own TACs in the trust folder", "issuer", a.Issuer)
		}
	}
}

func waitUntil(ctx context.Context, t time.Time) {
	select {
	case <-time.After(time.Until(t)):
	case <-ctx.Done():
	}
}

// serveUntil serves until ctx is done, then lets requests under way finish.
func serveUntil(ctx context.Context, listener net.Listener, handler http.Handler, log *slog.Logger) error {
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: readHeaderTime, ReadTimeout: readTime, WriteTimeout: writeTime,
		IdleTimeout: idleTime, MaxHeaderBytes: maxHeaderBytes, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serving: %w", err)
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	if err := server.Shutdown(drain); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("stopping: %w", err)
	}
	return nil
}
