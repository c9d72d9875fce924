package attest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"sync"

	"github.com/fxamacker/cbor/v2"
)

// Class names what is wrong with bytes that are no Evidence or Credential of this profile.
type Class string

// The classes of [FormatError], as the test vectors use them.
const (
	ClassTruncated    Class = "truncated"     // the input ends too early
	ClassTrailing     Class = "trailing"      // bytes after the end
	ClassOversized    Class = "oversized"     // longer than MaxTokenBytes, or a part longer than its limit
	ClassNotCBOR      Class = "not-cbor"      // not well-formed (RFC 8949 section 5.3)
	ClassDuplicate    Class = "duplicate-key" // a map key stands twice
	ClassIndefinite   Class = "indefinite"    // an indefinite length
	ClassNonPreferred Class = "non-preferred" // well-formed, but not the one deterministic encoding (RFC 8949 section 4.2.1)
	ClassTag          Class = "tag"           // a tag where none is due, or the wrong or no tag where one is
	ClassLimits       Class = "limits"        // nested too deep, or too many pairs or elements
	ClassStructure    Class = "structure"     // not a COSE_Sign1, or a header of the wrong type
	ClassCritical     Class = "critical"      // a critical header parameter that is not understood (RFC 9052 section 3.1)
	ClassAlgorithm    Class = "algorithm"     // another signature algorithm than this profile allows
	ClassKeyID        Class = "key-id"        // no key id, or one of the wrong length
	ClassProfile      Class = "profile"       // another eat_profile or typ: evidence of somebody else's profile
	ClassClaim        Class = "claim"         // a claim is missing, of the wrong type, or out of range
)

// FormatError says why bytes are not Evidence or a Credential: a class a caller may branch on, the part concerned
// and what is wrong with it. It never holds what the sender chose: no bytes, no texts and no unbounded numbers of
// the message, any of which may be an IMEI.
type FormatError struct {
	Class   Class
	Part    string // "token", "protected header", "claims", "claim iat", ...
	Problem string
}

// Error is the part, the problem and the class.
func (e *FormatError) Error() string { return fmt.Sprintf("%s: %s (%s)", e.Part, e.Problem, e.Class) }

func formatError(class Class, part, problem string, args ...any) error {
	return &FormatError{Class: class, Part: part, Problem: fmt.Sprintf(problem, args...)}
}

// encMode writes core deterministic CBOR (RFC 8949 section 4.2.1). decMode refuses tags: the one that is due, that of
// COSE_Sign1, is not for it to read.
var (
	encMode = must(cbor.CoreDetEncOptions().UserBufferEncMode())
	decMode = must(decOptions().DecMode())
)

// encBuffers are for encodings that are compared with others and not kept.
var encBuffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

func decOptions() cbor.DecOptions {
	return cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		MaxNestedLevels:   maxNesting,
		MaxMapPairs:       maxMapPairs,
		MaxArrayElements:  maxElements,
		ExtraReturnErrors: cbor.ExtraDecErrorNone,
		UTF8:              cbor.UTF8RejectInvalid,
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err) // only constants of this package come here
	}
	return v
}

// decodeStrict decodes raw into v and refuses every encoding but the deterministic one, and every value that the
// decoder would bend to fit (null for absent, an array of numbers for a byte string). Encoding v again proves both:
// it must give raw, but for map entries whose label v does not know, which are ignored.
func decodeStrict(part string, mode cbor.DecMode, raw []byte, v any) error {
	if err := mode.Unmarshal(raw, v); err != nil {
		return decodeError(part, err)
	}
	buffer := encBuffers.Get().(*bytes.Buffer)
	defer encBuffers.Put(buffer)
	buffer.Reset()
	if err := encMode.MarshalToBuffer(v, buffer); err != nil {
		return formatError(ClassClaim, part, "a value cannot be encoded again")
	}
	again := buffer.Bytes()
	if bytes.Equal(again, raw) {
		return nil
	}
	known, err := withoutUnknown(part, raw, labelsOf(v))
	if err != nil {
		return err
	}
	if !bytes.Equal(again, known) {
		return formatError(ClassClaim, part, "a value is missing, null, empty or of another type than its label has")
	}
	return nil
}

// withoutUnknown returns the map raw without the entries whose labels are not known, after proving that the whole
// is deterministic.
func withoutUnknown(part string, raw []byte, known map[any]bool) ([]byte, error) {
	var entries map[any]cbor.RawMessage
	if err := requireDeterministic(part, raw); err != nil {
		return nil, err
	}
	if err := decMode.Unmarshal(raw, &entries); err != nil {
		return nil, formatError(ClassStructure, part, "not a map of this profile")
	}
	for label := range entries {
		if !known[label] {
			delete(entries, label)
		}
	}
	return encMode.Marshal(entries)
}

// labelsOf lists the integer labels in the cbor tags of the struct that v points to, typed as the decoder gives them.
func labelsOf(v any) map[any]bool {
	labels := make(map[any]bool)
	for field := range reflect.TypeOf(v).Elem().Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("cbor"), ",")
		n, err := strconv.ParseInt(name, 10, 64)
		switch {
		case err != nil:
		case n >= 0:
			labels[uint64(n)] = true
		default:
			labels[n] = true
		}
	}
	return labels
}

func requireDeterministic(part string, raw []byte) error {
	var value any
	if err := decMode.Unmarshal(raw, &value); err != nil {
		return decodeError(part, err)
	}
	again, err := encMode.Marshal(value)
	if err != nil || !bytes.Equal(again, raw) {
		return formatError(ClassNonPreferred, part, "not the deterministic encoding (RFC 8949 section 4.2.1)")
	}
	return nil
}

// classOf maps the library's errors to ours.
func classOf(err error) Class {
	var (
		dup       *cbor.DupMapKeyError
		indef     *cbor.IndefiniteLengthError
		nested    *cbor.MaxNestedLevelError
		pairs     *cbor.MaxMapPairsError
		elements  *cbor.MaxArrayElementsError
		extra     *cbor.ExtraneousDataError
		tagsOff   *cbor.TagsMdError
		wrongTag  *cbor.WrongTagError
		wrongType *cbor.UnmarshalTypeError
	)
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return ClassTruncated
	case errors.As(err, &dup):
		return ClassDuplicate
	case errors.As(err, &indef):
		return ClassIndefinite
	case errors.As(err, &nested), errors.As(err, &pairs), errors.As(err, &elements):
		return ClassLimits
	case errors.As(err, &extra):
		return ClassTrailing
	case errors.As(err, &tagsOff), errors.As(err, &wrongTag):
		return ClassTag
	case errors.As(err, &wrongType):
		return ClassClaim
	}
	return ClassNotCBOR
}

// decodeError makes a FormatError of the library's error. Where the library quotes the input - a map key, a tag, a
// length, a number - its message is replaced.
func decodeError(part string, err error) error {
	class := classOf(err)
	problem := err.Error()
	switch class {
	case ClassTruncated:
		problem = "ends too early"
	case ClassNotCBOR:
		problem = "not well-formed (RFC 8949 section 5.3)"
	case ClassDuplicate:
		problem = "a map key stands twice"
	case ClassTag:
		problem = "a tag where none is due, or a wrong or no tag where one is"
	case ClassClaim:
		problem = wrongType(err)
	}
	return formatError(class, part, "%s", problem)
}

func wrongType(err error) string {
	var wrong *cbor.UnmarshalTypeError
	if !errors.As(err, &wrong) || wrong.StructFieldName == "" {
		return "a value of the wrong type"
	}
	path := wrong.StructFieldName // package, struct, label
	return fmt.Sprintf("wrong type, %s, at %s", wrong.CBORType, path[strings.LastIndexByte(path, '.')+1:])
}
