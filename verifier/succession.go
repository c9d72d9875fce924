package verifier

import (
	"context"
	"slices"

	"imei-attest/attest"
	"imei-attest/attest/imei"
)

// An IMEI is held by one device key. When a board is swapped in a shop the manufacturer endorses the new one's key under a
// higher serial: it takes the IMEI over with its first evidence, and the old board's is refused from then on, whoever has it
// now. Any other key is refused too and the holder is not harmed by it: a second endorsement of the same IMEI, by an
// oversight or a crime in some factory, must not put the device out of service that has it. Which of the two is right
// the manufacturer decides, with a higher serial.

// judgeSuccession is step 8: is each IMEI this key's, or does it become so?
func (v *Verifier) judgeSuccession(ctx context.Context, a *appraisal) error {
	slots := a.provisioned()
	found := make([]attest.Reason, len(slots))
	a.holds = make([]Hold, len(slots))
	refused := false
	for i, id := range slots {
		was, err := v.store.Holder(ctx, id)
		if err != nil {
			return err
		}
		a.holds[i] = Hold{IMEI: id, Was: was}
		if a.holds[i].Is, found[i], err = v.succeed(ctx, a, id, was); err != nil {
			return err
		}
		refused = refused || found[i] == attest.ReasonDuplicateKey
	}
	if refused {
		a.holds = nil
	}
	for i, reason := range found {
		if reason == attest.ReasonDuplicateKey || reason != "" && !refused {
			a.slots[i].Add(reason)
		}
	}
	return nil
}

// succeed says who holds an IMEI after this evidence.
func (v *Verifier) succeed(ctx context.Context, a *appraisal, id imei.IMEI, was Holder) (Holder, attest.Reason, error) {
	c := &a.endorsement.credential.Credential
	is := Holder{Key: a.evidence.KeyID, Issuer: c.Issuer, Serial: c.Serial}
	switch {
	case was == (Holder{}):
		return is, "", nil
	case was.Key == is.Key:
		if was.Issuer == is.Issuer {
			is.Serial = max(is.Serial, was.Serial) // an outdated Credential of its own takes nothing from it
		}
		return is, "", nil
	case was.Issuer == is.Issuer && is.Serial > was.Serial:
		return is, attest.ReasonSuperseded, nil
	}
	stands, err := v.stands(ctx, a.trust, id, was)
	if err != nil || stands {
		return was, attest.ReasonDuplicateKey, err
	}
	return is, attest.ReasonSuperseded, nil
}

// stands reports that a holder is still endorsed: a manufacturer that is trusted no longer holds no IMEI from the grave,
// nor does a device that was given another one.
func (v *Verifier) stands(ctx context.Context, trust *Trust, id imei.IMEI, h Holder) (bool, error) {
	raw, found, err := v.store.Credential(ctx, h.Key)
	if err != nil || !found {
		return false, err
	}
	e, refusal := trust.endorse(raw)
	return refusal == "" && slices.Contains(e.credential.Slots, id), nil
}
