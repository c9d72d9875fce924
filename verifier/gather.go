package verifier

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"slices"
	"time"

	"imei-attest/attest"
	"imei-attest/attest/imei"
	"imei-attest/attest/tpmprofile"
)

// question is one Input while its facts are gathered. Beside the facts it holds the identities that they leave out.
type question struct {
	in    Input
	trust *Trust
	list  *List
	facts Facts

	ids         []imei.IMEI // those that the facts number, from 1
	few         [4]imei.IMEI
	signalled   imei.IMEI    // S, zero when the registration shows none
	holder      attest.KeyID // whose S is, where no evidence speaks for it
	evidence    *attest.Evidence
	endorsement *endorsement // set once the evidence verified
	told        Software     // of the device, by the evidence
	software    Software     // the same, or else what it told before
	expiry      time.Time    // of the nonce
	assumed     bool         // that the device holds its IMEIs: that was not read
	others      Others       // of the IMEI that is shown: read, or assumed to be none for some time
	view        *View        // what the subscriber shows, nil where nothing is to be kept of it
}

func newQuestion(in Input, trust *Trust, list *List) *question {
	q := &question{in: in, trust: trust, facts: Facts{Now: in.Now.UTC()}}
	q.ids = q.few[:0]
	if in.Registration != nil {
		q.readRegistration()
		q.readList(list)
	}
	return q
}

// identity numbers an IMEI.
func (q *question) identity(id imei.IMEI) Identity {
	if id.IsZero() {
		return Identity{}
	}
	for i, known := range q.ids {
		if known == id {
			return Identity{id.TAC(), uint8(i + 1)}
		}
	}
	q.ids = append(q.ids, id)
	return Identity{id.TAC(), uint8(len(q.ids))}
}

func (q *question) readRegistration() {
	r := q.in.Registration
	s := &Shown{Front: r.Front, Initial: r.isInitial(), Emergency: r.Emergency, Ends: r.Expires != nil && *r.Expires == 0,
		Subscribed: r.Subscriber() != "", IMS: r.isIMS(), AKA: r.isAKA(), Auth: r.Auth, Protected: r.IntegrityProtected, Sender: r.Sender}
	q.signalled, s.Remarks = r.signalled()
	s.IMEI = q.identity(q.signalled)
	q.facts.Shown = s
}

// verify is steps 2 and 3 and the cryptography of 7. Nothing is read out of a token that does not verify: then the facts say
// why, and hold no evidence.
func (v *Verifier) verify(ctx context.Context, q *question) error {
	var err error
	if q.evidence, err = attest.DecodeEvidence(q.in.Evidence); err != nil {
		q.facts.Refusal = attest.ReasonUnexpectedEvidence
		return nil
	}
	found, refusal, err := v.endorse(ctx, q)
	if err != nil {
		return err
	}
	if refusal == "" && q.evidence.VerifySignature(found.credential.Key) != nil {
		refusal = attest.ReasonSignatureInvalid
	}
	var verified Verified
	if refusal == "" {
		refusal = v.checkNonce(q, &verified)
	}
	var firmware uint64
	if refusal == "" {
		firmware, refusal = q.readProof(found, &verified)
	}
	if q.facts.Refusal = refusal; refusal != "" {
		return nil
	}
	q.endorsement = found
	q.readEndorsement(&verified, firmware)
	q.readClaims(&verified)
	q.facts.Evidence = &verified
	return v.readWeakness(ctx, q)
}

// checkNonce is step 3: the nonce is the one expected and has not expired. That it was not used is settled when the
// decision is committed.
func (v *Verifier) checkNonce(q *question, found *Verified) attest.Reason {
	got := q.evidence.Claims.Nonce
	found.Nonce = got
	if want := q.expected(); want != nil {
		q.expiry = q.in.Now.Add(challengeLife)
		found.Challenged = q.in.Nonce.Exact == nil
		if found.Challenged {
			found.Minted = q.in.Now.UTC().Add(-challengeWait)
		}
		if !bytes.Equal(got, want) {
			return attest.ReasonNonceExpired
		}
		return ""
	}
	if session := q.in.Nonce.Session; session != nil && !bytes.Equal(got, session) {
		return attest.ReasonNonceExpired
	}
	var err error
	if q.expiry, err = v.CheckNonce(got, q.in.Now); err != nil {
		return attest.ReasonNonceExpired
	}
	found.Minted = q.expiry.Add(-attest.NonceLife)
	return ""
}

// expected is the nonce known beforehand: the caller's own, or the one that follows from the registration's challenge.
// Nil means one of this verifier's. A derived nonce counts only while the registrar says the challenge is outstanding,
// and only if the evidence does not carry one of this verifier's instead.
func (q *question) expected() attest.Nonce {
	if q.in.Nonce.Exact != nil {
		return q.in.Nonce.Exact
	}
	if derived := q.derivedNonce(); bytes.Equal(derived, q.evidence.Claims.Nonce) {
		return derived
	}
	return nil
}

func (q *question) derivedNonce() attest.Nonce {
	r := q.in.Registration
	if q.in.Nonce.Session != nil || !r.isSeenByNetwork() || r.Challenge401 == "" || !r.ChallengeOutstanding {
		return nil
	}
	return attest.NonceFrom401(r.Challenge401)
}

// readProof checks the proof of profile B if the evidence carries one. It is unprotected, so whoever passes a token on
// can spoil it: that refuses the request and leaves the nonce and the device as they were. A proof of another kind is
// of a profile to come and shows no more than none: leaving it out would be as easy. It returns the version of the TPM's firmware.
func (q *question) readProof(under *endorsement, found *Verified) (firmware uint64, refusal attest.Reason) {
	if q.evidence.TPMProof == nil {
		return 0, ""
	}
	p, err := attest.DecodeCounterProof(q.evidence.TPMProof)
	switch {
	case attest.ClassOf(err) == attest.ClassProfile:
		return 0, ""
	case err != nil:
		return 0, attest.ReasonUnexpectedEvidence
	}
	binding := q.evidence.Binding()
	if tpmprofile.VerifyCounterProof(&under.credential.Credential, binding, p) != nil {
		return 0, attest.ReasonSignatureInvalid
	}
	found.Proved = &State{Counter: p.Counter, ResetCount: p.ResetCount, Clock: p.Clock, Binding: binding, Seen: q.in.Now}
	return p.Firmware, ""
}

// readEndorsement is what the manufacturer says of the device.
func (q *question) readEndorsement(found *Verified, tpmFirmware uint64) {
	c, anchor := &q.endorsement.credential.Credential, q.endorsement.anchor
	found.Key, found.Issuer, found.Model, found.Serial, found.ClientClass = q.evidence.KeyID, c.Issuer, string(c.HWModel), c.Serial, c.ClientClass
	found.Kind, found.NV, found.Boot, found.Protected = c.Storage.Kind, c.Storage.NV, c.Storage.Boot, c.Storage.RollbackProtected
	found.Lifted = anchor.vouches(attest.StorageTPMEmulated)
	q.told = Software{q.evidence.Claims.Modem.Revision, tpmFirmware}
	q.software = q.told.orElse(q.endorsement.software)
	found.Revision = q.software.Revision
	found.Untold = found.Revision != "" && q.evidence.Claims.Modem.Revision == ""
	found.Firmware = anchor.judgeFirmware(c, found.Revision)
	found.TPMDenied = anchor.deniesTPM(q.software.TPM)
}

// orElse is what was told, and what was told before of the rest.
func (s Software) orElse(before Software) Software {
	return Software{cmp.Or(s.Revision, before.Revision), cmp.Or(s.TPM, before.TPM)}
}

// readClaims puts what the device says beside what its manufacturer provisioned, slot by slot.
func (q *question) readClaims(found *Verified) {
	claims, provisioned := &q.evidence.Claims, q.endorsement.credential.Slots
	found.ReadingAge = claims.ReadingAge
	found.Slots = make([]SlotFact, max(len(provisioned), len(claims.Observed)))
	for i := range found.Slots {
		s := &found.Slots[i]
		if i < len(provisioned) {
			s.Provisioned = q.identity(provisioned[i])
		}
		s.Word = wordNotObserved
		if i < len(claims.Observed) {
			o := &claims.Observed[i]
			s.Reported, s.Word, s.Flags = q.identity(o.IMEI), wordOf(o), o.Flags
		}
		if i < len(claims.Measurements) {
			s.Measured = claims.Measurements[i]
		}
	}
	found.Outdated = !equalSlots(claims.Provisioned, provisioned)
	if q.facts.Shown != nil && q.facts.Shown.Subscribed {
		q.facts.Shown.Tie = q.tie(found.Challenged)
	}
}

func equalSlots(a, b []imei.IMEI) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// wordNotObserved stands for a slot that the agent did not ask for.
const wordNotObserved imei.Word = "not_observed"

// wordOf says why the modem gave no IMEI for a slot: the agent's word, or what is wrong with the modem's text.
func wordOf(o *attest.Observed) imei.Word {
	switch {
	case !o.IMEI.IsZero():
		return ""
	case o.Error != "":
		return imei.Word(o.Error)
	}
	_, _, err := imei.ParseSent(o.Text)
	if e, ok := err.(*imei.Error); ok {
		return e.Word
	}
	return wordNotObserved
}

// tie is step 5: is the subscriber that registers the one whose device this is?
func (q *question) tie(challenged bool) attest.Reason {
	r := q.in.Registration
	if challenged && r.isAKA() {
		return attest.ReasonSubscriberBound
	}
	imsi, known := r.imsi()
	claimed := q.claimedSubscriber()
	switch {
	case !known || claimed == nil:
		return attest.ReasonSubscriberUnbound
	case bytes.Equal(claimed, attest.SubscriberHash(q.evidence.Claims.Nonce, imsi)):
		return attest.ReasonSubscriberClaimed
	}
	return attest.ReasonSubscriberDiffers
}

// readWeakness asks the register of weaknesses about the device's model.
func (v *Verifier) readWeakness(ctx context.Context, q *question) (err error) {
	if v.cases == nil {
		return nil
	}
	e := q.facts.Evidence
	e.Weakness, err = v.cases.Weakness(ctx, q.endorsement.credential.Slots[0].TAC(), e.Model, e.Revision)
	return err
}

// recall reads what the store knows of a device whose evidence verified. After a conflict it is read again. A device whose Credential was
// committed before is assumed to hold its IMEIs still, and to be with one subscriber for some time, as nearly all are: if that is not so, it is
// a conflict.
func (v *Verifier) recall(ctx context.Context, q *question, rules *Rules, assume bool) (err error) {
	e := q.facts.Evidence
	q.assumed = assume && q.endorsement.kept
	if e.Proved != nil || !e.Protected {
		if e.Kept, err = v.store.State(ctx, e.Key); err != nil {
			return err
		}
	}
	for i, id := range q.endorsement.credential.Slots {
		s := &e.Slots[i]
		if q.assumed {
			s.Holder = Holder{Key: e.Key, Issuer: e.Issuer, Serial: e.Serial}
		} else if s.Holder, err = v.store.Holder(ctx, id); err != nil {
			return err
		}
		if s.Stands = false; s.Holder != (Holder{}) && s.Holder.Key != e.Key {
			if s.Stands, err = v.stands(ctx, q.trust, id, s.Holder.Key); err != nil {
				return err
			}
		}
	}
	s := q.facts.Shown
	if !s.byNetwork() || q.signalled.IsZero() {
		return nil
	}
	if !slices.Contains(q.endorsement.credential.Slots, q.signalled) {
		other, err := v.store.Holder(ctx, q.signalled)
		if err != nil {
			return err
		}
		q.facts.Endorsed = other != (Holder{})
		return err
	}
	switch {
	case !s.Subscribed:
		return nil
	case q.assumed:
		q.others = Others{Since: q.in.Now.Add(-max(aloneFor, rules.Ages.Interleave))}
		return nil
	}
	return v.recallSeen(ctx, q)
}

// aloneFor is how long a device that is known is assumed to be with one subscriber. Other policies can be tried on the record of such a
// decision as long as they hold no earlier sightings against each other.
const aloneFor = 30 * 24 * time.Hour

// recallShown reads what the store knows of an IMEI that is shown without evidence that speaks for it.
func (v *Verifier) recallShown(ctx context.Context, q *question) error {
	s := q.facts.Shown
	if q.signalled.IsZero() || q.in.Evidence != nil && !s.byNetwork() {
		return nil
	}
	holder, err := v.store.Holder(ctx, q.signalled)
	if err != nil || holder == (Holder{}) {
		return err
	}
	q.facts.Endorsed, q.holder = true, holder.Key
	if q.in.Evidence != nil || !s.byNetwork() || !s.Subscribed {
		return nil
	}
	prior, found, err := v.store.Prior(ctx, q.signalled, q.in.Registration.Subscriber())
	if err != nil {
		return err
	}
	if found {
		// What was found stands if its Credential does, and all else that the trust says of the device, of which more may be known by now.
		e, err := v.holding(ctx, q.trust, q.signalled, holder.Key)
		if err != nil {
			return err
		}
		found = e != nil && e.stillFinds(&prior.Answer)
	}
	if found {
		q.facts.Prior = &prior
		s.SameBinding = prior.Binding != Pseudonym{} && v.pseudonyms.Call(q.in.Registration.CallID).Is(prior.Binding)
	}
	return v.recallSeen(ctx, q)
}

func (v *Verifier) recallSeen(ctx context.Context, q *question) (err error) {
	q.facts.Seen, err = v.store.Seen(ctx, q.signalled, q.in.Registration.Subscriber())
	q.others = Others{}
	for _, s := range q.facts.Seen {
		if !s.Same {
			q.others.Add(s.At)
		}
	}
	return err
}

// presentation is this showing of the evidence.
func (q *question) presentation() Presentation {
	p := Presentation{Nonce: q.evidence.Claims.Nonce, Token: sha256.Sum256(q.in.Evidence), Signalled: q.signalled}
	if r := q.in.Registration; r != nil {
		p.Subscriber, p.Front = r.Subscriber(), r.Front
	}
	return p
}
