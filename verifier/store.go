package verifier

import (
	"context"
	"time"

	"imei-attest/attest"
	"imei-attest/attest/imei"
)

// Store keeps what outlives a judgement. Implementations are in verifier/store; all pass one conformance suite. Every
// method is safe for use by many goroutines. Time comes from the caller.
type Store interface {
	// Credential returns the Credential last committed for a device key.
	Credential(ctx context.Context, key attest.KeyID) (raw []byte, found bool, err error)
	// State returns what a device key last proved of its storage; zero if it never did.
	State(ctx context.Context, key attest.KeyID) (State, error)
	// Holder returns whose an IMEI is; zero if no evidence for it was ever committed.
	Holder(ctx context.Context, id imei.IMEI) (Holder, error)
	// Prior returns the last lasting answer for an IMEI that a subscriber registered.
	Prior(ctx context.Context, id imei.IMEI, subscriber string) (Prior, bool, error)
	// Presented returns the answer committed for a nonce that has not expired.
	Presented(ctx context.Context, n attest.Nonce) (attest.Result, bool, error)
	// Commit records a decision in one durable step, unless its nonce was used, or else what it was judged by is no longer
	// so: then it changes nothing and says how.
	Commit(ctx context.Context, d Decision) (Commitment, error)
	Close() error
}

// Presentation is one showing of evidence. Two equal ones are a retransmission; two that differ in anything but
// share the nonce are a replay.
type Presentation struct {
	Nonce      attest.Nonce
	Token      [32]byte // SHA-256 of the token
	Subscriber string
	Signalled  imei.IMEI
	Front      Front
}

// Decision is what Commit records.
type Decision struct {
	Presentation Presentation
	Expiry       time.Time // of the nonce
	Now          time.Time
	Answer       attest.Result
	// Device is the device that attested; nil records the use of the nonce and nothing else.
	Device *Device
	// Damning: the evidence convicts the device, so what lasted for its IMEIs, for whomever, lasts no longer.
	Damning bool
	// Lasting: the answer may stand in for later evidence when the presentation's subscriber registers its IMEI again.
	Lasting bool
}

// Device is what is known of a device after evidence under its endorsed key.
type Device struct {
	Key        attest.KeyID
	Credential []byte
	// State is what the evidence proves of the storage; nil in profile A, and then what is kept stays.
	State *StateChange
	// Holds are the IMEIs of its slots. Empty for a device that another one's IMEI was refused to: none of it is then touched.
	Holds      []Hold
	Generation uint64 // of the trust it was judged under
}

// State is what the latest proof of profile B shows: of two proofs by one TPM, the one with the higher counter.
type State struct {
	Counter    uint64
	ResetCount uint32
	Clock      uint64   // milliseconds
	Binding    [32]byte // of the evidence that the proof was made for
	Seen       time.Time
}

// Same reports that two states are of the same proof.
func (s State) Same(t State) bool { return s.Counter == t.Counter && s.Binding == t.Binding }

// StateChange replaces Was by Is. Commit finds a conflict if another state than Was is kept, by [State.Same]. Is may be Was:
// then the decision rests on it and leaves it.
type StateChange struct{ Was, Is State }

// Holder is the device key whose an IMEI is, with the issuer and the highest serial of its Credentials.
type Holder struct {
	Key    attest.KeyID
	Issuer string
	Serial uint64
}

// Hold is an IMEI that passes from Was, zero for nobody, to Is, often the same. Commit finds a conflict if another than Was
// holds it. If the key changes, what lasted for the IMEI, for whomever, lasts no longer.
type Hold struct {
	IMEI    imei.IMEI
	Was, Is Holder
}

// Prior is an earlier result.
type Prior struct {
	At         time.Time
	Generation uint64
	Answer     attest.Result
}

// Commitment says what became of a Decision.
type Commitment struct {
	// Repeat: the same presentation was answered before; Answer is that answer.
	Repeat bool
	// Replay: the nonce was used for something else.
	Replay bool
	// Closed: the nonce is used up, and nothing is answered for it any more: it was given up, or its answer has run out,
	// or the device was convicted since.
	Closed bool
	// Conflict: the device's state, or the holder of one of its IMEIs, is no longer what the decision was judged by.
	Conflict bool
	Answer   attest.Result
}
