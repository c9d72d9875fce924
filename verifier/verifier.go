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
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"imei-attest/attest"
	"imei-attest/attest/imei"
)

// Lives of challenges.
const (
	// challengeLife is how long the nonce of a 401 challenge is remembered as used: longer than any registrar keeps a
	// challenge outstanding.
	challengeLife = 24 * time.Hour
	// challengeWait is the oldest challenge that a registrar calls outstanding: reg-await-auth (TS 24.229 clause 7.8).
	challengeWait = 4 * time.Minute
)

// Cases is the register of weaknesses, as far as it was released to operators.
type Cases interface {
	// Weakness returns what is known of a model with a firmware: one of attest's weakness reasons, or "". The revision is empty
	// where the device told none.
	Weakness(ctx context.Context, tac imei.TAC, model, revision string) (attest.Reason, error)
}

// Config is what a Verifier needs.
type Config struct {
	// Store is this Verifier's alone: what another one commits meanwhile would not end the answers that stand here.
	Store  Store
	Nonces *attest.NonceKeys
	Trust  *Trust
	// Policy is the operator's; nil is [ObservePolicy].
	Policy *Policy
	// List is the operator's list of equipment, nil if there is none.
	List List
	// Cases is the register of weaknesses, nil if there is none.
	Cases Cases
	// Pseudonyms are what recorded decisions name devices and subscribers by; nil is [RandomPseudonyms]. A store that outlives the
	// process has keys of its own for them.
	Pseudonyms *Pseudonyms
	// Rand makes the decisions' identifiers; nil is crypto/rand's.
	Rand io.Reader
	// Alarm is called when the policy's breaker opens and closes; nil is allowed.
	Alarm func(open bool)
	// Decided is told of each decision, to count it; nil is allowed.
	Decided func(*Verdict)
	// Since, in whole seconds, is when a store that forgets began to remember: nonces minted before are taken for
	// expired, because one that was used up would not be known. Zero for a store that forgets nothing.
	Since time.Time
}

// Verifier appraises. It is safe for use by many goroutines.
type Verifier struct {
	store        Store
	nonces       atomic.Pointer[attest.NonceKeys]
	since        atomic.Int64 // in seconds
	trust        atomic.Pointer[Trust]
	policy       atomic.Pointer[Policy]
	list         atomic.Pointer[List] // nil without one
	cases        Cases
	pseudonyms   *Pseudonyms
	random       io.Reader
	alarm        func(bool)
	decided      func(*Verdict)
	endorsements endorsementCache
	standing     standing
}

// New returns a Verifier.
func New(c Config) (*Verifier, error) {
	if c.Store == nil || c.Nonces == nil || c.Trust == nil {
		return nil, errors.New("a verifier needs a store, nonce keys and trust anchors")
	}
	v := &Verifier{store: c.Store, cases: c.Cases, pseudonyms: c.Pseudonyms, random: c.Rand, alarm: c.Alarm, decided: c.Decided}
	if v.random == nil {
		v.random = rand.Reader
	}
	if v.pseudonyms == nil {
		v.pseudonyms = RandomPseudonyms()
	}
	if c.Policy == nil {
		c.Policy = ObservePolicy()
	}
	v.nonces.Store(c.Nonces)
	v.SetSince(c.Since)
	v.trust.Store(c.Trust)
	v.policy.Store(c.Policy)
	if c.List != nil {
		v.SetList(c.List)
	}
	return v, nil
}

// SetTrust exchanges the trust anchors. Judgements under way finish under the old ones.
func (v *Verifier) SetTrust(t *Trust) { v.trust.Store(t) }

// SetPolicy exchanges the policy. Judgements under way finish under the old one. A breaker with the same settings goes on counting; an
// open one with others ends, and the alarm with it.
func (v *Verifier) SetPolicy(p *Policy) {
	before := v.policy.Load()
	if p.Breaker == before.Breaker && before.Counter != nil && p.Counter != nil {
		kept := *p
		kept.Counter = before.Counter
		p = &kept
	}
	v.policy.Store(p)
	if before.Counter != nil && p.Counter != before.Counter && before.Counter.Tripped() && v.alarm != nil {
		v.alarm(false)
	}
}

// SetList exchanges the operator's list of equipment. Judgements under way finish under the old one.
func (v *Verifier) SetList(l List) { v.list.Store(&l) }

// SetNonces exchanges the keys of nonces. Those that are open stay good if the new keys have the key that made them as the earlier one.
func (v *Verifier) SetNonces(k *attest.NonceKeys) { v.nonces.Store(k) }

// SetSince says that nonces minted before, in whole seconds, are taken for expired: what was used may have been forgotten.
func (v *Verifier) SetSince(t time.Time) { v.since.Store(t.Unix()) }

// MintNonce makes a nonce that this verifier will accept once until expiry; size is in bytes.
func (v *Verifier) MintNonce(random io.Reader, now time.Time, size int) (n attest.Nonce, expiry time.Time, err error) {
	if n, err = v.nonces.Load().Mint(random, now, size); err != nil {
		return nil, time.Time{}, err
	}
	expiry, err = v.CheckNonce(n, now) // whole seconds, as the nonce carries it
	return n, expiry, err
}

// CheckNonce tells whether a nonce is this verifier's and when it expires. The error is attest.ErrNonceForeign or
// attest.ErrNonceExpired.
func (v *Verifier) CheckNonce(n attest.Nonce, now time.Time) (expiry time.Time, err error) {
	expiry, err = v.nonces.Load().Check(n, now)
	if err == nil && expiry.Add(-attest.NonceLife).Unix() < v.since.Load() {
		err = attest.ErrNonceExpired
	}
	return expiry, err
}

// EncloseNonce makes of a nonce that a caller chose what any verifier with the same keys takes it out of until expiry; the caller
// answers for the nonce's being new.
func (v *Verifier) EncloseNonce(n attest.Nonce, now time.Time) (enclosed []byte, expiry time.Time, err error) {
	if enclosed, err = v.nonces.Load().Enclose(n, now); err != nil {
		return nil, time.Time{}, err
	}
	_, expiry, err = v.DiscloseNonce(enclosed, now) // whole seconds, as it carries them
	return enclosed, expiry, err
}

// DiscloseNonce takes the nonce out of what EncloseNonce made. The error is attest.ErrNonceForeign or attest.ErrNonceExpired.
func (v *Verifier) DiscloseNonce(enclosed []byte, now time.Time) (n attest.Nonce, expiry time.Time, err error) {
	n, expiry, err = v.nonces.Load().Disclose(enclosed, now)
	if err == nil && expiry.Add(-attest.NonceLife).Unix() < v.since.Load() {
		err = attest.ErrNonceExpired
	}
	return n, expiry, err
}

// Presented returns the verdict that was given when evidence with this nonce was presented, if it was. It is zero for a nonce that
// was given up.
func (v *Verifier) Presented(ctx context.Context, n attest.Nonce) (Verdict, bool, error) {
	return v.store.Presented(ctx, n)
}

// Record returns a recorded decision.
func (v *Verifier) Record(ctx context.Context, id DecisionID) (*Record, bool, error) {
	return v.store.Record(ctx, id)
}

// Latest returns the latest decision on a public identity that an S-CSCF registered.
func (v *Verifier) Latest(ctx context.Context, impu string) (*Record, bool, error) {
	return v.store.Latest(ctx, v.pseudonyms.Public(impu))
}

// Records gives the recorded decisions since a time, the oldest first, until yield returns false.
func (v *Verifier) Records(ctx context.Context, since time.Time, yield func(*Record) bool) error {
	return v.store.Records(ctx, since, yield)
}

// Revoke uses a nonce up, Session or Exact: evidence that carries it is answered no more. The error is attest.ErrNonceForeign or
// attest.ErrNonceExpired for a Session that is none, or the store's.
func (v *Verifier) Revoke(ctx context.Context, e Expectation, now time.Time) error {
	n, expiry := e.Exact, now.Add(challengeLife)
	if n == nil {
		var err error
		if expiry, err = v.CheckNonce(e.Session, now); err != nil {
			return err
		}
		n = e.Session
	}
	_, err := v.store.Commit(ctx, Decision{Presentation: Presentation{Nonce: n}, Expiry: expiry, Now: now})
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

// Verdict is a Result, with what the policy makes of it and the identifier it is recorded by.
type Verdict struct {
	ID            DecisionID `json:"id" cbor:"1,keyasint"`
	attest.Result `cbor:"2,keyasint"`
	Answer        Answer `json:"answer" cbor:"3,keyasint"`
}

// Appraise judges evidence, a registration, or both. Bad evidence is a Result with reasons; an error means that the
// store failed and nothing was decided.
func (v *Verifier) Appraise(ctx context.Context, in Input) (Verdict, error) {
	verdict, err := v.appraise(ctx, newQuestion(in, v.trust.Load(), v.list.Load()), v.policy.Load())
	if err != nil {
		return Verdict{}, fmt.Errorf("no judgement: %w", err)
	}
	if v.decided != nil {
		told := verdict // else every verdict would be on the heap
		v.decided(&told)
	}
	return verdict, nil
}

// maxConflicts bounds how often a judgement begins anew because another token of the same device was judged meanwhile.
// Each conflict means that the other one was decided, so this many come only from a store that is broken.
const maxConflicts = 100

var errConflicts = errors.New("what the store keeps of the device never stays as it was read")

func (v *Verifier) appraise(ctx context.Context, q *question, p *Policy) (Verdict, error) {
	if q.facts.isExempt() {
		return v.exempt(ctx, q, p)
	}
	if q.in.Evidence != nil {
		if err := v.verify(ctx, q); err != nil {
			return Verdict{}, err
		}
	}
	if q.facts.Evidence == nil {
		return v.note(ctx, q, p)
	}
	if err := v.recallViews(ctx, q, &p.Rules); err != nil {
		return Verdict{}, err
	}
	for try := range maxConflicts {
		if err := v.recall(ctx, q, &p.Rules, try == 0); err != nil {
			return Verdict{}, err
		}
		verdict, conflict, err := v.commit(ctx, q, p, judge(&q.facts, &p.Rules))
		if err != nil || !conflict {
			return verdict, err
		}
	}
	return Verdict{}, errConflicts
}

// exempt is step 0. Who calls for help waits for no store, and what came with the call uses no nonce up: that it is recorded is
// tried, no more.
func (v *Verifier) exempt(ctx context.Context, q *question, p *Policy) (Verdict, error) {
	r, err := v.record(q, p, judge(&q.facts, &p.Rules))
	if err != nil {
		return Verdict{}, err
	}
	view := q.endedView()
	_ = v.store.Note(ctx, Note{Record: r, View: view})
	v.standing.reshow(view)
	return r.Verdict, nil
}

// Unjudged is the answer to a question that [Verifier.Appraise] failed on: nothing was found out, so nothing is affirmed, and the
// policy says what the network does meanwhile. A black or grey entry of the operator's list counts all the same. It is not recorded.
func (v *Verifier) Unjudged(in Input) Verdict {
	q := newQuestion(in, nil, v.list.Load())
	r := attest.Result{IssuedAt: in.Now.UTC(), ValidUntil: in.Now.UTC(), Submods: []attest.Submod{{Name: attest.RegistrationSubmod}}}
	r.Submods[0].Add(attest.ReasonNotJudged)
	if listed := q.facts.Listed; listed.Colour == ColourBlack || listed.Colour == ColourGrey {
		r.Submods[0].Add(listed.reason())
	}
	return Verdict{Result: r, Answer: v.answer(q, v.policy.Load(), &r)}
}

// note decides where no evidence speaks for a device: nothing about any device changes.
func (v *Verifier) note(ctx context.Context, q *question, p *Policy) (Verdict, error) {
	if verdict, denied, stands := v.standing.find(q, p); stands {
		v.count(q, p, denied)
		return verdict, nil
	}
	since := v.standing.since(q)
	if err := v.recallShown(ctx, q); err != nil {
		return Verdict{}, err
	}
	if err := v.recallClaim(ctx, q, &p.Rules); err != nil {
		return Verdict{}, err
	}
	if err := v.recallViews(ctx, q, &p.Rules); err != nil {
		return Verdict{}, err
	}
	a := judge(&q.facts, &p.Rules)
	r, err := v.record(q, p, a)
	if err != nil {
		return Verdict{}, err
	}
	if err := v.store.Note(ctx, Note{Record: r, Sighting: q.sighting(), View: q.view}); err != nil {
		return Verdict{}, err
	}
	since += v.standing.reshow(q.view)
	denied := p.denies(r)
	v.standing.keep(q, p, a, r, denied, since)
	v.count(q, p, denied)
	return r.Verdict, nil
}

// commit is step 12: nonce, device and decision in one durable step, then the answer. A nonce that was used for something
// else refuses this request and changes nothing. After a conflict, nothing is decided.
func (v *Verifier) commit(ctx context.Context, q *question, p *Policy, a *appraisal) (verdict Verdict, conflict bool, err error) {
	r, err := v.record(q, p, a)
	if err != nil {
		return verdict, false, err
	}
	d := Decision{
		Presentation: q.presentation(), Expiry: q.expiry, Now: q.in.Now, Record: r, Lasting: a.mayLast(), Damning: a.convicts(), View: q.view,
		Device: &Device{Key: q.evidence.KeyID, State: a.state, Holds: q.holds(a.holders), Generation: q.trust.Generation},
	}
	if !q.endorsement.kept || q.endorsement.software != q.software {
		d.Device.Credential, d.Device.Software = q.endorsement.credential.Raw, q.software
	}
	if a.mayClaim() {
		d.Claims = q.claims()
	}
	if a.holdsShown() {
		d.Sighting = q.sighting()
		if !a.reg.Has(attest.ReasonDuplicateSubscriber) { // which no more of them take away, nor find twice
			d.Others = &q.others
		}
	}
	defer v.standing.reshow(q.view)
	defer v.standing.end(q, d.Device.Credential != nil)
	done, err := v.store.Commit(ctx, d)
	switch {
	case err != nil || done.Conflict:
		return verdict, done.Conflict, err
	case q.assumed && (done.Repeat || done.Closed || done.Replay): // nothing was compared with what is kept: judge by that
		return verdict, true, nil
	case done.Repeat && !a.isWorse(&done.Answer.Result):
		return done.Answer, false, nil
	case done.Repeat: // shown otherwise than before
		q.facts.Reuse = attest.ReasonNonceExpired
	case done.Closed: // given up, or answered too long ago: nobody replayed anything
		q.facts.Reuse = attest.ReasonNonceExpired
	case done.Replay:
		q.facts.Reuse = attest.ReasonNonceReused
	default:
		v.endorsements.put(q.evidence.KeyID, q.endorsement.asKept(q.software), q.told != Software{})
		v.count(q, p, p.denies(r))
		return r.Verdict, false, nil
	}
	verdict, err = v.note(ctx, q, p)
	return verdict, false, err
}

// holds is what becomes of the device's IMEIs.
func (q *question) holds(holders []Holder) []Hold {
	holds := make([]Hold, len(holders))
	for i, is := range holders {
		holds[i] = Hold{IMEI: q.endorsement.credential.Slots[i], Was: q.facts.Evidence.Slots[i].Holder, Is: is}
	}
	return holds
}

// sighting is the subscriber who registers the IMEI that is shown.
func (q *question) sighting() *Sighting {
	s := q.facts.Shown
	if !s.byNetwork() || !s.Subscribed || q.signalled.IsZero() {
		return nil
	}
	return &Sighting{IMEI: q.signalled, Subscriber: q.in.Registration.Subscriber(), At: q.in.Now}
}
