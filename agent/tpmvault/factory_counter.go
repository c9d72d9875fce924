package tpmvault

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"

	"github.com/google/go-tpm/tpm2"

	"imei-attest/attest"
	"imei-attest/attest/tpmprofile"
)

// CounterValue reads a counter beside the record; found is false where the TPM has none, and where another kind of
// index holds the handle there is an error. A counter that was never raised has the value 0.
func (f *Factory) CounterValue(ctx context.Context, c tpmprofile.Counter, variant attest.NVVariant) (value uint64, found bool, err error) {
	t := withContext(ctx, f.tpm)
	public, name, err := readIndexPublic(t, c.Index(variant))
	if err != nil || public == nil {
		return 0, false, err
	}
	want, err := c.Name(variant, public.Attributes.Written)
	if err != nil {
		return 0, true, err
	}
	if !bytes.Equal(name, want) {
		return 0, true, fmt.Errorf("NV index %#x is not the %s counter: its Name is %x, want %x", uint32(c.Index(variant)), c, name, want)
	}
	if !public.Attributes.Written {
		return 0, true, nil
	}
	raw, err := readNV(t, tpm2.NamedHandle{Handle: c.Index(variant), Name: tpm2.TPM2BName{Buffer: name}}, public.DataSize)
	if err != nil {
		return 0, true, err
	}
	if len(raw) != 8 {
		return 0, true, fmt.Errorf("the TPM gave a counter of %d bytes, want 8 (Part 2 section 13.2)", len(raw))
	}
	return binary.BigEndian.Uint64(raw), true, nil
}
