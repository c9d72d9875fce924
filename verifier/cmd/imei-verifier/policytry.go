package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"imei-attest/verifier"
	"imei-attest/verifier/policy"
)

// try is the policy try command: recorded decisions, made under another policy.
type try struct {
	policy, against string
	decisions       recorded
	asJSON          bool
}

func newPolicyTry() *cobra.Command {
	var t try
	c := &cobra.Command{
		Use:   "try --policy FILE (--decisions FILE | --admin URL)",
		Short: "Say which recorded decisions a policy would change",
		Long: `Make recorded decisions again under another policy, and say which of them change, from which action to which, for
which reason and for how many devices. Exceptions of that policy are not looked at: the records name nobody. Records of devices that were
known may leave out who attested with them more than 30 days before: an interleave above that finds fewer duplicates than it would.`,
		Example: "  imei-verifier policy try --policy new.yaml --against old.yaml --decisions decisions.jsonl",
		Args:    none,
		RunE: func(c *cobra.Command, _ []string) error {
			return t.run(c.Context(), c.InOrStdin(), c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	c.Flags().StringVar(&t.policy, "policy", "", "`file` of the policy to try")
	c.Flags().StringVar(&t.against, "against", "", "`file` of the policy to compare it with; without it, compare with what was decided")
	t.decisions.flags(c)
	c.Flags().BoolVar(&t.asJSON, "json", false, "print JSON")
	required(c, "policy")
	return c
}

func (t *try) run(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer) error {
	candidate, err := loadPolicy(t.policy, stderr)
	if err != nil {
		return fail(exitUsage, fmt.Errorf("--policy: %w", err))
	}
	var against *verifier.Policy
	if t.against != "" {
		if against, err = loadPolicy(t.against, stderr); err != nil {
			return fail(exitUsage, fmt.Errorf("--against: %w", err))
		}
	}
	trial, shown := policy.NewTrial(candidate, against), progress{w: stderr, on: isTerminal(stderr), what: "decisions"}
	err = t.decisions.each(ctx, stdin, time.Time{}, func(r *verifier.Record) bool {
		trial.Add(r)
		shown.step()
		return true
	})
	shown.end()
	report := trial.Report()
	switch {
	case err != nil:
		return err
	case report.Decisions == 0:
		return fail(exitUsage, errors.New("there is no recorded decision to try the policy on"))
	}
	if !t.asJSON {
		_, err = io.WriteString(stdout, report.String())
	} else {
		encoder := json.NewEncoder(stdout)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(report)
	}
	if err != nil {
		return fail(exitFailed, err)
	}
	return nil
}

// loadPolicy reads a policy and prints what has come to an end in it.
func loadPolicy(path string, stderr io.Writer) (*verifier.Policy, error) {
	p, warnings, err := policy.Load(path, time.Now())
	for _, w := range warnings {
		fmt.Fprintf(stderr, "imei-verifier: warning: %s\n", w)
	}
	return p, err
}

// progress counts along on a terminal.
type progress struct {
	w     io.Writer
	on    bool
	what  string
	count int
}

func (p *progress) step() {
	const each = 1000 // some milliseconds of work
	p.count++
	if p.on && p.count%each == 0 {
		fmt.Fprintf(p.w, "\r\x1b[K%d %s", p.count, p.what)
	}
}

// end leaves nothing behind.
func (p *progress) end() {
	if p.on {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
}
