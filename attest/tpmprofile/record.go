package tpmprofile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// Layout of the record: magic "IMI1", format (u32 = 1), binding hash (32 bytes, at [BindingOffset]), length of the
// Credential (u16), Credential, zeros up to [RecordSize]. Numbers are big-endian, as everything in a TPM.
const (
	recordMagic  = "IMI1"
	recordFormat = 1
	bindingBytes = 32
	lengthOffset = BindingOffset + bindingBytes
	recordHeader = lengthOffset + 2
	// MaxCredential is the longest Credential that fits the record, in bytes.
	MaxCredential = RecordSize - recordHeader
)

// Record is the content of the NV index.
type Record struct {
	Binding    [32]byte // [attest.BindingHash] of the Credential
	Credential []byte   // COSE_Sign1 of the manufacturer, 1..[MaxCredential] bytes
}

// Encode gives the [RecordSize] bytes that are written.
func (r Record) Encode() ([]byte, error) {
	if len(r.Credential) == 0 || len(r.Credential) > MaxCredential {
		return nil, fmt.Errorf("a Credential of %d bytes does not fit the NV record (1 to %d)", len(r.Credential), MaxCredential)
	}
	raw := make([]byte, 0, RecordSize)
	raw = append(raw, recordMagic...)
	raw = binary.BigEndian.AppendUint32(raw, recordFormat)
	raw = append(raw, r.Binding[:]...)
	raw = binary.BigEndian.AppendUint16(raw, uint16(len(r.Credential)))
	raw = append(raw, r.Credential...)
	return raw[:RecordSize], nil
}

// DecodeRecord reads what [Record.Encode] wrote. It checks the frame only; whether the Credential fits the binding
// hash is for who knows the formats of attest.
func DecodeRecord(raw []byte) (Record, error) {
	if len(raw) != RecordSize {
		return Record{}, fmt.Errorf("NV record of %d bytes, want %d", len(raw), RecordSize)
	}
	if string(raw[:len(recordMagic)]) != recordMagic {
		return Record{}, errors.New("NV record does not begin with " + recordMagic)
	}
	if format := binary.BigEndian.Uint32(raw[len(recordMagic):]); format != recordFormat {
		return Record{}, fmt.Errorf("NV record has format %d, this program knows %d", format, recordFormat)
	}
	n := int(binary.BigEndian.Uint16(raw[lengthOffset:]))
	if n == 0 || n > MaxCredential {
		return Record{}, fmt.Errorf("NV record claims a Credential of %d bytes, 1 to %d fit", n, MaxCredential)
	}
	if len(bytes.TrimRight(raw[recordHeader+n:], "\x00")) != 0 {
		return Record{}, errors.New("NV record has bytes behind the Credential")
	}
	return Record{
		Binding:    [32]byte(raw[BindingOffset:lengthOffset]),
		Credential: bytes.Clone(raw[recordHeader : recordHeader+n]),
	}, nil
}
