package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"imei-attest/modem/modemtest"
)

func newCorpus() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "corpus FILE [--json]",
		Short: "Check the modem reader against recorded answers",
		Long: `Replay every answer of a corpus (JSON lines, the first of which describes the fields) through a terminal and the
reader, and compare with what the row expects. Each row that is wrong is printed, then the count.
The exit code is 1 if any row is wrong.`,
		Example: "  imei-lab corpus modem/testdata/modem-corpus.jsonl",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return checkCorpus(c.Context(), args[0], asJSON, c.OutOrStdout())
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// checked is the JSON form of one row's check.
type checked struct {
	Line    int      `json:"line"`
	Vendor  string   `json:"vendor"`
	Model   string   `json:"model"`
	Command string   `json:"command"`
	Right   bool     `json:"right"`
	Wrong   []string `json:"wrong,omitempty"`
	Error   string   `json:"error,omitempty"` // the exchange could not take place
}

func checkCorpus(ctx context.Context, file string, asJSON bool, stdout io.Writer) error {
	rows, err := modemtest.Load(file)
	if err != nil {
		return fail(exitUsage, fmt.Errorf("%w; want recorded answers as modem/testdata/modem-corpus.jsonl has them", err))
	}
	results, err := modemtest.Check(ctx, rows, modemtest.CheckConfig{})
	if err != nil {
		return fail(exitError, err)
	}
	wrong := false
	list := make([]checked, 0, len(results))
	for _, r := range results {
		wrong = wrong || !r.Right()
		c := checked{Line: r.Row.Line, Vendor: r.Row.Vendor, Model: r.Row.Model, Command: r.Row.Command, Right: r.Right(), Wrong: r.Wrong}
		if r.Err != nil {
			c.Error = r.Err.Error()
		}
		list = append(list, c)
		if !asJSON && !r.Right() {
			fmt.Fprintln(stdout, r)
		}
	}
	if asJSON {
		encoder := json.NewEncoder(stdout)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(list)
	} else {
		_, err = fmt.Fprintln(stdout, modemtest.Summary(results))
	}
	switch {
	case err != nil:
		return fail(exitError, err)
	case wrong:
		return fail(exitFail, nil)
	}
	return nil
}
