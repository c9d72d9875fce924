package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"imei-attest/attest"
	"imei-attest/attest/imei"
	"imei-attest/verifier"
	"imei-attest/verifier/policy"
	"imei-attest/verifier/store"
	"imei-attest/verifier/trust"
)

func newServe() *cobra.Command {
	var s server
	c := &cobra.Command{
		Use:   "serve --trust DIR --state DIR --listen ADDR [--policy FILE] [--admin ADDR]",
		Short: "Judge over HTTP",
		Long: `Serve challenge-response and one-shot appraisal over HTTP until interrupted.

The state folder keeps the key that signs results and the key that makes nonces; both are made at the first start.
What was seen of devices and nonces is kept in memory and ends with the process.`,
		Example: `  imei-verifier serve --trust trust/ --state state/ --listen 127.0.0.1:8080
  imei-verifier serve --trust trust/ --state state/ --listen 127.0.0.1:8080 --policy policy.yaml --admin :8081`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return s.run(c.Context(), c.ErrOrStderr()) },
	}
	c.Flags().StringVar(&s.trust, "trust", "", "`folder` of manufacturers' anchors, one YAML file each; changes take effect within a second")
	c.Flags().StringVar(&s.policy, "policy", "", "`file` of the appraisal policy; changes take effect within a second (default: the shipped policy observe)")
	c.Flags().StringVar(&s.state, "state", "", "`folder` of the server's own keys")
	c.Flags().StringVar(&s.listen, "listen", "", "`address` to listen on, such as 127.0.0.1:8080; port 0 takes a free one")
	c.Flags().StringVar(&s.admin, "admin", "", "`address` for the operator alone, such as :8081; without a host it is of this machine only (default: none)")
	for _, name := range []string{"trust", "state", "listen"} {
		if err := c.MarkFlagRequired(name); err != nil {
			panic(err) // a misspelt name in the line above
		}
	}
	return c
}

type server struct{ trust, policy, state, listen, admin string }

func (s *server) run(ctx context.Context, stderr io.Writer) error {
	log := slog.New(slog.NewJSONHandler(stderr, nil))
	// What the store knew ends with the last process: nonces of before are refused, and the second that both could
	// have minted in is waited out.
	since := time.Now().Truncate(time.Second).Add(time.Second)
	v, watch, err := s.verifier(log, since)
	if err != nil {
		return fail(exitUsage, err)
	}
	doors, err := s.doors(v, log)
	if err != nil {
		return fail(exitUsage, err)
	}
	ctx, stop := context.WithCancel(ctx)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer stop()
	for _, w := range watch {
		watching.Go(func() { w(ctx) })
	}
	waitUntil(ctx, since)
	if err := serveUntil(ctx, stop, doors, log); err != nil {
		return fail(exitFailed, err)
	}
	log.Info("stopped")
	return nil
}

// verifier comes with what keeps its trust and its policy as the files are, until a context is done.
func (s *server) verifier(log *slog.Logger, since time.Time) (*judge, []func(context.Context), error) {
	anchors, list, err := trust.Load(s.trust)
	if err != nil {
		return nil, nil, err
	}
	warn(log, list)
	rules := policy.Default()
	if s.policy != "" {
		var warnings []string
		if rules, warnings, err = policy.Load(s.policy, time.Now()); err != nil {
			return nil, nil, err
		}
		logPolicy(log, "the policy is in force", rules, warnings)
	}
	keys, err := openState(s.state)
	if err != nil {
		return nil, nil, err
	}
	nonces, err := attest.NewNonceKeys(0, keys.nonce, nil) // one key, never rotated yet
	if err != nil {
		return nil, nil, err
	}
	v, err := verifier.New(verifier.Config{Store: store.NewMemory(), Nonces: nonces, Trust: anchors, Policy: rules, Alarm: alarm(log), Since: since})
	if err != nil {
		return nil, nil, err
	}
	watch := []func(context.Context){func(ctx context.Context) { trust.Watch(ctx, s.trust, anchors, exchange(v, log)) }}
	if s.policy != "" {
		watch = append(watch, func(ctx context.Context) { policy.Watch(ctx, s.policy, rules, time.Now, exchangePolicy(v, log)) })
	}
	return &judge{v, keys}, watch, nil
}

// judge is the verifier with the server's keys.
type judge struct {
	*verifier.Verifier
	keys *serverKeys
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

// exchangePolicy puts a changed policy into force, or says that it does not.
func exchangePolicy(v *verifier.Verifier, log *slog.Logger) func(*verifier.Policy, []string, error) {
	return func(p *verifier.Policy, warnings []string, err error) {
		if err != nil {
			log.Error("the policy was refused: the one of before still holds", "error", imei.RedactAll(err.Error()))
			return
		}
		v.SetPolicy(p)
		logPolicy(log, "the policy was read again", p, warnings)
	}
}

func logPolicy(log *slog.Logger, message string, p *verifier.Policy, warnings []string) {
	log.Info(message, "name", p.Name, "sha256", fmt.Sprintf("%x", p.Digest))
	for _, w := range warnings {
		log.Warn("the policy has something that no longer counts", "warning", w)
	}
}

// alarm is for the operator, whose policy, trust folder or network is in disorder.
func alarm(log *slog.Logger) func(open bool) {
	return func(open bool) {
		if open {
			log.Error("the policy's breaker has opened, because too many registrations would be refused: nobody is refused any more")
			return
		}
		log.Info("the policy's breaker has closed: the policy refuses again")
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
