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
	// Attested reports whether evidence for this IMEI was ever committed.
	Attested(ctx context.Context, id imei.IMEI) (bool, error)
	// Prior returns the last lasting answer for an IMEI that a subscriber registered.
	Prior(ctx context.Context, id imei.IMEI, subscriber string) (Prior, bool, error)
	// Presented returns the answer committed for a nonce that has not expired.
	Presented(ctx context.Context, n attest.Nonce) (attest.Result, bool, error)
	// Commit records a decision in one durable step, unless its nonce was used: then it changes nothing and says how.
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
	Slots      []imei.IMEI
	Generation uint64 // of the trust it was judged under
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
	Answer attest.Result
}
