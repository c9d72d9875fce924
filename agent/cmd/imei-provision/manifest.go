package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"imei-attest/agent/provision"
	"imei-attest/attest"
)

var manifestVerifyCommand = command{
	first: "file",
	example: `  imei-provision manifest verify line1.manifest --anchor oem-anchor.yaml
  imei-provision manifest verify line1.manifest --anchor oem/oem-anchor.yaml --journal line1.journal
`,
	declare: func(flags *flag.FlagSet) func(context.Context, io.Writer, io.Writer) error {
		var f manifestFlags
		flags.StringVar(&f.file, "file", "", "the manifest, `FILE`; it may stand first without the flag")
		flags.StringVar(&f.anchor, "anchor", "", "the manufacturer's oem-anchor.yaml, `FILE`")
		flags.StringVar(&f.journal, "journal", "", "compare with the finished units of this journal, `FILE`")
		flags.StringVar(&f.credentials, "credentials", "", "compare with the credentials in this `folder`")
		flags.BoolVar(&f.json, "json", false, "print JSON")
		return f.run
	},
}

// manifestFlags are the command line of "manifest verify".
type manifestFlags struct {
	file, anchor, journal, credentials string
	json                               bool
}

// manifestReport is what comes out.
type manifestReport struct {
	Verified bool      `json:"verified"`
	Reason   string    `json:"reason,omitempty"`
	Batch    string    `json:"batch,omitempty"`
	Issuer   string    `json:"issuer,omitempty"`
	IssuedAt time.Time `json:"issued_at,omitzero"`
	Count    int       `json:"count,omitempty"`
	Compared []string  `json:"compared_with,omitempty"`
}

func (f *manifestFlags) run(_ context.Context, stdout, _ io.Writer) error {
	if f.file == "" || f.anchor == "" {
		return usagef("a manifest and --anchor are needed")
	}
	r, err := f.verify()
	if err != nil && !errors.Is(err, provision.ErrManifest) {
		return usageError{err}
	}
	if err != nil {
		r, err = manifestReport{Reason: err.Error()}, noError{err}
	}
	return errors.Join(err, r.print(stdout, f.json))
}

func (f *manifestFlags) verify() (r manifestReport, err error) {
	raw, err := readRegular(f.file)
	if err != nil {
		return r, err
	}
	anchor, err := readRegular(f.anchor)
	if err != nil {
		return r, fmt.Errorf("--anchor: %w", err)
	}
	m, err := provision.VerifyManifest(raw, anchor)
	if err != nil {
		return r, err
	}
	r = manifestReport{Verified: true, Batch: m.Batch, Issuer: m.Issuer, IssuedAt: m.IssuedAt, Count: len(m.Digests)}
	r.Compared, err = f.compare(m)
	return r, err
}

func (f *manifestFlags) compare(m *attest.SignedManifest) (with []string, err error) {
	if f.journal != "" {
		journal, err := readJournal(f.journal)
		if err != nil {
			return nil, fmt.Errorf("--journal: %w", err)
		}
		if journal.Batch != m.Batch {
			return nil, fmt.Errorf("%w: it is of batch %q, and the journal of %q", provision.ErrManifest, m.Batch, journal.Batch)
		}
		if err := provision.CompareManifest(m, journal.Digests(), "the journal"); err != nil {
			return nil, err
		}
		with = append(with, "journal")
	}
	if f.credentials != "" {
		digests, err := provision.CredentialDigests(os.DirFS(f.credentials))
		if err != nil {
			return nil, fmt.Errorf("--credentials: %w", err)
		}
		if err := provision.CompareManifest(m, digests, "the folder"); err != nil {
			return nil, err
		}
		with = append(with, "credentials")
	}
	return with, nil
}

func readJournal(path string) (*provision.Journal, error) {
	file, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	j, err := provision.ReadJournal(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return j, nil
}

func (r manifestReport) print(w io.Writer, asJSON bool) error {
	if asJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	if !r.Verified {
		return nil // the error says it
	}
	fmt.Fprintf(w, "verified  %d credentials, each once\n", r.Count)
	fmt.Fprintf(w, "batch     %s\n", r.Batch)
	fmt.Fprintf(w, "issuer    %s\n", r.Issuer)
	fmt.Fprintf(w, "signed    %s\n", r.IssuedAt.Format(time.RFC3339))
	for _, what := range r.Compared {
		fmt.Fprintf(w, "compared  with the %s: nothing is missing, nothing is foreign\n", what)
	}
	return nil
}
