package attest

import (
	"encoding/binary"
	"math"
	"unicode/utf8"
)

// Major types of CBOR items (RFC 8949 section 3.1).
const (
	majorUnsigned = 0
	majorNegative = 1
	majorBytes    = 2
	majorText     = 3
	majorArray    = 4
	majorMap      = 5
	majorOther    = 7
)

// reader reads deterministic CBOR (RFC 8949 section 4.2.1) item by item, of the kinds that usual messages are made of. At
// the first item that is not the one asked for it fails: all that it gives from then on is zero, and done says so at the end. It may
// fail at anything, for then the library reads the whole and says what is wrong, if anything is; but what it accepts, decodeStrict
// accepts too, with the same values. Byte strings are parts of what is read, not copies.
type reader struct {
	rest   []byte
	failed bool
}

func (r *reader) fail() { r.rest, r.failed = nil, true }

// done reports that everything was read and nothing failed.
func (r *reader) done() bool { return !r.failed && len(r.rest) == 0 }

// isNext reports that an item of a major type comes next.
func (r *reader) isNext(major byte) bool { return len(r.rest) > 0 && r.rest[0]>>5 == major }

// head reads a head in its shortest form and returns the argument.
func (r *reader) head(major byte) uint64 {
	if !r.isNext(major) {
		r.fail()
		return 0
	}
	n, size := argument(r.rest)
	if size == 0 {
		r.fail()
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

// argument is that of the head that b begins with, and how many bytes the head has: 0 for one that is not in its shortest form.
func argument(b []byte) (n uint64, size int) {
	const lengthInByte, lengthInTwo, lengthInFour, lengthInEight = 24, 25, 26, 27 // additional information
	least := uint64(0)
	switch info := b[0] & 0x1f; {
	case info < lengthInByte:
		return uint64(info), 1
	case info == lengthInByte && len(b) > 1:
		n, size, least = uint64(b[1]), 2, lengthInByte
	case info == lengthInTwo && len(b) > 2:
		n, size, least = uint64(binary.BigEndian.Uint16(b[1:])), 3, 1<<8
	case info == lengthInFour && len(b) > 4:
		n, size, least = uint64(binary.BigEndian.Uint32(b[1:])), 5, 1<<16
	case info == lengthInEight && len(b) > 8:
		n, size, least = binary.BigEndian.Uint64(b[1:]), 9, 1<<32
	}
	if n < least {
		return 0, 0
	}
	return n, size
}

// atMost is a number or length that must not be larger.
func (r *reader) atMost(most uint64, major byte) uint64 {
	n := r.head(major)
	if n > most {
		r.fail()
		return 0
	}
	return n
}

func (r *reader) unsigned() uint64 { return r.head(majorUnsigned) }

func (r *reader) small() uint8 { return uint8(r.atMost(math.MaxUint8, majorUnsigned)) }

// positive is a number that would be left out if it were 0.
func (r *reader) positive(most uint64) uint64 {
	n := r.atMost(most, majorUnsigned)
	if n == 0 {
		r.fail()
	}
	return n
}

func (r *reader) int() int64 {
	if r.isNext(majorNegative) {
		return ^int64(r.atMost(math.MaxInt64, majorNegative))
	}
	return int64(r.atMost(math.MaxInt64, majorUnsigned))
}

// yes reads true; false would be left out.
func (r *reader) yes() bool {
	const simpleTrue = 21
	if r.head(majorOther) != simpleTrue {
		r.fail()
	}
	return !r.failed
}

// skipNull reads null if it comes next.
func (r *reader) skipNull() bool {
	const null = 0xf6
	if len(r.rest) == 0 || r.rest[0] != null {
		return false
	}
	r.rest = r.rest[1:]
	return true
}

func (r *reader) bytes() []byte { return r.content(majorBytes) }

func (r *reader) text() string {
	s := r.content(majorText)
	if !utf8.Valid(s) {
		r.fail()
		return ""
	}
	return string(s)
}

func (r *reader) content(major byte) []byte {
	n := r.head(major)
	if n > uint64(len(r.rest)) {
		r.fail()
		return nil
	}
	s := r.rest[:n:n]
	r.rest = r.rest[n:]
	return s
}

// filled is a value that would be left out if it were empty.
func filled[T string | []byte](r *reader, v T) T {
	if len(v) == 0 {
		r.fail()
	}
	return v
}

// textOrNull is nil for null.
func (r *reader) textOrNull() *string {
	if r.skipNull() {
		return nil
	}
	text := r.text()
	return &text
}

// fill reads a byte string as long as b into it.
func (r *reader) fill(b []byte) {
	s := r.bytes()
	if len(s) != len(b) {
		r.fail()
	}
	copy(b, s)
}

// constant reads a text that can be no other.
func (r *reader) constant(text string) string {
	if string(r.content(majorText)) != text {
		r.fail()
	}
	return text
}

// count reads the head of an array or a map, of how many elements or pairs.
func (r *reader) count(major byte) int {
	return int(r.atMost(min(maxElements, maxMapPairs), major))
}

// array reads the head of an array of n elements.
func (r *reader) array(n int) {
	if r.count(majorArray) != n {
		r.fail()
	}
}

// simple reads an item of which shortest heads are all that makes it deterministic, and returns its encoding: numbers, byte strings, maps with
// nothing in them, and arrays of these.
func (r *reader) simple(depth int) []byte {
	whole := r.rest
	switch {
	case depth == 0:
		r.fail()
	case r.isNext(majorUnsigned):
		r.unsigned()
	case r.isNext(majorArray):
		for range r.count(majorArray) {
			r.simple(depth - 1)
		}
	case r.isNext(majorMap):
		r.pairs().end()
	default:
		r.bytes()
	}
	return whole[:len(whole)-len(r.rest)]
}

// pairs reads a map whose labels are asked for in their order, so that none stands twice.
type pairs struct {
	*reader
	left int
}

func (r *reader) pairs() pairs { return pairs{r, r.count(majorMap)} }

// has reads a label if it comes next. What follows is its value.
func (p *pairs) has(label int64) bool {
	ahead := *p.reader
	if p.left == 0 || ahead.int() != label || ahead.failed {
		return false
	}
	*p.reader = ahead
	p.left--
	return true
}

// want reads a label that must come next.
func (p *pairs) want(label int64) {
	if !p.has(label) {
		p.fail()
	}
}

// end is after the last pair.
func (p pairs) end() {
	if p.left != 0 {
		p.fail()
	}
}
