package verifier

import (
	"bytes"
	"context"
	"slices"
	"time"

	"imei-attest/attest"
	"imei-attest/attest/imei"
)

// Store keeps what outlives a judgement. Implementations are in verifier/store; all pass one conformance suite. Every
// method is safe for use by many goroutines. Time comes from the caller.
type Store interface {
	// Credential returns the Credential last committed for a device key.
	Credential(ctx context.Context, key attest.KeyID) (kept Endorsed, found bool, err error)
	// State returns what a device key last proved of its storage; zero if it never did.
	State(ctx context.Context, key attest.KeyID) (State, error)
	// Holder returns whose an IMEI is; zero if no evidence for it was ever committed.
	Holder(ctx context.Context, id imei.IMEI) (Holder, error)
	// Prior returns the last lasting answer for an IMEI that a subscriber registered.
	Prior(ctx context.Context, id imei.IMEI, subscriber string) (Prior, bool, error)
	// Claimed returns the answer to the last evidence for an IMEI in whose slot a subscriber was named, with the name.
	Claimed(ctx context.Context, id imei.IMEI) (Claimed, bool, error)
	// Presented returns the verdict committed for a nonce that has not expired.
	Presented(ctx context.Context, n attest.Nonce) (Verdict, bool, error)
	// Seen returns when which subscribers lately attested for an IMEI, the latest last, and which of them this subscriber is; at
	// least the last [KeptSightings].
	Seen(ctx context.Context, id imei.IMEI, subscriber string) ([]Seen, error)
	// Days returns on which days of a month, UTC, each subscriber registered an IMEI, with evidence or without: bit 0 is the first.
	Days(ctx context.Context, id imei.IMEI, year int, month time.Month) (map[Pseudonym]uint32, error)
	// Viewed returns what a subscriber last showed in an access, and whether it is this IMEI; also of a note that is not written yet.
	Viewed(ctx context.Context, subscriber string, in Access, id imei.IMEI) (Viewed, error)
	// Record returns a recorded decision.
	Record(ctx context.Context, id DecisionID) (*Record, bool, error)
	// Latest returns the latest recorded decision on a public identity, which is not zero.
	Latest(ctx context.Context, public Alias) (*Record, bool, error)
	// Records gives the recorded decisions since a time, the oldest first, until it is told to stop.
	Records(ctx context.Context, since time.Time, yield func(*Record) bool) error
	// Commit records a decision in one durable step, unless its nonce was used or may have been, or else what it was judged by is
	// no longer so: then it changes nothing and says how. After an error, nobody knows whether it was recorded.
	Commit(ctx context.Context, d Decision) (Commitment, error)
	// Note records a decision that changed nothing about any device: it was made without evidence, or the evidence was refused.
	// It may be lost when the process ends.
	Note(ctx context.Context, n Note) error
	Close() error
}

// Presentation is one showing of evidence. Two for which [Presentation.Same] holds are a retransmission; two others with one nonce
// are a replay.
type Presentation struct {
	Nonce      attest.Nonce
	Token      [32]byte // SHA-256 of the token
	Subscriber string
	Signalled  imei.IMEI
	Front      Front
}

// Same reports the same token for the same subscriber and the same IMEI. A network may ask again through another of its fronts; what
// a device hands in itself is another question.
func (p *Presentation) Same(o *Presentation) bool {
	return p.Token == o.Token && p.Asks(o)
}

// Asks reports that both answer one challenge for the same subscriber and the same IMEI, be it by two tokens.
func (p *Presentation) Asks(o *Presentation) bool {
	return bytes.Equal(p.Nonce, o.Nonce) && p.Subscriber == o.Subscriber && p.Signalled == o.Signalled &&
		(p.Front == FrontDevice) == (o.Front == FrontDevice)
}

// Decision is what Commit records.
type Decision struct {
	Presentation Presentation
	Expiry       time.Time // of the nonce
	Now          time.Time
	// Record is the decision with its reasons; nil where a nonce is given up and nothing decided.
	Record *Record
	// Device is the device that attested; nil records the use of the nonce and nothing else.
	Device *Device
	// Damning: the evidence convicts the device, so what lasted for its IMEIs, for whomever, lasts no longer; what was claimed neither.
	Damning bool
	// Lasting: the answer may stand in for later evidence when the presentation's subscriber registers its IMEI again.
	Lasting bool
	// Claims are the subscribers that the device names for IMEIs that it holds. Each replaces the earlier one of its IMEI, and the answer
	// may stand in for later evidence when that subscriber registers it.
	Claims []Claim
	// Sighting is the registration by a subscriber, nil where the network saw none of an IMEI that the device holds.
	Sighting *Sighting
	// Others are those beside the subscriber of the Sighting who attested for its IMEI, as the decision was judged by: Commit finds a conflict
	// if the store knows of others. Nil where it is the same whoever they are.
	Others *Others
	// View replaces the earlier one of its subscriber in its access; nil leaves it.
	View *View
}

// Verdict of the decision; zero where nothing was decided.
func (d *Decision) Verdict() Verdict {
	if d.Record == nil {
		return Verdict{}
	}
	return d.Record.Verdict
}

// Sighting is an IMEI that a subscriber registered.
type Sighting struct {
	IMEI       imei.IMEI
	Subscriber string
	At         time.Time
}

// Others is when other subscribers attested for an IMEI, in the order of [Store.Seen]. What was before Since is left out.
type Others struct {
	Since time.Time
	At    []time.Time
}

// Add adds a sighting.
func (o *Others) Add(at time.Time) {
	if !at.Before(o.Since) {
		o.At = append(o.At, at)
	}
}

// Same reports the same times.
func (o *Others) Same(p *Others) bool { return slices.EqualFunc(o.At, p.At, time.Time.Equal) }

// KeptSightings is how many changes of subscriber a store keeps of an IMEI: a subscriber is followed by another one.
const KeptSightings = 8

// Note is a decision that changed nothing about any device.
type Note struct {
	Record *Record
	// Sighting goes to the days of the month, and not to Sightings: anybody can show an IMEI.
	Sighting *Sighting
	// View is as in Decision: the network authenticated whose it is.
	View *View
}

// Endorsed is a Credential as a store keeps it: safe from change by anybody but the Verifier.
type Endorsed struct {
	Credential []byte
	// Generation is that of the trust which the Credential verified under: under the same one it is not verified again.
	Generation uint64
	Software   Software
}

// Software is the firmware that a device last told of. Later evidence may leave it out: what it leaves out has not changed.
type Software struct {
	Revision string // of the modem's firmware, at most 32 bytes; empty if it never told
	TPM      uint64 // the version of the TPM's firmware (TPM 2.0 Part 2 section 10.12.12); 0 if no proof ever told
}

// Device is what is known of a device after evidence under its endorsed key.
type Device struct {
	Key attest.KeyID
	// Credential, with Software and the Generation below, replaces what is kept; nil where that is the same.
	Credential []byte
	Software   Software
	// State is what the evidence proves of the storage; nil in profile A, and then what is kept stays.
	State *StateChange
	// Holds are the IMEIs of its slots. Empty for a device that another one's IMEI was refused to: none of it is then touched.
	Holds      []Hold
	Generation uint64 // of the trust it was judged under
}

// State is what the latest proof of profile B shows: of two proofs by one TPM, the one with the higher counter.
type State struct {
	Counter    uint64    `json:"counter" cbor:"1,keyasint"`
	ResetCount uint32    `json:"reset_count" cbor:"2,keyasint"`
	Clock      uint64    `json:"clock_ms" cbor:"3,keyasint"`
	Binding    [32]byte  `json:"binding" cbor:"4,keyasint"` // of the evidence that the proof was made for
	Seen       time.Time `json:"seen" cbor:"5,keyasint"`
}

// Same reports that two states are of the same proof.
func (s State) Same(t State) bool { return s.Counter == t.Counter && s.Binding == t.Binding }

// StateChange replaces Was by Is. Commit finds a conflict if another state than Was is kept, by [State.Same]. Is may be Was:
// then the decision rests on it and leaves it.
type StateChange struct{ Was, Is State }

// Holder is the device key whose an IMEI is, with the issuer and the highest serial of its Credentials.
type Holder struct {
	Key    attest.KeyID `json:"key" cbor:"1,keyasint"`
	Issuer string       `json:"issuer" cbor:"2,keyasint"`
	Serial uint64       `json:"serial" cbor:"3,keyasint"`
}

// Hold is an IMEI that passes from Was, zero for nobody, to Is, often the same. Commit finds a conflict if another than Was
// holds it. If the key changes, what lasted for the IMEI, for whomever, lasts no longer.
type Hold struct {
	IMEI    imei.IMEI
	Was, Is Holder
}

// Prior is an earlier result.
type Prior struct {
	At         time.Time     `json:"at" cbor:"1,keyasint"`
	Generation uint64        `json:"generation" cbor:"2,keyasint"`
	Answer     attest.Result `json:"answer" cbor:"3,keyasint"`
	Binding    Pseudonym     `json:"binding,omitzero" cbor:"4,keyasint,omitzero"` // of the registration that it answered: [Record.Binding]
	// Slot is that in which the device named the subscriber, from 1; 0 where the network named him.
	Slot uint8 `json:"claimed_in_slot,omitempty" cbor:"5,keyasint,omitempty"`
}

// Commitment says what became of a Decision.
type Commitment struct {
	// Repeat: the same presentation was answered before; Answer is that answer.
	Repeat bool
	// Replay: the nonce was used for something else.
	Replay bool
	// Closed: the nonce is used up, and nothing is answered for it any more: it was given up, or its answer has run out, or the
	// device was convicted or the trust changed since; or the same device signed another token for it, as one does that reads
	// its modem once more; or it expired before another decision's time, so that its use may be forgotten.
	Closed bool
	// Conflict: the device's state, the holder of one of its IMEIs, or who attested for the one shown is not what the decision was judged by.
	Conflict bool
	Answer   Verdict
}
