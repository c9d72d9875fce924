package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"imei-attest/modem/modemtest"
)

type emulate struct {
	link, imei, profile string
	given               bool // --imei was given, and may be empty: a modem that holds none
}

func newEmulate() *cobra.Command {
	var e emulate
	c := &cobra.Command{
		Use:   "emulate --link PATH [--imei TEXT] [--profile NAME]",
		Short: "Emulate a modem on a terminal until interrupted",
		Long: `Emulate a modem on a terminal and publish it as a symbolic link that programs open as a serial port.
The IMEI may be any text: answering nonsense is what an emulator is for.

Profiles: ` + strings.Join(modemtest.Profiles(), ", "),
		Example: "  imei-lab emulate --link /tmp/modem --imei 490154203237518",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			e.given = c.Flags().Changed("imei")
			return e.run(c.Context(), c.ErrOrStderr())
		},
	}
	c.Flags().StringVar(&e.link, "link", "", "`path` of the symbolic link to make")
	c.Flags().StringVar(&e.imei, "imei", "", "what the modem answers, usually 15 `digits` (default: the profile's)")
	c.Flags().StringVar(&e.profile, "profile", "generic", "whose way of answering to take, by `name`")
	if err := c.MarkFlagRequired("link"); err != nil {
		panic(err) // a misspelt name in the line above
	}
	return c
}

func (e *emulate) run(ctx context.Context, stderr io.Writer) error {
	modem, err := modemtest.New(modemtest.Config{Profile: e.profile})
	if err != nil {
		return fail(exitUsage, err)
	}
	if e.given {
		modem.SetIMEI(e.imei)
	}
	pty, err := modemtest.OpenPTY(e.link)
	if err != nil {
		return fail(exitUsage, err)
	}
	fmt.Fprintf(stderr, "a modem of profile %s answers at %s; interrupt to end\n", e.profile, e.link)
	if err := modem.ServePTY(ctx, pty); err != nil && !errors.Is(err, context.Canceled) {
		return fail(exitError, err)
	}
	return nil
}
