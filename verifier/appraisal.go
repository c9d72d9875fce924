package verifier

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"time"

	"imei-attest/attest"
	"imei-attest/attest/imei"
)

// appraisal is one judgement under way. A later step never improves what an earlier one found: reasons only add up.
type appraisal struct {
	in    Input
	trust *Trust

	signalled   imei.IMEI // S, zero when the registration shows none
	slots       []attest.Submod
	reg         *attest.Submod // nil without a registration
	evidence    *attest.Evidence
	endorsement *endorsement
	expiry      time.Time            // of the nonce
	minted      time.Time            // the earliest that the nonce can have been; zero where nothing is known of it
	proof       *attest.CounterProof // verified; nil in profile A
	state       *StateChange         // nil in profile A
	holds       []Hold               // none where one was refused
	answer      *attest.Result
}

func newAppraisal(in Input, trust *Trust) *appraisal {
	a := &appraisal{in: in, trust: trust}
	if in.Registration != nil {
		a.reg = &attest.Submod{Name: attest.RegistrationSubmod}
	}
	return a
}

// exempt answers what is never judged: emergencies, which are never refused, and deregistrations. The device's own word
// for either does not count.
func (a *appraisal) exempt() bool {
	r := a.in.Registration
	if !r.isSeenByNetwork() {
		return false
	}
	if r.Emergency {
		a.reg.Add(attest.ReasonEmergency)
		return true
	}
	return r.Expires != nil && *r.Expires == 0
}

// readSignalled is step 1: S, the IMEI that the network was shown.
func (a *appraisal) readSignalled() {
	if a.in.Registration == nil {
		return
	}
	var remarks []attest.Reason
	a.signalled, remarks = a.in.Registration.signalled()
	a.reg.Add(remarks...)
}

// device adds a reason about the device as a whole; before the slots are known it is slot 1's.
func (a *appraisal) device(reasons ...attest.Reason) {
	if len(a.slots) == 0 {
		a.slots = []attest.Submod{{Name: attest.SlotName(1)}}
	}
	for i := range a.slots {
		a.slots[i].Add(reasons...)
	}
}

// request adds a reason about this request only, which must not stain the device.
func (a *appraisal) request(reason attest.Reason) {
	if a.reg == nil {
		a.device(reason)
		return
	}
	a.reg.Add(reason)
}

func (a *appraisal) result() attest.Result {
	if a.answer != nil {
		return *a.answer
	}
	r := attest.Result{IssuedAt: a.in.Now.UTC(), ValidUntil: a.in.Now.UTC().Add(resultLife), Submods: a.slots}
	if a.evidence != nil {
		r.Nonce = a.evidence.Claims.Nonce
	}
	if a.reg != nil {
		r.Submods = append(r.Submods[:len(r.Submods):len(r.Submods)], *a.reg)
	}
	return r
}

// appraiseAbsence is step 2 without evidence, and step 6 where an earlier result may stand in.
func (v *Verifier) appraiseAbsence(ctx context.Context, a *appraisal) error {
	if a.signalled.IsZero() {
		return nil // unbound or malformed, as step 1 said
	}
	holder, err := v.store.Holder(ctx, a.signalled)
	if err != nil {
		return err
	}
	if holder == (Holder{}) {
		a.reg.Add(attest.ReasonNotEndorsed)
		return nil
	}
	subscriber := a.in.Registration.Subscriber()
	prior, found, err := v.store.Prior(ctx, a.signalled, subscriber)
	if err != nil {
		return err
	}
	if subscriber == "" || !a.in.Registration.isSeenByNetwork() || !found ||
		a.in.Now.Sub(prior.At) > priorLife || prior.Generation != a.trust.Generation {
		a.reg.Add(attest.ReasonEvidenceMissing)
		return nil
	}
	a.takePrior(prior)
	return nil
}

// noteAbsence: bytes that are no evidence are no better than none.
func (v *Verifier) noteAbsence(ctx context.Context, a *appraisal) error {
	if a.signalled.IsZero() || !a.in.Registration.isSeenByNetwork() {
		return nil
	}
	holder, err := v.store.Holder(ctx, a.signalled)
	if holder != (Holder{}) {
		a.reg.Add(attest.ReasonEvidenceMissing)
	}
	return err
}

// takePrior rests on an earlier result of the same subscriber. A re-registration may do so; an initial one gets no
// better than a warning.
func (a *appraisal) takePrior(prior Prior) {
	for _, s := range prior.Answer.Submods {
		if s.Name != attest.RegistrationSubmod {
			a.slots = append(a.slots, s)
			continue
		}
		for _, r := range s.Reasons {
			switch r {
			case attest.ReasonNASIMSMismatch, attest.ReasonURNNonconformant: // remarks on how that one was shown
			default:
				a.reg.Add(r)
			}
		}
	}
	if a.in.Registration.isInitial() {
		a.reg.Add(attest.ReasonStale)
	}
}

// appraiseEvidence is steps 2 to 12. Each step that fails ends the judgement: nothing is read out of a token that
// did not verify.
func (v *Verifier) appraiseEvidence(ctx context.Context, a *appraisal) error {
	var err error
	if a.evidence, err = attest.DecodeEvidence(a.in.Evidence); err != nil {
		a.device(attest.ReasonUnexpectedEvidence)
		return v.noteAbsence(ctx, a)
	}
	refusal, err := v.endorse(ctx, a)
	if err != nil {
		return err
	}
	if refusal == "" && a.evidence.VerifySignature(a.endorsement.credential.Key) != nil {
		refusal = attest.ReasonSignatureInvalid
	}
	if refusal == "" {
		refusal = v.checkNonce(a)
	}
	if refusal == "" {
		refusal = a.readProof()
	}
	if refusal != "" {
		a.device(refusal)
		if refusal == attest.ReasonNonceExpired || refusal == attest.ReasonUnexpectedEvidence {
			return v.noteAbsence(ctx, a) // an old token, which anybody may have kept, is no better than none
		}
		return nil
	}
	return v.decide(ctx, a)
}

// maxConflicts bounds how often a judgement begins anew because another token of the same device was judged meanwhile.
// Each conflict means that the other one was decided, so this many come only from a store that is broken.
const maxConflicts = 100

var errConflicts = errors.New("what the store keeps of the device never stays as it was read")

// decide is steps 4 to 12 for evidence that verified. What it finds about the registration does not depend on the store, so
// to find it again adds nothing.
func (v *Verifier) decide(ctx context.Context, a *appraisal) error {
	for range maxConflicts {
		a.compare()
		a.judgeSubscriber()
		a.judgeAge()
		a.judgeVault()
		if err := v.judgeState(ctx, a); err != nil {
			return err
		}
		if err := v.judgeSuccession(ctx, a); err != nil {
			return err
		}
		if conflict, err := v.commit(ctx, a); err != nil || !conflict {
			return err
		}
	}
	return errConflicts
}

// provisioned is P: the Credential's IMEIs. What the token says of them is checked against it and used for nothing.
func (a *appraisal) provisioned() []imei.IMEI { return a.endorsement.credential.Slots }

// checkNonce is step 3: the nonce is the one expected and has not expired. That it was not used is settled when the
// decision is committed.
func (v *Verifier) checkNonce(a *appraisal) attest.Reason {
	got := a.evidence.Claims.Nonce
	if want := a.expected(); want != nil {
		a.expiry = a.in.Now.Add(challengeLife)
		if a.in.Nonce.Exact == nil {
			a.minted = a.in.Now.Add(-challengeWait)
		}
		if !bytes.Equal(got, want) {
			return attest.ReasonNonceExpired
		}
		return ""
	}
	if session := a.in.Nonce.Session; session != nil && !bytes.Equal(got, session) {
		return attest.ReasonNonceExpired
	}
	var err error
	if a.expiry, err = v.CheckNonce(got, a.in.Now); err != nil {
		return attest.ReasonNonceExpired
	}
	a.minted = a.expiry.Add(-attest.NonceLife)
	return ""
}

// expected is the nonce known beforehand: the caller's own, or the one that follows from the registration's challenge.
// Nil means one of this verifier's. A derived nonce counts only while the registrar says the challenge is outstanding,
// and only if the evidence does not carry one of this verifier's instead.
func (a *appraisal) expected() attest.Nonce {
	if a.in.Nonce.Exact != nil {
		return a.in.Nonce.Exact
	}
	if derived := a.derivedNonce(); bytes.Equal(derived, a.evidence.Claims.Nonce) {
		return derived
	}
	return nil
}

func (a *appraisal) derivedNonce() attest.Nonce {
	r := a.in.Registration
	if !r.isSeenByNetwork() || r.Challenge401 == "" || !r.ChallengeOutstanding {
		return nil
	}
	return attest.NonceFrom401(r.Challenge401)
}

// judgeSubscriber is step 5: is the subscriber that registers the one whose device this is?
func (a *appraisal) judgeSubscriber() {
	r := a.in.Registration
	if r.Subscriber() == "" {
		return
	}
	if r.isAKA() && bytes.Equal(a.derivedNonce(), a.evidence.Claims.Nonce) {
		a.reg.Add(attest.ReasonSubscriberBound)
		return
	}
	imsi, known := r.imsi()
	claimed := a.claimedSubscriber()
	switch {
	case !known || claimed == nil:
		a.reg.Add(attest.ReasonSubscriberUnbound)
	case bytes.Equal(claimed, attest.SubscriberHash(a.evidence.Claims.Nonce, imsi)):
		a.reg.Add(attest.ReasonSubscriberClaimed)
	default:
		a.reg.Add(attest.ReasonSubscriberDiffers)
	}
}

// claimedSubscriber is the subscriber that the device names in the slot that registers.
func (a *appraisal) claimedSubscriber() []byte {
	for i, o := range a.evidence.Claims.Observed {
		if a.signalled.IsZero() || i < len(a.provisioned()) && a.provisioned()[i] == a.signalled {
			return o.Subscriber
		}
	}
	return nil
}

// judgeAge is step 6 for evidence in hand: it answers a fresh nonce, but the reading in it may be a cached one.
func (a *appraisal) judgeAge() {
	if a.evidence.Claims.ReadingAge > maxReadingAge {
		a.device(attest.ReasonStale)
	}
}

// judgeVault is step 9: what the manufacturer says of the storage, and whether this anchor may lift an emulation.
func (a *appraisal) judgeVault() {
	storage := a.endorsement.credential.Storage
	switch storage.Kind {
	case attest.StorageTPMDiscrete, attest.StorageTPMFirmware:
		a.device(attest.ReasonHardwareVault)
	case attest.StorageTPMEmulated:
		if !a.endorsement.anchor.vouches(storage.Kind) {
			a.device(attest.ReasonEmulatedVault)
		}
	default:
		a.device(attest.ReasonSoftwareVault)
		return // a file binds no boot
	}
	if storage.Boot == attest.BootMeasured {
		a.device(attest.ReasonBootApproved)
	} else {
		a.device(attest.ReasonBootUnmeasured)
	}
}

// commit is step 12: nonce, device and answer in one durable step, then the answer. A nonce that was used for
// something else refuses this request and changes nothing. After a conflict, nothing is decided.
func (v *Verifier) commit(ctx context.Context, a *appraisal) (conflict bool, err error) {
	presentation := Presentation{
		Nonce: a.evidence.Claims.Nonce, Token: sha256.Sum256(a.in.Evidence),
		Subscriber: a.in.Registration.Subscriber(), Signalled: a.signalled,
	}
	if a.in.Registration != nil {
		presentation.Front = a.in.Registration.Front
	}
	done, err := v.store.Commit(ctx, Decision{
		Presentation: presentation, Expiry: a.expiry, Now: a.in.Now, Answer: a.result(),
		Lasting: a.mayLast(), Damning: a.convicts(),
		Device: &Device{Key: a.evidence.KeyID, Credential: a.endorsement.credential.Raw,
			State: a.state, Holds: a.holds, Generation: a.trust.Generation},
	})
	switch {
	case err != nil || done.Conflict:
		return done.Conflict, err
	case done.Repeat:
		a.answer = &done.Answer
	case done.Closed: // given up, or answered too long ago: nobody replayed anything
		a.slots, a.reg = nil, freshRegistration(a.reg)
		a.device(attest.ReasonNonceExpired)
		return false, v.noteAbsence(ctx, a)
	case done.Replay:
		a.slots, a.reg = nil, freshRegistration(a.reg)
		a.request(attest.ReasonNonceReused)
	default:
		v.endorsements.put(a.evidence.KeyID, a.endorsement)
	}
	return false, nil
}

// mayLast: an answer is kept for a subscriber only if the network named him, and for an IMEI only if it is this
// device's. What was found about a spoofed registration must not stain the device's next honest one, and a modem that
// could not be read says nothing for later.
func (a *appraisal) mayLast() bool {
	r := a.in.Registration
	for i := range a.slots {
		if a.slots[i].Has(attest.ReasonIMEINotRead) {
			return false
		}
	}
	return r.isSeenByNetwork() && r.Subscriber() != "" && slices.ContainsFunc(a.holds, func(h Hold) bool { return h.IMEI == a.signalled })
}

// convicts: what was found of the device itself, whoever registered with it, ends the credit of earlier answers.
func (a *appraisal) convicts() bool {
	for i := range a.slots {
		if a.slots[i].Status == attest.StatusContraindicated {
			return true
		}
	}
	return false
}

// freshRegistration drops what was found about a registration whose evidence turned out to be a replay.
func freshRegistration(reg *attest.Submod) *attest.Submod {
	if reg == nil {
		return nil
	}
	return &attest.Submod{Name: reg.Name}
}
