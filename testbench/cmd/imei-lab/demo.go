package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"imei-attest/agent/tpmvault/tpmtest"
	"imei-attest/testbench"
)

type demo struct {
	vault, out string
	asJSON     bool
}

func newDemo() *cobra.Command {
	var d demo
	c := &cobra.Command{
		Use:   "demo [--vault tpm|software] [--out DIR] [--json]",
		Short: "Show devices proving their IMEI, and lies being caught",
		Long: `Play every scenario of the demonstration: emulated modems on terminals, a TPM engine (swtpm) or a software vault
for each device, and a verifier on loopback HTTP. Tokens, results and AT transcripts are kept in a folder.
The exit code is 0 only if each scenario came out as it must.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return d.run(c.Context(), c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	c.Flags().StringVar(&d.vault, "vault", string(testbench.VaultTPM), "secure storage of the devices: tpm or software")
	c.Flags().StringVar(&d.out, "out", "", "`folder` to keep tokens, results and transcripts in; empty or new (default: a temporary one)")
	c.Flags().BoolVar(&d.asJSON, "json", false, "print JSON")
	return c
}

func (d *demo) run(ctx context.Context, stdout, stderr io.Writer) error {
	kind := testbench.VaultKind(d.vault)
	if kind != testbench.VaultTPM && kind != testbench.VaultSoftware {
		return fail(exitUsage, fmt.Errorf("--vault %q: want tpm or software", d.vault))
	}
	dir, err := outFolder(d.out, "imei-lab-demo-")
	if err != nil {
		return fail(exitUsage, fmt.Errorf("--out: %w", err))
	}
	if kind == testbench.VaultSoftware && !d.asJSON {
		fmt.Fprintln(stdout, "*** SOFTWARE VAULT: keys and IMEIs are kept in files. Nothing is affirmed, and what only a TPM shows is skipped. ***")
	}
	show := func(r testbench.Row) {
		if !d.asJSON {
			fmt.Fprintln(stdout, r.String())
		}
	}
	rows, err := testbench.RunDemo(ctx, dir, kind, show)
	if errors.Is(err, tpmtest.ErrNoEngine) {
		return fail(exitError, fmt.Errorf("%w; or run with --vault software", err))
	}
	if err != nil {
		return fail(exitError, err)
	}
	return d.finish(stdout, stderr, dir, rows)
}

func (d *demo) finish(stdout, stderr io.Writer, dir string, rows []testbench.Row) error {
	if d.asJSON {
		encoder := json.NewEncoder(stdout)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(rows); err != nil {
			return fail(exitError, err)
		}
	}
	wrong, skipped := 0, 0
	for _, r := range rows {
		switch {
		case r.Skipped != "":
			skipped++
		case !r.Right():
			wrong++
		}
	}
	fmt.Fprintf(stderr, "%d scenarios, %d as they must be", len(rows), len(rows)-wrong-skipped)
	if skipped > 0 {
		fmt.Fprintf(stderr, ", %d skipped", skipped)
	}
	fmt.Fprintf(stderr, "; tokens, results and transcripts are in %s\n", dir)
	if i := slices.IndexFunc(rows, func(r testbench.Row) bool { return r.Status == "contraindicated" }); i >= 0 {
		fmt.Fprintf(stderr, "why %q came out as it did: imei-verifier explain %s --decisions %s\n",
			rows[i].Scenario, rows[i].Decision, filepath.Join(dir, testbench.DecisionsFile))
	}
	if wrong > 0 {
		return fail(exitFail, nil)
	}
	return nil
}

// outFolder takes an empty folder, so that nothing of an earlier run is mistaken for this one's; or makes a temporary one.
func outFolder(dir, temporary string) (string, error) {
	if dir == "" {
		return os.MkdirTemp("", temporary)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	entries, err := os.ReadDir(dir)
	if err == nil && len(entries) > 0 {
		err = fmt.Errorf("%s is not empty: name a new folder", dir)
	}
	return dir, err
}
