package provision

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"errors"
	"fmt"
	"io"

	"imei-attest/agent"
	"imei-attest/attest"
)

// SoftwareVault is what [Software] needs of a vault in files.
type SoftwareVault interface {
	// Key is the device key.
	Key() *ecdsa.PublicKey
	// Credential is the one installed, or [agent.ErrNotProvisioned].
	Credential() ([]byte, error)
	// Install puts a Credential in.
	Install(raw []byte) error
}

// Software provisions a vault without secure storage: sign credential, write, read back, self-test. Of options it
// uses Now, Rand, OpenVault and Progress. Run again, it keeps the Credential of the same unit and refuses another.
func Software(ctx context.Context, vault SoftwareVault, oem *OEM, unit Unit, options Options) (*Result, error) {
	if err := errors.Join(unit.Check(), oem.checkTACs(unit), oem.checkKind(attest.StorageSoftware)); err != nil {
		return nil, err
	}
	if options.Rand == nil {
		options.Rand = rand.Reader
	}
	j := &job{oem: oem, unit: unit, Options: options}
	if err := j.planSoftware(vault); err != nil {
		return nil, err
	}
	raw, err := vault.Credential()
	switch {
	case err == nil:
		err = j.resumeSoftware(raw)
	case errors.Is(err, agent.ErrNotProvisioned):
		err = j.installSoftware(vault)
	}
	if err != nil {
		return nil, err
	}
	j.result.Persistent = true
	if err := j.selfTest(ctx); err != nil {
		return nil, err
	}
	return &j.result, nil
}

func (j *job) planSoftware(vault SoftwareVault) error {
	if err := j.progress(StepPlan, "%s in software: verifiers do not affirm it", slotsText(j.unit.Slots)); err != nil {
		return err
	}
	return j.progress(StepKey, "device key %s", attest.KeyIDOf(vault.Key()))
}

func (j *job) resumeSoftware(raw []byte) error {
	held, err := j.oem.checkHeld(raw, j.unit)
	if err != nil {
		return err
	}
	j.result.Credential, j.result.Resumed = held, true
	return j.progress(StepCredential, "kept: the one of an earlier run, serial %d", held.Serial)
}

func (j *job) installSoftware(vault SoftwareVault) error {
	c := j.oem.credential(j.unit, j.Now)
	c.Key = vault.Key()
	c.Storage = attest.Storage{Kind: attest.StorageSoftware, Boot: attest.BootUnmeasured}
	if _, err := io.ReadFull(j.Rand, c.Storage.RecordID[:]); err != nil {
		return err
	}
	raw, err := j.oem.signCredential(c)
	if err != nil {
		return err
	}
	if j.result.Credential, err = attest.DecodeCredential(raw); err != nil {
		return err
	}
	if err := j.progress(StepCredential, "%d bytes, storage kind %s", len(raw), c.Storage.Kind); err != nil {
		return err
	}
	if err := vault.Install(raw); err != nil {
		return fmt.Errorf("installing the credential: %w", err)
	}
	return j.progress(StepWrite, "%d bytes", len(raw))
}
