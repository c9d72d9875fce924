package verifier

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"time"

	"imei-attest/attest/imei"
)

// DecisionID identifies a recorded decision: a UUID of version 7 (RFC 9562 section 5.7), whose first 48 bits are the time in
// milliseconds, so that identifiers sort as the decisions were made.
type DecisionID [16]byte

// String is the UUID's text.
func (id DecisionID) String() string {
	var text [36]byte
	at := 0
	for i, part := range [][]byte{id[:4], id[4:6], id[6:8], id[8:10], id[10:]} {
		if i > 0 {
			text[at] = '-'
			at++
		}
		at += hex.Encode(text[at:], part)
	}
	return string(text[:])
}

// MarshalText implements encoding.TextMarshaler.
func (id DecisionID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (id *DecisionID) UnmarshalText(text []byte) error {
	parsed, err := ParseDecisionID(string(text))
	*id = parsed
	return err
}

// ParseDecisionID reads what String writes.
func ParseDecisionID(text string) (id DecisionID, err error) {
	raw, err := hex.DecodeString(string(bytes.ReplaceAll([]byte(text), []byte("-"), nil)))
	if err != nil || len(raw) != len(id) || (DecisionID(raw)).String() != text {
		return id, fmt.Errorf("%q is no decision's identifier: want a UUID, as an answer's id gives it", text)
	}
	return DecisionID(raw), nil
}

// draw makes a new identifier, in its place.
func (id *DecisionID) draw(random io.Reader, now time.Time) error {
	if _, err := io.ReadFull(random, id[6:]); err != nil {
		return fmt.Errorf("a decision's identifier: %w", err)
	}
	const version7, variant = 0x70, 0x80
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(max(0, now.UnixMilli())))
	copy(id[:6], ms[2:])
	id[6], id[8] = id[6]&0x0f|version7, id[8]&0x3f|variant
	return nil
}

// Record is a decision with all that it rests on. It names nobody: devices and subscribers are told apart by pseudonyms.
type Record struct {
	Verdict Verdict `json:"verdict" cbor:"1,keyasint"`
	Facts   Facts   `json:"facts" cbor:"2,keyasint"`
	Rules   Rules   `json:"rules" cbor:"3,keyasint"` // of the policy that decided
	// Policy names it, and Generation the trust folder.
	Policy     string    `json:"policy" cbor:"4,keyasint"`
	Digest     Pseudonym `json:"policy_digest" cbor:"5,keyasint"` // the first 16 bytes
	Generation uint64    `json:"trust_generation" cbor:"6,keyasint"`
	// Device is the pseudonym of the IMEI that was shown, or else of the device's first; Subscriber that of who registered.
	// Excepted: an exception of the policy named the two.
	Device     Pseudonym `json:"device,omitzero" cbor:"7,keyasint,omitzero"`
	Subscriber Pseudonym `json:"subscriber,omitzero" cbor:"8,keyasint,omitzero"`
	Excepted   bool      `json:"excepted,omitempty" cbor:"9,keyasint,omitempty"`
	// Binding is the pseudonym of the registration's Call-ID: all requests of one binding have the same (RFC 3261 section 10.2).
	Binding Pseudonym `json:"binding,omitzero" cbor:"10,keyasint,omitzero"`
	// Public is the pseudonym of the public identity that an S-CSCF registered, by which [Verifier.Latest] finds the decision.
	Public Pseudonym `json:"public_identity,omitzero" cbor:"11,keyasint,omitzero"`
}

// record is the decision on a judgement.
func (v *Verifier) record(q *question, p *Policy, a *appraisal) (*Record, error) {
	r := &Record{Facts: q.facts, Rules: p.Rules, Policy: p.Name, Digest: Pseudonym(p.Digest[:16]), Generation: q.trust.Generation}
	r.Verdict.Result = a.result()
	if err := r.Verdict.ID.draw(v.random, q.in.Now); err != nil {
		return nil, err
	}
	r.Verdict.Answer = v.answer(q, p, &r.Verdict.Result)
	r.Excepted = p.excepts(q)
	r.Device = v.pseudonyms.Device(q.device()).Current
	r.Subscriber = v.pseudonyms.Subscriber(q.in.Registration.Subscriber()).Current
	if shown := q.in.Registration; shown != nil {
		r.Binding = v.pseudonyms.Call(shown.CallID).Current
		if shown.Front == FrontSIP { // who asks before he registers may show whomever
			r.Public = v.pseudonyms.Public(shown.IMPU).Current
		}
	}
	return r, nil
}

// device is the IMEI that the question is about.
func (q *question) device() imei.IMEI {
	if !q.signalled.IsZero() || q.endorsement == nil {
		return q.signalled
	}
	return q.endorsement.credential.Slots[0]
}
