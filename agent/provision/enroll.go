package provision

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"time"

	"imei-attest/agent"
	"imei-attest/attest"
	"imei-attest/attest/tpmprofile"
)

// A device in the field is enrolled in a dialogue of files, over any way: what it says is not believed, but its endorsement
// key proves which TPM holds the device key. Begin and answer are the device's, challenge and issue the manufacturer's; then [Install] and [Lock].

// Enroller is what the device's part needs of a TPM beside a [Provisioner].
type Enroller interface {
	Provisioner
	// KeyPublic is the public area of the device key.
	KeyPublic(ctx context.Context, p tpmprofile.Profile, binding [32]byte) ([]byte, error)
	// Activate opens a challenge (TPM2_ActivateCredential); [agent.ErrKeyMismatch] means that it is for another TPM or key.
	Activate(ctx context.Context, p tpmprofile.Profile, binding [32]byte, ekPublic, idObject, encryptedSecret []byte) ([]byte, error)
}

const (
	challengeKind, pendingKind, answerKind = "imei-attest-challenge", "imei-attest-pending", "imei-attest-answer"
	secretBytes                            = 32 // the longest that fits the Name algorithm SHA-256 (Part 1 section 24.3)
)

// Challenge is for the device.
type Challenge struct {
	fileHead
	Request         []byte `cbor:"3,keyasint"` // SHA-256 of the request
	IDObject        []byte `cbor:"4,keyasint"` // TPM2B_ID_OBJECT and TPM2B_ENCRYPTED_SECRET, without their sizes
	EncryptedSecret []byte `cbor:"5,keyasint"`
}

// Pending is what the manufacturer keeps until the answer. Who could write it could have any request signed.
type Pending struct {
	fileHead
	Request []byte `cbor:"3,keyasint"`
	Secret  []byte `cbor:"4,keyasint"` // its SHA-256
	EKName  []byte `cbor:"5,keyasint"`
}

// Answer is the device's.
type Answer struct {
	fileHead
	Request []byte `cbor:"3,keyasint"`
	Secret  []byte `cbor:"4,keyasint"`
}

// Encode gives the challenge's file.
func (c Challenge) Encode() ([]byte, error) { return fileEncoding.Marshal(c) }

// Encode gives the file of what is pending.
func (p Pending) Encode() ([]byte, error) { return fileEncoding.Marshal(p) }

// Encode gives the answer's file.
func (a Answer) Encode() ([]byte, error) { return fileEncoding.Marshal(a) }

// DecodeChallenge reads a challenge's file.
func DecodeChallenge(raw []byte) (Challenge, error) { return decodeFile[Challenge](challengeKind, raw) }

// DecodePending reads the file of what is pending.
func DecodePending(raw []byte) (Pending, error) { return decodeFile[Pending](pendingKind, raw) }

// DecodeAnswer reads an answer's file.
func DecodeAnswer(raw []byte) (Answer, error) { return decodeFile[Answer](answerKind, raw) }

// BeginEnrolment is [NewRequest] for the owner's index, with what the TPM shows of itself: public area and
// certificate of an endorsement key.
func BeginEnrolment(ctx context.Context, tpm Enroller, oem *OEM, unit Unit, options Options, ekPublic, ekCertificate []byte) (Request, error) {
	options.Variant = attest.NVOwner
	r, err := NewRequest(ctx, tpm, oem, unit, options)
	if err != nil {
		return r, err
	}
	name, _, err := tpmprofile.CheckEndorsementKey(ekPublic)
	if err != nil {
		return r, err
	}
	hash := sha256.Sum256(name)
	r.Storage.EKNameHash = hash[:]
	r.Identity = &TPMIdentity{EKPublic: ekPublic, EKCertificate: ekCertificate}
	p, binding, err := oem.check(r)
	if err != nil {
		return r, err
	}
	r.Identity.KeyPublic, err = tpm.KeyPublic(ctx, p, binding)
	return r, err
}

// Challenge checks a request against what the manufacturer knows: what its records say of this unit, for all of that is
// signed; which endorsement keys are its devices', what was enrolled before. The TPM's maker and firmware in it stay
// unproven.
func (o *OEM) Challenge(r Request, recorded Unit, trust EKTrust, register *Register, now time.Time) (c Challenge, pending Pending, err error) {
	if r.Identity == nil || r.Storage.NV != attest.NVOwner {
		return c, pending, fmt.Errorf("%w: the request is not one of enroll begin", ErrRefused)
	}
	if !slices.Equal(r.Unit.Slots, recorded.Slots) {
		return c, pending, fmt.Errorf("%w: the request is for IMEI %s, the records say %s", ErrRefused, slotsText(r.Unit.Slots), slotsText(recorded.Slots))
	}
	if r.Unit.Model != recorded.Model || r.Unit.Serial != recorded.Serial || r.Unit.Class != recorded.Class {
		return c, pending, fmt.Errorf("%w: the request is for model %q, serial %d, class %d, the records say %q, %d, %d (--model, --serial, --class)", ErrRefused,
			r.Unit.Model, r.Unit.Serial, r.Unit.Class, recorded.Model, recorded.Serial, recorded.Class)
	}
	profile, binding, err := o.check(r)
	if err != nil {
		return c, pending, err
	}
	key, err := profile.CheckDeviceKey(r.Identity.KeyPublic, binding)
	if err != nil {
		return c, pending, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if !key.Equal(r.Key) {
		return c, pending, fmt.Errorf("%w: the request names two device keys", ErrRefused)
	}
	if err := trust.check(r.Identity, now); err != nil {
		return c, pending, err
	}
	e, err := r.enrolment()
	if err != nil {
		return c, pending, err
	}
	if hash := sha256.Sum256(e.EKName); !bytes.Equal(hash[:], r.Storage.EKNameHash) {
		return c, pending, fmt.Errorf("%w: the request names two endorsement keys", ErrRefused)
	}
	if err := register.Check(e); err != nil {
		return c, pending, err
	}
	return challenge(r, e.EKName)
}

// enrolment is what a register remembers of a request of enroll begin.
func (r Request) enrolment() (e Enrolment, err error) {
	if r.Identity == nil {
		return e, fmt.Errorf("%w: the request is not one of enroll begin", ErrRefused)
	}
	name, key, err := tpmprofile.CheckEndorsementKey(r.Identity.EKPublic)
	if err != nil {
		return e, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return Enrolment{Slots: r.Unit.Slots, EKName: name, EKKind: kindOf(key), Serial: r.Unit.Serial, Key: r.Key}, nil
}

func challenge(r Request, ekName []byte) (c Challenge, pending Pending, err error) {
	digest, err := r.digest()
	if err != nil {
		return c, pending, err
	}
	secret := make([]byte, secretBytes)
	_, _ = rand.Read(secret) // never fails (crypto/rand)
	hash := sha256.Sum256(secret)
	c = Challenge{fileHead: fileHead{challengeKind, fileFormat}, Request: digest[:]}
	pending = Pending{fileHead: fileHead{pendingKind, fileFormat}, Request: digest[:], Secret: hash[:], EKName: ekName}
	c.IDObject, c.EncryptedSecret, err = tpmprofile.MakeChallenge(rand.Reader, r.Identity.EKPublic, r.Storage.KeyName, secret)
	return c, pending, err
}

// AnswerChallenge has the TPM open the challenge.
func AnswerChallenge(ctx context.Context, tpm Enroller, oem *OEM, r Request, c Challenge) (a Answer, err error) {
	digest, err := r.digest()
	if err != nil {
		return a, err
	}
	if r.Identity == nil || !bytes.Equal(digest[:], c.Request) {
		return a, fmt.Errorf("%w: the challenge is for another request", ErrRefused)
	}
	p, binding, err := oem.check(r)
	if err != nil {
		return a, err
	}
	a = Answer{fileHead: fileHead{answerKind, fileFormat}, Request: digest[:]}
	a.Secret, err = tpm.Activate(ctx, p, binding, r.Identity.EKPublic, c.IDObject, c.EncryptedSecret)
	if errors.Is(err, agent.ErrKeyMismatch) {
		err = fmt.Errorf("%w: request and challenge belong to another TPM, or the challenge was changed on the way; "+
			"run enroll answer on the device that enroll begin ran on, with its own files", ErrRefused)
	}
	return a, err
}

// Issue signs the request whose challenge was answered, and registers the device. The manufacturer
// says which kind of TPM its devices have; 0 claims the less, firmware. An emulator stays one.
func (o *OEM) Issue(r Request, pending Pending, a Answer, kind attest.StorageKind, register *Register, now time.Time) (p Package, err error) {
	digest, err := r.digest()
	if err != nil {
		return p, err
	}
	hash := sha256.Sum256(a.Secret)
	if !bytes.Equal(pending.Request, digest[:]) || !bytes.Equal(a.Request, digest[:]) || subtle.ConstantTimeCompare(hash[:], pending.Secret) != 1 {
		return p, fmt.Errorf("%w: the answer is not the one to this challenge and request", ErrRefused)
	}
	e, err := r.enrolment()
	if err != nil {
		return p, err
	}
	if !r.Engine.IsEmulator() {
		r.Storage.Kind = cmp.Or(kind, attest.StorageTPMFirmware)
		r.Storage.RollbackProtected = false // the owner's counter goes with TPM2_Clear, and what the TPM is was not proven
	}
	if p, err = o.Sign(r, now); err != nil {
		return p, err
	}
	p.Request = digest
	return p, register.Add(e)
}
