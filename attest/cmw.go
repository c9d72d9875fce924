package attest

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"mime"
	"strings"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"
)

// CMW is a message in a wrapper that says what it is: a record of draft-ietf-rats-msg-wrap section 3.1, or a tag of section 3.2.
type CMW struct {
	MediaType string // "CoAP Content-Format N" for one that this package does not know by its number
	Value     []byte
	// Indicator has a bit for each kind of message that the value holds, 0 if the wrapper does not say; see [CMWEvidence].
	Indicator uint32
}

// CMWEvidence is the bit of Evidence in a [CMW]'s Indicator.
const CMWEvidence = 1 << 2

const (
	// maxCMWBytes is room for the longest token in base64, and its type.
	maxCMWBytes = 2 * MaxTokenBytes
	// maxCMWIndicator has the bits of the five kinds of messages.
	maxCMWIndicator = 1<<5 - 1
	// cborTagByte begins a tag whose number has 4 bytes (RFC 8949 section 3).
	cborTagByte = 0xda
	// The tags of CoAP Content-Formats, from this one on (RFC 9277 appendix B).
	cborTagFormat0 = 0x63740101
	cborTagFormats = 65025 // of formats below this one, which are all there are tags for
)

// DecodeCMWJSON reads a record in JSON: ["media type", "base64url without padding", indicator]; the last may be left out. The error
// is a [*FormatError].
func DecodeCMWJSON(raw []byte) (CMW, error) {
	if len(raw) > maxCMWBytes {
		return CMW{}, formatError(ClassOversized, partCMW, "%d bytes, at most %d are looked at", len(raw), maxCMWBytes)
	}
	var parts []json.RawMessage
	if !utf8.Valid(raw) || json.Unmarshal(raw, &parts) != nil || len(parts) < 2 || len(parts) > 3 {
		return CMW{}, errNoRecord
	}
	var c CMW
	var value string
	if !isJSONText(parts[0], &c.MediaType) || !isJSONText(parts[1], &value) {
		return CMW{}, errNoRecord
	}
	if len(parts) == 3 && (json.Unmarshal(parts[2], &c.Indicator) != nil || c.Indicator == 0) {
		return CMW{}, errIndicator
	}
	var err error
	c.Value, err = base64.RawURLEncoding.Strict().DecodeString(value)
	if err != nil || strings.ContainsAny(value, "\r\n") { // which the decoder skips
		return CMW{}, formatError(ClassStructure, partCMW, "the value is not base64url without padding")
	}
	return c, c.check()
}

const partCMW = "conceptual message wrapper"

var (
	errNoRecord  = formatError(ClassStructure, partCMW, "want a record: an array of media type, value and, if need be, indicator; a collection is not taken")
	errIndicator = formatError(ClassStructure, partCMW, "the indicator must be a number from 1 to %d", maxCMWIndicator)
)

// isJSONText keeps null from passing for a text.
func isJSONText(raw json.RawMessage, into *string) bool {
	return len(raw) > 0 && raw[0] == '"' && json.Unmarshal(raw, into) == nil
}

// DecodeCMWCBOR reads a record in deterministic CBOR, [media type or CoAP Content-Format, bytes, indicator], of which the last may be
// left out, or the bytes under the tag of their Content-Format. The error is a [*FormatError].
func DecodeCMWCBOR(raw []byte) (CMW, error) {
	if len(raw) > maxCMWBytes {
		return CMW{}, formatError(ClassOversized, partCMW, "%d bytes, at most %d are looked at", len(raw), maxCMWBytes)
	}
	if len(raw) > 0 && raw[0] == cborTagByte {
		return decodeCMWTag(raw)
	}
	var parts []cbor.RawMessage
	if err := requireDeterministic(partCMW, raw); err != nil {
		return CMW{}, err
	}
	if decMode.Unmarshal(raw, &parts) != nil || len(parts) < 2 || len(parts) > 3 {
		return CMW{}, errNoRecord
	}
	var c CMW
	var kind any
	if decMode.Unmarshal(parts[0], &kind) != nil || parts[1][0]>>5 != majorBytes || decMode.Unmarshal(parts[1], &c.Value) != nil {
		return CMW{}, errNoRecord
	}
	switch kind := kind.(type) {
	case string:
		c.MediaType = kind
	case uint64:
		c.MediaType = mediaTypeOf(kind)
	default:
		return CMW{}, errNoRecord
	}
	if len(parts) == 3 && (parts[2][0]>>5 != 0 || decMode.Unmarshal(parts[2], &c.Indicator) != nil || c.Indicator == 0) {
		return CMW{}, errIndicator
	}
	return c, c.check()
}

func decodeCMWTag(raw []byte) (CMW, error) {
	const head = 1 + 4
	if len(raw) <= head {
		return CMW{}, formatError(ClassTruncated, partCMW, "ends too early")
	}
	format, ok := contentFormatOf(binary.BigEndian.Uint32(raw[1:]))
	if !ok {
		return CMW{}, formatError(ClassTag, partCMW, "the tag is that of no CoAP Content-Format (RFC 9277 appendix B)")
	}
	c := CMW{MediaType: mediaTypeOf(format)}
	if raw[head]>>5 != majorBytes {
		return CMW{}, errNoRecord
	}
	if err := requireDeterministic(partCMW, raw[head:]); err != nil {
		return CMW{}, err
	}
	if err := decMode.Unmarshal(raw[head:], &c.Value); err != nil {
		return CMW{}, decodeError(partCMW, err)
	}
	return c, c.check()
}

// contentFormatOf undoes TN(): the tag of format N is N, with a zero byte never in it, above that of format 0.
func contentFormatOf(tag uint32) (format uint64, ok bool) {
	const perRow = 255
	if tag < cborTagFormat0 {
		return 0, false
	}
	row, column := (tag-cborTagFormat0)/(perRow+1), (tag-cborTagFormat0)%(perRow+1)
	format = uint64(row)*perRow + uint64(column)
	return format, column < perRow && format < cborTagFormats
}

func mediaTypeOf(format uint64) string {
	if format == contentFormatEAT {
		return "application/eat+cwt"
	}
	return fmt.Sprintf("CoAP Content-Format %d", format)
}

// check demands a type, a value and an indicator of known bits.
func (c *CMW) check() error {
	switch {
	case len(c.Value) == 0:
		return formatError(ClassStructure, partCMW, "the value is empty")
	case c.Indicator > maxCMWIndicator:
		return errIndicator
	case strings.HasPrefix(c.MediaType, "CoAP "):
		return nil
	}
	if kind, _, err := mime.ParseMediaType(c.MediaType); err != nil || !bytes.ContainsRune([]byte(kind), '/') {
		return formatError(ClassStructure, partCMW, "the type is no media type")
	}
	return nil
}
