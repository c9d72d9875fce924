package tpmvault

import (
	"context"
	"fmt"

	"imei-attest/attest"
	"imei-attest/attest/tpmprofile"
)

// PrepareCounter creates a counter of a variant unless it exists, raises it for the first time, because before that neither
// its Name nor its value is what it will be, and tells its value. On a TPM that was used before, the value may be anything
// from 1 on: see [tpmprofile.Counter]. State foreign means that another index has the handle; nothing is changed then.
func (f *Factory) PrepareCounter(ctx context.Context, which tpmprofile.Counter, variant attest.NVVariant) (tpmprofile.IndexState, uint64, error) {
	t, c := withContext(ctx, f.tpm), counter{which, variant}
	state, err := c.state(t)
	if err != nil || state == tpmprofile.IndexForeign {
		return state, 0, err
	}
	if state == tpmprofile.IndexAbsent {
		if err := c.define(t); err != nil {
			return state, 0, err
		}
		state = tpmprofile.IndexDefined
	}
	if state == tpmprofile.IndexDefined {
		if err := c.raise(t); err != nil {
			return state, 0, err
		}
	}
	value, err := c.read(t)
	return tpmprofile.IndexWritten, value, err
}

// CounterValue reads a counter beside the record; found is false where the TPM has none. A counter that was never raised
// has the value 0.
func (f *Factory) CounterValue(ctx context.Context, which tpmprofile.Counter, variant attest.NVVariant) (value uint64, found bool, err error) {
	t, c := withContext(ctx, f.tpm), counter{which, variant}
	state, err := c.state(t)
	switch {
	case err != nil || state == tpmprofile.IndexAbsent:
		return 0, false, err
	case state == tpmprofile.IndexForeign:
		return 0, true, fmt.Errorf("NV index %#x holds another index than the %s counter", uint32(c.Index(variant)), which)
	case state == tpmprofile.IndexDefined:
		return 0, true, nil
	}
	value, err = c.read(t)
	return value, true, err
}
