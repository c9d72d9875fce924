package provision

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"imei-attest/agent/softvault/privatefile"
	"imei-attest/attest/imei"
	"imei-attest/attest/tpmprofile"
)

// Register remembers which IMEI was enrolled on which TPM: one IMEI, one endorsement key, for good. It is a private
// text file with a line for each slot: 15 digits and the Name of the endorsement key.
type Register struct {
	path string
	eks  map[imei.IMEI]string // Names in hex
}

// OpenRegister reads a register; a file that does not exist is an empty one.
func OpenRegister(path string) (*Register, error) {
	r := &Register{path: path, eks: make(map[imei.IMEI]string)}
	text, err := privatefile.ReadAnywhere(path)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return nil, err
	}
	for n, line := range strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") {
		digits, ek, _ := strings.Cut(line, " ")
		id, err := imei.Parse(digits)
		raw, hexErr := hex.DecodeString(ek)
		if err := errors.Join(err, hexErr); err != nil || len(raw) != tpmprofile.NameBytes {
			return nil, fmt.Errorf("register %s, line %d: want an IMEI and the Name of an endorsement key", path, n+1)
		}
		if _, twice := r.eks[id]; twice {
			return nil, fmt.Errorf("register %s, line %d: %s stands there twice", path, n+1, id)
		}
		r.eks[id] = ek
	}
	return r, nil
}

// Check refuses an IMEI of another TPM, and a TPM of other IMEIs.
func (r *Register) Check(slots []imei.IMEI, ekName []byte) error {
	ek, known := hex.EncodeToString(ekName), 0
	for id, registered := range r.eks {
		if registered == ek {
			known++
		}
		for _, slot := range slots {
			if slot == id && registered != ek {
				return fmt.Errorf("%w: IMEI %s was enrolled on the TPM with endorsement key %s, not %s; after a change of the board, take its line out of %s",
					ErrRefused, id, registered, ek, r.path)
			}
		}
	}
	for _, slot := range slots {
		if r.eks[slot] == ek {
			known--
		}
	}
	if known > 0 {
		return fmt.Errorf("%w: the TPM with endorsement key %s was enrolled with other IMEIs; after an exchange, take their lines out of %s", ErrRefused, ek, r.path)
	}
	return nil
}

// Add registers IMEIs that [Register.Check] let pass, unless another program has registered them otherwise since.
func (r *Register) Add(slots []imei.IMEI, ekName []byte) error {
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
	r.eks = now.eks
	if err := r.Check(slots, ekName); err != nil {
		return err
	}
	text, err := os.ReadFile(r.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, slot := range slots {
		if r.eks[slot] == "" {
			r.eks[slot] = hex.EncodeToString(ekName)
			text = append(text, slot.Digits()+" "+r.eks[slot]+"\n"...)
		}
	}
	return privatefile.Replace(r.path, text, privatefile.FileMode)
}
