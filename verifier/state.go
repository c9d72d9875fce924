package verifier

import (
	"cmp"
	"time"

	"imei-attest/attest"
)

// The proofs of one TPM are in order: each is made after the attestation counter was raised, so no two have the same
// counter, and resets and clock go up with it until TPM2_Clear makes them begin anew (TPM 2.0 Part 1 section 36). A copy
// of the TPM's state goes on counting by itself and breaks that order. Tokens may arrive in another order than they
// were signed in, so arrival proves nothing: a token was signed after its nonce was minted and before it was seen, and
// only where those times do not overlap is it known which of two was signed first.

// judgeState is step 7: was the storage set back since the device proved its state? Where the manufacturer says that it
// cannot be, no proof is missed.
func (a *appraisal) judgeState() {
	e := a.facts.Evidence
	switch {
	case e.Proved != nil:
		next, found := e.Kept.next(*e.Proved, e.Minted, e.NV)
		a.state = &StateChange{Was: e.Kept, Is: next}
		a.device(found...)
	case e.Protected:
	case e.Kept.Seen.IsZero() || a.facts.Now.Sub(e.Kept.Seen) > a.rules.Ages.Proof:
		a.device(attest.ReasonRollbackUnknown)
	}
}

// next compares the state that is kept with a newly proved one, signed after minted, and says what is to be kept.
func (s State) next(n State, minted time.Time, variant attest.NVVariant) (State, []attest.Reason) {
	switch {
	case s.Seen.IsZero():
		return n, nil
	case s.Same(n): // shown once more
		return s, nil
	case n.Counter > s.Counter:
		if s.Seen.After(n.Seen) {
			n.Seen = s.Seen // by another node's clock
		}
		switch {
		case n.ticks(s) >= 0:
			return n, nil
		case !n.mayFollowClear(s): // set back, and its counter raised: anybody on the device can do that
			return n, []attest.Reason{attest.ReasonTPMCleared, attest.ReasonRollbackUnknown}
		}
		return n, []attest.Reason{attest.ReasonTPMCleared}
	case n.Counter < s.Counter && n.mayPrecede(s, minted):
		return s, nil
	case variant == attest.NVOwner && n.mayFollowClear(s):
		// TPM2_Clear deletes the owner's counter. The one made after it begins above (Part 1 section 37.2.4), but where a TPM
		// does not keep to that its owner has done no wrong. A copy of a time when the clock was young looks the same, so it
		// is not affirmed either.
		return n, []attest.Reason{attest.ReasonTPMCleared, attest.ReasonRollbackUnknown}
	}
	return s, []attest.Reason{attest.ReasonStateRegressed}
}

// ticks compares the times that two proofs tell: within a reset by the clock, which steps back over a power failure.
func (s State) ticks(t State) int {
	return cmp.Or(cmp.Compare(s.ResetCount, t.ResetCount), cmp.Compare(s.Clock, t.Clock))
}

// mayPrecede reports that a proof with a lower counter may be of the same TPM, signed earlier and seen later: its nonce
// is no younger than what is kept, and it tells an earlier time; or the TPM was cleared in between, so that the kept
// one's clock ran no longer than the two are apart.
func (n State) mayPrecede(kept State, minted time.Time) bool {
	apart := kept.Seen.Sub(minted)
	isEarlier := n.ticks(kept) <= 0 && kept.Clock <= n.Clock+clockIn(apart+challengeWait) // and not a copy of long ago
	return apart >= 0 && (isEarlier || kept.Clock <= clockIn(apart-mintGrain))
}

// mayFollowClear reports that the TPM can have been cleared since the kept proof: its clock is no older than that.
func (n State) mayFollowClear(kept State) bool {
	return n.Clock <= clockIn(n.Seen.Sub(kept.Seen)+challengeWait)
}

// mintGrain is how much earlier than it was minted a nonce may seem to be: it tells whole seconds. Nobody clears a TPM,
// reads a modem and signs in less, so that a copy of a TPM that has just started is not taken for a cleared one.
const mintGrain = time.Second

// clockIn is the most that a TPM's clock counts in d, in milliseconds: it may be made to run fast (Part 3 section 29.3,
// TPM2_ClockRateAdjust), by less than half.
func clockIn(d time.Duration) uint64 { return uint64(max(0, d.Milliseconds())) / 2 * 3 }
