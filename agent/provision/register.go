package provision

import (
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"imei-attest/agent/softvault/privatefile"
	"imei-attest/attest"
	"imei-attest/attest/imei"
	"imei-attest/attest/tpmprofile"
)

// Register remembers what was enrolled: one IMEI, one endorsement key, for good, and a higher serial for each new device
// key. A TPM has an endorsement key of each kind and need not show them all, so that it could be enrolled once by each;
// hence a register keeps to one kind, that of its first entry. It is a private text file with a line for each slot: IMEI,
// Name of the endorsement key, its kind, serial of the Credential, key id of the device key.
type Register struct {
	path    string
	entries []entry // as they stand in the file
	at      map[imei.IMEI]int
}

// entry is a line.
type entry struct {
	slot   imei.IMEI
	ek     string // its Name in hex
	kind   EKKind
	serial uint64
	key    string // key id
}

// EKKind is a kind of endorsement key, of which a TPM has one: algorithm and size.
type EKKind string

// The kinds that [tpmprofile.CheckEndorsementKey] lets pass.
const (
	EKRSA EKKind = "rsa-2048"
	EKECC EKKind = "ecc-p256"
)

func kindOf(ek crypto.PublicKey) EKKind {
	if _, ok := ek.(*rsa.PublicKey); ok {
		return EKRSA
	}
	return EKECC
}

// option is the value of --ek that asks a device for this kind.
func (k EKKind) option() string {
	option, _, _ := strings.Cut(string(k), "-")
	return option
}

// Enrolment is what a register remembers of a device.
type Enrolment struct {
	Slots  []imei.IMEI
	EKName []byte
	EKKind EKKind
	Serial uint64           // of the Credential
	Key    *ecdsa.PublicKey // the device key
}

func (e Enrolment) entry(slot imei.IMEI) entry {
	return entry{slot, hex.EncodeToString(e.EKName), e.EKKind, e.Serial, attest.KeyIDOf(e.Key).String()}
}

// OpenRegister reads a register; a file that does not exist is an empty one.
func OpenRegister(path string) (*Register, error) {
	r := &Register{path: path, at: make(map[imei.IMEI]int)}
	text, err := privatefile.ReadAnywhere(path)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return nil, err
	}
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		if err := r.read(line); err != nil {
			return nil, fmt.Errorf("register %s, line %d: %w", path, n, err)
		}
	}
	return r, nil
}

func (r *Register) read(line string) error {
	e, err := parseEntry(strings.Fields(strings.ToLower(line)))
	if err != nil {
		return err
	}
	if _, twice := r.at[e.slot]; twice {
		return fmt.Errorf("%s stands there twice", e.slot)
	}
	if e.kind != cmp.Or(r.kind(), e.kind) {
		return fmt.Errorf("kind %s after %s: a register holds one kind of endorsement key", e.kind, r.kind())
	}
	r.set(e)
	return nil
}

func parseEntry(fields []string) (e entry, err error) {
	if len(fields) == 2 {
		return e, fmt.Errorf("an earlier version wrote it: add the kind of the endorsement key (%s or %s), and the credential's serial and key, which enroll issue printed", EKRSA, EKECC)
	}
	if len(fields) != 5 {
		return e, fmt.Errorf("%d fields, want 5", len(fields))
	}
	slot, err := imei.Parse(fields[0])
	if err != nil {
		return e, err
	}
	serial, err := strconv.ParseUint(fields[3], 10, 64)
	e = entry{slot, fields[1], EKKind(fields[2]), serial, fields[4]}
	switch {
	case !isHex(e.ek, tpmprofile.NameBytes):
		return e, errors.New("the second field is no Name of an endorsement key")
	case e.kind != EKRSA && e.kind != EKECC:
		return e, fmt.Errorf("the third field is no kind of endorsement key (%s or %s)", EKRSA, EKECC)
	case err != nil || serial == 0:
		return e, errors.New("the fourth field is no serial")
	case !isHex(e.key, len(attest.KeyID{})):
		return e, errors.New("the fifth field is no key id")
	}
	return e, nil
}

func isHex(text string, bytes int) bool {
	raw, err := hex.DecodeString(text)
	return err == nil && len(raw) == bytes
}

func (e entry) String() string {
	return fmt.Sprintf("%s %s %s %d %s\n", e.slot.Digits(), e.ek, e.kind, e.serial, e.key)
}

// kind is that of all entries, empty where there is none.
func (r *Register) kind() EKKind {
	if len(r.entries) == 0 {
		return ""
	}
	return r.entries[0].kind
}

// Check refuses another kind of endorsement key, an IMEI of another TPM, a TPM of other IMEIs, and a serial that is not
// above the last one; only the very device key of that serial passes again.
func (r *Register) Check(e Enrolment) error {
	if e.EKKind != cmp.Or(r.kind(), e.EKKind) {
		return fmt.Errorf("%w: this register holds %s endorsement keys, and this one is %s; a TPM has one of each kind, so one register takes one kind: enroll with --ek %s",
			ErrRefused, r.kind(), e.EKKind, r.kind().option())
	}
	var last uint64
	for _, known := range r.entries {
		wanted := e.entry(known.slot)
		switch own := slices.Contains(e.Slots, known.slot); {
		case own && known.ek != wanted.ek:
			return fmt.Errorf("%w: IMEI %s was enrolled on the TPM with endorsement key %s, not %s; after a change of the board, take its line out of %s and enroll with --serial %d or higher",
				ErrRefused, known.slot, known.ek, wanted.ek, r.path, known.serial+1)
		case !own && known.ek == wanted.ek:
			return fmt.Errorf("%w: the TPM with endorsement key %s was enrolled with other IMEIs; after an exchange, take their lines out of %s", ErrRefused, known.ek, r.path)
		case own && known != wanted:
			last = max(last, known.serial)
		}
	}
	if e.Serial <= last {
		return fmt.Errorf("%w: %s was enrolled with serial %d before, and verifiers take serial %d with another device key for a copy (duplicate-key); "+
			"begin again with --serial %d or higher", ErrRefused, slotsText(e.Slots), last, e.Serial, last+1)
	}
	return nil
}

// Add registers what [Register.Check] let pass, unless another program has registered it otherwise since.
func (r *Register) Add(e Enrolment) error {
	lock, err := os.OpenFile(r.path+".lock", os.O_CREATE|os.O_WRONLY, privatefile.FileMode)
	if err != nil {
		return err
	}
	defer lock.Close() // and with it the lock
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("locking the register %s: %w", r.path, err)
	}
	now, err := OpenRegister(r.path)
	if err != nil {
		return err
	}
	r.entries, r.at = now.entries, now.at
	if err := r.Check(e); err != nil {
		return err
	}
	for _, slot := range e.Slots {
		r.set(e.entry(slot))
	}
	return privatefile.Replace(r.path, r.text(), privatefile.FileMode)
}

func (r *Register) set(e entry) {
	if i, known := r.at[e.slot]; known {
		r.entries[i] = e
		return
	}
	r.at[e.slot] = len(r.entries)
	r.entries = append(r.entries, e)
}

func (r *Register) text() (text []byte) {
	for _, e := range r.entries {
		text = append(text, e.String()...)
	}
	return text
}
