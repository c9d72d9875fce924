// Package diameter reads and writes the messages of Diameter (RFC 6733) that a network asks an Equipment Identity Register with
// (S13, TS 29.272). Start with [Length] for the bytes of a connection, [Message.Decode] for one message, and [Grammar.Check] for
// what a command must have. It opens nothing and keeps nothing.
//
// Foreign bytes are read strictly and within bounds, each of which is named below. What is wrong with a message is an [*Error] that
// holds the Result-Code to answer with. What is decoded is written again as the same bytes.
package diameter

import "encoding/binary"

// Bounds on a message. A question of S13 takes some 300 bytes; the longest that is usual is the capabilities of an agent with many
// applications.
const (
	MaxBytes = 16 << 10 // of a message
	MaxAVPs  = 256      // in a message, and in each group
)

// HeaderBytes is the length of the header (RFC 6733 section 3).
const HeaderBytes = 20

const version = 1

// Flags are the command flags (RFC 6733 section 3). Reserved bits are kept as they came and mean nothing.
type Flags uint8

// The command flags.
const (
	Request       Flags = 0x80
	Proxiable     Flags = 0x40
	IsError       Flags = 0x20 // in answers only: a protocol error
	Retransmitted Flags = 0x10 // in requests only: it may have been answered before
)

// Header is that of a message (RFC 6733 section 3).
type Header struct {
	Flags       Flags
	Command     uint32 // 24 bits
	Application uint32
	HopByHop    uint32 // pairs an answer with a request on one connection
	EndToEnd    uint32 // tells retransmissions of one origin
}

// Message is a request or an answer.
type Message struct {
	Header
	AVPs []AVP // in the order in which they came
}

// Length reads from the first bytes of a connection how long the message there is: 0 if there are too few to tell. After an error
// nobody knows where the next message begins, so the connection is of no more use.
func Length(bytes []byte) (int, error) {
	const first = 4
	if len(bytes) < first {
		return 0, nil
	}
	length := int(binary.BigEndian.Uint32(bytes) & 0xFFFFFF)
	switch {
	case bytes[0] != version:
		return 0, &Error{Code: UnsupportedVersion, Problem: "the version is not 1 (RFC 6733 section 3)"}
	case length < HeaderBytes, length%4 != 0, length > MaxBytes:
		return 0, &Error{Code: InvalidMessageLength, Problem: "the message's length is below 20, no multiple of 4, or more than is taken"}
	}
	return length, nil
}

// ReadHeader reads the header of a message of which at least that is there, so that it can be answered whatever else is wrong with it.
func ReadHeader(bytes []byte) Header {
	word := func(at int) uint32 { return binary.BigEndian.Uint32(bytes[at:]) }
	return Header{Flags: Flags(bytes[4]), Command: word(4) & 0xFFFFFF, Application: word(8), HopByHop: word(12), EndToEnd: word(16)}
}

// Decode reads one whole message. The AVPs share the bytes, which must stay as they are for as long as the message is used; room that
// m.AVPs has is used again. The header is there beside an error about the AVPs.
func (m *Message) Decode(bytes []byte) (err error) {
	m.AVPs = m.AVPs[:0]
	length, err := Length(bytes)
	switch {
	case err != nil:
		return err
	case length != len(bytes) || length == 0:
		return &Error{Code: InvalidMessageLength, Problem: "the message is not as long as it says"}
	}
	m.Header = ReadHeader(bytes)
	if m.Flags&Request != 0 && m.Flags&IsError != 0 {
		return &Error{Code: InvalidHeaderBits, Problem: "a request has the bit of an error (RFC 6733 section 3)"}
	}
	m.AVPs, err = appendAVPs(m.AVPs, bytes[HeaderBytes:])
	return err
}

// Begin appends the header of a message; [End] sets its length when its AVPs are appended.
func Begin(to []byte, h Header) []byte {
	to = append(to, version, 0, 0, 0)
	to = binary.BigEndian.AppendUint32(to, uint32(h.Flags)<<24|h.Command&0xFFFFFF)
	to = binary.BigEndian.AppendUint32(to, h.Application)
	to = binary.BigEndian.AppendUint32(to, h.HopByHop)
	return binary.BigEndian.AppendUint32(to, h.EndToEnd)
}

// End sets the length of the message that begins at an index.
func End(bytes []byte, begin int) { putLength(bytes[begin:], len(bytes)-begin) }

// putLength writes the 24 bits behind the first of a word.
func putLength(bytes []byte, length int) {
	bytes[1], bytes[2], bytes[3] = byte(length>>16), byte(length>>8), byte(length)
}

// Append appends a whole message.
func (m *Message) Append(to []byte) []byte {
	begin := len(to)
	to = Begin(to, m.Header)
	for i := range m.AVPs {
		to = m.AVPs[i].Append(to)
	}
	End(to, begin)
	return to
}

// Answer is the header of an answer to a request (RFC 6733 section 6.2): P as in the request, and E for a protocol error
// (section 7.1.3).
func (h Header) Answer(code ResultCode) Header {
	h.Flags &= Proxiable
	if code.IsProtocolError() {
		h.Flags |= IsError
	}
	return h
}
