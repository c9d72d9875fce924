package corim

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"unicode"

	"github.com/fxamacker/cbor/v2"
)

// Limits of the decoder. The size of the whole is attest.MaxCoRIMBytes.
const (
	maxNesting  = 16 // a revoked Credential is 12 deep
	maxMapPairs = 16 // the least the library takes; no map of the subset has more than 4
	maxElements = 1 << 16
)

// encMode writes core deterministic CBOR (RFC 8949 section 4.2.1).
var (
	encMode = must(cbor.CoreDetEncOptions().EncMode())
	decMode = must(cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, UTF8: cbor.UTF8RejectInvalid,
		MaxNestedLevels: maxNesting, MaxMapPairs: maxMapPairs, MaxArrayElements: maxElements,
	}.DecMode())
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err) // only constants of this package come here
	}
	return v
}

// FormatError says what in a document is not of the subset, and where. Of the document's own texts it holds none.
type FormatError struct{ Place, Problem string }

// Error is the place and the problem.
func (e *FormatError) Error() string { return e.Place + ": " + e.Problem }

// item is an encoded CBOR item that has not been looked at, and its place in the document.
type item struct {
	place string
	raw   []byte
}

func (i item) fail(problem string, args ...any) error {
	return &FormatError{i.place, fmt.Sprintf(problem, args...)}
}

// at is a part of the item.
func (i item) at(place string, raw []byte) item { return item{i.place + ", " + place, raw} }

// decode reads the item into v, of which only the outermost level is decoded: v holds the rest as cbor.RawMessage. The encoding of v
// must be the item again: so it has the one deterministic encoding, and nothing in it was bent to fit.
func (i item) decode(v any, want string) error {
	var (
		twice     *cbor.DupMapKeyError
		wrongType *cbor.UnmarshalTypeError
	)
	err := decMode.Unmarshal(i.raw, v)
	switch {
	case errors.As(err, &twice):
		return i.fail("a map key stands twice")
	case errors.As(err, &wrongType):
		return i.fail("want %s", want)
	case err != nil:
		return i.fail("no CBOR that is read here (RFC 8949 section 5.3, definite lengths, at most %d levels and %d entries)", maxNesting, maxElements)
	}
	if again, err := encMode.Marshal(v); err != nil || !bytes.Equal(again, i.raw) {
		return i.fail("want %s in the deterministic encoding (RFC 8949 section 4.2.1)", want)
	}
	return nil
}

// tag returns what is tagged with a number.
func (i item) tag(number uint64) (item, error) {
	var tag cbor.RawTag
	if err := i.decode(&tag, fmt.Sprintf("tag %d", number)); err != nil {
		return item{}, err
	}
	if tag.Number != number {
		return item{}, i.fail("want tag %d, not %d", number, tag.Number)
	}
	return item{i.place, tag.Content}, nil
}

// fields returns the entries of a map, which has the required keys, may have the optional ones and no others.
func (i item) fields(optional []int64, required ...int64) (map[int64]item, error) {
	var raw map[int64]cbor.RawMessage
	if err := i.decode(&raw, "a map with integer keys"); err != nil {
		return nil, err
	}
	fields := make(map[int64]item, len(raw))
	for key, value := range raw {
		if !slices.Contains(required, key) && !slices.Contains(optional, key) {
			return nil, i.fail("key %d is not of the subset", key)
		}
		fields[key] = i.at(fmt.Sprintf("key %d", key), value)
	}
	for _, key := range required {
		if _, found := fields[key]; !found {
			return nil, i.fail("key %d is missing", key)
		}
	}
	return fields, nil
}

// only returns the value of a map with one entry.
func (i item) only(key int64) (item, error) {
	fields, err := i.fields(nil, key)
	return fields[key], err
}

// list returns the elements of an array that has some.
func (i item) list() ([]item, error) {
	var raw []cbor.RawMessage
	if err := i.decode(&raw, "an array"); err != nil {
		return nil, err
	}
	if len(raw) == 0 {
		return nil, i.fail("the array is empty")
	}
	items := make([]item, len(raw))
	for n := range raw {
		items[n] = i.at(fmt.Sprintf("entry %d", n+1), raw[n])
	}
	return items, nil
}

// tuple returns the elements of an array of just so many.
func (i item) tuple(size int) ([]item, error) {
	items, err := i.list()
	if err == nil && len(items) != size {
		err = i.fail("the array has %d entries, the subset takes %d", len(items), size)
	}
	if err != nil {
		return nil, err
	}
	return items, nil
}

// single returns the element of an array of one.
func (i item) single() (item, error) {
	items, err := i.tuple(1)
	if err != nil {
		return item{}, err
	}
	return items[0], nil
}

// text is printable: it is shown to people before anybody has vouched for it.
func (i item) text(maxBytes int) (string, error) {
	var text string
	if err := i.decode(&text, "a text"); err != nil {
		return "", err
	}
	if text == "" || len(text) > maxBytes {
		return "", i.fail("want 1 to %d bytes, not %d", maxBytes, len(text))
	}
	for _, r := range text {
		if !unicode.IsPrint(r) {
			return "", i.fail("a character cannot be printed")
		}
	}
	return text, nil
}

// octets is a byte string of any length.
func (i item) octets() ([]byte, error) {
	var raw []byte
	err := i.decode(&raw, "a byte string")
	return raw, err
}

// wrapped is the item that is encoded in a byte string.
func (i item) wrapped() (item, error) {
	raw, err := i.octets()
	return item{i.place, raw}, err
}

func (i item) integer() (int64, error) {
	var n int64
	err := i.decode(&n, "an integer")
	return n, err
}
