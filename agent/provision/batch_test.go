package provision_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"imei-attest/agent"
	"imei-attest/agent/provision"
	"imei-attest/agent/softvault"
	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/attest/imei"
	"imei-attest/attest/tpmprofile"
)

// line is a production line with vaults in folders; each has one place, as on a real one, unless at says otherwise.
type line struct {
	t       *testing.T
	oem     *provision.OEM
	oemPath string
	dir     string
	csv     string
	at      func(u provision.LineUnit) string // the folder of the vault that Next gives
	fault   func(u provision.Unit, step provision.Step) error
	broken  error // of Identify
	asked   []int // rows for which a vault was asked for
	scrap   []int
	stop    int
}

func newLine(t *testing.T, rows ...string) *line {
	oem, path := generate(t)
	l := &line{t: t, oem: oem, oemPath: path, dir: t.TempDir()}
	l.rows(rows...)
	l.at = func(u provision.LineUnit) string { return fmt.Sprint("vault", u.Row) }
	return l
}

func (l *line) rows(rows ...string) {
	l.csv = "imei,imei2,serial,model\n" + strings.Join(rows, "\n") + "\n"
}

// number makes the n-th IMEI of a TAC that the anchor lists.
func number(t *testing.T, n int) string {
	id, err := imei.FromBody(fmt.Sprintf("49015420%06d", n))
	if err != nil {
		t.Fatal(err)
	}
	return id.Digits()
}

func rowsOf(t *testing.T, from, to int) (rows []string) {
	for n := from; n < to; n++ {
		rows = append(rows, number(t, n)+",,1,bench")
	}
	return rows
}

func (l *line) Next(_ context.Context, u provision.LineUnit) (string, error) {
	l.asked = append(l.asked, u.Row)
	return l.at(u), nil
}

func (l *line) Identify(_ context.Context, spec string) (string, error) {
	vault, err := softvault.Create(filepath.Join(l.dir, spec))
	if err != nil {
		return "", err
	}
	return attest.KeyIDOf(vault.Key()).String(), l.broken
}

func (l *line) Provision(ctx context.Context, spec string, u provision.Unit, progress provision.Progress) (*provision.Result, error) {
	path := filepath.Join(l.dir, spec)
	vault, err := softvault.Create(path)
	if err != nil {
		return nil, err
	}
	return provision.Software(ctx, vault, l.oem, u, provision.Options{
		Now:       attesttest.Now,
		OpenVault: func(context.Context, []tpmprofile.BootApproval) (agent.Vault, error) { return softvault.Open(path) },
		Progress: func(step provision.Step, detail string) error {
			if err := progress(step, detail); err != nil || l.fault == nil {
				return err
			}
			return l.fault(u, step)
		},
	})
}

func (l *line) journalPath() string { return filepath.Join(l.dir, "journal") }

func (l *line) units() []provision.LineUnit {
	l.t.Helper()
	units, err := l.oem.ReadUnits(strings.NewReader(l.csv), 3)
	if err != nil {
		l.t.Fatal(err)
	}
	return units
}

func (l *line) run() (provision.Summary, *provision.Journal, error) {
	l.t.Helper()
	j, err := l.oem.OpenJournal(l.journalPath(), "test", attesttest.Now)
	if err != nil {
		l.t.Fatal(err)
	}
	defer j.Close()
	l.asked = nil
	b := provision.Batch{Journal: j, Units: l.units(), Vaults: l, Now: func() time.Time { return attesttest.Now }, Scrap: l.scrap, StopAfter: l.stop}
	s, err := b.Run(l.t.Context())
	return s, j, err
}

// want runs the batch and compares the counts: finished, before, failed, scrapped.
func (l *line) want(finished, before, failed, scrapped int) (provision.Summary, *provision.Journal) {
	l.t.Helper()
	s, j, err := l.run()
	if err != nil {
		l.t.Fatal(err)
	}
	got := []int{s.Count[provision.Finished], s.Count[provision.Before], s.Count[provision.Failed], s.Count[provision.Scrapped]}
	if want := []int{finished, before, failed, scrapped}; !slices.Equal(got, want) {
		l.t.Errorf("finished, before, failed, scrapped: %v, want %v; first failure: %v", got, want, s.FirstFailure)
	}
	return s, j
}

func (l *line) refuses(says string) {
	l.t.Helper()
	before, _ := os.ReadFile(l.journalPath())
	_, _, err := l.run()
	if !errors.Is(err, provision.ErrUnits) || !strings.Contains(err.Error(), says) {
		l.t.Errorf("%v, want %v with %q", err, provision.ErrUnits, says)
	}
	if after, _ := os.ReadFile(l.journalPath()); len(before) > 0 && string(after) != string(before) {
		l.t.Error("a list that was refused changed the journal")
	}
}

func failAt(row string, step provision.Step) func(provision.Unit, provision.Step) error {
	return func(u provision.Unit, s provision.Step) error {
		if u.Slots[0].Digits() == row[:15] && s == step {
			return errors.New("the vault died")
		}
		return nil
	}
}

func TestBatch(t *testing.T) {
	l := newLine(t, rowsOf(t, 0, 5)...)
	_, j := l.want(5, 0, 0, 0)
	if len(j.Digests()) != 5 {
		t.Errorf("%d digests", len(j.Digests()))
	}
	l.want(0, 5, 0, 0)
	if len(l.asked) != 0 {
		t.Errorf("vaults were asked for again: %v", l.asked)
	}
	l.rows(rowsOf(t, 0, 7)...) // the list may grow
	l.want(2, 5, 0, 0)
}

func TestAFailureDoesNotStopTheLine(t *testing.T) {
	l := newLine(t, rowsOf(t, 0, 4)...)
	l.fault = failAt(number(t, 1), provision.StepWrite)
	s, _ := l.want(3, 0, 1, 0)
	if s.FirstFailure == nil {
		t.Error("no failure is told")
	}
	l.fault = nil
	l.want(1, 3, 0, 0)
}

func TestStopAfter(t *testing.T) {
	l := newLine(t, rowsOf(t, 0, 5)...)
	l.fault = func(provision.Unit, provision.Step) error { return errors.New("the jig is broken") }
	l.stop = 2
	l.want(0, 0, 2, 0)
}

// A unit whose Credential was signed stays with its vault; what stands in its place is refused.
func TestAUnitStaysWithItsVault(t *testing.T) {
	l := newLine(t, rowsOf(t, 0, 3)...)
	l.fault = failAt(number(t, 1), provision.StepCredential)
	l.want(2, 0, 1, 0)
	l.fault = nil
	away := filepath.Join(l.dir, "away")
	if err := os.Rename(filepath.Join(l.dir, "vault2"), away); err != nil {
		t.Fatal(err)
	}
	s, _ := l.want(0, 2, 1, 0)
	if !errors.Is(s.FirstFailure, provision.ErrRefused) || !strings.Contains(s.FirstFailure.Error(), "--scrap 2") {
		t.Errorf("another vault in the place: %v", s.FirstFailure)
	}
	if err := errors.Join(os.RemoveAll(filepath.Join(l.dir, "vault2")), os.Rename(away, filepath.Join(l.dir, "vault2"))); err != nil {
		t.Fatal(err)
	}
	l.want(1, 2, 0, 0)
}

// Before a Credential is signed, the IMEI is not tied to a vault that fails.
func TestAUnitWithoutCredentialGoesIntoTheNextVault(t *testing.T) {
	l := newLine(t, rowsOf(t, 0, 2)...)
	l.fault = failAt(number(t, 0), provision.StepPlan)
	l.want(1, 0, 1, 0)
	l.fault = nil
	l.at = func(provision.LineUnit) string { return "another" }
	l.want(1, 1, 0, 0)
}

func TestNoVaultIsForTwoUnits(t *testing.T) {
	l := newLine(t, rowsOf(t, 0, 2)...)
	l.at = func(provision.LineUnit) string { return "the only one" }
	s, j := l.want(1, 0, 1, 0)
	if !errors.Is(s.FirstFailure, provision.ErrRefused) || len(j.Digests()) != 1 {
		t.Errorf("%v, %d digests", s.FirstFailure, len(j.Digests()))
	}
	l.at = func(provision.LineUnit) string { return "another" }
	l.want(1, 1, 0, 0)
}

func TestScrapWithoutCredentialFreesTheIMEI(t *testing.T) {
	l := newLine(t, rowsOf(t, 0, 1)...)
	l.fault = failAt(number(t, 0), provision.StepPlan)
	l.want(0, 0, 1, 0)
	l.fault, l.scrap = nil, []int{1}
	l.want(1, 0, 0, 0)
}

func TestScrapWithCredentialNeedsAHigherSerial(t *testing.T) {
	id := number(t, 0)
	l := newLine(t, id+",,1,bench", number(t, 1)+",,1,bench")
	l.fault = failAt(id, provision.StepCredential)
	l.want(1, 0, 1, 0)
	l.fault, l.scrap = nil, []int{1}
	l.want(0, 1, 0, 1)
	l.scrap = nil
	l.want(0, 1, 0, 1) // the old row stays settled
	l.rows(id+",,2,bench", number(t, 1)+",,1,bench")
	l.at = func(provision.LineUnit) string { return "new" }
	_, j := l.want(1, 1, 0, 0)
	if len(j.Digests()) != 2 {
		t.Errorf("%d digests, want 2", len(j.Digests()))
	}
	l.rows(id + ",,1,bench")
	l.refuses("serial 2")
}

// A finished device that was destroyed: the row gets a higher serial and --scrap in one run.
func TestScrapOfAFinishedUnit(t *testing.T) {
	id := number(t, 0)
	l := newLine(t, id+",,3,bench")
	_, j := l.want(1, 0, 0, 0)
	old := j.Digests()[0]
	l.rows(id + ",,4,bench")
	l.refuses("--scrap 1")
	l.rows(id + ",,2,bench")
	l.scrap = []int{1}
	l.refuses("above")
	l.rows(id + ",,4,bench")
	s, _ := l.want(0, 0, 1, 0) // the old vault comes by again: it keeps what it has
	if !errors.Is(s.FirstFailure, provision.ErrRefused) {
		t.Errorf("the scrapped vault: %v", s.FirstFailure)
	}
	l.scrap = nil
	l.at = func(provision.LineUnit) string { return "another" }
	_, j = l.want(1, 0, 0, 0)
	if got := j.Digests(); len(got) != 1 || got[0] == old {
		t.Errorf("the manifest would list %x: want the new one alone", got)
	}
	l.scrap = []int{1}
	l.refuses("raise its serial") // the same command once more must not give up the replacement
}

// A vault that was provisioned elsewhere, with another serial, is no unit of this list.
func TestAVaultFromElsewhereWithAnotherSerial(t *testing.T) {
	id := number(t, 0)
	l := newLine(t, id+",,2,bench")
	if _, err := software(t, l.oem, filepath.Join(l.dir, "vault1"), id); err != nil { // serial 1
		t.Fatal(err)
	}
	s, _ := l.want(0, 0, 1, 0)
	if !errors.Is(s.FirstFailure, provision.ErrRefused) || !strings.Contains(s.FirstFailure.Error(), "take another unit") {
		t.Errorf("%v", s.FirstFailure)
	}
	l.at = func(provision.LineUnit) string { return "another" }
	l.want(1, 0, 0, 0)
}

func TestAnIMEIIsGivenOnce(t *testing.T) {
	a, b := number(t, 0), number(t, 1)
	l := newLine(t, a+",,1,bench")
	l.want(1, 0, 0, 0)
	l.rows(b + "," + a + ",1,bench")
	l.refuses("already")
	l.rows(a + ",,2,bench")
	l.refuses("already")
	l.rows(b + ",,1,bench")
	l.scrap = []int{1}
	l.refuses("nothing to scrap")
}

// Whatever a crash leaves of the journal's last lines, the batch goes on: nothing is doubled and nothing lost.
func TestJournalCutAnywhere(t *testing.T) {
	l := newLine(t, rowsOf(t, 0, 3)...)
	_, j := l.want(3, 0, 0, 0)
	want := j.Digests()
	whole, err := os.ReadFile(l.journalPath())
	if err != nil {
		t.Fatal(err)
	}
	step := 11 // less than half of the shortest field
	switch {
	case testing.Short():
		step = 53
	case os.Getenv("IMEI_ATTEST_SOAK") == "1":
		step = 1
	}
	for n := len(whole) - 1; n > 0; n -= step {
		if err := os.WriteFile(l.journalPath(), whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		s, j, err := l.run()
		if err != nil || s.Count[provision.Failed] != 0 || !slices.Equal(j.Digests(), want) {
			t.Fatalf("cut after %d of %d bytes: %v, %v, %d digests", n, len(whole), err, s, len(j.Digests()))
		}
	}
}

func TestJournalIsPrivateAndLocked(t *testing.T) {
	oem, _ := generate(t)
	path := filepath.Join(t.TempDir(), "journal")
	j, err := oem.OpenJournal(path, "a", attesttest.Now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := oem.OpenJournal(path, "a", attesttest.Now); !errors.Is(err, provision.ErrJournalBusy) {
		t.Errorf("a second run: %v, want %v", err, provision.ErrJournalBusy)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := oem.OpenJournal(path, "b", attesttest.Now); !errors.Is(err, provision.ErrJournalOther) || !strings.Contains(err.Error(), `batch "a"`) {
		t.Errorf("the journal of another batch: %v", err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := oem.OpenJournal(path, "a", attesttest.Now); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a journal that others may read: %v", err)
	}
}

func TestJournalHoldsNoIMEI(t *testing.T) {
	l := newLine(t, rowsOf(t, 0, 2)...)
	l.want(2, 0, 0, 0)
	text, err := os.ReadFile(l.journalPath())
	if err != nil || strings.Contains(string(text), number(t, 0)[:14]) || !strings.Contains(string(text), "49015420*****") {
		t.Errorf("%v in\n%s", err, text)
	}
}

func TestADamagedJournalIsNotUsed(t *testing.T) {
	l := newLine(t, rowsOf(t, 0, 1)...)
	l.want(1, 0, 0, 0)
	whole, err := os.ReadFile(l.journalPath())
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(whole), "\n")
	for what, text := range map[string]string{
		"no head":          strings.Join(lines[1:], ""),
		"a line of noise":  lines[0] + "noise\n" + strings.Join(lines[1:], ""),
		"two in one line":  lines[0] + strings.TrimSuffix(lines[1], "\n") + lines[2],
		"an unknown field": lines[0] + `{"stop":"plan"}` + "\n",
		"no IMEI":          lines[0] + `{"step":"plan"}` + "\n",
		"a short digest":   lines[0] + `{"step":"done","tags":["a"],"credential":"00"}` + "\n",
		"zeros":            lines[0] + "\x00\x00\n",
		"another file":     "a passphrase without an end of line",
	} {
		if err := os.WriteFile(l.journalPath(), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := l.oem.OpenJournal(l.journalPath(), "test", attesttest.Now); !errors.Is(err, provision.ErrJournalBroken) {
			t.Errorf("%s: %v, want %v", what, err, provision.ErrJournalBroken)
		}
		if after, _ := os.ReadFile(l.journalPath()); string(after) != text {
			t.Errorf("%s: it was changed", what)
		}
	}
	if _, err := provision.ReadJournal(strings.NewReader("")); !errors.Is(err, provision.ErrJournalBroken) {
		t.Errorf("an empty journal to compare with: %v, want %v", err, provision.ErrJournalBroken)
	}
}

// When nothing more can be written down, nothing more is done: no Credential gets into a vault.
func TestAJournalThatFailsStopsTheLine(t *testing.T) {
	for _, step := range []provision.Step{provision.StepPlan, provision.StepKey} {
		l := newLine(t, rowsOf(t, 0, 2)...)
		j, err := l.oem.OpenJournal(l.journalPath(), "test", attesttest.Now)
		if err != nil {
			t.Fatal(err)
		}
		b := provision.Batch{Journal: j, Units: l.units(), Vaults: l, Now: func() time.Time { return attesttest.Now }}
		b.Step = func(_ provision.LineUnit, s provision.Step, _ string) {
			if s == step {
				_ = j.Close() // as a disk that is full
			}
		}
		s, err := b.Run(t.Context())
		if !errors.As(err, new(*provision.JournalError)) || len(s.Count) != 0 {
			t.Errorf("after %s: %v, %v", step, s, err)
		}
		if _, err := os.Stat(filepath.Join(l.dir, "vault1", softvault.CredentialFile)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("after %s: a Credential is in the vault: %v", step, err)
		}
		l.want(2, 0, 0, 0)
	}
}

// A fault of the line that is met before a unit is begun leaves no trace of the unit, and no other is asked for.
func TestAFaultOfTheLineEndsTheRunBeforeAUnitIsBegun(t *testing.T) {
	l := newLine(t, rowsOf(t, 0, 3)...)
	l.broken = fmt.Errorf("%w: no approvals", provision.ErrLine)
	s, j, err := l.run()
	if !errors.Is(err, provision.ErrLine) || len(s.Count) != 0 || !slices.Equal(l.asked, []int{1}) {
		t.Errorf("%v, %v, asked for rows %v; want %v for row 1 alone", s, err, l.asked, provision.ErrLine)
	}
	l.rows(rowsOf(t, 5, 6)...)
	if n := j.Forgotten(l.units()); n != 0 {
		t.Errorf("%d units begun, want none", n)
	}
	l.rows(rowsOf(t, 0, 3)...)
	l.broken = nil
	l.want(3, 0, 0, 0)
}

// An interruption is no failure of the unit: its attempt is still open.
func TestInterrupted(t *testing.T) {
	l := newLine(t, rowsOf(t, 0, 2)...)
	j, err := l.oem.OpenJournal(l.journalPath(), "test", attesttest.Now)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	l.fault = func(provision.Unit, provision.Step) error { cancel(); return ctx.Err() }
	b := provision.Batch{Journal: j, Units: l.units(), Vaults: l, Now: func() time.Time { return attesttest.Now }}
	s, err := b.Run(ctx)
	if !errors.Is(err, context.Canceled) || len(s.Count) != 0 {
		t.Errorf("%v, %v", s, err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(l.journalPath())
	if err != nil || strings.Contains(string(text), "failed") {
		t.Errorf("%v:\n%s", err, text)
	}
	l.fault = nil
	l.want(2, 0, 0, 0)
}

// What takes note of the steps can end the run: nothing is done after the step that it could not note.
func TestAStepThatIsNotNotedIsTheLast(t *testing.T) {
	for _, last := range []provision.Step{provision.StepPlan, provision.StepKey, provision.StepCredential, provision.StepWrite} {
		l := newLine(t, rowsOf(t, 0, 1)...)
		full := errors.New("the disk is full")
		var noted []provision.Step
		_, err := l.Provision(t.Context(), "vault", l.units()[0].Unit, func(step provision.Step, _ string) error {
			noted = append(noted, step)
			if step == last {
				return full
			}
			return nil
		})
		if !errors.Is(err, full) || noted[len(noted)-1] != last {
			t.Errorf("%v after %s, steps %q; want %v and no step more", err, last, noted, full)
		}
	}
}

func TestAJournalIsOfOneManufacturer(t *testing.T) {
	oem, folder := generate(t)
	path := filepath.Join(t.TempDir(), "journal")
	j, err := oem.OpenJournal(path, "a", attesttest.Now)
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	sameName, _ := generate(t)
	otherName, err := provision.LoadOEM(folder)
	if err != nil {
		t.Fatal(err)
	}
	otherName.Issuer = "tag:example,2026:other"
	for says, other := range map[string]*provision.OEM{"credential key": sameName, otherName.Issuer: otherName} {
		if _, err := other.OpenJournal(path, "a", attesttest.Now); !errors.Is(err, provision.ErrJournalOther) || !strings.Contains(err.Error(), says) {
			t.Errorf("another manufacturer: %v; want %v with %q", err, provision.ErrJournalOther, says)
		}
	}
}

// A manifest shows that the journal is an older copy; a Credential that was scrapped since is still known.
func TestAJournalCoversItsManifests(t *testing.T) {
	l := newLine(t, rowsOf(t, 0, 1)...)
	_, older := l.want(1, 0, 0, 0)
	l.rows(rowsOf(t, 0, 2)...)
	_, newer := l.want(1, 1, 0, 0)
	l.rows(number(t, 0)+",,2,bench", number(t, 1)+",,1,bench")
	l.scrap, l.at = []int{1}, func(provision.LineUnit) string { return "spare" }
	_, scrapped := l.want(1, 1, 0, 0)
	raw, err := l.oem.SignManifest("test", newer.Digests(), attesttest.Now)
	if err != nil {
		t.Fatal(err)
	}
	m, err := l.oem.VerifyManifest(raw)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		journal *provision.Journal
		want    error
	}{{"the same", newer, nil}, {"newer, one is scrapped", scrapped, nil}, {"older", older, provision.ErrManifest}} {
		if err := c.journal.Covers(m); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

func TestForgottenUnits(t *testing.T) {
	l := newLine(t, rowsOf(t, 0, 3)...)
	l.fault = failAt(number(t, 1), provision.StepCredential)
	_, j := l.want(2, 0, 1, 0)
	for _, c := range []struct {
		name string
		rows []string
		want int
	}{
		{"the same list", rowsOf(t, 0, 3), 0},
		{"a list with the unit alone", rowsOf(t, 1, 2), 0},
		{"with its IMEI under a higher serial", []string{number(t, 1) + ",,2,bench"}, 0},
		{"a list of others", rowsOf(t, 5, 7), 1},
	} {
		l.rows(c.rows...)
		if got := j.Forgotten(l.units()); got != c.want {
			t.Errorf("%s: %d units forgotten, want %d", c.name, got, c.want)
		}
	}
}

// diary is a journal's file that notes what is done to it, in one list with what is done to the vaults.
type diary struct {
	provision.JournalFile
	events *[]string
}

func (d diary) Write(line []byte) (int, error) {
	*d.events = append(*d.events, "write")
	return d.JournalFile.Write(line)
}

func (d diary) Sync() error {
	err := d.JournalFile.Sync()
	*d.events = append(*d.events, "sync")
	return err
}

// watched are vaults whose every use is noted.
type watched struct {
	*line
	events *[]string
}

func (w watched) note() { *w.events = append(*w.events, "vault") }

func (w watched) Next(ctx context.Context, u provision.LineUnit) (string, error) {
	w.note()
	return w.line.Next(ctx, u)
}

func (w watched) Identify(ctx context.Context, spec string) (string, error) {
	w.note()
	return w.line.Identify(ctx, spec)
}

func (w watched) Provision(ctx context.Context, spec string, u provision.Unit, progress provision.Progress) (*provision.Result, error) {
	w.note()
	return w.line.Provision(ctx, spec, u, func(step provision.Step, detail string) error {
		err := progress(step, detail)
		w.note() // what comes after the step
		return err
	})
}

// Each line is on the disk before anything else happens to a vault: after a power cut the journal knows at least as much as they do.
func TestEachLineIsOnTheDiskBeforeTheNextUseOfAVault(t *testing.T) {
	l := newLine(t, rowsOf(t, 0, 2)...)
	l.fault = failAt(number(t, 1), provision.StepCredential) // a line about a failure, too
	j, err := l.oem.OpenJournal(l.journalPath(), "test", attesttest.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	var events []string
	j.Wrap(func(f provision.JournalFile) provision.JournalFile { return diary{f, &events} })
	b := provision.Batch{Journal: j, Units: l.units(), Vaults: watched{l, &events}, Now: func() time.Time { return attesttest.Now }}
	if _, err := b.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	lines := 0
	for i, e := range events {
		if e != "write" {
			continue
		}
		lines++
		if i+1 == len(events) || events[i+1] != "sync" {
			t.Errorf("line %d is not on the disk before what follows: %v", lines, events[i:])
		}
	}
	if want := 12; lines != want { // begin, plan, key, credential, write, self-test, done; begin to credential, failed
		t.Errorf("%d lines, want %d: %v", lines, want, events)
	}
}

// A Credential was signed for a vault, and the power failed before it was in: blank as the vault looks, it may hold that Credential after all,
// and is no other unit's.
func TestABlankVaultIsNotGivenToASecondUnit(t *testing.T) {
	for _, scrap := range [][]int{nil, {1}} {
		l := newLine(t, rowsOf(t, 0, 2)...)
		l.at = func(provision.LineUnit) string { return "the blank one" }
		ctx, cut := context.WithCancel(t.Context())
		l.fault = func(_ provision.Unit, step provision.Step) error {
			if step == provision.StepCredential {
				cut()
			}
			return ctx.Err()
		}
		j, err := l.oem.OpenJournal(l.journalPath(), "test", attesttest.Now)
		if err != nil {
			t.Fatal(err)
		}
		b := provision.Batch{Journal: j, Units: l.units()[:1], Vaults: l, Now: func() time.Time { return attesttest.Now }}
		if _, err := b.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(l.dir, "the blank one", softvault.CredentialFile)); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("the vault is not blank: %v", err)
		}
		l.fault, l.scrap = failAt(number(t, 0), provision.StepPlan), scrap
		l.want(0, 0, 2-len(scrap), len(scrap))
		text, err := os.ReadFile(l.journalPath())
		const says = "the vault at the blank one is that of row 1 with serial 1, and may hold its Credential"
		if err != nil || !regexp.MustCompile(`"step":"failed","row":2,.*`+says).Match(text) {
			t.Errorf("scrapped %v: row 2 did not fail because %q, %v:\n%s", scrap, says, err, text)
		}
	}
}
