package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"time"

	"imei-attest/agent/provision"
	"imei-attest/attest"
)

var signCommand = command{
	example: `  imei-provision sign --oem /secure/oem --request unit.request --out unit.package
`,
	declare: func(flags *flag.FlagSet) func(context.Context, io.Writer, io.Writer) error {
		var (
			keys    keyFlags
			request = flags.String("request", "", "`FILE` that imei-provision request wrote")
			out     = flags.String("out", "", "`FILE` for the package; must not exist")
		)
		keys.declare(flags)
		return func(_ context.Context, stdout, stderr io.Writer) error {
			if err := checkNew(*out); err != nil {
				return err
			}
			r, err := decoded("--request", *request, provision.DecodeRequest)
			if err != nil {
				return err
			}
			if r.Identity != nil {
				return usagef("--request: %s was made by enroll begin, for a device in the field: use enroll challenge and enroll issue", *request)
			}
			oem, err := keys.load(stderr, provision.DutyCredential, provision.DutyNV)
			if err != nil {
				return err
			}
			p, err := oem.Sign(r, time.Now())
			if err != nil {
				return err
			}
			if err := keep(*out, p); err != nil {
				return err
			}
			showRequest(stdout, r)
			fmt.Fprintf(stdout, "package   %s, credential of %d bytes\n", *out, len(p.Credential))
			return nil
		}
	},
}

// showRequest says what is asked for, without serial digits of an IMEI.
func showRequest(w io.Writer, r provision.Request) {
	for i, id := range r.Unit.Slots {
		fmt.Fprintf(w, "slot%d     %s\n", i+1, id)
	}
	fmt.Fprintf(w, "model     %q, class %d\n", r.Unit.Model, r.Unit.Class)
	fmt.Fprintf(w, "serial    %d: it must be above that of each earlier credential of these IMEIs (retire says the next), or verifiers see a copy\n", r.Unit.Serial)
	fmt.Fprintf(w, "key       %s\n", attest.KeyIDOf(r.Key))
	fmt.Fprintf(w, "key name  %x\n", r.Storage.KeyName)
	fmt.Fprintf(w, "storage   %s, NV index of the %s, boot %s, TPM of %q with firmware %q\n", r.Storage.Kind, r.Storage.NV, r.Storage.Boot, r.Engine.Manufacturer, r.Engine.Firmware)
	fmt.Fprintf(w, "ek        %x\n", r.Storage.EKNameHash)
}
