package attest

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/fxamacker/cbor/v2"
)

// OEMID names a manufacturer in one of the three forms of RFC 9711 section 4.2.3. The zero value names nobody.
type OEMID struct {
	pen    uint32
	octets string // 3 bytes: IEEE; 16 bytes: random
}

const (
	ieeeOEMIDBytes   = 3
	randomOEMIDBytes = 16
)

// PENOEMID is the form of an IANA Private Enterprise Number, which is never 0 (RFC 9711 section 4.2.3.3).
func PENOEMID(pen uint32) OEMID { return OEMID{pen: pen} }

// ParseOEMID reads what String writes: "pen:32473", "ieee:AC80DE" or "random:" and 32 hex digits.
func ParseOEMID(text string) (OEMID, error) {
	form, value, _ := strings.Cut(text, ":")
	switch form {
	case "pen":
		if n, err := strconv.ParseUint(value, 10, 32); err == nil && n != 0 {
			return PENOEMID(uint32(n)), nil
		}
	case "ieee", "random":
		want := map[string]int{"ieee": ieeeOEMIDBytes, "random": randomOEMIDBytes}[form]
		if b, err := hex.DecodeString(value); err == nil && len(b) == want {
			return OEMID{octets: string(b)}, nil
		}
	}
	return OEMID{}, fmt.Errorf("OEM id %q: want pen:NUMBER, ieee: and 6 hex digits, or random: and 32 (RFC 9711 section 4.2.3)", text)
}

// String is the text form that [ParseOEMID] reads.
func (o OEMID) String() string {
	switch len(o.octets) {
	case ieeeOEMIDBytes:
		return "ieee:" + strings.ToUpper(hex.EncodeToString([]byte(o.octets)))
	case randomOEMIDBytes:
		return "random:" + hex.EncodeToString([]byte(o.octets))
	}
	return "pen:" + strconv.FormatUint(uint64(o.pen), 10)
}

// IsZero reports the value that names nobody.
func (o OEMID) IsZero() bool { return o == OEMID{} }

// MarshalCBOR writes a number for a PEN and a byte string for the others.
func (o OEMID) MarshalCBOR() ([]byte, error) {
	if o.octets != "" {
		return encMode.Marshal([]byte(o.octets))
	}
	return encMode.Marshal(o.pen)
}

// UnmarshalCBOR reads any of the three forms.
func (o *OEMID) UnmarshalCBOR(raw []byte) error {
	var v any
	if err := cbor.Unmarshal(raw, &v); err != nil {
		return err
	}
	switch v := v.(type) {
	case uint64:
		if v != 0 && v <= 1<<32-1 {
			*o = PENOEMID(uint32(v))
			return nil
		}
	case []byte:
		if len(v) == ieeeOEMIDBytes || len(v) == randomOEMIDBytes {
			*o = OEMID{octets: string(v)}
			return nil
		}
	}
	return &cbor.UnmarshalTypeError{CBORType: "oemid of no known form", GoType: "attest.OEMID"}
}
