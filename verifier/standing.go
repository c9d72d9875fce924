package verifier

import (
	"crypto/sha256"
	"encoding/binary"
	"reflect"
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
	// reshown is how often subscribers began to show another IMEI, by a part of their name: it ends the answers of those, so that what they
	// show in NAS and in IMS is compared anew.
	reshown [1 << 16]uint32
}

// answers are those that stand, and for which IMEIs there are some that rest on a device key. There is no pointer in the two large maps,
// so that many answers cost the garbage collector nothing.
type answers struct {
	of       map[place]told
	held     map[shelf]imei.IMEI
	wordings []wording
	worded   map[Answer][]uint16 // where the wordings with it are
}

// place is one for an answer: each IMEI has a few, filled from 0.
type place struct {
	imei   imei.IMEI
	number uint8
}

// shelf is one for an IMEI for which an answer rests on a device key: each key has a few, filled from 0.
type shelf struct {
	holder attest.KeyID
	number uint8
}

// standingRest is how long a result holds at least when it is told again: who receives it has a clock of his own.
const standingRest = time.Minute

// Bounds of what is kept.
const (
	standingHalf     = 1 << 17 // answers in each half
	standingWordings = 1 << 10 // of some 1.3 KiB, in each half
	standingEach     = 4       // answers for an IMEI
	standingHeld     = 2 * attest.MaxSlots
	standingText     = 128 // bytes of each text in a question
)

// asked is the digest of a question without evidence, but for what only evidence can answer. Two that are equal get the same answer. It is
// long enough that nobody makes two questions of one digest up.
type asked [24]byte

func newAsked(r *Registration) asked {
	var room [512]byte
	b := append(room[:0], flag(r.isInitial()), flag(r.Emergency))
	for _, text := range r.texts() {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(text))), text...)
	}
	digest := sha256.Sum256(b)
	return asked(digest[:len(asked{})])
}

func flag(is bool) byte {
	if is {
		return 1
	}
	return 0
}

// told is an answer and how long it stands, by the wall clock, which may be set: in nanoseconds since 1970.
type told struct {
	asked
	id          DecisionID
	from, until int64
	reshown     uint32 // as it was of its subscriber
	wording     uint16
}

// wording is what the answers of many devices have in common.
type wording struct {
	verdict Verdict // without identifier and times
	lasts   time.Duration
	denied  bool   // by the policy, of itself
	trust   uint64 // its generation
	policy  *Policy
	list    *List
}

func (w *wording) is(o *wording) bool {
	return w.policy == o.policy && w.list == o.list && w.trust == o.trust && w.denied == o.denied && w.lasts == o.lasts && reflect.DeepEqual(&w.verdict, &o.verdict)
}

// tell is the verdict as it was told first.
func (w *wording) tell(t *told) Verdict {
	verdict := w.verdict
	verdict.ID, verdict.IssuedAt = t.id, time.Unix(0, t.from).UTC()
	verdict.ValidUntil = verdict.IssuedAt.Add(w.lasts)
	return verdict
}

// since is when what a question rests on is looked up: what was ended later ends its answer.
func (s *standing) since(q *question) uint64 {
	part := subscriberPart(q.in.Registration.Subscriber())
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sinceOf(q, part)
}

func (s *standing) sinceOf(q *question, part uint16) uint64 {
	return s.ended[partOf(q.signalled)] + s.anew + uint64(s.reshown[part])
}

func partOf(id imei.IMEI) (part uint8) {
	for _, digit := range []byte(id.Body()) {
		part = part*31 + digit
	}
	return part
}

// subscriberPart mixes as FNV-1a does. Whoever shares it with somebody ends his answers sooner, and nothing else.
func subscriberPart(name string) uint16 {
	const basis, prime = 2166136261, 16777619
	sum := uint32(basis)
	for i := range len(name) {
		sum = (sum ^ uint32(name[i])) * prime
	}
	return uint16(sum>>16 ^ sum)
}

// find returns the answer that stands. While the breaker is open, none does.
func (s *standing) find(q *question, p *Policy) (verdict Verdict, denied, found bool) {
	if q.in.Evidence != nil || q.signalled.IsZero() || q.in.Registration.LongestText() > standingText || p.Counter != nil && p.Counter.Tripped() {
		return verdict, false, false
	}
	now, question, part := q.in.Now.UnixNano(), newAsked(q.in.Registration), subscriberPart(q.in.Registration.Subscriber())
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, half := range []*answers{&s.young, &s.old} {
		t, found := half.find(q.signalled, question)
		if !found || now < t.from || now >= t.until || t.reshown != s.reshown[part] {
			continue
		}
		if w := &half.wordings[t.wording]; w.trust == q.trust.Generation && w.policy == p && w.list == q.list {
			return w.tell(&t), w.denied, true
		}
	}
	return verdict, false, false
}

// keep lets an answer stand that rests on an earlier result, and neither on an exception of the policy, which may end, nor on its breaker.
// What [Verifier.Latest] looks for is decided and recorded each time: the latest decision is that on the latest registration.
func (s *standing) keep(q *question, p *Policy, a *appraisal, r *Record, denied bool, since uint64) {
	if a.freshness != attest.Prior || r.Verdict.Answer.Because != "" || r.Public != (Pseudonym{}) || q.in.Registration.LongestText() > standingText {
		return
	}
	w := wording{r.Verdict, r.Verdict.ValidUntil.Sub(r.Verdict.IssuedAt), denied, q.trust.Generation, p, q.list}
	w.verdict.ID, w.verdict.IssuedAt, w.verdict.ValidUntil = DecisionID{}, time.Time{}, time.Time{}
	t := told{asked: newAsked(q.in.Registration), id: r.Verdict.ID, from: q.facts.Now.UnixNano(), until: q.standsUntil(&p.Rules).UnixNano()}
	part := subscriberPart(q.in.Registration.Subscriber())
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sinceOf(q, part) != since {
		return
	}
	t.reshown = s.reshown[part]
	if s.young.isFull() {
		s.old, s.young = s.young, answers{of: make(map[place]told), held: make(map[shelf]imei.IMEI), worded: make(map[Answer][]uint16)}
	}
	if s.young.hold(q.holder, q.signalled) {
		t.wording = s.young.word(&w)
		s.young.add(q.signalled, t)
	}
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

func (a *answers) isFull() bool {
	return a.of == nil || len(a.of) >= standingHalf || len(a.wordings) >= standingWordings
}

// all are the answers for an IMEI, the oldest first.
func (a *answers) all(id imei.IMEI) (all []told) {
	for n := range uint8(standingEach) {
		t, found := a.of[place{id, n}]
		if !found {
			break
		}
		all = append(all, t)
	}
	return all
}

func (a *answers) find(id imei.IMEI, question asked) (t told, found bool) {
	for n := range uint8(standingEach) {
		if t, found = a.of[place{id, n}]; !found || t.asked == question {
			return t, found
		}
	}
	return told{}, false
}

func (a *answers) add(id imei.IMEI, t told) {
	all := slices.DeleteFunc(a.all(id), func(o told) bool { return o.asked == t.asked || t.from >= o.until })
	if len(all) >= standingEach {
		all = slices.Delete(all, 0, 1)
	}
	a.drop(id)
	for n, t := range append(all, t) {
		a.of[place{id, uint8(n)}] = t
	}
}

func (a *answers) drop(id imei.IMEI) {
	for n := range uint8(standingEach) {
		delete(a.of, place{id, n})
	}
}

// hold notes that an answer for an IMEI rests on a device key. No device has so many that there is no room.
func (a *answers) hold(holder attest.KeyID, id imei.IMEI) bool {
	for n := range uint8(standingHeld) {
		switch held, found := a.held[shelf{holder, n}]; {
		case !found:
			a.held[shelf{holder, n}] = id
			return true
		case held == id:
			return true
		}
	}
	return false
}

// release is the IMEIs for which there are answers that rest on a device key, and forgets them.
func (a *answers) release(holder attest.KeyID) (ids []imei.IMEI) {
	for n := range uint8(standingHeld) {
		id, found := a.held[shelf{holder, n}]
		if !found {
			break
		}
		ids = append(ids, id)
		delete(a.held, shelf{holder, n})
	}
	return ids
}

// word returns where a wording is.
func (a *answers) word(w *wording) uint16 {
	among := a.worded[w.verdict.Answer]
	for _, at := range among {
		if a.wordings[at].is(w) {
			return at
		}
	}
	at := uint16(len(a.wordings))
	a.wordings = append(a.wordings, *w)
	a.worded[w.verdict.Answer] = append(among, at)
	return at
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
		for _, id := range append(touched, half.release(q.evidence.KeyID)...) {
			half.drop(id)
		}
	}
}

// reshow ends the answers of a subscriber who begins to show another IMEI, or shows none any more. It is called when the store tells the
// view, and returns what it adds to [standing.since].
func (s *standing) reshow(w *View) uint64 {
	if !w.begins() {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reshown[subscriberPart(w.Subscriber)]++
	return 1
}
