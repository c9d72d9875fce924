package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"strings"

	"imei-attest/agent/provision"
	"imei-attest/agent/tpmvault"
	"imei-attest/agent/tpmvault/tpmdev"
	"imei-attest/attest/tpmprofile"
)

var _ provision.Retirer = (*tpmvault.Factory)(nil)

var retireCommand = command{
	example: `  imei-provision retire --oem /secure/oem --vault tpm:/dev/tpmrm0
  imei-provision retire --oem oem --vault tpm:unix:/run/swtpm/sock --yes
`,
	ask: func(flags *flag.FlagSet, in io.Reader) func(context.Context, io.Writer, io.Writer) error {
		var (
			keys keyFlags
			tpm  tpmFlags
			yes  = flags.Bool("yes", false, "do not ask; without it, type the IMEI of slot 1 as it is shown, with its asterisks")
		)
		keys.declare(flags)
		tpm.declare(flags)
		return func(ctx context.Context, stdout, stderr io.Writer) error {
			oem, err := keys.load(stderr, provision.DutyNV)
			if err != nil {
				return err
			}
			return tpm.with(ctx, func(_ *tpmdev.Conn, factory *tpmvault.Factory) error {
				h, err := provision.FindHolding(ctx, factory, oem)
				if err != nil {
					return err
				}
				showHolding(stdout, h)
				if !*yes {
					if err := confirm(in, stderr, h); err != nil {
						return err
					}
				}
				if err := provision.Retire(ctx, factory, oem, h, progressTo(stdout)); err != nil {
					return err
				}
				showNext(stdout, h)
				return nil
			})
		}
	},
}

func showHolding(w io.Writer, h provision.Holding) {
	for i, id := range h.Slots {
		fmt.Fprintf(w, "slot%-12d %s\n", i+1, id)
	}
	fmt.Fprintf(w, "%-16s NV index %#x is %s\n", "record", uint32(h.Profile.Index()), h.State)
}

// showNext says what the manufacturer's own records may not: nothing on the device remembers it from here on.
func showNext(w io.Writer, h provision.Holding) {
	for _, id := range h.Slots {
		fmt.Fprintf(w, "%-16s the next credential of IMEI %s needs serial %d or higher\n", "next", id, h.Serial+1)
	}
}

// confirm has somebody type what is to go: a "y" is typed too easily for something that cannot be undone.
func confirm(in io.Reader, out io.Writer, h provision.Holding) error {
	word := tpmprofile.IndexDefined.String()
	if len(h.Slots) > 0 {
		word = h.Slots[0].String()
	}
	fmt.Fprintf(out, "This cannot be undone. Type %s to delete the record: ", word)
	line, _ := bufio.NewReader(io.LimitReader(in, 100)).ReadString('\n')
	if strings.TrimSpace(line) != word {
		return usagef("not confirmed: nothing was changed; type %s, or use --yes", word)
	}
	return nil
}
