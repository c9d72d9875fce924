package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"imei-attest/attest/imei"
	"imei-attest/verifier"
	"imei-attest/verifier/lists"
)

func newList() *cobra.Command {
	c := &cobra.Command{
		Use:   "list",
		Short: "Check, exchange and ask the operator's list of equipment",
		Args:  none,
		RunE: func(*cobra.Command, []string) error {
			return fail(exitUsage, errors.New("want a command, list check, import or lookup; list --help tells more"))
		},
	}
	c.AddCommand(newListCheck(), newListImport(), newListLookup())
	return c
}

func newListCheck() *cobra.Command {
	return &cobra.Command{
		Use:     "check FILE",
		Short:   "Say whether a file is a list of equipment, and what is wrong with it",
		Example: "  imei-verifier list check list.csv",
		Args:    one("FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			l, err := lists.Load(args[0])
			if err != nil {
				return fail(exitUsage, err)
			}
			counts := l.Counts()
			for _, colour := range verifier.Colours() {
				fmt.Fprintf(c.OutOrStdout(), "%-7s %d\n", colour, counts[colour])
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "digest  sha256:%x\n", l.Digest)
			return err
		},
	}
}

func newListImport() *cobra.Command {
	var into string
	var dryRun, force, asJSON bool
	c := &cobra.Command{
		Use:   "import --into LIST [--dry-run] [--force] [--json] FILE",
		Short: "Put a list of equipment into force, and say what that changes",
		Long: `Put the list in FILE in the place of the one that the configuration names, in one step, and print how many entries are added,
removed and changed. A server that has it takes it into force within a second. A list with a mistake is refused, and so is one that is
empty, has lost more than half of its entries, or has more than doubled, unless --force says that it is meant.`,
		Example: "  imei-verifier list import --into /etc/imei-attest/list.csv --dry-run new.csv",
		Args:    one("FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			d, err := lists.Import(args[0], into, force, dryRun)
			var refused *lists.RefusedError
			switch {
			case errors.As(err, &refused):
				return errors.Join(writeDelta(c.OutOrStdout(), d, asJSON), fail(exitNo, fmt.Errorf("%w; nothing was changed", err)))
			case err != nil:
				return fail(exitUsage, err)
			}
			return writeDelta(c.OutOrStdout(), d, asJSON)
		},
	}
	c.Flags().StringVar(&into, "into", "", "`file` of the list in force, as the configuration names it; it is made if there is none")
	c.Flags().BoolVar(&dryRun, "dry-run", false, "only say what it would change")
	c.Flags().BoolVar(&force, "force", false, "put it into force however much it changes")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	required(c, "into")
	return c
}

func writeDelta(w io.Writer, d lists.Delta, asJSON bool) (err error) {
	if !asJSON {
		err = d.Write(w)
	} else {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(d)
	}
	if err != nil {
		return fail(exitFailed, err)
	}
	return nil
}

func newListLookup() *cobra.Command {
	var path, subscriber string
	c := &cobra.Command{
		Use:   "lookup --list LIST [--subscriber NAME] IMEI",
		Short: "Say what a list has about an IMEI",
		Long: `Say which entry of a list counts for an IMEI, of 14 digits or of 15 with the check digit, and why it stands there. Exit code 0
is white, 1 black, and 2 grey or not listed.`,
		Example: "  imei-verifier list lookup --list /etc/imei-attest/list.csv 490154203237518",
		Args:    one("IMEI"),
		RunE: func(c *cobra.Command, args []string) error {
			id, err := lists.ParseIMEI(args[0])
			if err != nil {
				return fail(exitUsage, fmt.Errorf("IMEI: %w", err))
			}
			l, err := lists.Load(path)
			if err != nil {
				return fail(exitUsage, err)
			}
			return tellListed(c.OutOrStdout(), id, l.Find(id, verifier.NormalSubscriber(subscriber)))
		},
	}
	c.Flags().StringVar(&path, "list", "", "`file` of the list")
	c.Flags().StringVar(&subscriber, "subscriber", "", "`name` of a subscriber, as a list has it: for pairings")
	required(c, "list")
	return c
}

// tellListed names the IMEI by no more than what is shown of one.
func tellListed(w io.Writer, id imei.IMEI, l verifier.Listed) error {
	switch {
	case l == verifier.Listed{}:
		fmt.Fprintf(w, "%s is not listed\n", id)
		return fail(exitUndecided, nil)
	case l.Why == "":
		fmt.Fprintf(w, "%s is %s, by its %s\n", id, l.Colour, l.Breadth)
	default:
		fmt.Fprintf(w, "%s is %s, by its %s: %s\n", id, l.Colour, l.Breadth, l.Why)
	}
	switch l.Colour {
	case verifier.ColourBlack:
		return fail(exitNo, nil)
	case verifier.ColourGrey:
		return fail(exitUndecided, nil)
	}
	return nil
}
