package provision

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"slices"

	"imei-attest/agent"
	"imei-attest/attest"
	"imei-attest/attest/imei"
	"imei-attest/attest/tpmprofile"
)

// Inspector is what [Verify] needs of a TPM. It changes nothing in it.
type Inspector interface {
	// ReadIndex tells how far the index has come, with the record once it is written.
	ReadIndex(ctx context.Context, p tpmprofile.Profile) (tpmprofile.IndexState, tpmprofile.Record, error)
	// CreateKey derives the device key.
	CreateKey(ctx context.Context, p tpmprofile.Profile, binding [32]byte) (*ecdsa.PublicKey, error)
	// CounterValue reads a counter beside the record.
	CounterValue(ctx context.Context, c tpmprofile.Counter, variant attest.NVVariant) (value uint64, found bool, err error)
}

// Check is one thing that [Verify] looked at.
type Check struct {
	Name, Detail string
	OK           bool
}

// Inspection is what [Verify] found.
type Inspection struct {
	Credential *attest.SignedCredential
	Checks     []Check
	Signature  []byte // by the device key over [SelfTestContent]
}

// OK reports that all checks passed.
func (i *Inspection) OK() bool {
	for _, c := range i.Checks {
		if !c.OK {
			return false
		}
	}
	return true
}

func (i *Inspection) add(ok bool, name, format string, args ...any) {
	i.Checks = append(i.Checks, Check{name, fmt.Sprintf(format, args...), ok})
}

// Inspect says what [Verify] compares with.
type Inspect struct {
	Slots     []imei.IMEI // that the device must have; empty takes any
	Nonce     []byte      // of the self-test
	OpenVault func(ctx context.Context) (agent.Vault, error)
}

// Verify reads a provisioned device back with the manufacturer's public keys. What is wrong with the record stands in
// the Inspection; an error means that the device gave nothing to judge: [agent.ErrNotProvisioned], a closed boot
// state, no answer. Then the last check of the Inspection is the one that got no further.
func Verify(ctx context.Context, tpm Inspector, oem *OEM, want Inspect) (*Inspection, error) {
	i := new(Inspection)
	profile, record, err := lockedRecord(ctx, tpm, oem)
	if err != nil {
		return i.stopped("record", err)
	}
	i.add(true, "record", "NV index %#x is locked", uint32(profile.Index()))
	if i.Credential, err = attest.DecodeCredential(record.Credential); err != nil {
		i.add(false, "credential", "cannot be read: %v", err)
		return i, nil
	}
	i.checkCredential(oem, want, profile, record)
	profile.Boot = i.Credential.Storage.Boot
	if err := i.checkKey(ctx, tpm, profile, record.Binding); err != nil {
		return i.stopped("key", err)
	}
	i.readCounters(ctx, tpm, profile.Variant)
	if err := i.selfTest(ctx, want); err != nil {
		return i.stopped("self-test", err)
	}
	return i, nil
}

// stopped is an Inspection that an error ended at a check.
func (i *Inspection) stopped(check string, err error) (*Inspection, error) {
	i.add(false, check, "%v", err)
	return i, fmt.Errorf("%s: %w", check, err)
}

// lockedRecord is the record of the platform's index or the owner's.
func lockedRecord(ctx context.Context, tpm Inspector, oem *OEM) (tpmprofile.Profile, tpmprofile.Record, error) {
	for _, variant := range []attest.NVVariant{attest.NVPlatform, attest.NVOwner} {
		p := oem.Profile(variant, attest.BootMeasured)
		state, record, err := tpm.ReadIndex(ctx, p)
		switch {
		case err != nil:
			return p, record, err
		case state == tpmprofile.IndexForeign:
			return p, record, fmt.Errorf("%w: NV index %#x is not one that this manufacturer's keys define", ErrRefused, uint32(p.Index()))
		case state == tpmprofile.IndexLocked:
			return p, record, nil
		case state != tpmprofile.IndexAbsent:
			return p, record, fmt.Errorf("%w: NV index %#x is only %s; run install and lock", agent.ErrNotProvisioned, uint32(p.Index()), state)
		}
	}
	return tpmprofile.Profile{}, tpmprofile.Record{}, agent.ErrNotProvisioned
}

func (i *Inspection) checkCredential(oem *OEM, want Inspect, p tpmprofile.Profile, record tpmprofile.Record) {
	c := i.Credential
	err := oem.verifyCredential(c)
	signed := "signed"
	if err != nil {
		signed = "not signed"
	}
	i.add(err == nil, "credential", "%s by a credential key of %s: %s, serial %d%s", signed, oem.Issuer, slotsText(c.Slots), c.Serial, because(err))
	i.add(c.Issuer == oem.Issuer && c.OEMID == oem.ID, "manufacturer", "%s, %s", c.Issuer, c.OEMID)
	err = oem.checkTACs(Unit{Slots: c.Slots})
	i.add(err == nil, "tac", "%s%s", slotsText(c.Slots), because(err))
	err = oem.checkKind(c.Storage.Kind)
	i.add(err == nil, "storage", "%s%s", c.Storage.Kind, because(err))
	if len(want.Slots) > 0 {
		i.add(slices.Equal(c.Slots, want.Slots), "imei", "%s, expected %s", slotsText(c.Slots), slotsText(want.Slots))
	}
	binding, err := attest.BindingHash(c.OEMID, c.Slots, c.Storage.RecordID)
	i.add(err == nil && binding == record.Binding, "binding hash", "%x%s", record.Binding, because(err))
	i.add(c.Storage.NV == p.Variant, "variant", "in the index of the %s, the credential says %s", p.Variant, c.Storage.NV)
}

func (i *Inspection) checkKey(ctx context.Context, tpm Inspector, p tpmprofile.Profile, binding [32]byte) error {
	key, err := tpm.CreateKey(ctx, p, binding)
	if err != nil {
		return err
	}
	name, err := p.KeyName(key, binding)
	if err != nil {
		return err
	}
	ok := key.Equal(i.Credential.Key) && bytes.Equal(name, i.Credential.Storage.KeyName)
	i.add(ok, "key", "Name %x, the credential says %x", name, i.Credential.Storage.KeyName)
	return nil
}

func (i *Inspection) readCounters(ctx context.Context, tpm Inspector, variant attest.NVVariant) {
	for _, c := range []tpmprofile.Counter{tpmprofile.CounterEpoch, tpmprofile.CounterAttestation} {
		value, found, err := tpm.CounterValue(ctx, c, variant)
		switch name := c.String() + " counter"; {
		case err != nil:
			i.add(false, name, "%v", err)
		case !found:
			i.add(true, name, "none")
		default:
			i.add(true, name, "%d", value)
		}
	}
}

// selfTest has the device key sign the nonce.
func (i *Inspection) selfTest(ctx context.Context, want Inspect) error {
	vault, err := want.OpenVault(ctx)
	if errors.Is(err, agent.ErrKeyMismatch) {
		i.add(false, "self-test", "%v", err)
		return nil
	}
	if err != nil {
		return err
	}
	content := SelfTestContent(want.Nonce)
	i.Signature, err = vault.Signer(ctx).Sign(nil, content)
	if err := errors.Join(err, vault.Close()); err != nil {
		return err
	}
	err = verifySelfTest(i.Credential.Key, content, i.Signature)
	i.add(err == nil, "self-test", "nonce %x signed%s", want.Nonce, because(err))
	return nil
}

func because(err error) string {
	if err == nil {
		return ""
	}
	return ": " + err.Error()
}
