package diameter

import (
	"encoding/binary"
	"net/netip"
	"unicode/utf8"
)

// AVPFlags are those of an Attribute-Value Pair (RFC 6733 section 4.1). Other bits are kept as they came and mean nothing.
type AVPFlags uint8

// The AVP flags.
const (
	VendorSpecific AVPFlags = 0x80
	Mandatory      AVPFlags = 0x40 // who does not know the AVP refuses the message
)

// ID is what an AVP is, by the number that its vendor gave; vendor 0 is the IETF.
type ID struct{ Code, Vendor uint32 }

// AVP is an Attribute-Value Pair (RFC 6733 section 4.1). Vendor is 0 without the flag V, and never with it.
type AVP struct {
	ID
	Flags AVPFlags
	Data  []byte // without padding
}

const (
	avpHeader    = 8
	vendorHeader = 12
)

// headerBytes is the length of the AVP's header.
func (a *AVP) headerBytes() int { return headerBytes(a.Flags) }

func headerBytes(f AVPFlags) int {
	if f&VendorSpecific != 0 {
		return vendorHeader
	}
	return avpHeader
}

// Group reads the AVPs inside of one of type Grouped (RFC 6733 section 4.4), after those of to. What is inside of these is not looked
// at: nothing is read deeper than a caller goes, and no AVP of S13 needs more than two steps.
func (a *AVP) Group(to []AVP) ([]AVP, error) { return appendAVPs(to, a.Data) }

// appendAVPs reads AVPs to the end of bytes.
func appendAVPs(to []AVP, bytes []byte) ([]AVP, error) {
	for before := len(to); len(bytes) > 0; {
		if len(to)-before == MaxAVPs {
			return to, &Error{Code: UnableToComply, Problem: "there are more AVPs than are taken"}
		}
		a, taken, err := readAVP(bytes)
		if err != nil {
			return to, err
		}
		to, bytes = append(to, a), bytes[taken:]
	}
	return to, nil
}

// readAVP reads the first AVP and tells how many bytes it takes with its padding, which is of zeros (RFC 6733 section 4.1).
func readAVP(bytes []byte) (a AVP, taken int, err error) {
	if len(bytes) < avpHeader {
		return a, 0, badLength(bytes)
	}
	a.Code, a.Flags = binary.BigEndian.Uint32(bytes), AVPFlags(bytes[4])
	length, header := int(binary.BigEndian.Uint32(bytes[4:])&0xFFFFFF), a.headerBytes()
	taken = padded(length)
	if length < header || taken > len(bytes) {
		return a, 0, badLength(bytes)
	}
	if header == vendorHeader {
		if a.Vendor = binary.BigEndian.Uint32(bytes[avpHeader:]); a.Vendor == 0 {
			return a, 0, &Error{Code: InvalidAVPBits, Failed: bytes[:taken], Problem: "an AVP has the flag V and the vendor 0 (RFC 6733 section 4.1.1)"}
		}
	}
	for _, b := range bytes[length:taken] {
		if b != 0 {
			return a, 0, &Error{Code: InvalidAVPLength, Failed: zeroFilled(bytes), Problem: "the padding of an AVP is not zero (RFC 6733 section 4.1)"}
		}
	}
	a.Data = bytes[header:length:length]
	return a, taken, nil
}

func padded(length int) int { return (length + 3) &^ 3 }

// badLength is the error about the first AVP, which is too short or too long.
func badLength(bytes []byte) error {
	return &Error{Code: InvalidAVPLength, Failed: zeroFilled(bytes), Problem: "the length of an AVP does not fit (RFC 6733 section 4.1)"}
}

// zeroFilled is what a Failed-AVP says of an AVP whose length is wrong: its header, filled up with zeros as far as that is missing, and
// no payload (RFC 6733 section 7.1.5, DIAMETER_INVALID_AVP_LENGTH).
func zeroFilled(bytes []byte) []byte {
	var whole [vendorHeader]byte
	copied := copy(whole[:], bytes)
	header := avpHeader
	if copied > 4 {
		header = headerBytes(AVPFlags(whole[4]))
	}
	clear(whole[min(copied, header):])
	putLength(whole[4:], header)
	return whole[:header]
}

// Append appends the AVP with its padding.
func (a *AVP) Append(to []byte) []byte {
	to = appendHeader(to, a.ID, a.Flags, a.headerBytes()+len(a.Data))
	return pad(append(to, a.Data...), len(a.Data))
}

func appendHeader(to []byte, id ID, flags AVPFlags, length int) []byte {
	to = binary.BigEndian.AppendUint32(to, id.Code)
	to = binary.BigEndian.AppendUint32(to, uint32(flags)<<24|uint32(length)&0xFFFFFF)
	if flags&VendorSpecific != 0 {
		to = binary.BigEndian.AppendUint32(to, id.Vendor)
	}
	return to
}

func pad(to []byte, length int) []byte {
	return append(to, "\x00\x00\x00"[:padded(length)-length]...)
}

// flags are those that this side sets, as RFC 6733 section 4.5 and TS 29.272 clause 7.3.1 have them: all that is sent must be known, but
// for what people read.
func (id ID) flags() AVPFlags {
	switch {
	case id == ProductName || id == ErrorMessage:
		return 0
	case id.Vendor != 0:
		return VendorSpecific | Mandatory
	}
	return Mandatory
}

// AppendText appends an AVP of type UTF8String, DiameterIdentity or OctetString (RFC 6733 sections 4.2 and 4.3).
func AppendText[T ~string | ~[]byte](to []byte, id ID, text T) []byte {
	flags := id.flags()
	to = appendHeader(to, id, flags, headerBytes(flags)+len(text))
	return pad(append(to, text...), len(text))
}

// AppendUint32 appends an AVP of type Unsigned32 or Enumerated.
func AppendUint32(to []byte, id ID, value uint32) []byte {
	const size = 4
	flags := id.flags()
	to = appendHeader(to, id, flags, headerBytes(flags)+size)
	return binary.BigEndian.AppendUint32(to, value)
}

// AppendAddress appends an AVP of type Address (RFC 6733 section 4.3.1): the family by its number of IANA, 1 or 2, and the address.
func AppendAddress(to []byte, id ID, address netip.Addr) []byte {
	data := []byte{0, 1}
	if address = address.Unmap(); address.Is6() {
		data[1] = 2
	}
	return AppendText(to, id, append(data, address.AsSlice()...))
}

// AppendGroup appends an AVP of type Grouped with what inside appends.
func AppendGroup(to []byte, id ID, inside func([]byte) []byte) []byte {
	begin := len(to)
	to = inside(appendHeader(to, id, id.flags(), 0))
	putLength(to[begin+4:], len(to)-begin)
	return to
}

// Uint32 is the value of type Unsigned32 or Enumerated.
func (a *AVP) Uint32() (uint32, error) {
	const size = 4
	if len(a.Data) != size {
		return 0, &Error{Code: InvalidAVPLength, Failed: a.Append(nil), Problem: "an AVP of 32 bits has another length (RFC 6733 section 4.2)"}
	}
	return binary.BigEndian.Uint32(a.Data), nil
}

// Text is the value of type UTF8String.
func (a *AVP) Text() (string, error) {
	if !utf8.Valid(a.Data) {
		return "", a.Invalid("a text is no UTF-8 (RFC 6733 section 4.3.1)")
	}
	return string(a.Data), nil
}

// Identity is the value of type DiameterIdentity: a fully qualified name, in characters that DNS takes (RFC 6733 section 4.3.1). It is
// not empty.
func (a *AVP) Identity() (string, error) {
	if !IsIdentity(string(a.Data)) {
		return "", a.Invalid("a name of a host or a realm is none (RFC 6733 section 4.3.1)")
	}
	return string(a.Data), nil
}

// IsIdentity reports that a text may be a DiameterIdentity: letters, digits, hyphens, underscores and dots, at most the 255 that DNS
// allows.
func IsIdentity(text string) bool {
	const longest = 255
	if text == "" || len(text) > longest {
		return false
	}
	for i := range len(text) {
		switch c := text[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '.', c == '_':
		default:
			return false
		}
	}
	return true
}
