package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"imei-attest/attest/imei"
	"imei-attest/modem/modemtest"
)

type intercept struct {
	port, link  string
	rewrites    []string
	delay       time.Duration
	replayAfter int
}

func newIntercept() *cobra.Command {
	var i intercept
	c := &cobra.Command{
		Use:   "intercept --port PATH --link PATH [--rewrite FROM=TO]... [--delay TIME] [--replay-after N]",
		Short: "Change what a modem says on its way to programs",
		Long: `Stand between programs and the modem at a serial port until interrupted, and change what the modem says: programs open
the link. What programs say is not changed, and a command line that could write an identity is answered with ERROR and
does not reach the modem. It shows what a reader can tell of a man in the middle, and what it cannot.`,
		Example: "  imei-lab intercept --port /tmp/modem --link /tmp/changed --rewrite 490154203237518=356938035643809",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return i.run(c.Context(), c.ErrOrStderr()) },
	}
	c.Flags().StringVar(&i.port, "port", "", "serial `path` of the modem")
	c.Flags().StringVar(&i.link, "link", "", "`path` of the symbolic link to make for programs")
	c.Flags().StringArrayVar(&i.rewrites, "rewrite", nil, "replace a text by another, `FROM=TO`, of any length; may be repeated, and of several that fit the first counts")
	c.Flags().DurationVar(&i.delay, "delay", 0, "pass on each piece so much later, a `time` such as 20ms")
	c.Flags().IntVar(&i.replayAfter, "replay-after", 0, "after `N` command lines answer those that were sent before as the modem did then, without asking it")
	for _, required := range []string{"port", "link"} {
		if err := c.MarkFlagRequired(required); err != nil {
			panic(err) // a misspelt name in the line above
		}
	}
	c.MarkFlagsOneRequired("rewrite", "delay", "replay-after")
	return c
}

// tampering is what the flags say.
func (i *intercept) tampering() (t modemtest.Tampering, err error) {
	if i.delay < 0 || i.replayAfter < 0 {
		return t, fmt.Errorf("--delay and --replay-after must not be negative")
	}
	t = modemtest.Tampering{Delay: i.delay, ReplayAfter: i.replayAfter}
	for _, text := range i.rewrites {
		from, to, found := strings.Cut(text, "=")
		if !found || from == "" {
			return t, fmt.Errorf("--rewrite %q: want FROM=TO, with a FROM that is not empty", text)
		}
		t.Rewrites = append(t.Rewrites, modemtest.Rewrite{From: from, To: to})
	}
	return t, nil
}

func (i *intercept) run(ctx context.Context, stderr io.Writer) error {
	tampering, err := i.tampering()
	if err != nil {
		return fail(exitUsage, err)
	}
	port, err := openBehind(ctx, i.port, i.link)
	if err != nil {
		return fail(exitUsage, err)
	}
	defer port.Close()
	line, err := modemtest.OpenPTY(i.link)
	if err != nil {
		return fail(exitUsage, err)
	}
	fmt.Fprintf(stderr, "the modem at %s answers at %s and is changed; interrupt to end\n", imei.RedactAll(i.port), imei.RedactAll(i.link))
	if err := modemtest.Intercept(ctx, line, port, nil, tampering); err != nil {
		return fail(exitError, err)
	}
	return nil
}
