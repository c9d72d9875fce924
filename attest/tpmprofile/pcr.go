package tpmprofile

import (
	"crypto/sha256"
	"fmt"
	"math/bits"
	"strconv"
	"strings"

	"github.com/google/go-tpm/tpm2"
)

// PCRSelection is a set of platform configuration registers of the SHA-256 bank. The zero value selects none, which
// approves any boot state.
type PCRSelection struct{ mask uint32 }

// pcrBank is the only bank: SHA-1 is broken, and not every TPM has a larger one.
const pcrBank = "sha256"

// pcrCount is how many registers the PC Client platform has (PC Client Platform TPM Profile, section 4.6).
const pcrCount = 24

// ParsePCRs reads "sha256:0,2,4,7"; the empty text is the empty selection. Registers that any program may reset or
// extend unnoticed are refused: 16 and 23 are for debugging and applications, 21 and 22 for the dynamic
// operating system, and no extension of 16 or 23 is seen between a policy check and the signature (PC Client
// Platform TPM Profile, section 4.6.2: they do not count in pcrUpdateCounter).
func ParsePCRs(text string) (PCRSelection, error) {
	if text == "" {
		return PCRSelection{}, nil
	}
	bank, list, found := strings.Cut(text, ":")
	if !found || bank != pcrBank || list == "" {
		return PCRSelection{}, fmt.Errorf("PCR list %q: want %s: and numbers, such as %s:0,2,4,7", text, pcrBank, pcrBank)
	}
	var s PCRSelection
	for number := range strings.SplitSeq(list, ",") {
		bit, err := parsePCR(number)
		if err != nil {
			return PCRSelection{}, fmt.Errorf("PCR list %q: %w", text, err)
		}
		if s.mask&bit != 0 {
			return PCRSelection{}, fmt.Errorf("PCR list %q: PCR %s stands twice", text, number)
		}
		s.mask |= bit
	}
	return s, nil
}

func parsePCR(number string) (bit uint32, err error) {
	n, err := strconv.Atoi(number)
	switch {
	case err != nil || strconv.Itoa(n) != number || n < 0 || n >= pcrCount:
		return 0, fmt.Errorf("%q is no PCR: want a number from 0 to %d", number, pcrCount-1)
	case n == 16 || n >= 21:
		return 0, fmt.Errorf("PCR %d can be reset or extended by any program, so it says nothing about the boot (refused: 16, 21, 22, 23)", n)
	}
	return 1 << n, nil
}

// IsEmpty reports a selection of no register.
func (s PCRSelection) IsEmpty() bool { return s.mask == 0 }

// String is the form that [ParsePCRs] reads, with the numbers rising; empty for the empty selection.
func (s PCRSelection) String() string {
	if s.IsEmpty() {
		return ""
	}
	var b strings.Builder
	separator := pcrBank + ":"
	for _, n := range s.Numbers() {
		b.WriteString(separator)
		b.WriteString(strconv.Itoa(int(n)))
		separator = ","
	}
	return b.String()
}

// Numbers are the registers, rising.
func (s PCRSelection) Numbers() []uint {
	numbers := make([]uint, 0, bits.OnesCount32(s.mask))
	for n := range uint(pcrCount) {
		if s.mask&(1<<n) != 0 {
			numbers = append(numbers, n)
		}
	}
	return numbers
}

// TPM is the selection in the form a TPM takes (Part 2 section 10.9.7, TPML_PCR_SELECTION).
func (s PCRSelection) TPM() tpm2.TPMLPCRSelection {
	return tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{{
		Hash:      tpm2.TPMAlgSHA256,
		PCRSelect: tpm2.PCClientCompatible.PCRs(s.Numbers()...),
	}}}
}

// PCRDigest is the SHA-256 over the values of the selected registers, rising, as TPM2_PolicyPCR computes it (Part 3
// section 23.7).
func PCRDigest(values [][]byte) (digest [32]byte) {
	h := sha256.New()
	for _, value := range values {
		h.Write(value)
	}
	h.Sum(digest[:0])
	return digest
}

// ResetDigest is [PCRDigest] of the selected registers as they are before anything was measured, all zero (PC Client
// Platform TPM Profile: registers 0 to 15). On a device that claims a measured boot it means that nothing measures.
func (s PCRSelection) ResetDigest() [32]byte {
	values := make([][]byte, len(s.Numbers()))
	for i := range values {
		values[i] = make([]byte, sha256.Size)
	}
	return PCRDigest(values)
}
