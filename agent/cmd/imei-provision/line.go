package main

import (
	"context"
	"flag"
	"fmt"
	"io"

	"imei-attest/agent/provision"
	"imei-attest/agent/tpmvault"
	"imei-attest/agent/tpmvault/tpmdev"
	"imei-attest/attest"
)

var requestCommand = command{
	example: `  imei-provision request --anchor oem-anchor.yaml --vault tpm:/dev/tpmrm0 --imei 352099001761481 --model router-5g --out unit.request
`,
	declare: func(flags *flag.FlagSet) func(context.Context, io.Writer, io.Writer) error {
		var (
			anchor  anchorFlag
			tpm     tpmFlags
			unit    unitFlags
			storage storageFlags
			out     = flags.String("out", "", "`FILE` for the request; must not exist")
		)
		anchor.declare(flags)
		tpm.declare(flags)
		unit.declare(flags)
		storage.declare(flags)
		return func(ctx context.Context, stdout, stderr io.Writer) error {
			u, err := unit.unit()
			if err != nil {
				return err
			}
			if err := checkNew(*out); err != nil {
				return err
			}
			options, err := storage.options(stderr)
			if err != nil {
				return err
			}
			oem, err := anchor.load()
			if err != nil {
				return err
			}
			return tpm.with(ctx, func(_ *tpmdev.Conn, factory *tpmvault.Factory) error {
				r, err := provision.NewRequest(ctx, factory, oem, u, options)
				if err != nil {
					return err
				}
				if err := keep(*out, r); err != nil {
					return err
				}
				showRequest(stdout, r)
				fmt.Fprintf(stdout, "request   %s: have it signed with imei-provision sign\n", *out)
				return nil
			})
		}
	},
}

var installCommand = packageCommand("install", provision.Install, func(w io.Writer, r *provision.Result) {
	if r.WasLocked {
		fmt.Fprintln(w, "final     this package was installed and locked already: verify it next")
		return
	}
	if r.Resumed {
		fmt.Fprintln(w, "resumed   the record was there already")
	}
	fmt.Fprintln(w, "written   lock it next: until then the device key does not work")
})

var lockCommand = packageCommand("lock", provision.Lock, func(w io.Writer, r *provision.Result) {
	if !r.Persistent {
		fmt.Fprintln(w, "note      the device key has no permanent handle; the device derives it at each start")
	}
	fmt.Fprintln(w, "final     verify it next")
})

// packageCommand is a step that a package allows.
func packageCommand(name string, step func(context.Context, provision.Provisioner, *provision.OEM, provision.Package, provision.Options) (*provision.Result, error),
	done func(io.Writer, *provision.Result),
) command {
	return command{
		example: "  imei-provision " + name + " --anchor oem-anchor.yaml --vault tpm:/dev/tpmrm0 --package unit.package\n",
		declare: func(flags *flag.FlagSet) func(context.Context, io.Writer, io.Writer) error {
			var (
				anchor anchorFlag
				tpm    tpmFlags
				file   = flags.String("package", "", "`FILE` that imei-provision sign wrote")
			)
			anchor.declare(flags)
			tpm.declare(flags)
			return func(ctx context.Context, stdout, stderr io.Writer) error {
				oem, err := anchor.load()
				if err != nil {
					return err
				}
				p, err := decoded("--package", *file, provision.DecodePackage)
				if err != nil {
					return err
				}
				return tpm.with(ctx, func(_ *tpmdev.Conn, factory *tpmvault.Factory) error {
					r, err := step(ctx, factory, oem, p, provision.Options{Progress: progressTo(stderr)})
					if err != nil {
						return err
					}
					for i, id := range r.Credential.Slots {
						fmt.Fprintf(stdout, "slot%d     %s\n", i+1, id)
					}
					fmt.Fprintf(stdout, "key       %s\n", attest.KeyIDOf(r.Credential.Key))
					done(stdout, r)
					return nil
				})
			}
		},
	}
}
