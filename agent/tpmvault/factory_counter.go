package tpmvault

import (
	"context"

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
