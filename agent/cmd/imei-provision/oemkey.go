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
	example: `  imei-provision oem-key --issuer tag:oem.example,2026:devices --oemid pen:32473 --tacs 35000001,35000002 --out /secure/oem --encrypt
  imei-provision oem-key --development --out oem
`,
	declare: func(flags *flag.FlagSet) func(context.Context, io.Writer, io.Writer) error {
		var (
			out         = flags.String("out", "", "`folder` for the keys and oem-anchor.yaml; must hold none yet")
			issuer      = flags.String("issuer", "", "URI of the manufacturer, at most 64 bytes")
			oemid       = flags.String("oemid", "", "manufacturer id: pen:NUMBER, ieee:HEX or random:HEX (RFC 9711)")
			tacs        = flags.String("tacs", "", "`list` of the Type Allocation Codes that the anchor may endorse, 8 digits each; * is all (default with --development)")
			development = flags.Bool("development", false, "anchor for a laboratory: vouches for software and emulated storage too; the keys need no encryption")
			encrypt     = flags.Bool("encrypt", false, "encrypt the keys with a passphrase asked at the terminal; --passphrase-file encrypts too")
			tokens      [4]string
			keys        keyFlags
		)
		keys.declareSecrets(flags)
		for _, duty := range provision.Duties() {
			name, _, _ := strings.Cut(duty.File(), ".")
			flags.StringVar(&tokens[duty], name+"-key", "", "take the "+duty.String()+" key that is in a PKCS #11 token, a pkcs11: `URI`, instead of making one")
		}
		return func(_ context.Context, stdout, stderr io.Writer) error {
			if *development {
				*issuer, *oemid, *tacs = orElse(*issuer, developmentIssuer), orElse(*oemid, developmentOEMID), orElse(*tacs, "*")
			}
			anchor, err := anchorOf(*out, *issuer, *oemid, *tacs, *development)
			if err != nil {
				return err
			}
			kept, err := keys.keep(tokens, *encrypt)
			if err != nil {
				return usageError{err}
			}
			return oemKey(stdout, stderr, *out, anchor, kept)
		}
	},
}

func anchorOf(out, issuer, oemid, tacs string, development bool) (a provision.Anchor, err error) {
	switch {
	case out == "":
		return a, usagef("--out is missing")
	case issuer == "" || oemid == "" || tacs == "":
		return a, usagef("--issuer, --oemid and --tacs are needed (--development fills them in for a laboratory)")
	}
	id, err := attest.ParseOEMID(oemid)
	if err != nil {
		return a, usageError{err}
	}
	return provision.Anchor{Issuer: issuer, OEMID: id, TACs: strings.Split(tacs, ","), Development: development}, nil
}

// keep says how the new keys are kept: in tokens, encrypted, or neither.
func (f *keyFlags) keep(uris [4]string, encrypt bool) (k provision.Keys, err error) {
	k.Tokens = make(map[provision.Duty]provision.TokenKey)
	for i, uri := range uris {
		if uri == "" {
			continue
		}
		if !strings.HasPrefix(uri, provision.TokenScheme) {
			return k, fmt.Errorf("%s key: want a URI that begins with %s", provision.Duty(i), provision.TokenScheme)
		}
		signer, err := f.token(uri)
		if err != nil {
			return k, err
		}
		k.Tokens[provision.Duty(i)] = provision.TokenKey{URI: uri, Signer: signer}
	}
	if encrypt || f.passphraseFile != "" {
		k.Passphrase, err = f.newPassphrase()
	}
	return k, err
}

func oemKey(stdout, stderr io.Writer, out string, anchor provision.Anchor, keys provision.Keys) error {
	oem, err := provision.NewOEM(out, anchor, keys)
	switch {
	case errors.Is(err, fs.ErrExist), errors.Is(err, provision.ErrAnchor):
		return usageError{err}
	case err != nil:
		return err
	}
	if len(keys.Passphrase) == 0 && len(keys.Tokens) < len(provision.Duties()) && !anchor.Development {
		fmt.Fprintln(stderr, "WARNING: the private keys are not encrypted; whoever copies them can endorse any device. Use --encrypt or --passphrase-file")
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
