package httpapi

import (
	"cmp"
	"errors"
	"fmt"

	"imei-attest/verifier"
	"imei-attest/verifier/sip"
)

// readMessage fills the question from the REGISTER that a proxy received. What the UE wrote there about itself counts as its own word: how it
// authenticated, whether the challenge is outstanding and whether the registration is an emergency, the network says beside it.
func (q *question) readMessage() error {
	if q.Message == nil {
		return nil
	}
	m, err := sip.ParseRegister(*q.Message)
	if err != nil {
		return fmt.Errorf("the message is no REGISTER request that can be judged: %w", err)
	}
	if q.Registration == nil {
		q.Registration = new(verifier.Registration)
	}
	r := q.Registration
	if r.Front == verifier.FrontDevice {
		return errors.New("a message is what the network received: leave the front out")
	}
	switch {
	case r.Expires != nil && m.Expires != nil:
		return givenTwice("expires")
	case r.CSeq != 0 && m.CSeq != 0:
		return givenTwice("cseq")
	case q.Evidence != nil && m.Evidence != nil:
		return givenTwice("evidence")
	}
	r.Expires, r.CSeq = cmp.Or(r.Expires, m.Expires), cmp.Or(r.CSeq, m.CSeq)
	if m.Evidence != nil {
		q.Evidence = (*base64Bytes)(&m.Evidence)
	}
	for _, f := range []struct {
		name string
		into *string
		text string
	}{{"instance_id", &r.InstanceID, m.InstanceID}, {"impu", &r.IMPU, m.IMPU}, {"impi", &r.IMPI, m.IMPI}, {"challenge_401", &r.Challenge401, m.Nonce},
		{"call_id", &r.CallID, m.CallID}} {
		if f.text != "" && *f.into != "" {
			return givenTwice(f.name)
		}
		*f.into = cmp.Or(*f.into, f.text)
	}
	return nil
}

func givenTwice(name string) error {
	return fmt.Errorf("%s stands in the message and beside it: leave it out beside it", name)
}
