package provision

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"

	"imei-attest/attest"
	"imei-attest/attest/tpmprofile"
)

// NewRequest has the TPM derive a device key and says what the manufacturer has to sign. It leaves nothing in the
// TPM; of the manufacturer it needs the public keys. Each call draws a new record id, so keep the request that is answered.
func NewRequest(ctx context.Context, tpm Provisioner, oem *OEM, unit Unit, options Options) (Request, error) {
	if err := errors.Join(unit.Check(), oem.checkTACs(unit)); err != nil {
		return Request{}, err
	}
	j := newJob(tpm, oem, unit, options)
	for _, step := range []func(context.Context) error{j.plan, j.requireFit} {
		if err := step(ctx); err != nil {
			return Request{}, err
		}
	}
	if j.state >= tpmprofile.IndexWritten {
		return Request{}, fmt.Errorf("%w: NV index %#x is %s already; lock and verify it, or %s", ErrRefused, uint32(j.profile.Index()), j.state, retireFirst(j.record.Credential))
	}
	return j.request(ctx)
}

// Install makes the counters, defines the index and writes the record of a package. Run again after an interruption, it goes on. Everything
// is checked before the TPM is changed: [ErrRefused] means that the package is for another device, or the device holds something else.
func Install(ctx context.Context, tpm Provisioner, oem *OEM, p Package, options Options) (*Result, error) {
	j, err := packageJob(ctx, tpm, oem, p, options)
	if err != nil {
		return nil, err
	}
	for _, step := range []func(context.Context) error{j.counters, j.define, j.write} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return &j.result, nil
}

// Lock closes the record that [Install] wrote, reads it back and makes the device key permanent. From here on the key works.
func Lock(ctx context.Context, tpm Provisioner, oem *OEM, p Package, options Options) (*Result, error) {
	j, err := packageJob(ctx, tpm, oem, p, options)
	if err != nil {
		return nil, err
	}
	if j.state < tpmprofile.IndexWritten {
		return nil, fmt.Errorf("%w: NV index %#x is %s; install the package first", ErrRefused, uint32(j.profile.Index()), j.state)
	}
	for _, step := range []func(context.Context) error{j.lock, j.persist, j.readBack} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return &j.result, nil
}

// packageJob checks a package against manufacturer and device, and finds out how far the device has come.
func packageJob(ctx context.Context, tpm Provisioner, oem *OEM, p Package, options Options) (*job, error) {
	c, err := oem.checkPackage(p)
	if err != nil {
		return nil, err
	}
	options.Variant = c.Storage.NV
	j := newJob(tpm, oem, Unit{Slots: c.Slots}, options)
	j.bootKind = c.Storage.Boot
	if err := j.plan(ctx); err != nil {
		return nil, err
	}
	binding, err := attest.BindingHash(c.OEMID, c.Slots, c.Storage.RecordID)
	if err != nil {
		return nil, err
	}
	if j.state >= tpmprofile.IndexWritten && !bytes.Equal(j.record.Credential, p.Credential) {
		return nil, fmt.Errorf("%w: it holds another record than the package's, and a record cannot be changed; %s", ErrRefused, retireFirst(j.record.Credential))
	}
	key, err := tpm.CreateKey(ctx, j.profile, binding)
	if err != nil {
		return nil, err
	}
	if !key.Equal(c.Key) {
		return nil, fmt.Errorf("%w: the package belongs to another TPM; install it on the device whose request it answers", ErrRefused)
	}
	j.result.Resumed, j.result.WasLocked = j.state >= tpmprofile.IndexWritten, j.state == tpmprofile.IndexLocked
	j.record, j.packed, j.result.Credential = tpmprofile.Record{Binding: binding, Credential: p.Credential}, &p, c
	return j, nil
}

// checkPackage checks all signatures under the anchor's keys.
func (o *OEM) checkPackage(p Package) (*attest.SignedCredential, error) {
	c, err := attest.DecodeCredential(p.Credential)
	if err != nil {
		return nil, fmt.Errorf("%w: the package's credential: %w", ErrRefused, err)
	}
	if err := o.verifyCredential(c); err != nil {
		return nil, fmt.Errorf("%w: the package's credential is not of this manufacturer: %w", ErrRefused, err)
	}
	binding, err := attest.BindingHash(c.OEMID, c.Slots, c.Storage.RecordID)
	if err != nil {
		return nil, err
	}
	profile := o.Profile(c.Storage.NV, c.Storage.Boot)
	raw, err := tpmprofile.Record{Binding: binding, Credential: p.Credential}.Encode()
	if err != nil {
		return nil, err
	}
	write, err := profile.WriteContent(raw)
	if err != nil {
		return nil, err
	}
	lock, err := profile.LockContent()
	if err != nil {
		return nil, err
	}
	if err := errors.Join(profile.CheckAuthorization(write, p.Write), profile.CheckAuthorization(lock, p.Lock)); err != nil {
		return nil, fmt.Errorf("%w: the package does not allow what it is for: %w", ErrRefused, err)
	}
	return c, nil
}

// request derives the device key and says everything that is to be signed.
func (j *job) request(ctx context.Context) (r Request, err error) {
	r = Request{Unit: j.unit, Storage: j.storage(), Engine: j.tpm.Engine()}
	if _, err = io.ReadFull(j.Rand, r.Storage.RecordID[:]); err != nil {
		return r, err
	}
	binding, err := attest.BindingHash(j.oem.ID, j.unit.Slots, r.Storage.RecordID)
	if err != nil {
		return r, err
	}
	if r.Key, err = j.tpm.CreateKey(ctx, j.profile, binding); err != nil {
		return r, err
	}
	if r.Storage.KeyName, err = j.profile.KeyName(r.Key, binding); err != nil {
		return r, err
	}
	j.record.Binding = binding
	return r, j.progress(StepKey, "device key %s", attest.KeyIDOf(r.Key))
}

func newJob(tpm Provisioner, oem *OEM, unit Unit, options Options) *job {
	if options.Rand == nil {
		options.Rand = rand.Reader
	}
	j := &job{oem: oem, tpm: tpm, unit: unit, Options: options, bootKind: attest.BootMeasured}
	if options.PCRs.IsEmpty() {
		j.bootKind = attest.BootUnmeasured
	}
	return j
}
