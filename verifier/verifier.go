// Package verifier judges Evidence and registrations (RFC 9334: the Verifier). Start with [New] and
// [Verifier.Appraise]: bad evidence gives a Result with reasons, an error means that no judgement was possible.
//
// Three rules protect honest people. Only evidence that verifies under the key endorsed for a device changes what is
// stored about it: a forged, replayed or missing token costs the one who sent it, never the device it names. A fault
// of reading is not a lie: it asks for another try. And a clone that brings no evidence gets no better than the
// honest device with evidence.
//
// The package reads no clock, opens no file and listens on no socket.
package verifier

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"imei-attest/attest"
)

// Ages that bound what a judgement rests on.
const (
	// resultLife is the validity of a Result on an online front.
	resultLife = 5 * time.Minute
	// priorLife is how long an earlier result may stand in for fresh evidence.
	priorLife = 24 * time.Hour
	// challengeLife is how long the nonce of a 401 challenge is remembered as used: longer than any registrar keeps a
	// challenge outstanding.
	challengeLife = 24 * time.Hour
	// challengeWait is the oldest challenge that a registrar calls outstanding: reg-await-auth (TS 24.229 clause 7.8).
	challengeWait = 4 * time.Minute
	// proofLife is how long a proof of profile B shows that the storage was not set back.
	proofLife = 24 * time.Hour
	// maxReadingAge is the oldest reading of the modem that fresh evidence may carry.
	maxReadingAge = 15 * time.Minute
)

// Config is what a Verifier needs.
type Config struct {
	Store  Store
	Nonces *attest.NonceKeys
	Trust  *Trust
	// Since, in whole seconds, is when a store that forgets began to remember: nonces minted before are taken for
	// expired, because one that was used up would not be known. Zero for a store that forgets nothing.
	Since time.Time
}

// Verifier appraises. It is safe for use by many goroutines.
type Verifier struct {
	store        Store
	nonces       *attest.NonceKeys
	since        time.Time
	trust        atomic.Pointer[Trust]
	endorsements endorsementCache
}

// New returns a Verifier.
func New(c Config) (*Verifier, error) {
	if c.Store == nil || c.Nonces == nil || c.Trust == nil {
		return nil, errors.New("a verifier needs a store, nonce keys and trust anchors")
	}
	v := &Verifier{store: c.Store, nonces: c.Nonces, since: c.Since}
	v.trust.Store(c.Trust)
	return v, nil
}

// SetTrust exchanges the trust anchors. Judgements under way finish under the old ones.
func (v *Verifier) SetTrust(t *Trust) { v.trust.Store(t) }

// MintNonce makes a nonce that this verifier will accept once until expiry; size is in bytes.
func (v *Verifier) MintNonce(rand io.Reader, now time.Time, size int) (n attest.Nonce, expiry time.Time, err error) {
	if n, err = v.nonces.Mint(rand, now, size); err != nil {
		return nil, time.Time{}, err
	}
	expiry, err = v.CheckNonce(n, now) // whole seconds, as the nonce carries it
	return n, expiry, err
}

// CheckNonce tells whether a nonce is this verifier's and when it expires. The error is attest.ErrNonceForeign or
// attest.ErrNonceExpired.
func (v *Verifier) CheckNonce(n attest.Nonce, now time.Time) (expiry time.Time, err error) {
	expiry, err = v.nonces.Check(n, now)
	if err == nil && expiry.Add(-attest.NonceLife).Before(v.since) {
		err = attest.ErrNonceExpired
	}
	return expiry, err
}

// Presented returns the answer that was given when evidence with this nonce was presented, if it was.
func (v *Verifier) Presented(ctx context.Context, n attest.Nonce) (attest.Result, bool, error) {
	return v.store.Presented(ctx, n)
}

// Revoke uses a nonce up: evidence that carries it will be refused as reused.
func (v *Verifier) Revoke(ctx context.Context, n attest.Nonce, now time.Time) error {
	expiry, err := v.CheckNonce(n, now)
	if err != nil {
		return err
	}
	_, err = v.store.Commit(ctx, Decision{Presentation: Presentation{Nonce: n}, Expiry: expiry, Now: now})
	return err
}

// Input is one question to the Verifier.
type Input struct {
	// Evidence is the token as received, nil when there is none.
	Evidence []byte
	// Nonce is what the evidence must answer; the zero value expects a nonce of this verifier.
	Nonce Expectation
	// Registration is what the network saw, nil when no registration is judged.
	Registration *Registration
	// Now is the time of the judgement.
	Now time.Time
}

// Expectation is the nonce that evidence must carry when it is not one of this verifier's.
type Expectation struct {
	// Exact is the nonce the caller gave the device: offline appraisal, where the caller answers for its freshness.
	Exact attest.Nonce
	// Session is a nonce of this verifier that the evidence must carry: the session it was submitted to.
	Session attest.Nonce
}

// Appraise judges evidence, a registration, or both. Bad evidence is a Result with reasons; an error means that the
// store failed and nothing was decided.
func (v *Verifier) Appraise(ctx context.Context, in Input) (attest.Result, error) {
	a := newAppraisal(in, v.trust.Load())
	if a.exempt() {
		return a.result(), nil
	}
	a.readSignalled()
	var err error
	if in.Evidence == nil {
		err = v.appraiseAbsence(ctx, a)
	} else {
		err = v.appraiseEvidence(ctx, a)
	}
	if err != nil {
		return attest.Result{}, fmt.Errorf("no judgement: %w", err)
	}
	return a.result(), nil
}
