package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"imei-attest/agent/tpmvault/tpmtest"
	"imei-attest/testbench"
	"imei-attest/testbench/registrar"
	"imei-attest/verifier"
)

type registration struct {
	front, vault, out string
	testbench.Registration
}

func newRegistration() *cobra.Command {
	var r registration
	c := &cobra.Command{
		Use:   "registration [--front NAME] [--class 1|2|3] [--lie NAME] [--vault tpm|software] [--out DIR]",
		Short: "Register one device with IMS, and show each message",
		Long: `Register a new device with IMS, under the policy that enforces, and show each message, the verdict and its reasons.

Fronts:
  http      an S-CSCF of the laboratory asks the verifier over HTTP; needs nothing else
  kamailio  Kamailio with the gate that is shipped, as S-CSCF, or as a registrar for a client that has a password
  scscf     Kamailio as S-CSCF without it, and the verifier as SIP application server behind it
  5geir     as http; then an AMF asks the verifier as its 5G-EIR about the same device, by HTTP/2; needs nothing else
  s13       as http; then an MME asks the verifier as its EIR about the same device, by Diameter; needs nothing else

Lies:
` + lieTable() + `
The exit code is 0 if the verdict is the one that this device must get, and the network did what it says.`,
		Example: "  imei-lab registration --front http --lie spoofed",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return r.run(c.Context(), c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	c.Flags().StringVar(&r.front, "front", string(testbench.FrontHTTP), "where it meets the verifier, by `name`")
	c.Flags().Uint8Var(&r.Class, "class", 3, "the `class` of the client: 1 an app with an IMS stack of its own, 2 an app over the phone's registration, 3 the phone's own")
	c.Flags().StringVar(&r.Lie, "lie", "", "what is not as it should be, by `name` (default: nothing)")
	c.Flags().StringVar(&r.vault, "vault", string(testbench.VaultTPM), "secure storage of the device: tpm or software")
	c.Flags().StringVar(&r.out, "out", "", "`folder` to keep decisions, configurations and transcripts in; empty or new (default: a temporary one)")
	return c
}

func lieTable() string {
	var b strings.Builder
	for _, l := range testbench.Lies() {
		fmt.Fprintf(&b, "  %-13s %s\n", l.Name, l.What)
	}
	return b.String()
}

func (r *registration) check() (testbench.VaultKind, error) {
	kind := testbench.VaultKind(r.vault)
	r.Front = testbench.Front(r.front)
	if _, err := testbench.LieNamed(r.Lie); err != nil {
		return kind, fmt.Errorf("--lie: %w", err)
	}
	switch {
	case kind != testbench.VaultTPM && kind != testbench.VaultSoftware:
		return kind, fmt.Errorf("--vault %q: want tpm or software", r.vault)
	case r.Class < 1 || r.Class > 3:
		return kind, fmt.Errorf("--class %d: want 1, 2 or 3", r.Class)
	}
	if err := r.Front.Check(); err != nil {
		return kind, fmt.Errorf("--front: %w", err)
	}
	return kind, nil
}

func (r *registration) run(ctx context.Context, stdout, stderr io.Writer) (err error) {
	kind, err := r.check()
	if err != nil {
		return fail(exitUsage, err)
	}
	dir, err := outFolder(r.out, "imei-lab-registration-")
	if err != nil {
		return fail(exitUsage, fmt.Errorf("--out: %w", err))
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	w, err := testbench.NewWorld(ctx, dir, kind)
	if err != nil {
		return fail(exitError, err)
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	out, err := w.Register(ctx, r.Registration, arrows(stdout))
	switch {
	case errors.Is(err, tpmtest.ErrNoEngine):
		return fail(exitError, fmt.Errorf("%w; or run with --vault software", err))
	case errors.Is(err, registrar.ErrNoKamailio):
		return fail(exitError, fmt.Errorf("%w; or run with --front http, which needs no other program", err))
	case err != nil:
		return fail(exitError, err)
	}
	if err := w.KeepDecisions(ctx); err != nil {
		return fail(exitError, err)
	}
	r.tell(stdout, out)
	fmt.Fprintf(stderr, "decisions, configurations and transcripts are in %s\nwhy it came out so: imei-verifier explain %s --decisions %s\n",
		dir, out.Verdict.ID, filepath.Join(dir, testbench.DecisionsFile))
	if out.Problem != "" {
		return fail(exitFail, fmt.Errorf("not as it must be: %s", out.Problem))
	}
	return nil
}

// arrows prints each message as it comes.
func arrows(w io.Writer) registrar.Observer {
	var mutex sync.Mutex
	return func(s registrar.Step) {
		mutex.Lock()
		defer mutex.Unlock()
		fmt.Fprintf(w, "%-9s -> %-9s  %s\n", s.From, s.To, s.What)
		for _, d := range s.Details {
			fmt.Fprintf(w, "%25s%s\n", "", d)
		}
	}
}

// tell prints what came of it.
func (r *registration) tell(w io.Writer, o *testbench.Outcome) {
	v := &o.Verdict
	fmt.Fprintf(w, "\nthe UE got   %s\n", o.Answer.Status())
	if o.Server != 0 {
		fmt.Fprintf(w, "the AS said  %d\n", o.Server)
	}
	if o.Equipment != nil {
		fmt.Fprintf(w, "the %s got  %s\n", o.Equipment.Asker, o.Equipment.Status)
	}
	fmt.Fprintf(w, "status       %s\ntier         %s\nthe policy   %s, SIP %d, label %s\n", v.Status(), v.Tier, v.Answer.Action, v.Answer.SIPCode, v.Answer.Label)
	tellReasons(w, "reasons", v)
	if o.Equipment != nil {
		tellReasons(w, "then in NAS", &o.Equipment.Verdict)
	}
}

func tellReasons(w io.Writer, heading string, v *verifier.Verdict) {
	for _, reason := range v.Reasons() {
		fmt.Fprintf(w, "%-12s %-22s %s\n", heading, reason, reason.Info().Sentence)
		heading = ""
	}
}
