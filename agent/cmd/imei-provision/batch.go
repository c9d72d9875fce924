package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"imei-attest/agent/provision"
	"imei-attest/attest"
	"imei-attest/attest/imei"
)

var batchCommand = command{
	example: `  imei-provision batch --oem /secure/oem --units units.csv --vault-command 'jig next' --journal line1.journal --approvals approvals --manifest line1.manifest
  imei-provision batch --oem oem --units units.csv --vault-command 'echo software:vaults/$IMEI_ATTEST_UNIT' --journal trial.journal
`,
	declare: func(flags *flag.FlagSet) func(context.Context, io.Writer, io.Writer) error {
		var f batchFlags
		f.device.keys.declare(flags)
		flags.StringVar(&f.units, "units", "", "CSV `file` with the header imei,imei2,serial,model")
		flags.StringVar(&f.command, "vault-command", "", "shell `command` that makes a unit's vault ready and prints its SPEC")
		flags.DurationVar(&f.timeout, "vault-timeout", 10*time.Minute, "`time` for each run of the vault command")
		flags.StringVar(&f.journal, "journal", "", "`file` with what was done to which unit; the same for each run of this batch")
		flags.StringVar(&f.name, "name", "", "`name` of the batch, for journal and manifest; the name of the journal's file if left out")
		flags.StringVar(&f.manifest, "manifest", "", "`file` for the signed list of the finished credentials")
		flags.StringVar(&f.credentials, "credentials", "", "`folder` for a copy of each finished credential")
		flags.StringVar(&f.scrap, "scrap", "", "`list` of rows whose vaults are lost, separated by commas")
		flags.IntVar(&f.stopAfter, "stop-after", 0, "stop after `N` units failed; 0 means never")
		flags.BoolVar(&f.steps, "steps", false, "print a line for each step of each unit")
		flags.BoolVar(&f.json, "json", false, "print the summary as JSON")
		flags.UintVar(&f.device.class, "class", 3, "IMS client class the devices ship, `N`: 1, 2 or 3 for 2.1, 2.2 or 2.3")
		f.device.storageFlags.declare(flags)
		flags.StringVar(&f.device.approvals, "approvals", "", "`folder` of the boot approvals, for the devices of this release")
		return f.run
	},
}

// batchFlags are the command line of "batch".
type batchFlags struct {
	device                                                      deviceFlags
	units, command, journal, name, manifest, credentials, scrap string
	timeout                                                     time.Duration
	stopAfter                                                   int
	steps, json                                                 bool
}

func (f *batchFlags) run(ctx context.Context, stdout, stderr io.Writer) error {
	scrap, err := f.check()
	if err != nil {
		return err
	}
	oem, err := f.device.keys.load(stderr, provision.DutyCredential, provision.DutyNV, provision.DutyBoot)
	if err != nil {
		return err
	}
	units, err := f.readUnits(oem)
	if err != nil {
		return err
	}
	if f.device.approvals != "" { // mistakes in it are none of a unit's
		if _, err := openApprovals(f.device.approvals); err != nil {
			return err
		}
	}
	journal, err := f.openJournal(oem, stderr)
	if err != nil {
		return err
	}
	defer journal.Close()
	if err := f.checkManifest(oem, journal); err != nil {
		return usageError{fmt.Errorf("--manifest: %w", err)}
	}
	if n := journal.Forgotten(units); n > 0 {
		fmt.Fprintf(stderr, "WARNING: units begun but not finished that this list does not contain: %d; finish them with a list that does, or give them up there with --scrap\n", n)
	}
	vaults := &lineVaults{command: vaultCommand{f.command, f.timeout, stderr}, device: f.device, oem: oem}
	show := newProgress(stderr, f.steps, len(units))
	batch := provision.Batch{
		Journal: journal, Units: units, Vaults: vaults, Now: time.Now, Scrap: scrap, StopAfter: f.stopAfter,
		Keep: f.keep(), Step: show.step, Ended: show.ended,
	}
	summary, err := batch.Run(ctx)
	show.close()
	if err != nil {
		return stopped(ctx, err)
	}
	report := f.report(summary, len(units), time.Since(show.start))
	report.Unmeasured, report.NewApprovals = vaults.unmeasured, vaults.approved
	if err := f.writeManifest(oem, journal, &report); err != nil {
		return err
	}
	if err := report.print(stdout, f.json); err != nil {
		return err
	}
	return outcome(summary)
}

// check looks at all flags before anything is opened.
func (f *batchFlags) check() (scrap []int, err error) {
	if f.device.keys.oem == "" || f.units == "" || f.command == "" || f.journal == "" {
		return nil, usagef("--oem, --units, --vault-command and --journal are needed")
	}
	if f.device.class < 1 || f.device.class > 3 || f.timeout <= 0 || f.stopAfter < 0 {
		return nil, usagef("want --class 1, 2 or 3, --vault-timeout above 0, and --stop-after 0 or more")
	}
	if _, err := f.device.options(io.Discard); err != nil {
		return nil, err
	}
	if f.name == "" {
		f.name = strings.TrimSuffix(filepath.Base(f.journal), filepath.Ext(f.journal))
	}
	if err := attest.CheckBatchName(f.name); err != nil {
		return nil, usageError{fmt.Errorf("--name: %w", err)}
	}
	for _, text := range strings.FieldsFunc(f.scrap, func(r rune) bool { return r == ',' }) {
		row, err := strconv.Atoi(text)
		if err != nil {
			return nil, usagef("--scrap: want numbers of rows, separated by commas")
		}
		scrap = append(scrap, row)
	}
	return scrap, nil
}

func (f *batchFlags) readUnits(oem *provision.OEM) ([]provision.LineUnit, error) {
	file, err := openRegular(f.units)
	if err != nil {
		return nil, usageError{fmt.Errorf("--units: %w", err)}
	}
	defer file.Close()
	units, err := oem.ReadUnits(file, uint8(f.device.class))
	if err != nil {
		return nil, usageError{fmt.Errorf("--units %s: %w", f.units, err)}
	}
	return units, nil
}

func (f *batchFlags) openJournal(oem *provision.OEM, stderr io.Writer) (*provision.Journal, error) {
	if f.credentials != "" {
		if err := os.MkdirAll(f.credentials, 0o700); err != nil {
			return nil, usageError{fmt.Errorf("--credentials: %w", err)}
		}
	}
	journal, err := oem.OpenJournal(f.journal, f.name, time.Now())
	switch {
	case errors.Is(err, provision.ErrJournalBusy):
		return nil, fmt.Errorf("--journal: %w", err)
	case err != nil:
		return nil, usageError{fmt.Errorf("--journal: %w", err)}
	}
	if journal.Cut > 0 {
		fmt.Fprintf(stderr, "the journal ended in the middle of a line, as after a crash: its last %d bytes were cut off\n", journal.Cut)
	}
	return journal, nil
}

// checkManifest looks at the manifest that is to be replaced: it tells when the journal is not the newest. Nothing was begun.
func (f *batchFlags) checkManifest(oem *provision.OEM, journal *provision.Journal) error {
	if f.manifest == "" {
		return nil
	}
	raw, err := readRegular(f.manifest)
	if errors.Is(err, fs.ErrNotExist) {
		_, err = os.Stat(filepath.Dir(f.manifest)) // better missed now than at the end
		return err
	}
	if err != nil {
		return err
	}
	m, err := oem.VerifyManifest(raw)
	if err != nil {
		return fmt.Errorf("%s would be replaced, and is no manifest of this manufacturer: %w; name another file", f.manifest, err)
	}
	if err := journal.Covers(m); err != nil {
		return fmt.Errorf("%s would be replaced: %w; restore the newest journal as %s, or, if this is another line, name another file. Nothing was begun",
			f.manifest, err, f.journal)
	}
	return nil
}

func readRegular(path string) ([]byte, error) {
	file, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(file)
}

func (f *batchFlags) keep() func(*attest.SignedCredential) error {
	if f.credentials == "" {
		return nil
	}
	return func(c *attest.SignedCredential) error { return provision.KeepCredential(f.credentials, c) }
}

func stopped(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, provision.ErrUnits):
		return usageError{err}
	case ctx.Err() != nil:
		return fmt.Errorf("interrupted; run it again with the same journal, and it goes on: %w", err)
	}
	return err
}

func (f *batchFlags) writeManifest(oem *provision.OEM, journal *provision.Journal, r *batchReport) error {
	digests := journal.Digests()
	if f.manifest == "" || len(digests) == 0 {
		return nil
	}
	raw, err := oem.SignManifest(journal.Batch, digests, time.Now())
	if err != nil {
		return fmt.Errorf("--manifest: %w", err)
	}
	if err := provision.SaveManifest(f.manifest, raw); err != nil {
		return fmt.Errorf("--manifest: %w", err)
	}
	r.Manifest, r.ManifestEntries = f.manifest, len(digests)
	return nil
}

// outcome is the answer for the exit code: of a batch in which nothing is well, the first failure's.
func outcome(s provision.Summary) error {
	failed := s.Count[provision.Failed]
	if failed == 0 {
		return nil
	}
	err := fmt.Errorf("%d units failed, see above; run it again for them alone. The first: %w", failed, s.FirstFailure)
	if s.Count[provision.Finished]+s.Count[provision.Before] > 0 {
		return noError{errors.New(err.Error())}
	}
	return err
}

// batchReport is the summary.
type batchReport struct {
	Batch           string  `json:"batch"`
	Units           int     `json:"units"`
	Finished        int     `json:"finished"`
	Before          int     `json:"finished_before"`
	Scrapped        int     `json:"scrapped"`
	Failed          int     `json:"failed"`
	NotReached      int     `json:"not_reached"`
	Seconds         float64 `json:"seconds"`
	UnitsPerHour    float64 `json:"units_per_hour"`
	NewApprovals    int     `json:"new_approvals"`
	Unmeasured      int     `json:"nothing_measured"`
	FirstFailure    string  `json:"first_failure,omitempty"`
	Manifest        string  `json:"manifest,omitempty"`
	ManifestEntries int     `json:"manifest_entries,omitempty"`
}

func (f *batchFlags) report(s provision.Summary, units int, elapsed time.Duration) batchReport {
	r := batchReport{
		Batch: f.name, Units: units, Finished: s.Count[provision.Finished], Before: s.Count[provision.Before],
		Scrapped: s.Count[provision.Scrapped], Failed: s.Count[provision.Failed], Seconds: elapsed.Seconds(),
	}
	r.NotReached = units - r.Finished - r.Before - r.Scrapped - r.Failed
	if r.Finished > 0 {
		r.UnitsPerHour = perHour(r.Finished, elapsed)
	}
	if s.FirstFailure != nil {
		r.FirstFailure = imei.RedactAll(s.FirstFailure.Error())
	}
	return r
}

func (r batchReport) print(w io.Writer, asJSON bool) error {
	if asJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	fmt.Fprintf(w, "batch     %s\n", r.Batch)
	fmt.Fprintf(w, "units     %d: %d finished now, %d before, %d failed, %d scrapped, %d not reached\n",
		r.Units, r.Finished, r.Before, r.Failed, r.Scrapped, r.NotReached)
	if r.Finished > 0 {
		fmt.Fprintf(w, "speed     %.0f units per hour\n", r.UnitsPerHour)
	}
	if r.Manifest != "" {
		fmt.Fprintf(w, "manifest  %s, %d credentials\n", r.Manifest, r.ManifestEntries)
	}
	if r.NewApprovals > 0 {
		fmt.Fprintf(w, "approvals %d boot states were approved for good, as a laboratory's are: outside one, approve-boot comes first\n", r.NewApprovals)
	}
	if r.Unmeasured > 0 {
		fmt.Fprintf(w, "warning   %d vaults: the registers hold their reset values; if no firmware measures, provision with --pcrs \"\" instead\n", r.Unmeasured)
	}
	return nil
}
