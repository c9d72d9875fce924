package verifier

import (
	"slices"
	"sync"
	"time"

	"imei-attest/attest"
	"imei-attest/attest/imei"
)

// Whoever asks once more about a registration that rests on an earlier result is told the same answer again, under the same identifier,
// while it stands. Nothing is read, judged or recorded for that; metrics and the policy's breaker count it. An answer stands no longer once
// it expired, the trust, the policy or the list was exchanged, or anything was committed about its IMEI, or by the device whose that is: a
// revocation, a new holder, another subscriber and a conviction count at once. That is so because nobody else commits to the store,
// see [Config].

// standing keeps the answers that stand, in two halves as [endorsementCache] does. Its zero value is empty.
type standing struct {
	mu         sync.Mutex
	young, old answers
	// ended and anew are how often answers were ended: by a part of the IMEI, and by a device with a new Credential or firmware. What was
	// judged meanwhile is not kept: it may rest on what was before.
	ended [1 << 8]uint64
	anew  uint64
}

// answers are those that stand, and for which IMEIs there are some that rest on a device key.
type answers struct {
	of   map[imei.IMEI][]told
	held map[attest.KeyID][]imei.IMEI
}

// standingRest is how long a result holds at least when it is told again: who receives it has a clock of his own.
const standingRest = time.Minute

// Bounds of what is kept: about 2 * 8 Ki answers of some 1.3 KiB.
const (
	standingHalf = 1 << 13 // IMEIs in each half
	standingEach = 4       // answers for an IMEI
	standingText = 128     // bytes of each text in a question
)

// asked is a question without evidence, but for what only evidence can answer. Two that are equal get the same answer.
type asked struct {
	Registration
	initial bool
}

func newAsked(r *Registration) asked {
	a := asked{*r, r.isInitial()}
	a.Initial, a.Expires, a.CSeq, a.Challenge401, a.ChallengeOutstanding = nil, nil, 0, "", false
	return a
}

// told is an answer and how long it stands.
type told struct {
	asked
	verdict Verdict
	denied  bool   // by the policy, of itself
	trust   uint64 // its generation
	policy  *Policy
	list    *List
	from    time.Time // by the wall clock, which may be set
	until   time.Time
}

// since is when what a question rests on is looked up: what was ended later ends its answer.
func (s *standing) since(q *question) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended[partOf(q.signalled)] + s.anew
}

func partOf(id imei.IMEI) (part uint8) {
	for _, digit := range []byte(id.Body()) {
		part = part*31 + digit
	}
	return part
}

// find returns the answer that stands. While the breaker is open, none does.
func (s *standing) find(q *question, p *Policy) (verdict Verdict, denied, found bool) {
	if q.in.Evidence != nil || q.signalled.IsZero() || p.Counter != nil && p.Counter.Tripped() {
		return verdict, false, false
	}
	now, question := q.in.Now.Round(0), newAsked(q.in.Registration)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, half := range []*answers{&s.young, &s.old} {
		for i := range half.of[q.signalled] {
			t := &half.of[q.signalled][i]
			if t.asked == question && t.trust == q.trust.Generation && t.policy == p && t.list == q.list && !now.Before(t.from) && now.Before(t.until) {
				return t.verdict, t.denied, true
			}
		}
	}
	return verdict, false, false
}

// keep lets an answer stand that rests on an earlier result, and neither on an exception of the policy, which may end, nor on its breaker.
func (s *standing) keep(q *question, p *Policy, a *appraisal, r *Record, denied bool, since uint64) {
	if a.freshness != attest.Prior || r.Verdict.Answer.Because != "" || q.in.Registration.LongestText() > standingText {
		return
	}
	t := told{newAsked(q.in.Registration), r.Verdict, denied, q.trust.Generation, p, q.list, q.facts.Now.Round(0), q.standsUntil(&p.Rules)}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended[partOf(q.signalled)]+s.anew != since {
		return
	}
	if s.young.of == nil || len(s.young.of) >= standingHalf {
		s.old, s.young = s.young, answers{make(map[imei.IMEI][]told), make(map[attest.KeyID][]imei.IMEI)}
	}
	s.young.add(q.signalled, q.holder, t)
}

// standsUntil: an answer ends before its result does, with the earlier result, and with the day, because each day is noted by itself.
func (q *question) standsUntil(rules *Rules) time.Time {
	const day = 24 * time.Hour
	now := q.facts.Now.Round(0)
	until := now.Add(resultLife - standingRest)
	for _, end := range []time.Time{q.facts.Prior.At.Add(rules.Ages.Prior), now.Truncate(day).Add(day)} {
		if end.Before(until) {
			until = end
		}
	}
	return until
}

func (a *answers) add(id imei.IMEI, holder attest.KeyID, t told) {
	all := slices.DeleteFunc(a.of[id], func(o told) bool { return o.asked == t.asked || !t.from.Before(o.until) })
	if len(all) >= standingEach {
		all = slices.Delete(all, 0, 1)
	}
	a.of[id] = append(all, t)
	if !slices.Contains(a.held[holder], id) {
		a.held[holder] = append(a.held[holder], id)
	}
}

// end ends what stands for the IMEIs that a decision may have touched, and for all others of the device that attested. It is called when
// the decision is in force and before anybody is told of it, also where nobody knows whether it was recorded.
func (s *standing) end(q *question, anew bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if anew {
		s.anew++
	}
	touched := append([]imei.IMEI{q.signalled}, q.endorsement.credential.Slots...)
	for _, id := range touched {
		s.ended[partOf(id)]++
	}
	for _, half := range []*answers{&s.young, &s.old} {
		for _, id := range append(touched, half.held[q.evidence.KeyID]...) {
			delete(half.of, id)
		}
		delete(half.held, q.evidence.KeyID)
	}
}
