package attacktest

import (
	"encoding/binary"
	"fmt"

	"github.com/google/go-tpm/tpm2"

	"imei-attest/attest/tpmprofile"
)

// counterAttacks are those on the two NV counters.
var counterAttacks = []Attack{
	{
		ID: "A116", Name: "raise_epoch_password", setup: provisioned, run: raiseEpochWithIndexPassword,
		Action: "raises the epoch counter with its empty password",
		Want:   "TPM2_NV_Increment: TPM_RC_AUTH_UNAVAILABLE",
	},
	{
		ID: "A117", Name: "raise_epoch_owner", setup: provisioned, run: raiseEpochByOwner,
		Action: "raises the epoch counter as owner",
		Want:   "TPM2_NV_Increment: TPM_RC_NV_AUTHORIZATION",
	},
	{
		ID: "A118", Name: "delete_epoch_owner", setup: provisioned, run: deleteEpochByOwner,
		Action: "deletes the epoch counter as owner",
		Want:   "TPM2_NV_UndefineSpace: TPM_RC_NV_AUTHORIZATION",
	},
	{
		ID: "A119", Name: "redefine_epoch", setup: provisioned, run: redefineCounter(tpmprofile.CounterEpoch),
		Action: "deletes the epoch counter as platform and makes it again: it begins no lower",
		Want:   succeeds,
	},
	{
		ID: "A120", Name: "redefine_attestation", setup: provisioned, run: redefineCounter(tpmprofile.CounterAttestation),
		Action: "does so with the attestation counter: it begins no lower",
		Want:   succeeds,
	},
	{
		ID: "A121", Name: "raise_attestation", setup: provisioned, run: anybodyRaisesAttestationCounter,
		Action: "raises the attestation counter: anybody may",
		Want:   succeeds,
	},
	{
		ID: "A122", Name: "write_attestation", setup: provisioned, run: writeAttestationCounter,
		Action: "writes 0 into the attestation counter",
		Want:   "TPM2_NV_Write: TPM_RC_ATTRIBUTES",
	},
	{
		ID: "A123", Name: "clear_attestation", setup: provisioned, run: clearKeepsAttestationCounter,
		Action: "runs TPM2_Clear to lower the platform's attestation counter: it stays",
		Want:   succeeds,
	},
	{
		ID: "A124", Name: "restart_attestation", setup: provisioned, run: restartKeepsAttestationCounter,
		Action: "restarts the device to lower the attestation counter: it stays",
		Want:   succeeds,
	},
}

// defineCounter has the platform define a counter and raise it once, unless it is there already.
func (d *device) defineCounter(c tpmprofile.Counter) {
	d.t.Helper()
	if _, err := (tpm2.NVReadPublic{NVIndex: c.Index(d.variant)}).Execute(d.tpm); err != nil {
		_, err := tpm2.NVDefineSpace{AuthHandle: tpm2.TPMRHPlatform, PublicInfo: tpm2.New2B(*c.Public(d.variant, false))}.Execute(d.tpm)
		d.must(err)
	}
	d.must(d.raiseHonestly(c))
	name, err := c.Name(d.variant, true)
	d.must(err)
	if got := d.named(c.Index(d.variant)).Name.Buffer; string(got) != string(name) {
		d.t.Fatalf("the %s counter has the Name %x, computed %x", c, got, name)
	}
}

func (d *device) raiseHonestly(c tpmprofile.Counter) error {
	if c == tpmprofile.CounterAttestation {
		return d.raise(c, c.Index(d.variant))
	}
	return d.raise(c, tpm2.TPMRHPlatform)
}

// raise increments a counter with an empty password of the index or a hierarchy.
func (d *device) raise(c tpmprofile.Counter, by tpm2.TPMHandle) error {
	index := d.named(c.Index(d.variant))
	auth := hierarchy(by)
	if by == index.Handle {
		auth = index
	}
	_, err := tpm2.NVIncrement{AuthHandle: passwordOf(auth), NVIndex: index}.Execute(d.tpm)
	return err
}

func (d *device) counter(c tpmprofile.Counter) uint64 {
	d.t.Helper()
	index := d.named(c.Index(d.variant))
	value, err := tpm2.NVRead{AuthHandle: index, NVIndex: index, Size: 8}.Execute(d.tpm)
	d.must(err)
	return binary.BigEndian.Uint64(value.Data.Buffer)
}

func raiseEpochWithIndexPassword(d *device) error {
	d.defineCounter(tpmprofile.CounterEpoch)
	return d.raise(tpmprofile.CounterEpoch, tpmprofile.CounterEpoch.Index(d.variant))
}

func raiseEpochByOwner(d *device) error {
	d.defineCounter(tpmprofile.CounterEpoch)
	return d.raise(tpmprofile.CounterEpoch, tpm2.TPMRHOwner)
}

func deleteEpochByOwner(d *device) error {
	d.defineCounter(tpmprofile.CounterEpoch)
	_, err := tpm2.NVUndefineSpace{AuthHandle: tpm2.TPMRHOwner, NVIndex: d.named(tpmprofile.CounterEpoch.Index(d.variant))}.Execute(d.tpm)
	return err
}

// redefineCounter deletes a counter and makes it again: it must begin no lower.
func redefineCounter(c tpmprofile.Counter) func(*device) error {
	return func(d *device) error {
		d.defineCounter(c)
		for range 5 {
			d.must(d.raiseHonestly(c))
		}
		before := d.counter(c)
		_, err := tpm2.NVUndefineSpace{AuthHandle: tpm2.TPMRHPlatform, NVIndex: d.named(c.Index(d.variant))}.Execute(d.tpm)
		d.must(err)
		d.defineCounter(c)
		if after := d.counter(c); after <= before {
			return fmt.Errorf("fell from %d to %d", before, after)
		}
		return nil
	}
}

func anybodyRaisesAttestationCounter(d *device) error {
	d.defineCounter(tpmprofile.CounterAttestation)
	before := d.counter(tpmprofile.CounterAttestation)
	if err := d.raise(tpmprofile.CounterAttestation, tpmprofile.CounterAttestation.Index(d.variant)); err != nil {
		return err
	}
	if after := d.counter(tpmprofile.CounterAttestation); after != before+1 {
		return fmt.Errorf("went from %d to %d", before, after)
	}
	return nil
}

func writeAttestationCounter(d *device) error {
	d.defineCounter(tpmprofile.CounterAttestation)
	index := d.named(tpmprofile.CounterAttestation.Index(d.variant))
	_, err := tpm2.NVWrite{AuthHandle: index, NVIndex: index, Data: tpm2.TPM2BMaxNVBuffer{Buffer: make([]byte, 8)}}.Execute(d.tpm)
	return err
}

func clearKeepsAttestationCounter(d *device) error {
	d.defineCounter(tpmprofile.CounterAttestation)
	before := d.counter(tpmprofile.CounterAttestation)
	d.must(clearTPM(d))
	if after := d.counter(tpmprofile.CounterAttestation); after < before {
		return fmt.Errorf("fell from %d to %d", before, after)
	}
	return nil
}

func restartKeepsAttestationCounter(d *device) error {
	d.defineCounter(tpmprofile.CounterAttestation)
	before := d.counter(tpmprofile.CounterAttestation)
	d.must(d.engine.Restart())
	d.must(d.raiseHonestly(tpmprofile.CounterAttestation)) // an orderly counter may be unreadable before
	if after := d.counter(tpmprofile.CounterAttestation); after <= before {
		return fmt.Errorf("fell from %d to %d", before, after)
	}
	return nil
}
