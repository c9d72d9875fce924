package provision

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"imei-attest/agent"
	"imei-attest/attest"
	"imei-attest/attest/imei"
	"imei-attest/attest/tpmprofile"
)

// Provisioner is what [TPM] needs of a TPM. Each method is done wholly or not at all.
type Provisioner interface {
	// Engine says what the TPM is.
	Engine() tpmprofile.Engine
	// IsOpen reports whether the hierarchy of a variant can be used.
	IsOpen(ctx context.Context, variant attest.NVVariant) (bool, error)
	// ReadIndex tells how far the index has come, with the record once it is written.
	ReadIndex(ctx context.Context, p tpmprofile.Profile) (tpmprofile.IndexState, tpmprofile.Record, error)
	// ReadPCRs returns the digest of the registers' values now.
	ReadPCRs(ctx context.Context, selection tpmprofile.PCRSelection) ([32]byte, error)
	// CreateKey derives the device key; the same arguments give the same key.
	CreateKey(ctx context.Context, p tpmprofile.Profile, binding [32]byte) (*ecdsa.PublicKey, error)
	// PrepareCounter makes sure that a counter exists and has risen, and tells its value; foreign if another index is there.
	PrepareCounter(ctx context.Context, which tpmprofile.Counter, variant attest.NVVariant) (tpmprofile.IndexState, uint64, error)
	// Define creates the index.
	Define(ctx context.Context, p tpmprofile.Profile) error
	// Write writes the record with the NV key's signature.
	Write(ctx context.Context, p tpmprofile.Profile, record []byte, signature [tpmprofile.SignatureBytes]byte) error
	// Lock locks the record with the NV key's signature.
	Lock(ctx context.Context, p tpmprofile.Profile, signature [tpmprofile.SignatureBytes]byte) error
	// Persist makes the device key permanent.
	Persist(ctx context.Context, p tpmprofile.Profile, binding [32]byte) error
}

// ErrRefused means that the device is not fit for what was asked: it holds another IMEI, or something that is not
// this manufacturer's. Nothing was changed.
var ErrRefused = errors.New("the device was refused")

// ErrUnit means that what is said of a device cannot be signed.
var ErrUnit = errors.New("the unit")

// Unit is what the manufacturer says of one device.
type Unit struct {
	Slots  []imei.IMEI // 1..4, slot 1 first
	Model  string      // hwmodel, 1..32 bytes of printable UTF-8
	Serial uint64      // from 1; rising when a set of IMEIs is provisioned again
	Class  uint8       // client class 1..3 (2.1, 2.2, 2.3 of the discussion paper)
}

// Step is one of the steps of provisioning, in this order.
type Step string

// The steps.
const (
	StepPlan       Step = "plan"
	StepKey        Step = "create key"
	StepCredential Step = "sign credential"
	StepDefine     Step = "define"
	StepWrite      Step = "write"
	StepLock       Step = "lock"
	StepPersist    Step = "persist"
	StepApprove    Step = "approve boot"
	StepReadBack   Step = "read back"
	StepSelfTest   Step = "self-test"
)

// Progress takes note of a step that is done.
type Progress func(step Step, detail string) error

// Options are the choices of a production line.
type Options struct {
	// Now dates the Credential.
	Now time.Time
	// Rand is the source of record ids; nil means crypto/rand.
	Rand io.Reader
	// PCRs are the registers of the boot approval; the empty selection means that the boot is not measured, and the
	// Credential says so.
	PCRs tpmprofile.PCRSelection
	// Variant says who creates the NV index; 0 tries the platform, then the owner.
	Variant attest.NVVariant
	// Kind is the storage kind to vouch for, discrete or firmware; 0 asks the TPM's maker. An emulator's is always
	// tpm-emulated.
	Kind attest.StorageKind
	// RollbackProtected says that the storage cannot be set back to an older state. A discrete TPM with the platform's
	// counters always is, software and emulators never.
	RollbackProtected bool
	// Approvals are those that exist; one must fit the boot state of the unit. SaveApproval takes the new one that a laboratory,
	// and nobody else, signs when none fits.
	Approvals    []tpmprofile.BootApproval
	SaveApproval func(tpmprofile.BootApproval) error
	// OpenVault opens the finished vault for the self-test.
	OpenVault func(ctx context.Context, approvals []tpmprofile.BootApproval) (agent.Vault, error)
	// Progress is told each step after it is done, with a sentence for people; nil is allowed. Its error ends the run
	// before the next step.
	Progress Progress
}

// Result is what came out for one unit.
type Result struct {
	Credential *attest.SignedCredential
	Resumed    bool // the record was there already, from an earlier run
	WasLocked  bool // and it was locked; of Install and Lock
	Persistent bool // the device key has a permanent place
	Approval   tpmprofile.BootApproval
	// NewApproval: no approval fitted, and one was signed, for a laboratory.
	NewApproval bool
	// NothingMeasured: the registers of the approval hold their reset values although the Credential says that the boot
	// is measured. On a board that is not a bench, the firmware does not measure and the Credential claims too much.
	NothingMeasured bool
}

func (o Options) progress(step Step, format string, args ...any) error {
	if o.Progress == nil {
		return nil
	}
	return o.Progress(step, fmt.Sprintf(format, args...))
}

// Check is what every way into a Credential asks of a unit. Its errors are [ErrUnit].
func (u Unit) Check() error {
	for _, err := range []error{u.checkSlots(), u.checkModel(), u.checkSerial(), u.checkClass()} {
		if err != nil {
			return fmt.Errorf("%w: %w", ErrUnit, err)
		}
	}
	return nil
}

func (u Unit) checkSlots() error {
	if len(u.Slots) == 0 || len(u.Slots) > attest.MaxSlots {
		return fmt.Errorf("%d IMEIs: a device has 1 to %d", len(u.Slots), attest.MaxSlots)
	}
	for i, id := range u.Slots {
		if id.IsZero() {
			return fmt.Errorf("slot %d has no IMEI", i+1)
		}
		if slices.Contains(u.Slots[:i], id) {
			return fmt.Errorf("slot %d repeats the IMEI of another slot", i+1)
		}
	}
	return nil
}

// checkModel keeps from terminals and logs what would write over them.
func (u Unit) checkModel() error {
	const maxModel = 32 // hwmodel of a Credential
	if u.Model == "" || len(u.Model) > maxModel {
		return fmt.Errorf("the model has %d bytes, want 1 to %d", len(u.Model), maxModel)
	}
	if !utf8.ValidString(u.Model) || strings.ContainsFunc(u.Model, isUnprintable) {
		return errors.New("the model has characters that cannot be printed")
	}
	return nil
}

// isUnprintable spares the spaces of any script.
func isUnprintable(r rune) bool { return !unicode.IsGraphic(r) }

func (u Unit) checkSerial() error {
	if u.Serial == 0 {
		return errors.New("the serial is 0, and the first is 1")
	}
	return nil
}

func (u Unit) checkClass() error {
	if u.Class < 1 || u.Class > 3 {
		return fmt.Errorf("the client class is %d, want 1, 2 or 3", u.Class)
	}
	return nil
}

// slotsText shows the IMEIs without their serial numbers.
func slotsText(slots []imei.IMEI) string {
	texts := make([]string, len(slots))
	for i, id := range slots {
		texts[i] = id.String()
	}
	return strings.Join(texts, " and ")
}

// credential is what the manufacturer says, without key and storage.
func (o *OEM) credential(u Unit, now time.Time) attest.Credential {
	return attest.Credential{
		Issuer: o.Issuer, IssuedAt: now.UTC().Truncate(time.Second), Slots: u.Slots, OEMID: o.ID,
		HWModel: []byte(u.Model), Serial: u.Serial, ClientClass: u.Class,
	}
}

// checkHeld decides whether a Credential that a device holds is the one that this run would make.
func (o *OEM) checkHeld(raw []byte, u Unit) (*attest.SignedCredential, error) {
	held, err := attest.DecodeCredential(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: it holds a record that cannot be read: %w", ErrRefused, err)
	}
	if err := o.verifyCredential(held); err != nil {
		return nil, fmt.Errorf("%w: it holds a record that another credential key signed: %w", ErrRefused, err)
	}
	holds := Unit{Slots: held.Slots, Model: string(held.HWModel), Serial: held.Serial, Class: held.ClientClass}
	if !slices.Equal(holds.Slots, u.Slots) || holds.text() != u.text() {
		return nil, fmt.Errorf("%w: it holds the record of %s, asked for was %s, and a record cannot be changed; take another unit, or %s",
			ErrRefused, holds.text(), u.text(), retireFirst(raw))
	}
	return held, nil
}

// text is all that a Credential says of a unit, its IMEIs without their serial numbers.
func (u Unit) text() string {
	return fmt.Sprintf("IMEI %s, serial %d, model %q, class %d", slotsText(u.Slots), u.Serial, u.Model, u.Class)
}

// retireFirst is the remedy for a device that holds a Credential. Verifiers take an equal or lower serial with another key
// for a copy (duplicate-key).
func retireFirst(credential []byte) string {
	const remedy = "retire this one first (imei-provision retire)"
	held, err := attest.DecodeCredential(credential)
	if err != nil { // an index that was never written
		return remedy
	}
	return fmt.Sprintf("%s; then the next credential of IMEI %s needs serial %d or higher", remedy, slotsText(held.Slots), held.Serial+1)
}

// verifyCredential checks the signature under the credential keys, those of before a roll-over too.
func (o *OEM) verifyCredential(c *attest.SignedCredential) error {
	err := c.Verify(publicKey(o.Credential))
	for _, key := range o.endorsers {
		if err == nil {
			return nil
		}
		err = c.Verify(key)
	}
	return err
}
