package provision

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"imei-attest/agent/softvault/privatefile"
	"imei-attest/attest"
	"imei-attest/attest/imei"
)

// journalFormat is in the first line of a journal.
const journalFormat = "imei-attest-batch-1"

// Steps of a unit that only a journal knows; between them stand those of [Step].
const (
	stepBegin Step = "begin"    // before anything in the vault changes
	stepDone  Step = "done"     // the vault is finished and its Credential is known
	stepFail  Step = "failed"   // this attempt is over; the unit is not finished
	stepScrap Step = "scrapped" // the operator gave the vault up
)

// Reasons why a journal is not used.
var (
	ErrJournalBusy   = errors.New("another run uses the journal")
	ErrJournalBroken = errors.New("the journal is damaged")
	ErrJournalOther  = errors.New("the journal is another's")
)

// Journal is the memory of a production line: what was done to which unit in which vault. Each line is on the disk
// before the next thing is done. It holds no whole IMEI, but whoever reads it can try all IMEIs of a TAC against
// its tags, so it is as private as the list of units: mode 0600.
type Journal struct {
	file  journalFile
	oem   *OEM // nil when it is only read
	Batch string
	salt  []byte
	units map[string]*unitState   // by key
	byTag map[string][]*unitState // those with this tag
	lines int
	// Cut is how many bytes of a line without an end a crash had left behind; they were cut off.
	Cut int
}

// journalFile is where lines go once the journal is open.
type journalFile interface {
	io.WriteCloser
	Sync() error // returns when all that was written is on the disk
}

// journalHead is the first line.
type journalHead struct {
	Journal string    `json:"journal"`
	Batch   string    `json:"batch"`
	Issuer  string    `json:"issuer"`         // the manufacturer
	Key     string    `json:"credential_key"` // the manufacturer's key then, in hex
	Time    time.Time `json:"time"`
	Salt    string    `json:"salt"` // of the tags, 32 bytes in hex; no two journals can be compared
}

// journalLine is one of the others.
type journalLine struct {
	Time   time.Time `json:"time"`
	Step   Step      `json:"step"`
	Row    int       `json:"row"`  // in the list of units of that run, for people
	IMEI   string    `json:"imei"` // redacted, for people
	Tags   []string  `json:"tags"` // of the slots, see Journal.tag
	Serial uint64    `json:"serial"`
	Spec   string    `json:"vault,omitempty"`      // with begin
	Vault  string    `json:"vault_id,omitempty"`   // with begin
	Digest string    `json:"credential,omitempty"` // with done: SHA-256 in hex
	Detail string    `json:"detail,omitempty"`     // with failed
}

// unitState is what the lines of one unit add up to.
type unitState struct {
	tags     []string
	serial   uint64
	row      int
	spec     string // of the vault of the last attempt
	vault    string // and what tells it from others
	signed   bool   // a Credential was signed for that vault, and may be in it
	failed   bool   // the last attempt ended by itself
	done     bool
	scrapped bool // holds only for a unit with a Credential; without one nothing stays
	digest   attest.CredentialDigest
}

// OpenJournal opens a journal and locks it until Close, or makes one for the batch. It refuses one that others may
// read, and one of another batch or manufacturer.
func (o *OEM) OpenJournal(path, batch string, now time.Time) (*Journal, error) {
	if err := attest.CheckBatchName(batch); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND|syscall.O_NOFOLLOW, privatefile.FileMode)
	if err != nil {
		return nil, err
	}
	j := newJournal(o, batch)
	j.file = file
	if err := j.open(path, file, now); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), file.Close())
	}
	return j, nil
}

func newJournal(oem *OEM, batch string) *Journal {
	return &Journal{oem: oem, Batch: batch, units: make(map[string]*unitState), byTag: make(map[string][]*unitState)}
}

func (j *Journal) open(path string, file *os.File, now time.Time) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("no regular file")
	}
	if info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%w: others have permissions (%#o); run chmod 600 on it", privatefile.ErrExposed, info.Mode().Perm())
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return fmt.Errorf("%w (%v): wait for its end", ErrJournalBusy, err)
	}
	whole, err := j.read(file)
	if err != nil {
		return err
	}
	if err := file.Truncate(whole); err != nil {
		return err
	}
	if whole > 0 {
		return file.Sync()
	}
	return errors.Join(j.begin(now), syncFolder(filepath.Dir(path)))
}

// ReadJournal reads a journal of any manufacturer, for comparison; it cannot be written to.
func ReadJournal(r io.Reader) (*Journal, error) {
	j := newJournal(nil, "")
	if _, err := j.read(r); err != nil {
		return nil, err
	}
	if j.salt == nil {
		return nil, fmt.Errorf("%w: it is empty", ErrJournalBroken)
	}
	return j, nil
}

// Close ends the lock.
func (j *Journal) Close() error { return j.file.Close() }

// read replays the whole lines and returns where they end. A last line without its end is what a crash left; nothing
// was done on its strength yet.
func (j *Journal) read(r io.Reader) (whole int64, err error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return 0, err
	}
	whole = int64(bytes.LastIndexByte(text, '\n') + 1)
	j.Cut = len(text) - int(whole)
	if whole == 0 && !beginsJournal(text) {
		return 0, fmt.Errorf("%w: this is no journal; it was left as it is", ErrJournalBroken)
	}
	for line := range bytes.Lines(text[:whole]) {
		j.lines++
		if err := j.replay(line); errors.Is(err, ErrJournalOther) {
			return 0, err
		} else if err != nil {
			return 0, fmt.Errorf("%w in line %d: %w; restore it from a copy, for without it an IMEI may go into two vaults", ErrJournalBroken, j.lines, err)
		}
	}
	return whole, nil
}

// beginsJournal tells what a crash left of the first line from another file, which must not be cut off.
func beginsJournal(text []byte) bool {
	const start = `{"journal":"` + journalFormat + `"`
	n := min(len(text), len(start))
	return string(text[:n]) == start[:n]
}

func (j *Journal) replay(text []byte) error {
	if j.lines == 1 {
		return j.replayHead(text)
	}
	var line journalLine
	if err := decodeLine(text, &line); err != nil {
		return err
	}
	return j.apply(line)
}

func (j *Journal) replayHead(text []byte) error {
	var head journalHead
	if err := decodeLine(text, &head); err != nil {
		return err
	}
	salt, err := hex.DecodeString(head.Salt)
	switch {
	case head.Journal != journalFormat || err != nil || len(salt) != sha256.Size || attest.CheckBatchName(head.Batch) != nil:
		return fmt.Errorf("this is no journal of format %s", journalFormat)
	case j.Batch != "" && j.Batch != head.Batch:
		return fmt.Errorf("%w: of batch %q, not of %q; name that batch, or another journal", ErrJournalOther, head.Batch, j.Batch)
	}
	j.Batch, j.salt = head.Batch, salt
	return j.oem.checkHead(head)
}

// checkHead refuses the journal of a manufacturer with another name, or of one with the same name and other keys. A
// credential key that was rolled over is in the anchor still.
func (o *OEM) checkHead(head journalHead) error {
	if o == nil {
		return nil
	}
	ours := slices.ContainsFunc(o.endorsers, func(key *ecdsa.PublicKey) bool { return attest.KeyIDOf(key).String() == head.Key })
	switch {
	case head.Issuer != o.Issuer:
		return fmt.Errorf("%w: of manufacturer %q, and the keys are those of %q; take that manufacturer's keys, or another journal",
			ErrJournalOther, head.Issuer, o.Issuer)
	case !ours:
		return fmt.Errorf("%w: it was begun with credential key %s, which is not in the anchor; take the keys it was begun with, or another journal",
			ErrJournalOther, head.Key)
	}
	return nil
}

func decodeLine(text []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if d.More() {
		return errors.New("more than one value")
	}
	return nil
}

func (j *Journal) begin(now time.Time) error {
	j.salt = make([]byte, sha256.Size)
	_, _ = rand.Read(j.salt) // never fails (crypto/rand)
	return j.write(journalHead{
		Journal: journalFormat, Batch: j.Batch, Issuer: j.oem.Issuer, Key: attest.KeyIDOf(publicKey(j.oem.Credential)).String(),
		Time: now.UTC(), Salt: hex.EncodeToString(j.salt),
	})
}

// line begins a line about a unit.
func (j *Journal) line(u LineUnit, step Step, now time.Time) journalLine {
	return journalLine{Time: now.UTC(), Step: step, Row: u.Row, IMEI: slotsText(u.Slots), Tags: j.tags(u.Slots), Serial: u.Serial}
}

// add puts a line onto the disk and takes it into account.
func (j *Journal) add(line journalLine) error {
	if err := j.write(line); err != nil {
		return err
	}
	return j.apply(line)
}

func (j *Journal) write(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if _, err = j.file.Write(append(text, '\n')); err == nil {
		err = j.file.Sync()
	}
	if err != nil {
		return &JournalError{err}
	}
	j.lines++
	return nil
}

// JournalError means that nothing more can be written down, so that nothing more may be done.
type JournalError struct{ Err error }

func (e *JournalError) Error() string { return "writing the journal: " + e.Err.Error() }
func (e *JournalError) Unwrap() error { return e.Err }

// tag stands for an IMEI. Different journals have different tags for it.
func (j *Journal) tag(id imei.IMEI) string {
	mac := hmac.New(sha256.New, j.salt)
	mac.Write([]byte(id.Body()))
	const enough = 16 // bytes: no two of 10^14 IMEIs meet
	return hex.EncodeToString(mac.Sum(nil)[:enough])
}

func (j *Journal) tags(slots []imei.IMEI) []string {
	tags := make([]string, len(slots))
	for i, id := range slots {
		tags[i] = j.tag(id)
	}
	return tags
}

func unitKey(tags []string, serial uint64) string { return fmt.Sprint(tags, serial) }

// apply is where a line gets its meaning.
func (j *Journal) apply(line journalLine) error {
	if len(line.Tags) == 0 {
		return errors.New("it names no IMEI")
	}
	key := unitKey(line.Tags, line.Serial)
	s := j.units[key]
	if s == nil {
		s = &unitState{tags: line.Tags, serial: line.Serial}
		j.units[key] = s
		for _, tag := range line.Tags {
			j.byTag[tag] = append(j.byTag[tag], s)
		}
	}
	s.row = line.Row
	return s.apply(line)
}

func (s *unitState) apply(line journalLine) error {
	switch line.Step {
	case stepBegin:
		s.spec, s.failed = line.Spec, false
		if s.vault != line.Vault && s.signed {
			return errors.New("a unit with a Credential goes into another vault")
		}
		s.vault = line.Vault
	case StepCredential:
		s.signed = true
	case stepDone:
		digest, err := hex.DecodeString(line.Digest)
		if err != nil || len(digest) != sha256.Size {
			return errors.New("no digest of a Credential")
		}
		s.signed, s.done, s.digest = true, true, attest.CredentialDigest(digest)
	case stepFail:
		s.failed = true
	case stepScrap:
		s.scrapped, s.done = s.signed, false
		if !s.signed {
			s.spec, s.vault = "", ""
		}
	}
	return nil
}

// Digests are those of the finished Credentials, sorted.
func (j *Journal) Digests() []attest.CredentialDigest {
	var all []attest.CredentialDigest
	for _, s := range j.units {
		if s.done {
			all = append(all, s.digest)
		}
	}
	slices.SortFunc(all, func(a, b attest.CredentialDigest) int { return bytes.Compare(a[:], b[:]) })
	return all
}

// Covers refuses a manifest with a Credential that this journal never called done, scrapped since or not: then the
// journal is an older copy, or another line's, and would put IMEIs of the manifest into vaults again.
func (j *Journal) Covers(m *attest.SignedManifest) error {
	var known []attest.CredentialDigest
	for _, s := range j.units {
		if s.done || s.scrapped {
			known = append(known, s.digest)
		}
	}
	if n := without(m.Digests, known); n > 0 {
		return fmt.Errorf("%w: %d of its %d Credentials are not finished in the journal, so the journal is older than the manifest, or another's",
			ErrManifest, n, len(m.Digests))
	}
	return nil
}

// Forgotten counts the units that were begun and not finished, and of whose IMEIs none stands in a list.
func (j *Journal) Forgotten(units []LineUnit) (count int) {
	listed := make(map[string]bool)
	for _, u := range units {
		for _, tag := range j.tags(u.Slots) {
			listed[tag] = true
		}
	}
	for _, s := range j.units {
		begun := s.vault != "" && !s.done && !s.scrapped
		if begun && !slices.ContainsFunc(s.tags, func(tag string) bool { return listed[tag] }) {
			count++
		}
	}
	return count
}

// state is that of exactly this unit; nil when it is new.
func (j *Journal) state(u LineUnit) *unitState { return j.units[unitKey(j.tags(u.Slots), u.Serial)] }

// sharing lists the units with a Credential that have an IMEI of u, u itself too.
func (j *Journal) sharing(u LineUnit) (shared []*unitState) {
	for _, tag := range j.tags(u.Slots) {
		for _, s := range j.byTag[tag] {
			if s.signed && !slices.Contains(shared, s) {
				shared = append(shared, s)
			}
		}
	}
	return shared
}

// owner is the unit other than u whose Credential may be in a vault, scrapped or not; nil if there is none.
func (j *Journal) owner(vault string, u LineUnit) *unitState {
	own := j.state(u)
	for _, s := range j.units {
		if s != own && s.signed && s.vault == vault {
			return s
		}
	}
	return nil
}

func syncFolder(folder string) error {
	d, err := os.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
