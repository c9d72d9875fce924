package sqlite_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/attest/imei"
	"imei-attest/verifier"
	"imei-attest/verifier/store/sqlite"
)

var (
	ctx    = context.Background()
	device = attesttest.MustIMEI(attesttest.IMEI1)
	second = attesttest.MustIMEI(attesttest.IMEI2)
	alice  = "001010000000017@ims.mnc001.mcc001.3gppnetwork.org"
	key    = attest.KeyID{1}
	holder = verifier.Holder{Key: key, Issuer: "tag:example,2026:oem", Serial: 1}
)

// decision number n is of the sample device, with a Credential that names both of its IMEIs.
func decision(n byte) verifier.Decision {
	answer := attest.Result{IssuedAt: attesttest.Now, ValidUntil: attesttest.Now.Add(time.Minute), Submods: []attest.Submod{{Name: "slot1"}}}
	answer.Submods[0].Add(attest.ReasonIMEIConsistent)
	d := verifier.Decision{
		Presentation: verifier.Presentation{Nonce: append(attest.Nonce{n}, attesttest.Nonce()...), Token: [32]byte{n}, Subscriber: alice, Signalled: device},
		Expiry:       attesttest.Now.Add(attest.NonceLife), Now: attesttest.Now, Lasting: true,
		Record:   &verifier.Record{Verdict: verifier.Verdict{ID: verifier.DecisionID{n}, Result: answer}, Facts: verifier.Facts{Now: attesttest.Now}, Generation: 7},
		Sighting: &verifier.Sighting{IMEI: device, Subscriber: alice, At: attesttest.Now},
	}
	d.View = &verifier.View{Subscriber: alice, Access: verifier.AccessIMS, IMEI: device, Since: attesttest.Now, At: attesttest.Now}
	d.Claims = []verifier.Claim{{IMEI: device, Slot: 1, Hash: claimed(1)}, {IMEI: second, Slot: 2, Hash: claimed(2)}}
	credential := attesttest.Credential()
	credential.Slots = []imei.IMEI{device, second}
	d.Device = &verifier.Device{Key: key, Credential: attesttest.SignedCredential(credential), Generation: 7,
		Holds: []verifier.Hold{{IMEI: device, Was: holder, Is: holder}, {IMEI: second, Was: holder, Is: holder}}}
	if n == 1 {
		d.Device.Holds[0].Was, d.Device.Holds[1].Was = verifier.Holder{}, verifier.Holder{}
	}
	return d
}

// claimed is what the device names the subscriber of a slot by.
func claimed(slot byte) [32]byte { return [32]byte(bytes.Repeat([]byte{0xc0 + slot}, 32)) }

func commit(t testing.TB, s verifier.Store, d verifier.Decision) verifier.Commitment {
	t.Helper()
	c, err := s.Commit(ctx, d)
	if err != nil {
		t.Fatalf("Commit: %v", err)
	}
	return c
}

// known is everything that a store knows of the sample device.
type known struct {
	Credential verifier.Endorsed
	Holders    [2]verifier.Holder
	Prior      verifier.Prior
	Claims     [2]verifier.Claimed
	Seen       []verifier.Seen
	Days       int
	Answer     verifier.Verdict
	Viewed     verifier.Viewed
}

func know(t *testing.T, s *sqlite.Store) (k known) {
	t.Helper()
	var errs [10]error
	k.Credential, _, errs[0] = s.Credential(ctx, key)
	k.Holders[0], errs[1] = s.Holder(ctx, device)
	k.Holders[1], errs[2] = s.Holder(ctx, second)
	k.Prior, _, errs[3] = s.Prior(ctx, device, alice)
	k.Seen, errs[4] = s.Seen(ctx, device, alice)
	days, err := s.Days(ctx, device, attesttest.Now.Year(), attesttest.Now.Month())
	k.Days, errs[5] = len(days), err
	k.Answer, _, errs[6] = s.Presented(ctx, decision(1).Presentation.Nonce)
	k.Claims[0], _, errs[7] = s.Claimed(ctx, device)
	k.Claims[1], _, errs[8] = s.Claimed(ctx, second)
	k.Viewed, errs[9] = s.Viewed(ctx, alice, verifier.AccessIMS, device)
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	return k
}

// claimsOf is what is kept of the claims of a decision.
func claimsOf(d verifier.Decision) (kept [2]verifier.Claimed) {
	for i, c := range d.Claims {
		kept[i] = verifier.Claimed{Prior: verifier.Prior{At: d.Now, Generation: 7, Answer: d.Verdict().Result, Slot: c.Slot}, Nonce: d.Presentation.Nonce, Hash: c.Hash}
	}
	return kept
}

func TestWhatWasCommittedOutlivesTheProcess(t *testing.T) {
	c := config(t)
	s := open(t, c)
	d := decision(1)
	commit(t, s, d)
	want := known{verifier.Endorsed{Credential: d.Device.Credential, Generation: 7}, [2]verifier.Holder{holder, holder},
		verifier.Prior{At: d.Now, Generation: 7, Answer: d.Verdict().Result}, claimsOf(d), []verifier.Seen{{At: d.Now, Same: true}}, 1, d.Verdict(), verifier.Viewed{Since: d.Now, At: d.Now, Same: true}}
	if got := know(t, s); !reflect.DeepEqual(got, want) {
		t.Fatalf("before: got %+v, want %+v", got, want)
	}
	closeStore(t, s)
	if _, err := s.Commit(ctx, decision(2)); !errors.Is(err, sqlite.ErrClosed) {
		t.Errorf("a closed store commits: %v", err)
	}
	s = open(t, c)
	if got := know(t, s); !reflect.DeepEqual(got, want) {
		t.Errorf("after: got %+v, want %+v", got, want)
	}
	if got := commit(t, s, d); !got.Repeat || !reflect.DeepEqual(got.Answer, d.Verdict()) {
		t.Errorf("the same again: %+v", got)
	}
}

// TestARotationFindsWhatWasKept under the former keys, gives it the current ones when it is seen, and needs the former no more then.
func TestARotationFindsWhatWasKept(t *testing.T) {
	c := config(t)
	s := open(t, c)
	commit(t, s, decision(1))
	want := know(t, s)
	closeStore(t, s)

	rotated := c
	devices, subscribers := c.Devices.Current, c.Subscribers.Current
	rotated.Devices = verifier.PseudonymKeys{Current: verifier.PseudonymKey{11}, Former: &devices}
	rotated.Subscribers = verifier.PseudonymKeys{Current: verifier.PseudonymKey{12}, Former: &subscribers}
	s = open(t, rotated)
	want.Credential.Generation = 0 // to be verified once more, and so sealed anew
	if got := know(t, s); !reflect.DeepEqual(got, want) {
		t.Errorf("under the former keys: got %+v, want %+v", got, want)
	}
	again := decision(1)
	again.Presentation.Token[0]++
	if got := commit(t, s, again); !got.Closed {
		t.Errorf("another token for a nonce used before the rotation: %+v, want closed", got)
	}
	again.Presentation.Subscriber = "mallory@example"
	if got := commit(t, s, again); !got.Replay {
		t.Errorf("a nonce used before the rotation: %+v, want a replay", got)
	}
	if got := commit(t, s, decision(1)); !got.Repeat {
		t.Errorf("the same again: %+v, want its answer", got)
	}
	commit(t, s, decision(2))
	stats, err := s.Stats(ctx)
	if err != nil || stats.FormerKeys != 0 {
		t.Errorf("after the next sight: %+v, %v; want no row under a former key", stats, err)
	}
	closeStore(t, s)

	rotated.Devices.Former, rotated.Subscribers.Former = nil, nil
	s = open(t, rotated)
	want.Credential.Generation = 7
	want.Prior.Answer = decision(2).Record.Verdict.Result
	want.Claims = claimsOf(decision(2))
	if got := know(t, s); !reflect.DeepEqual(got, want) {
		t.Errorf("without the former keys: got %+v, want %+v", got, want)
	}
	closeStore(t, s)
	for name, wrong := range map[string]sqlite.Config{"the former keys": c, "other keys": func() sqlite.Config { o := c; o.Devices.Current[5]++; return o }()} {
		if _, err := sqlite.Open(ctx, wrong); !errors.Is(err, sqlite.ErrKeys) {
			t.Errorf("%s open it: %v", name, err)
		}
	}
}

// TestTheFileNamesNobody looks through all bytes of the file and its journal for the sample's IMEIs and IMSI, in every form that
// somebody would look for.
func TestTheFileNamesNobody(t *testing.T) {
	c := config(t)
	s := open(t, c)
	for n := byte(1); n < 20; n++ {
		commit(t, s, decision(n))
	}
	if err := s.Note(ctx, verifier.Note{Record: decision(30).Record, Sighting: &verifier.Sighting{IMEI: second, Subscriber: alice, At: attesttest.Now}}); err != nil {
		t.Fatal(err)
	}
	backup := filepath.Join(t.TempDir(), "backup.db")
	if err := s.Backup(ctx, backup); err != nil {
		t.Fatal(err)
	}
	wantAnonymous(t, c.Path, c.Path+"-wal", backup)
	for _, suffix := range []string{"", "-wal", "-shm", ".lock"} {
		if info, err := os.Stat(c.Path + suffix); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("store.db%s: %v, %v; want it to be its owner's only", suffix, info, err)
		}
	}
	closeStore(t, s)
	wantAnonymous(t, c.Path)
	if !bytes.Contains(everyForm("1234567")[0], []byte("1234567")) || len(everyForm(device.Digits())) < 5 {
		t.Error("the search would find nothing")
	}
}

func wantAnonymous(t *testing.T, paths ...string) {
	t.Helper()
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil || len(content) < 4096 {
			t.Fatalf("%s: %d bytes, %v", path, len(content), err)
		}
		for _, secret := range []string{device.Digits(), device.Body(), second.Digits(), second.Body(), alice[:15]} {
			for _, form := range everyForm(secret) {
				if bytes.Contains(content, form) {
					t.Errorf("%s holds %x, a form of an identity", filepath.Base(path), form)
				}
			}
		}
		for _, hash := range [][32]byte{claimed(1), claimed(2)} {
			if bytes.Contains(content, hash[:]) {
				t.Errorf("%s holds what a subscriber can be searched for by", filepath.Base(path))
			}
		}
		for _, id := range []imei.IMEI{device, second} {
			if bytes.Contains(content, id.UEID()) {
				t.Errorf("%s holds a UEID", filepath.Base(path))
			}
		}
	}
}

// everyForm of digits: text, text in UTF-16, BCD in both orders with and without filler (TS 23.003 clause 12.2, TS 24.008), a number.
func everyForm(digits string) (forms [][]byte) {
	wide := make([]byte, 0, 2*len(digits))
	for _, d := range []byte(digits) {
		wide = append(wide, d, 0)
	}
	forms = append(forms, []byte(digits), wide)
	for _, padded := range []string{digits, digits + "f", digits + "0"} {
		if len(padded)%2 != 0 {
			continue
		}
		packed, _ := hex.DecodeString(padded)
		swapped := make([]byte, len(packed))
		for i, b := range packed {
			swapped[i] = b<<4 | b>>4
		}
		forms = append(forms, packed, swapped)
	}
	var n uint64
	_, _ = fmt.Sscan(digits, &n)
	big := []byte{byte(n >> 48), byte(n >> 40), byte(n >> 32), byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
	return append(forms, bytes.TrimLeft(big, "\x00"))
}

func TestOneProcessWrites(t *testing.T) {
	c := config(t)
	s := open(t, c)
	var locked *sqlite.LockedError
	if _, err := sqlite.Open(ctx, c); !errors.As(err, &locked) || !strings.Contains(err.Error(), fmt.Sprint("process ", os.Getpid())) {
		t.Errorf("a second writer: %v, want a LockedError that names this process", err)
	}
	commit(t, s, decision(1))
	reader := c
	reader.ReadOnly = true
	r := open(t, reader)
	if h, err := r.Holder(ctx, device); h != holder || err != nil {
		t.Errorf("a reader beside it: %+v, %v", h, err)
	}
	if _, err := r.Commit(ctx, decision(2)); !errors.Is(err, sqlite.ErrClosed) {
		t.Errorf("a reader commits: %v", err)
	}
}

func TestAStoreOfANewerProgramIsRefused(t *testing.T) {
	c := config(t)
	closeStore(t, open(t, c))
	change(t, c.Path, `INSERT INTO migrations (version, program) VALUES (99, 'imei-verifier v9')`)
	for _, readOnly := range []bool{false, true} {
		c.ReadOnly = readOnly
		if _, err := sqlite.Open(ctx, c); !errors.Is(err, sqlite.ErrNewer) || !strings.Contains(err.Error(), "version 99") {
			t.Errorf("read-only %v: %v, want ErrNewer", readOnly, err)
		}
	}
}

// toVersion1 undoes what later versions changed.
var toVersion1 = []string{`DROP TABLE claims`, `DROP TABLE views`, `DROP INDEX records_public`, `ALTER TABLE records DROP COLUMN public`,
	`CREATE INDEX nonces_expiry ON nonces (expiry)`, `DELETE FROM migrations WHERE version > 1`}

// TestAStoreOfVersion1IsBroughtToThisOne with all that is in it; who only reads is told who does that.
func TestAStoreOfVersion1IsBroughtToThisOne(t *testing.T) {
	c := config(t)
	s := open(t, c)
	commit(t, s, decision(1))
	want := know(t, s)
	closeStore(t, s)
	change(t, c.Path, toVersion1...)
	reader := c
	reader.ReadOnly = true
	if _, err := sqlite.Open(ctx, reader); err == nil || !strings.Contains(err.Error(), "version 1: it is of an older version: start the server once") {
		t.Errorf("read-only: %v", err)
	}
	s = open(t, c)
	want.Claims, want.Viewed = [2]verifier.Claimed{}, verifier.Viewed{}
	if got := know(t, s); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if stats, err := s.Stats(ctx); err != nil || stats.Version != 3 {
		t.Errorf("%+v, %v; want version 3", stats, err)
	}
	d := decision(2)
	d.Record.Public = verifier.Pseudonym{1}
	commit(t, s, d)
	if got, found, err := s.Latest(ctx, verifier.Alias{Current: d.Record.Public}); err != nil || !found || !reflect.DeepEqual(got, d.Record) {
		t.Errorf("Latest: %+v, %v, %v", got, found, err)
	}
	if got, want := know(t, s).Claims, claimsOf(decision(2)); !reflect.DeepEqual(got, want) {
		t.Errorf("a claim after it: %+v, want %+v", got, want)
	}
}

// TestABackupOfVersion1IsRestored, and looked into like any other.
func TestABackupOfVersion1IsRestored(t *testing.T) {
	c := config(t)
	s := open(t, c)
	commit(t, s, decision(1))
	want := know(t, s)
	want.Claims, want.Viewed = [2]verifier.Claimed{}, verifier.Viewed{}
	backup := filepath.Join(t.TempDir(), "backup.db")
	if err := s.Backup(ctx, backup); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	change(t, backup, toVersion1...)
	damaged := filepath.Join(t.TempDir(), "damaged.db")
	content, err := os.ReadFile(backup)
	if err == nil {
		err = os.WriteFile(damaged, content, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	change(t, damaged, `UPDATE credentials SET generation = generation + 1`)
	now := attesttest.Now.Add(time.Second)
	if err := sqlite.Restore(ctx, c, damaged, true, now); !errors.Is(err, sqlite.ErrBackup) {
		t.Errorf("a damaged one: %v", err)
	}
	if err := sqlite.Restore(ctx, c, backup, true, now); err != nil {
		t.Fatal(err)
	}
	s = open(t, c)
	if got := know(t, s); !reflect.DeepEqual(got, want) {
		t.Errorf("restored: %+v, want %+v", got, want)
	}
}

// change alters a store behind its back.
func change(t *testing.T, path string, statements ...string) {
	t.Helper()
	db := connectShell(t, path)
	for _, text := range statements {
		if _, err := db.Exec(text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// connectShell is a connection that is not the store's.
func connectShell(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	return db
}

func TestRetention(t *testing.T) {
	c := config(t)
	c.Keep = sqlite.Retention{Records: 48 * time.Hour, Subscribers: 96 * time.Hour, Audit: 48 * time.Hour}
	s := open(t, c)
	commit(t, s, decision(1))
	closeStore(t, s) // signs a checkpoint
	s = open(t, c)
	if done, err := s.Sweep(ctx, attesttest.Now.Add(47*time.Hour)); err != nil || done != (sqlite.Sweeping{Nonces: 1, Claims: 2, Views: 1}) {
		t.Errorf("too early: %+v, %v", done, err)
	}
	done, err := s.Sweep(ctx, attesttest.Now.Add(62*24*time.Hour))
	if want := (sqlite.Sweeping{Records: 1, Days: 1, Priors: 1, Sightings: 1, Audit: 2, Checkpoints: 1}); err != nil || done != want {
		t.Errorf("late: %+v, %v; want %+v", done, err, want)
	}
	if got := know(t, s); got.Holders[0] != holder || len(got.Credential.Credential) == 0 || got.Days != 0 || got.Seen != nil {
		t.Errorf("after the sweep: %+v", got)
	}
	if got := commit(t, s, decision(1)); !got.Closed {
		t.Errorf("a nonce whose use was swept: %+v, want closed", got)
	}
	if chain, err := verify(s); err != nil || chain.First != 3 || chain.Last != 4 {
		t.Errorf("the audit chain after the sweep: %+v, %v", chain, err)
	}
}

// TestTheSweepOfManyDevices takes what is old from every part of the tables, and nothing else.
func TestTheSweepOfManyDevices(t *testing.T) {
	c := config(t)
	closeStore(t, open(t, c))
	const many = `INSERT INTO sightings (device, key, at, seen) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
		SELECT CASE i WHEN 1 THEN zeroblob(16) WHEN 3 THEN x'ffffffffffffffffffffffffffffffff' ELSE randomblob(16) END, 1, 1 + i % 3, randomblob(1000) FROM n`
	change(t, c.Path, many)
	s := open(t, c)
	if done, err := s.Sweep(ctx, time.Unix(0, 2).Add(sqlite.DefaultKeepSubscribers)); err != nil || done.Sightings != 2000 {
		t.Errorf("%+v, %v; want 2000 sightings", done, err)
	}
	closeStore(t, s)
	var left, oldest int
	if err := connectShell(t, c.Path).QueryRow(`SELECT count(*), min(at) FROM sightings`).Scan(&left, &oldest); err != nil || left != 1000 || oldest != 3 {
		t.Errorf("%d are left, the oldest of %d, %v; want 1000 of 3", left, oldest, err)
	}
}

func TestTheNamesAreSplitWithoutAGap(t *testing.T) {
	for _, n := range []int{1, 2, 3, 7, 256, 1 << 16} {
		bounds := sqlite.Split(n)
		if first, last := bounds[0], bounds[n]; len(bounds) != n+1 || bytes.Compare(first, make([]byte, 16)) > 0 || bytes.Compare(last, bytes.Repeat([]byte{0xff}, 16)) <= 0 {
			t.Errorf("%d ranges: %d bounds from %x to %x", n, len(bounds), first, last)
		}
		if !slices.IsSortedFunc(bounds, bytes.Compare) || len(slices.CompactFunc(bounds, bytes.Equal)) != n+1 {
			t.Errorf("%d ranges: a bound is not above the one before", n)
		}
	}
}

func TestBackupAndRestore(t *testing.T) {
	c := config(t)
	s := open(t, c)
	commit(t, s, decision(1))
	backup := filepath.Join(t.TempDir(), "backup.db")
	if err := s.Backup(ctx, backup); err != nil {
		t.Fatal(err)
	}
	if err := s.Backup(ctx, backup); err == nil || !strings.Contains(err.Error(), "is there already") {
		t.Errorf("over an earlier backup: %v", err)
	}
	if info, err := os.Stat(backup); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the backup: %v, %v", info.Mode(), err)
	}
	commit(t, s, decision(2))
	now := attesttest.Now.Add(time.Second)
	var locked *sqlite.LockedError
	if err := sqlite.Restore(ctx, c, backup, true, now); !errors.As(err, &locked) {
		t.Errorf("under a running server: %v", err)
	}
	closeStore(t, s)
	if err := sqlite.Restore(ctx, c, backup, false, now); !errors.Is(err, sqlite.ErrOccupied) {
		t.Errorf("over a store: %v", err)
	}
	broken := filepath.Join(t.TempDir(), "broken.db")
	content, _ := os.ReadFile(backup)
	if err := os.WriteFile(broken, content[:len(content)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	if err := sqlite.Restore(ctx, c, broken, true, now); !errors.Is(err, sqlite.ErrBackup) {
		t.Errorf("half a backup: %v", err)
	}
	if err := sqlite.Restore(ctx, c, backup+".missing", true, now); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no backup: %v", err)
	}
	other := c
	other.Devices.Current[0]++
	if err := sqlite.Restore(ctx, other, backup, true, now); err == nil {
		t.Error("a backup under other keys was restored")
	}
	s = open(t, c)
	if _, found, _ := s.Record(ctx, verifier.DecisionID{2}); !found {
		t.Error("a refused restoration lost a decision")
	}
	closeStore(t, s)
	if err := sqlite.Restore(ctx, c, backup, true, now); err != nil {
		t.Fatal(err)
	}
	s = open(t, c)
	if _, found, _ := s.Record(ctx, verifier.DecisionID{2}); found {
		t.Error("a decision after the backup is still there")
	}
	if got := commit(t, s, decision(2)); !got.Closed {
		t.Errorf("a nonce that was used after the backup: %+v, want closed", got)
	}
	fresh := decision(3)
	fresh.Now, fresh.Expiry = now.Add(time.Second), now.Add(time.Second+attest.NonceLife)
	if got := commit(t, s, fresh); got.Closed || got.Conflict || got.Replay {
		t.Errorf("a new nonce: %+v", got)
	}
	if chain, err := verify(s); err != nil || chain.Last != 3 {
		t.Errorf("the audit chain: %+v, %v; want decision, restoration, decision", chain, err)
	}
}

func TestCheckFindsWhatWasAltered(t *testing.T) {
	for name, test := range map[string]struct{ statement, want string }{
		"nothing":            {`SELECT 1`, ""},
		"a recorded verdict": {`UPDATE records SET body = body || x'00'`, "recorded decision of audit entry 1 was altered"},
		"a seal":             {`UPDATE credentials SET generation = generation + 1`, "1 Credentials have a broken seal"},
		"a claim":            {`UPDATE claims SET record = zeroblob(16) WHERE device = (SELECT max(device) FROM claims)`, "1 claims have a broken seal"},
		"a Credential":       {`DELETE FROM credentials`, "2 IMEIs are held by a device key without a Credential"},
		"the audit chain":    {`DELETE FROM audit`, "1 used nonces belong to an audit entry that is not there"},
	} {
		c := config(t)
		s := open(t, c)
		commit(t, s, decision(1))
		closeStore(t, s)
		change(t, c.Path, test.statement)
		s = open(t, c)
		problems, err := s.Check(ctx)
		if got := strings.Join(problems, "; "); err != nil || (test.want == "") != (got == "") || !strings.Contains(got, test.want) {
			t.Errorf("%s: %q, %v; want %q", name, got, err, test.want)
		}
	}
}

func TestExportTellsNoMoreThanTheTAC(t *testing.T) {
	s := open(t, config(t))
	d := decision(1)
	d.Record.Facts.Shown = &verifier.Shown{Front: verifier.FrontSIP, IMEI: verifier.Identity{TAC: device.TAC(), Number: 1}}
	commit(t, s, d)
	var got []sqlite.Exported
	if err := s.Export(ctx, time.Time{}, func(e sqlite.Exported) bool { got = append(got, e); return true }); err != nil {
		t.Fatal(err)
	}
	want := []sqlite.Exported{{At: attesttest.Now.Truncate(time.Hour), TAC: device.TAC(), Status: "affirming", Reasons: []string{"imei-consistent"}, Front: "sip"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
