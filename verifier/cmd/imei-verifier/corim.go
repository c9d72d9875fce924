package main

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"imei-attest/attest"
	"imei-attest/verifier/httpapi"
	"imei-attest/verifier/trust"
	"imei-attest/verifier/trust/corim"
)

func newCoRIM() *cobra.Command {
	c := &cobra.Command{
		Use:   "corim",
		Short: "Take in and give out what a manufacturer publishes, as a signed CoRIM",
		Args:  none,
		RunE: func(*cobra.Command, []string) error {
			return fail(exitUsage, errors.New("want a command, corim show, import or export; corim --help tells more"))
		},
	}
	c.AddCommand(newCoRIMShow(), newCoRIMImport(), newCoRIMExport())
	return c
}

func newCoRIMShow() *cobra.Command {
	return &cobra.Command{
		Use:     "show FILE",
		Short:   "Print what a CoRIM says, without believing it",
		Long:    "Print what a CoRIM says. Its signature is not checked: import --dry-run does that.",
		Example: "  imei-verifier corim show oem.corim",
		Args:    one("FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			raw, err := readCoRIM(args[0], c.InOrStdin())
			if err != nil {
				return fail(exitUsage, err)
			}
			frame, err := attest.DecodeCoRIM(raw)
			if err != nil {
				return fail(exitNo, err)
			}
			d, err := corim.Decode(frame.Payload)
			if err != nil {
				return fail(exitNo, err)
			}
			return printCoRIM(c.OutOrStdout(), frame, d)
		},
	}
}

func printCoRIM(w io.Writer, frame *attest.SignedCoRIM, d *corim.Document) error {
	fmt.Fprintf(w, "id           %s\nissuer       %s, %s\nsigner       %q, key %s: the signature was not checked\nvalid        %s to %s\n", d.ID, d.Issuer, d.OEMID,
		frame.Signer, frame.KeyID, d.NotBefore.Format(time.RFC3339), d.NotAfter.Format(time.RFC3339))
	return printAdditions(w, d.Additions())
}

// printAdditions prints a line for each entry.
func printAdditions(w io.Writer, a *trust.Additions) error {
	var err error
	line := func(what, entry string) {
		if err == nil {
			_, err = fmt.Fprintf(w, "%-12s %s\n", what, entry)
		}
	}
	each := func(what, kind string, entries []string) {
		for _, entry := range entries {
			line(what, kind+entry)
		}
	}
	for _, text := range a.CredentialKeys {
		line("signs", "credential key "+keyIDOf(text))
	}
	for _, m := range a.Models {
		each("approved", "firmware of "+m.HWModel+": ", m.Firmware)
	}
	each("revoked", "credential ", a.Revoked.Credentials)
	each("revoked", "device key ", a.Revoked.DeviceKeys)
	each("revoked", "credential key ", a.Revoked.CredentialKeys)
	for _, r := range a.Revoked.Firmware {
		line("revoked", fmt.Sprintf("firmware %s to %s of TAC %s", r.From, r.To, r.TACs))
	}
	each("revoked", "TPM firmware ", a.DeniedTPMFirmware)
	if err != nil {
		return fail(exitFailed, err)
	}
	return nil
}

func keyIDOf(text string) string {
	key, err := trust.ParseKey(text)
	if err != nil {
		return "that cannot be read"
	}
	return attest.KeyIDOf(key).String()
}

// importer is the corim import command.
type importer struct {
	trust                   string
	dryRun, newKeys, asJSON bool
}

func newCoRIMImport() *cobra.Command {
	var i importer
	c := &cobra.Command{
		Use:   "import --trust DIR FILE",
		Short: "Add to a manufacturer's file what it says in a signed CoRIM",
		Long: `Add to a manufacturer's file in the trust folder what it says in a signed CoRIM, all of it or nothing, and print what was
added. A server that watches the folder takes it up within a second. Nothing is ever taken away. Comments in the file are lost.`,
		Example: "  imei-verifier corim import --trust trust/ --dry-run oem.corim",
		Args:    one("FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			return i.run(args[0], c.InOrStdin(), c.OutOrStdout())
		},
	}
	c.Flags().StringVar(&i.trust, "trust", "", "`folder` of manufacturers' anchors, one YAML file each")
	c.Flags().BoolVar(&i.dryRun, "dry-run", false, "only print what would be added")
	c.Flags().BoolVar(&i.newKeys, "new-keys", false, "also take credential keys that the folder does not hold: ask the manufacturer by another way first")
	c.Flags().BoolVar(&i.asJSON, "json", false, "print JSON")
	required(c, "trust")
	return c
}

// imported is the JSON form of an import, as the HTTP interface has it.
type imported struct {
	DryRun bool             `json:"dry_run"`
	Added  *trust.Additions `json:"added"`
}

func (i *importer) run(path string, stdin io.Reader, stdout io.Writer) error {
	raw, err := readCoRIM(path, stdin)
	if err != nil {
		return fail(exitUsage, err)
	}
	added, err := corim.Import(i.trust, raw, corim.Options{Now: time.Now(), DryRun: i.dryRun, NewKeys: i.newKeys})
	var refusal *corim.Refusal
	switch {
	case errors.As(err, &refusal):
		return fail(exitNo, err)
	case err != nil:
		return fail(exitUsage, err)
	case i.asJSON:
		encoder := json.NewEncoder(stdout)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(imported{i.dryRun, added}); err != nil {
			return fail(exitFailed, err)
		}
		return nil
	case added.IsEmpty():
		fmt.Fprintln(stdout, "nothing new: the trust folder holds all of it")
	case i.dryRun:
		fmt.Fprintln(stdout, "a dry run, nothing was changed; this would be added:")
	}
	return printAdditions(stdout, added)
}

// readCoRIM reads little more than a CoRIM may have, so that a wrong file is noticed and not loaded.
func readCoRIM(path string, stdin io.Reader) ([]byte, error) {
	if path == "-" {
		return io.ReadAll(io.LimitReader(stdin, attest.MaxCoRIMBytes+1))
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, attest.MaxCoRIMBytes+1))
}

// exporter is the corim export command.
type exporter struct{ trust, issuer, key, out string }

func newCoRIMExport() *cobra.Command {
	var e exporter
	c := &cobra.Command{
		Use:   "export --trust DIR --issuer URI --key FILE --out FILE",
		Short: "Sign what a manufacturer's file says as a CoRIM",
		Long: `Sign what a manufacturer's file says as a CoRIM: credential keys, reference values and what is revoked. It may be
imported for 30 days. Nobody else may read the key's file.`,
		Example: "  imei-verifier corim export --trust trust/ --issuer tag:oem.example,2026:devices --key credential.key --out oem.corim",
		Args:    none,
		RunE:    func(c *cobra.Command, _ []string) error { return e.run(c.OutOrStdout()) },
	}
	c.Flags().StringVar(&e.trust, "trust", "", "`folder` with the manufacturer's file")
	c.Flags().StringVar(&e.issuer, "issuer", "", "the manufacturer's `URI`, as the file says it")
	c.Flags().StringVar(&e.key, "key", "", "`file` of one of its credential keys: PKCS #8 in PEM, not encrypted")
	c.Flags().StringVar(&e.out, "out", "", "`file` to write; one that is there is left alone")
	required(c, "trust", "issuer", "key", "out")
	return c
}

func (e *exporter) run(stdout io.Writer) error {
	key, err := readSigningKey(e.key)
	if err != nil {
		return fail(exitUsage, fmt.Errorf("--key: %w", err))
	}
	raw, err := corim.Export(rand.Reader, e.trust, e.issuer, key, time.Now())
	if err != nil {
		return fail(exitUsage, err)
	}
	f, err := os.OpenFile(e.out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		err = fmt.Errorf("%s is there already: remove it, or choose another name", e.out)
	}
	if err != nil {
		return fail(exitUsage, fmt.Errorf("--out: %w", err))
	}
	_, err = f.Write(raw)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fail(exitFailed, errors.Join(err, os.Remove(e.out)))
	}
	return e.report(stdout, raw)
}

// report prints what was written, as an importer reads it.
func (e *exporter) report(stdout io.Writer, raw []byte) error {
	frame, err := attest.DecodeCoRIM(raw)
	if err != nil {
		return fail(exitFailed, err)
	}
	d, err := corim.Decode(frame.Payload)
	if err == nil {
		_, err = fmt.Fprintf(stdout, "file         %s\nissuer       %s\nvalid        %s to %s\n", e.out, d.Issuer, d.NotBefore.Format(time.RFC3339), d.NotAfter.Format(time.RFC3339))
	}
	if err != nil {
		return fail(exitFailed, err)
	}
	return nil
}

func readSigningKey(path string) (crypto.Signer, error) {
	info, err := os.Stat(path)
	if err == nil {
		err = private(path, info)
	}
	if err != nil {
		return nil, err
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(content)
	switch {
	case block != nil && block.Type == "ENCRYPTED PRIVATE KEY":
		return nil, errors.New("the key is encrypted: pass it as --key <(openssl pkey -in FILE)")
	case block == nil || block.Type != pemType:
		return nil, errors.New("want a PEM block " + pemType)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("the PEM block holds no private key that can be read")
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("want an ECDSA key on P-256 or P-384, not %T", key)
	}
	return signer, nil
}

// endorsements takes CoRIMs over HTTP into a trust folder. New credential keys are for a person to take.
type endorsements struct{ trust string }

var _ httpapi.Endorsements = endorsements{}

// Submit implements [httpapi.Endorsements].
func (e endorsements) Submit(_ context.Context, raw []byte, dryRun bool) (added any, refusal, err error) {
	a, err := corim.Import(e.trust, raw, corim.Options{Now: time.Now(), DryRun: dryRun})
	if refused := new(corim.Refusal); errors.As(err, &refused) {
		return nil, refused, nil
	}
	return a, nil, err
}
