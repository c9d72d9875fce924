// Package agent is the Attester of RFC 9334: it reads the IMEI from the modem, compares it with the manufacturer's
// signed value in the device's secure storage, and signs what it found, bound to a verifier's nonce.
//
// Start with [New] and [Agent.Attest]. A modem that answers nonsense, or nothing, is a finding and goes into the
// evidence; an error means that there is no evidence. The package opens no device and no connection: it is given a
// Reader and a Vault. [Monitor] watches a modem and reports what changes; it needs no Vault.
package agent

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"strings"
	"time"

	"imei-attest/attest"
	"imei-attest/attest/imei"
	"imei-attest/modem"
)

// Reader reads the modem's identity; a *modem.Reader is one.
type Reader interface {
	Read(ctx context.Context) (modem.Reading, error)
}

// SubscriberReader is a Reader that can also tell whose SIM card is in each slot; a *modem.Reader is one.
type SubscriberReader interface {
	Reader
	ReadSubscribers(ctx context.Context) (modem.Reading, error)
}

// Config is what an Agent needs.
type Config struct {
	Reader Reader
	Vault  Vault
	// Now gives the time of issue; nil on a device without a clock, whose evidence then carries none.
	Now func() time.Time
}

// Agent is the Attester. One question is answered at a time: modem and vault are single.
type Agent struct{ Config }

// New returns an Agent.
func New(c Config) (*Agent, error) {
	if c.Reader == nil || c.Vault == nil {
		return nil, errors.New("an agent needs a modem reader and a vault")
	}
	return &Agent{c}, nil
}

// Request is one question of a verifier.
type Request struct {
	Nonce attest.Nonce // 8..64 bytes
	// Registration: the evidence is for a registration, not for another purpose.
	Registration bool
	// InBand leaves out what does not fit a SIP message: the Credential, the storage's own proof and the modem's texts. The
	// verifier must know the device already.
	InBand bool
	// Subscriber names the subscriber of each slot whose SIM card the modem tells, so that the verifier finds the result when he
	// registers. With the nonce his IMSI can be searched for: it is for a token that goes to the verifier over TLS, and never InBand.
	// The Reader must be a SubscriberReader.
	Subscriber bool
}

// Attestation is the answer.
type Attestation struct {
	Token        []byte // Evidence, COSE_Sign1
	Provisioned  []imei.IMEI
	Reading      modem.Reading
	Measurements []attest.Measurement
}

// Attest reads the modem after the question came, compares, and signs.
func (a *Agent) Attest(ctx context.Context, request Request) (*Attestation, error) {
	read, err := a.reads(request)
	if err != nil {
		return nil, err
	}
	raw, credential, err := a.credential(ctx)
	if err != nil {
		return nil, err
	}
	reading, err := read(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the modem: %w", err)
	}
	reading.Slots = usedSlots(reading.Slots, len(credential.Slots))
	claims := newClaims(request, credential.Slots, reading)
	if a.Now != nil {
		claims.IssuedAt = a.Now().UTC().Truncate(time.Second)
	}
	var enclosed attest.Enclosure
	if !request.InBand {
		enclosed.Credential = raw
		enclosed.Prove = func(binding [32]byte) ([]byte, error) { return a.Vault.Evidence(ctx, binding) }
	}
	token, err := attest.SignEvidence(nil, claims, a.Vault.Signer(ctx), attest.KeyIDOf(credential.Key), enclosed)
	if err != nil {
		return nil, fmt.Errorf("signing the evidence: %w", err)
	}
	return &Attestation{Token: token, Provisioned: credential.Slots, Reading: reading, Measurements: claims.Measurements}, nil
}

// reads chooses how the modem is read: whose SIM card is in it is asked only for a token that says so.
func (a *Agent) reads(request Request) (func(context.Context) (modem.Reading, error), error) {
	if !request.Subscriber {
		return a.Reader.Read, nil
	}
	reader, can := a.Reader.(SubscriberReader)
	switch {
	case request.InBand:
		return nil, errors.New("an in-band token names no subscriber: others on its way would find out his IMSI")
	case !can:
		return nil, errors.New("this modem reader does not read the SIM card: ask for a token that names no subscriber")
	}
	return reader.ReadSubscribers, nil
}

// credential reads the manufacturer's value and refuses one that endorses another key than the vault's: evidence
// signed by it would convict an honest device of forgery.
func (a *Agent) credential(ctx context.Context) ([]byte, *attest.SignedCredential, error) {
	raw, err := a.Vault.Credential(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the credential: %w", err)
	}
	c, err := attest.DecodeCredential(raw)
	if err != nil {
		return nil, nil, fmt.Errorf("the vault's credential is damaged, provision the device again: %w", err)
	}
	if key := a.Vault.Describe().Key; !isSameKey(key, c.Key) {
		return nil, nil, ErrKeyMismatch
	}
	return raw, c, nil
}

func isSameKey(a, b *ecdsa.PublicKey) bool { return a != nil && a.Equal(b) }

// usedSlots leaves out the slots behind the provisioned ones of which the modem tells no IMEI: a device with one SIM slot,
// on a chip made for two, has no second identity to answer for.
func usedSlots(slots []modem.Slot, provisioned int) []modem.Slot {
	for len(slots) > max(1, provisioned) && slots[len(slots)-1].IMEI.IsZero() {
		slots = slots[:len(slots)-1]
	}
	return slots
}

// newClaims says what was found. The reading's age counts from the modem's last answer to now, just before signing.
func newClaims(request Request, provisioned []imei.IMEI, reading modem.Reading) attest.Claims {
	claims := attest.Claims{
		Nonce: request.Nonce, Provisioned: provisioned, Measurements: Compare(provisioned, reading),
		Registration: request.Registration,
	}
	if !reading.LastAnswer.IsZero() { // zero when the modem answered nothing: then there is nothing to be old
		claims.ReadingAge = time.Since(reading.LastAnswer).Truncate(time.Millisecond)
	}
	longest := maxText
	if request.InBand {
		longest = maxInBandText
	}
	for i := range claims.Measurements {
		o := observe(i, reading, longest)
		if request.Subscriber && i < len(reading.Slots) && !reading.Slots[i].IMSI.IsZero() {
			o.Subscriber = attest.SubscriberHash(request.Nonce, reading.Slots[i].IMSI.Digits())
		}
		claims.Observed = append(claims.Observed, o)
	}
	if !request.InBand {
		claims.Modem = attest.ModemInfo{Manufacturer: cut(reading.Manufacturer, maxText), Model: cut(reading.Model, maxText),
			Revision: cut(reading.Revision, maxText)}
	}
	return claims
}

// wordNotObserved is the error word of a provisioned slot that the modem was not asked for.
const wordNotObserved = "not_observed"

// observe says what the modem answered for a slot, in texts of at most longest bytes.
func observe(i int, reading modem.Reading, longest int) attest.Observed {
	o := attest.Observed{Slot: i + 1, Error: wordNotObserved}
	if i >= len(reading.Slots) {
		return o
	}
	slot := reading.Slots[i]
	o = attest.Observed{Slot: i + 1, IMEI: slot.IMEI, SVN: slot.SVN, Methods: uint(slot.Methods), Flags: flags(slot, reading)}
	switch {
	case !slot.IMEI.IsZero():
	case isIdentityWord(slot.Word):
		o.Text = cut(slot.Text, longest)
	default:
		o.Error = cut(slot.Word, longest)
	}
	return o
}

func flags(slot modem.Slot, reading modem.Reading) (f attest.ReadingFlags) {
	switch slot.Form {
	case imei.FormSpareDigit:
		f |= attest.FlagSpareDigit
	case imei.FormWrongCheckDigit:
		f |= attest.FlagCheckDigitWrong
	}
	if reading.RestartSeen {
		f |= attest.FlagRestartSeen
	}
	if reading.Agreement == modem.AgreementConflict {
		f |= attest.FlagSourcesDisagree
	}
	return f
}

// isIdentityWord reports that the modem answered with a text that is no IMEI, rather than not at all.
func isIdentityWord(word string) bool {
	switch imei.Word(word) {
	case imei.WordBlank, imei.WordZero, imei.WordRepeated, imei.WordMalformed, imei.WordNotIMEI, imei.WordIMEISV, imei.WordLuhn:
		return true
	}
	return false
}

// Texts of the modem in claims, in bytes: no more may be carried, and in-band so much that four slots fit 512 bytes.
const (
	maxText       = 32
	maxInBandText = 24
)

// cut bounds a text of the modem, and leaves no half of a character at the end.
func cut(text string, longest int) string {
	return strings.ToValidUTF8(text[:min(len(text), longest)], "")
}
