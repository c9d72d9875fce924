package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"

	"imei-attest/agent/provision"
	"imei-attest/attest"
)

// What --development fills in: names reserved for examples (RFC 4151 example tag; RFC 5612 section 2, PEN 32473).
const (
	developmentIssuer = "tag:imei-attest.example,2026:development"
	developmentOEMID  = "pen:32473"
)

var oemKeyCommand = command{
	example: `  imei-provision oem-key --issuer tag:oem.example,2026:devices --oemid pen:32473 --tacs 35000001,35000002 --out /secure/oem
  imei-provision oem-key --development --out oem
`,
	declare: func(flags *flag.FlagSet) func(context.Context, io.Writer, io.Writer) error {
		var (
			out         = flags.String("out", "", "`folder` for the keys and oem-anchor.yaml; must hold none yet")
			issuer      = flags.String("issuer", "", "URI of the manufacturer, at most 64 bytes")
			oemid       = flags.String("oemid", "", "manufacturer id: pen:NUMBER, ieee:HEX or random:HEX (RFC 9711)")
			tacs        = flags.String("tacs", "", "`list` of the Type Allocation Codes that the anchor may endorse, 8 digits each; * is all (default with --development)")
			development = flags.Bool("development", false, "anchor for a laboratory: vouches for software and emulated storage too")
		)
		return func(_ context.Context, stdout, _ io.Writer) error {
			if *development {
				*issuer, *oemid, *tacs = orElse(*issuer, developmentIssuer), orElse(*oemid, developmentOEMID), orElse(*tacs, "*")
			}
			return oemKey(stdout, *out, *issuer, *oemid, *tacs, *development)
		}
	},
}

func oemKey(stdout io.Writer, out, issuer, oemid, tacs string, development bool) error {
	switch {
	case out == "":
		return usagef("--out is missing")
	case issuer == "" || oemid == "" || tacs == "":
		return usagef("--issuer, --oemid and --tacs are needed (--development fills them in for a laboratory)")
	}
	id, err := attest.ParseOEMID(oemid)
	if err != nil {
		return usageError{err}
	}
	anchor := provision.Anchor{Issuer: issuer, OEMID: id, TACs: strings.Split(tacs, ","), Development: development}
	oem, err := provision.GenerateOEM(out, anchor)
	switch {
	case errors.Is(err, fs.ErrExist), errors.Is(err, provision.ErrAnchor):
		return usageError{err}
	case err != nil:
		return err
	}
	fmt.Fprintf(stdout, "keys of %s (%s) in %s: keep them private, and the standby boot key elsewhere\n", oem.Issuer, oem.ID, out)
	fmt.Fprintf(stdout, "anchor for verifiers: %s\n", filepath.Join(out, provision.AnchorFile))
	return nil
}

func orElse(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
