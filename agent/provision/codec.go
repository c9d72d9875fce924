package provision

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// Files that travel between the production line and the manufacturer are CBOR maps in deterministic encoding (RFC 8949
// section 4.2.1), as boot approvals are. Labels 1 and 2 tell the kind of the file and its format.
const (
	fileFormat   = 1
	maxFileBytes = 16 << 10 // the largest, a request with certificates, has about 4000
)

// fileHead begins every file.
type fileHead struct {
	Kind   string `cbor:"1,keyasint"`
	Format int    `cbor:"2,keyasint"`
}

// ErrFile means that a file is not what it was named as.
var ErrFile = errors.New("the file")

// fileEncoding is fixed, so it cannot fail to be made.
var fileEncoding, _ = cbor.CoreDetEncOptions().EncMode()

// decodeFile reads a file of a kind. It takes only the very bytes that encoding gives again: no unknown, repeated or
// reordered entry, nothing behind the map.
func decodeFile[T any](kind string, raw []byte) (file T, err error) {
	if len(raw) > maxFileBytes {
		return file, fmt.Errorf("%w is no %s: %d bytes, at most %d are looked at", ErrFile, kind, len(raw), maxFileBytes)
	}
	var entries map[int]cbor.RawMessage
	if err := cbor.Unmarshal(raw, &entries); err != nil {
		return file, fmt.Errorf("%w is no %s: %w", ErrFile, kind, err)
	}
	head := fileHead{}
	if cbor.Unmarshal(entries[1], &head.Kind) != nil || head.Kind != kind {
		return file, fmt.Errorf("%w is no %s: it says %.40q", ErrFile, kind, head.Kind)
	}
	if cbor.Unmarshal(entries[2], &head.Format) != nil || head.Format != fileFormat {
		return file, fmt.Errorf("%w is a %s of format %d, this program knows %d", ErrFile, kind, head.Format, fileFormat)
	}
	if err := cbor.Unmarshal(raw, &file); err != nil {
		return file, fmt.Errorf("%w is no %s: %w", ErrFile, kind, err)
	}
	if again, err := fileEncoding.Marshal(file); err != nil || !bytes.Equal(again, raw) {
		return file, fmt.Errorf("%w is no %s in the form this program writes: was it changed?", ErrFile, kind)
	}
	return file, nil
}
