package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"imei-attest/verifier"
)

// recorded is where recorded decisions are read from: a file with one JSON object a line, or a server's admin address.
type recorded struct {
	file   string
	server adminServer
}

func (d *recorded) flags(c *cobra.Command) {
	c.Flags().StringVar(&d.file, "decisions", "", "`file` of recorded decisions, one JSON object a line; - reads standard input")
	d.server.flags(c)
}

// maxRecordBytes is room for a decision on four slots.
const maxRecordBytes = 1 << 20

// each gives the decisions in order, until yield returns false.
func (d *recorded) each(ctx context.Context, stdin io.Reader, since time.Time, yield func(*verifier.Record) bool) error {
	if err := d.check(); err != nil {
		return err
	}
	from, err := d.open(ctx, stdin, since)
	if err != nil {
		return fail(exitUsage, err)
	}
	defer from.Close()
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, maxRecordBytes)
	for number := 1; lines.Scan(); number++ {
		if strings.TrimSpace(lines.Text()) == "" {
			continue
		}
		var r verifier.Record
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return fail(exitUsage, fmt.Errorf("line %d is no recorded decision: export the decisions again with imei-verifier decisions", number))
		}
		if r.Facts.Now.Before(since) {
			continue
		}
		if !yield(&r) {
			return nil
		}
	}
	if err := lines.Err(); err != nil {
		return fail(exitFailed, fmt.Errorf("reading the recorded decisions: %w", err))
	}
	return nil
}

// check wants one of the two.
func (d *recorded) check() error {
	if (d.file == "") == (d.server.address == "") {
		return fail(exitUsage, errors.New("want --decisions FILE or --admin URL, one of the two"))
	}
	return nil
}

func (d *recorded) open(ctx context.Context, stdin io.Reader, since time.Time) (io.ReadCloser, error) {
	switch d.file {
	case "":
		path := "/admin/v1/decisions"
		if !since.IsZero() {
			path += "?since=" + url.QueryEscape(since.Format(time.RFC3339))
		}
		return d.server.get(ctx, path)
	case "-":
		return io.NopCloser(stdin), nil
	}
	return os.Open(d.file)
}

// find returns one decision.
func (d *recorded) find(ctx context.Context, stdin io.Reader, id verifier.DecisionID) (found *verifier.Record, err error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	if d.server.address != "" {
		return d.fetch(ctx, id)
	}
	err = d.each(ctx, stdin, time.Time{}, func(r *verifier.Record) bool {
		if r.Verdict.ID == id {
			found = r
		}
		return found == nil
	})
	if err == nil && found == nil {
		err = fail(exitUsage, fmt.Errorf("no decision %s in %s", id, d.file))
	}
	return found, err
}

func (d *recorded) fetch(ctx context.Context, id verifier.DecisionID) (*verifier.Record, error) {
	body, err := d.server.get(ctx, "/admin/v1/decisions/"+id.String())
	if err != nil {
		return nil, fail(exitUsage, err)
	}
	defer body.Close()
	r := new(verifier.Record)
	if err := json.NewDecoder(io.LimitReader(body, maxRecordBytes)).Decode(r); err != nil {
		return nil, fail(exitFailed, errors.New("what the server answered is no recorded decision: is --admin the address that serve --admin listens on?"))
	}
	return r, nil
}

func newDecisions() *cobra.Command {
	var d recorded
	var since string
	c := &cobra.Command{
		Use:     "decisions --admin URL [--since TIME]",
		Short:   "Export the decisions that a server has recorded",
		Long:    "Print recorded decisions, one JSON object a line, the oldest first. They name no device and no subscriber: pseudonyms tell them apart.",
		Example: "  imei-verifier decisions --admin http://127.0.0.1:8081 >decisions.jsonl",
		Args:    none,
		RunE: func(c *cobra.Command, _ []string) error {
			from, err := parseTime(since)
			if err != nil {
				return err
			}
			encoder := json.NewEncoder(c.OutOrStdout())
			var failed error
			err = d.each(c.Context(), c.InOrStdin(), from, func(r *verifier.Record) bool {
				failed = encoder.Encode(r)
				return failed == nil
			})
			return errors.Join(err, failed)
		},
	}
	d.flags(c)
	c.Flags().StringVar(&since, "since", "", "`time` of the first, such as 2026-11-22T08:00:00Z (default: all that are kept)")
	return c
}

func parseTime(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, fail(exitUsage, errors.New("--since: want a time such as 2026-11-22T08:00:00Z"))
	}
	return at, nil
}

func newExplain() *cobra.Command {
	var d recorded
	var asJSON bool
	c := &cobra.Command{
		Use:   "explain ID (--decisions FILE | --admin URL)",
		Short: "Explain a recorded decision",
		Long: `Print what a decision was and, for each of its reasons, the check that found it, what that check looked at, and the
clause it rests on. The identifier is the id of an answer and of the server's log.`,
		Example: "  imei-verifier explain 019ca945-0a00-7d9c-b2cb-84d42dae6fa3 --admin http://127.0.0.1:8081",
		Args:    one("the ID of a decision"),
		RunE: func(c *cobra.Command, args []string) error {
			id, err := verifier.ParseDecisionID(args[0])
			if err != nil {
				return fail(exitUsage, err)
			}
			r, err := d.find(c.Context(), c.InOrStdin(), id)
			if err != nil {
				return err
			}
			if err := r.Replay(); err != nil {
				return fail(exitFailed, err)
			}
			if !asJSON {
				return r.Explain(c.OutOrStdout())
			}
			encoder := json.NewEncoder(c.OutOrStdout())
			encoder.SetIndent("", "  ")
			return encoder.Encode(struct {
				*verifier.Record
				Findings []verifier.Finding `json:"findings"`
			}{r, r.Findings()})
		},
	}
	d.flags(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON: the recorded decision, and its findings")
	return c
}

func newReplay() *cobra.Command {
	var d recorded
	c := &cobra.Command{
		Use:   "replay (--decisions FILE | --admin URL)",
		Short: "Make recorded decisions again",
		Long: `Make each recorded decision again from its facts, compare the results byte by byte, and say what differs. What the policy makes of
each reason is not recorded: of the action is checked that a policy may take it on that result, and that codes and label are that
action's. The exit code is 0 only if all come out the same.`,
		Example: "  imei-verifier replay --decisions decisions.jsonl",
		Args:    none,
		RunE: func(c *cobra.Command, _ []string) error {
			same, other := 0, 0
			err := d.each(c.Context(), c.InOrStdin(), time.Time{}, func(r *verifier.Record) bool {
				if err := r.Replay(); err != nil {
					other++
					fmt.Fprintf(c.ErrOrStderr(), "%s: %v\n", r.Verdict.ID, err)
				} else {
					same++
				}
				return true
			})
			if err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "%d decisions, %d the same, %d otherwise\n", same+other, same, other)
			if other > 0 {
				return fail(exitNo, nil)
			}
			return nil
		},
	}
	d.flags(c)
	return c
}
