package sqlite

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/fxamacker/cbor/v2"

	"imei-attest/verifier"
)

// Records are kept as CBOR with numbered fields: a third shorter than their JSON, and faster to write. Each comes back as it was, so that
// the decision can be made again and compared byte by byte.
var (
	encoding = must(cbor.EncOptions{Time: cbor.TimeRFC3339Nano, Sort: cbor.SortNone}.UserBufferEncMode())
	decoding = must(cbor.DecOptions{DupMapKey: cbor.DupMapKeyEnforcedAPF}.DecMode())
	buffers  = sync.Pool{New: func() any { return new(bytes.Buffer) }}
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err) // only constants of this package come here
	}
	return v
}

func encodeRecord(r *verifier.Record) ([]byte, error) {
	b := buffers.Get().(*bytes.Buffer)
	defer buffers.Put(b)
	b.Reset()
	if err := encoding.MarshalToBuffer(r, b); err != nil {
		return nil, fmt.Errorf("store: encoding a decision: %w", err)
	}
	return bytes.Clone(b.Bytes()), nil
}

func decodeRecord(raw []byte) (*verifier.Record, error) {
	r := new(verifier.Record)
	return r, decode(raw, r)
}

// answered is what of a recorded decision was answered, and under which trust: all that later questions rest on.
type answered struct {
	Verdict    verifier.Verdict   `cbor:"1,keyasint"`
	Generation uint64             `cbor:"6,keyasint"`
	Binding    verifier.Pseudonym `cbor:"10,keyasint,omitzero"`
}

func decode(raw []byte, into any) error {
	if err := decoding.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("store: a recorded decision cannot be read: %w (%w)", ErrCorrupt, err)
	}
	return nil
}

// sighting is one of the last subscribers of an IMEI: time and pseudonym.
type sighting struct {
	at   int64
	name verifier.Pseudonym
}

const sightingBytes = 8 + len(verifier.Pseudonym{})

func decodeSightings(raw []byte) (all []sighting) {
	for ; len(raw) >= sightingBytes; raw = raw[sightingBytes:] {
		all = append(all, sighting{int64(binary.BigEndian.Uint64(raw)), verifier.Pseudonym(raw[8:sightingBytes])})
	}
	return all
}

func encodeSightings(all []sighting) []byte {
	raw := make([]byte, 0, len(all)*sightingBytes)
	for _, s := range all {
		raw = append(binary.BigEndian.AppendUint64(raw, uint64(s.at)), s.name[:]...)
	}
	return raw
}
