package provision

import (
	"context"
	"errors"
	"fmt"

	"imei-attest/agent"
	"imei-attest/attest"
	"imei-attest/attest/tpmprofile"
)

// job is one run of [TPM].
type job struct {
	oem  *OEM
	tpm  Provisioner
	unit Unit
	Options

	bootKind attest.BootKind
	profile  tpmprofile.Profile
	state    tpmprofile.IndexState
	record   tpmprofile.Record // once made or found
	epoch    uint64            // of the epoch counter
	packed   *Package          // the manufacturer's signatures for record; nil when a record was found
	result   Result
}

// TPM provisions one unit: plan, create key, sign credential, counters, define, write, lock, persist, approve boot, read back,
// self-test. After an interruption, run it again with the same unit: a record that is written is kept with the
// Credential in it. [ErrRefused] means that the TPM holds something else, or is in a boot state that nobody has approved;
// it was not changed.
func TPM(ctx context.Context, tpm Provisioner, oem *OEM, unit Unit, options Options) (*Result, error) {
	if err := errors.Join(unit.Check(), oem.checkTACs(unit)); err != nil {
		return nil, err
	}
	j := newJob(tpm, oem, unit, options)
	steps := []func(context.Context) error{j.plan, j.requireFit, j.requireApproval, j.prepare, j.counters, j.define, j.write, j.lock, j.persist, j.approve, j.readBack, j.selfTest}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return &j.result, nil
}

// plan looks at the TPM and settles the variant.
func (j *job) plan(ctx context.Context) error {
	wanted := []attest.NVVariant{attest.NVPlatform, attest.NVOwner}
	if j.Variant != 0 {
		wanted = []attest.NVVariant{j.Variant}
	}
	for _, variant := range wanted {
		p := j.oem.Profile(variant, j.bootKind)
		if err := p.Check(); err != nil {
			return err
		}
		state, record, err := j.tpm.ReadIndex(ctx, p)
		if err != nil {
			return err
		}
		switch state {
		case tpmprofile.IndexForeign:
			return fmt.Errorf("%w: NV index %#x is not one that this manufacturer's keys define; "+
				"use the keys it was made with; a record of another manufacturer (index %#x) is deleted by that manufacturer's imei-provision retire",
				ErrRefused, uint32(p.Index()), uint32(p.Index()))
		case tpmprofile.IndexAbsent:
			continue
		}
		j.profile, j.state, j.record = p, state, record
		if err := j.progress(StepPlan, "%s; NV index %#x is %s", slotsText(j.unit.Slots), uint32(p.Index()), state); err != nil {
			return err
		}
		return j.requireNoOtherRecord(ctx)
	}
	if err := j.chooseVariant(ctx, wanted); err != nil {
		return err
	}
	return j.requireNoOtherRecord(ctx)
}

// requireNoOtherRecord refuses a record in the index of the other variant: the TPM would have two keys, and two IMEIs.
func (j *job) requireNoOtherRecord(ctx context.Context) error {
	other := j.oem.Profile(attest.NVPlatform+attest.NVOwner-j.profile.Variant, j.bootKind)
	state, record, err := j.tpm.ReadIndex(ctx, other)
	if err == nil && state != tpmprofile.IndexAbsent {
		err = fmt.Errorf("%w: NV index %#x is %s, and a device has one record; %s",
			ErrRefused, uint32(other.Index()), state, retireFirst(record.Credential))
	}
	return err
}

// chooseVariant takes the first variant whose hierarchy is open.
func (j *job) chooseVariant(ctx context.Context, wanted []attest.NVVariant) error {
	for _, variant := range wanted {
		open, err := j.tpm.IsOpen(ctx, variant)
		if err != nil {
			return err
		}
		if open {
			j.profile, j.state = j.oem.Profile(variant, j.bootKind), tpmprofile.IndexAbsent
			return j.progress(StepPlan, "%s; NV index %#x is to be made", slotsText(j.unit.Slots), uint32(j.profile.Index()))
		}
	}
	return fmt.Errorf("%w: the hierarchies that could create the NV index are closed (an authorisation value was set); "+
		"provision before the firmware closes the platform hierarchy, or clear the TPM in the firmware to open the owner's", ErrRefused)
}

// prepare makes key and Credential, or checks those of the record that is there.
func (j *job) prepare(ctx context.Context) error {
	if j.state >= tpmprofile.IndexWritten {
		return j.resume(ctx)
	}
	r, err := j.request(ctx)
	if err != nil {
		return err
	}
	p, err := j.oem.Sign(r, j.Now)
	if err != nil {
		return err
	}
	j.packed, j.record.Credential = &p, p.Credential
	if j.result.Credential, err = attest.DecodeCredential(p.Credential); err != nil {
		return err
	}
	return j.progress(StepCredential, "%d bytes, storage kind %s", len(p.Credential), r.Storage.Kind)
}

// storage is what the manufacturer vouches for. An emulator is one whatever was asked for.
func (j *job) storage() attest.Storage {
	engine := j.tpm.Engine()
	kind := engine.Kind()
	if j.Kind != 0 && !engine.IsEmulator() {
		kind = j.Kind
	}
	return attest.Storage{
		Kind: kind, Boot: j.profile.Boot, NV: j.profile.Variant, EKNameHash: engine.EKNameHash[:],
		RollbackProtected: j.isRollbackProtected(kind),
	}
}

// resume checks that the record in the TPM is this unit's and that the key it endorses is this TPM's.
func (j *job) resume(ctx context.Context) error {
	held, err := j.oem.checkHeld(j.record.Credential, j.unit)
	if err != nil {
		return err
	}
	if held.Storage.Boot != j.profile.Boot {
		return fmt.Errorf("%w: its record says that the boot is %s, this run asks for %s; "+
			"run again with the PCRs of the first run", ErrRefused, held.Storage.Boot, j.profile.Boot)
	}
	key, err := j.tpm.CreateKey(ctx, j.profile, j.record.Binding)
	if err != nil {
		return err
	}
	if !key.Equal(held.Key) {
		return fmt.Errorf("%w: its record endorses the key of another TPM: %w", ErrRefused, agent.ErrKeyMismatch)
	}
	j.result.Credential, j.result.Resumed = held, true
	return j.progress(StepCredential, "kept: the record of an earlier run, serial %d", held.Serial)
}

func (j *job) define(ctx context.Context) error {
	if j.state != tpmprofile.IndexAbsent {
		return nil
	}
	if err := j.tpm.Define(ctx, j.profile); err != nil {
		return err
	}
	j.state = tpmprofile.IndexDefined
	return j.progress(StepDefine, "NV index %#x", uint32(j.profile.Index()))
}

func (j *job) write(ctx context.Context) error {
	if j.state != tpmprofile.IndexDefined {
		return nil
	}
	raw, err := j.record.Encode()
	if err != nil {
		return err
	}
	if err := j.tpm.Write(ctx, j.profile, raw, j.packed.Write); err != nil {
		return err
	}
	j.state = tpmprofile.IndexWritten
	return j.progress(StepWrite, "%d bytes", len(raw))
}

func (j *job) lock(ctx context.Context) error {
	if j.state != tpmprofile.IndexWritten {
		return nil
	}
	signature, err := j.lockAuthorization()
	if err != nil {
		return err
	}
	if err := j.tpm.Lock(ctx, j.profile, signature); err != nil {
		return err
	}
	j.state = tpmprofile.IndexLocked
	return j.progress(StepLock, "the record is final")
}

// lockAuthorization is the package's, or a new one for a record that an earlier run wrote.
func (j *job) lockAuthorization() ([tpmprofile.SignatureBytes]byte, error) {
	if j.packed != nil {
		return j.packed.Lock, nil
	}
	return j.oem.signLock(j.profile)
}
