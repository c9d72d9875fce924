package bench

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"imei-attest/attest"
	"imei-attest/verifier"
)

// registration is what the network sees of a device that registers by AKA, as one that does so again.
func (d *device) registration() *verifier.Registration {
	again := false
	return &verifier.Registration{InstanceID: d.urn(), IMPI: d.impi(), Auth: "AKAv1-MD5", IntegrityProtected: "yes", Initial: &again, CallID: d.impi(), Front: verifier.FrontHTTP}
}

// Shown is what a device shows at a registration with evidence.
type Shown struct {
	InstanceID string // a URN (RFC 7254)
	IMPI       string // of its subscriber, derived from an IMSI (TS 23.003 clause 13.3)
	Token      []byte
}

// Show lets a device sign for a nonce; first tells whether the manufacturer's statement comes along, which a verifier needs once.
func (c *Crowd) Show(number int, nonce attest.Nonce, first bool) (s Shown, err error) {
	d, err := c.device(number)
	if err != nil {
		return s, err
	}
	var credential []byte
	if first {
		if credential, err = d.credential(); err != nil {
			return s, err
		}
	}
	s.InstanceID, s.IMPI = d.urn(), d.impi()
	s.Token, err = d.token(nonce, credential)
	return s, err
}

// Register lets a device answer a registrar's challenge for the first time, so that the verifier has all that it keeps of a device:
// Credential, holder, subscriber, answer and decision.
func (c *Crowd) Register(ctx context.Context, v *verifier.Verifier, number int, now time.Time) error {
	d, err := c.device(number)
	if err != nil {
		return err
	}
	credential, err := d.credential()
	if err != nil {
		return err
	}
	r := d.registration()
	r.Initial, r.Challenge401, r.ChallengeOutstanding = nil, rand.Text(), true
	token, err := d.token(attest.NonceFrom401(r.Challenge401), credential)
	if err != nil {
		return err
	}
	verdict, err := v.Appraise(ctx, verifier.Input{Evidence: token, Registration: r, Now: now})
	if err == nil && verdict.Status() != attest.StatusAffirming {
		err = fmt.Errorf("device %d of the crowd is not affirmed: %v", number, verdict.Reasons())
	}
	return err
}
