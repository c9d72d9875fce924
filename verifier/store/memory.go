// Package store holds the engines behind verifier.Store. Start with [NewMemory].
package store

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"imei-attest/attest"
	"imei-attest/attest/imei"
	"imei-attest/verifier"
)

// Memory keeps everything in memory: for tests, laboratories and offline appraisal. What it knows ends with the process.
type Memory struct {
	mu          sync.RWMutex
	credentials map[attest.KeyID]verifier.Endorsed
	states      map[attest.KeyID]verifier.State
	holders     map[imei.IMEI]verifier.Holder
	priors      map[imei.IMEI]map[string]verifier.Prior // by subscriber
	claims      map[imei.IMEI]verifier.Claimed
	nonces      map[string]*use
	alive       int       // nonces that the last sweep left
	forgot      time.Time // nonces that expired until then may be forgotten
	// convicted is when, counted in decisions, a device key was last convicted: answers of before are void.
	convicted map[attest.KeyID]uint64
	decisions uint64
	sightings map[imei.IMEI][]verifier.Sighting
	days      map[month]map[verifier.Pseudonym]uint32 // by subscriber
	views     map[viewer]verifier.View
	names     *verifier.Pseudonyms
	records   []*verifier.Record                         // the oldest first
	recorded  []verifier.DecisionID                      // of the records
	latest    map[verifier.Pseudonym]verifier.DecisionID // by public identity
}

// viewer is a subscriber in one access.
type viewer struct {
	subscriber string
	access     verifier.Access
}

// month is a month of an IMEI.
type month struct {
	id    imei.IMEI
	year  int
	month time.Month
}

// keptRecords bounds the recorded decisions: the oldest are forgotten, half of them at a time.
const keptRecords = 1 << 17

var _ verifier.Store = (*Memory)(nil)

type use struct {
	presentation verifier.Presentation
	expiry       time.Time
	record       *verifier.Record // with the answer; nil when nothing was decided
	device       attest.KeyID
	generation   uint64 // of the trust
	decision     uint64
	givenUp      bool // no device was judged
}

// answer is what was answered; zero where nothing was decided.
func (u *use) answer() verifier.Verdict {
	if u.record == nil {
		return verifier.Verdict{}
	}
	return u.record.Verdict
}

// NewMemory returns an empty store.
func NewMemory() *Memory {
	return &Memory{
		credentials: make(map[attest.KeyID]verifier.Endorsed), states: make(map[attest.KeyID]verifier.State), holders: make(map[imei.IMEI]verifier.Holder),
		priors: make(map[imei.IMEI]map[string]verifier.Prior), claims: make(map[imei.IMEI]verifier.Claimed), nonces: make(map[string]*use), convicted: make(map[attest.KeyID]uint64),
		sightings: make(map[imei.IMEI][]verifier.Sighting), days: make(map[month]map[verifier.Pseudonym]uint32), names: verifier.RandomPseudonyms(),
		latest: make(map[verifier.Pseudonym]verifier.DecisionID), views: make(map[viewer]verifier.View),
	}
}

// Credential implements verifier.Store.
func (m *Memory) Credential(_ context.Context, key attest.KeyID) (verifier.Endorsed, bool, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	kept, found := m.credentials[key]
	return kept, found, nil
}

// State implements verifier.Store.
func (m *Memory) State(_ context.Context, key attest.KeyID) (verifier.State, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.states[key], nil
}

// Holder implements verifier.Store.
func (m *Memory) Holder(_ context.Context, id imei.IMEI) (verifier.Holder, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.holders[id], nil
}

// Prior implements verifier.Store.
func (m *Memory) Prior(_ context.Context, id imei.IMEI, subscriber string) (verifier.Prior, bool, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	p, found := m.priors[id][subscriber]
	return p, found, nil
}

// Claimed implements verifier.Store.
func (m *Memory) Claimed(_ context.Context, id imei.IMEI) (verifier.Claimed, bool, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	c, found := m.claims[id]
	return c, found, nil
}

// Presented implements verifier.Store.
func (m *Memory) Presented(_ context.Context, n attest.Nonce) (verifier.Verdict, bool, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	u, found := m.nonces[string(n)]
	if !found {
		return verifier.Verdict{}, false, nil
	}
	return u.answer(), true, nil
}

// Seen implements verifier.Store.
func (m *Memory) Seen(_ context.Context, id imei.IMEI, subscriber string) (seen []verifier.Seen, _ error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, s := range m.sightings[id] {
		seen = append(seen, verifier.Seen{At: s.At.UTC(), Same: s.Subscriber == subscriber})
	}
	return seen, nil
}

// Days implements verifier.Store.
func (m *Memory) Days(_ context.Context, id imei.IMEI, year int, of time.Month) (map[verifier.Pseudonym]uint32, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return maps.Clone(m.days[month{id, year, of}]), nil
}

// Viewed implements verifier.Store.
func (m *Memory) Viewed(_ context.Context, subscriber string, in verifier.Access, id imei.IMEI) (verifier.Viewed, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	w, found := m.views[viewer{subscriber, in}]
	if !found {
		return verifier.Viewed{}, nil
	}
	return verifier.Viewed{Since: w.Since.UTC(), At: w.At.UTC(), Same: w.IMEI == id}, nil
}

// view keeps what a subscriber shows.
func (m *Memory) view(w *verifier.View) {
	if w == nil {
		return
	}
	key := viewer{w.Subscriber, w.Access}
	if w.IMEI.IsZero() {
		delete(m.views, key)
		return
	}
	m.views[key] = *w
}

// Record implements verifier.Store.
func (m *Memory) Record(_ context.Context, id verifier.DecisionID) (*verifier.Record, bool, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	r, found := m.find(id)
	return r, found, nil
}

func (m *Memory) find(id verifier.DecisionID) (*verifier.Record, bool) {
	i := slices.Index(m.recorded, id)
	if i < 0 {
		return nil, false
	}
	return m.records[i], true
}

// Latest implements verifier.Store.
func (m *Memory) Latest(_ context.Context, public verifier.Alias) (*verifier.Record, bool, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	r, found := m.find(m.latest[public.Current])
	return r, found, nil
}

// Records implements verifier.Store.
func (m *Memory) Records(_ context.Context, since time.Time, yield func(*verifier.Record) bool) error {
	m.mu.RLock()
	var found []*verifier.Record
	for _, r := range m.records {
		if !r.Facts.Now.Before(since) {
			found = append(found, r)
		}
	}
	m.mu.RUnlock()
	for _, r := range found {
		if !yield(r) {
			return nil
		}
	}
	return nil
}

// Note implements verifier.Store.
func (m *Memory) Note(_ context.Context, n verifier.Note) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.record(n.Record)
	m.mark(n.Sighting)
	m.view(n.View)
	return nil
}

func (m *Memory) record(r *verifier.Record) {
	if r == nil {
		return
	}
	if len(m.records) == keptRecords {
		for _, gone := range m.records[:keptRecords/2] {
			if m.latest[gone.Public] == gone.Verdict.ID {
				delete(m.latest, gone.Public)
			}
		}
		m.records = slices.Clone(m.records[keptRecords/2:])
		m.recorded = slices.Clone(m.recorded[keptRecords/2:])
	}
	m.records, m.recorded = append(m.records, r), append(m.recorded, r.Verdict.ID)
	if r.Public != (verifier.Pseudonym{}) {
		m.latest[r.Public] = r.Verdict.ID
	}
}

// mark enters a sighting in the days of its month.
func (m *Memory) mark(s *verifier.Sighting) {
	if s == nil {
		return
	}
	year, of, day := s.At.UTC().Date()
	key := month{s.IMEI, year, of}
	if m.days[key] == nil {
		m.days[key] = make(map[verifier.Pseudonym]uint32)
	}
	m.days[key][m.names.Subscriber(s.Subscriber).Current] |= 1 << (day - 1)
}

// see keeps the latest sighting of a subscriber, and the earlier ones as long as others came between.
func (m *Memory) see(s *verifier.Sighting) {
	if s == nil {
		return
	}
	m.mark(s)
	of := m.sightings[s.IMEI]
	if n := len(of); n > 0 && of[n-1].Subscriber == s.Subscriber {
		of[n-1].At = s.At
		return
	}
	if len(of) == verifier.KeptSightings {
		of = append(of[:0:0], of[1:]...)
	}
	m.sightings[s.IMEI] = append(of, *s)
}

// Commit implements verifier.Store.
func (m *Memory) Commit(_ context.Context, d verifier.Decision) (verifier.Commitment, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forget(d.Now)
	if u, used := m.nonces[string(d.Presentation.Nonce)]; used {
		return m.again(u, d), nil
	}
	if !d.Expiry.After(m.forgot) { // the clock was set back
		return verifier.Commitment{Closed: true}, nil
	}
	if d.Device != nil && m.conflicts(d.Device) || m.knowsOthers(d.Sighting, d.Others) {
		return verifier.Commitment{Conflict: true}, nil
	}
	m.decisions++
	u := &use{presentation: d.Presentation, expiry: d.Expiry, record: d.Record, decision: m.decisions, givenUp: d.Device == nil}
	m.nonces[string(d.Presentation.Nonce)] = u
	m.record(d.Record)
	m.see(d.Sighting)
	m.view(d.View)
	if d.Device != nil {
		u.device, u.generation = d.Device.Key, d.Device.Generation
		m.keep(d)
	}
	return verifier.Commitment{}, nil
}

// conflicts reports that what the decision was judged by is no longer so.
func (m *Memory) conflicts(d *verifier.Device) bool {
	if d.State != nil && !m.states[d.Key].Same(d.State.Was) {
		return true
	}
	return slices.ContainsFunc(d.Holds, func(h verifier.Hold) bool { return m.holders[h.IMEI] != h.Was })
}

// knowsOthers reports that not those subscribers attested for the IMEI that the decision was judged by.
func (m *Memory) knowsOthers(s *verifier.Sighting, judged *verifier.Others) bool {
	if s == nil || judged == nil {
		return false
	}
	known := verifier.Others{Since: judged.Since}
	for _, o := range m.sightings[s.IMEI] {
		if o.Subscriber != s.Subscriber {
			known.Add(o.At)
		}
	}
	return !known.Same(judged)
}

// keep records what a decision says of its device.
func (m *Memory) keep(d verifier.Decision) {
	key := d.Device.Key
	if d.Device.Credential != nil {
		m.credentials[key] = verifier.Endorsed{Credential: d.Device.Credential, Generation: d.Device.Generation, Software: d.Device.Software}
	}
	if d.Device.State != nil {
		m.states[key] = d.Device.State.Is
	}
	if d.Damning {
		m.convicted[key] = m.decisions
	}
	for _, h := range d.Device.Holds {
		m.holders[h.IMEI] = h.Is
		if d.Damning || h.Is.Key != h.Was.Key {
			delete(m.priors, h.IMEI)
			delete(m.claims, h.IMEI)
		}
	}
	m.last(d)
}

// last keeps an answer that may stand in for later evidence, for the subscriber that the network named and for those that the device did.
func (m *Memory) last(d verifier.Decision) {
	if d.Record == nil {
		return
	}
	p := verifier.Prior{At: d.Now, Generation: d.Device.Generation, Answer: d.Record.Verdict.Result}
	for _, c := range d.Claims {
		claimed := verifier.Claimed{Prior: p, Nonce: d.Presentation.Nonce, Hash: c.Hash}
		claimed.Slot = c.Slot
		m.claims[c.IMEI] = claimed
	}
	if d.Lasting {
		of := m.priors[d.Presentation.Signalled]
		if of == nil {
			of = make(map[string]verifier.Prior)
			m.priors[d.Presentation.Signalled] = of
		}
		p.Binding = d.Record.Binding
		of[d.Presentation.Subscriber] = p
	}
}

// Close implements verifier.Store.
func (m *Memory) Close() error { return nil }

// again answers a nonce that was used. An answer is repeated only while it is valid, under the same trust, and while its device was
// not convicted since.
func (m *Memory) again(u *use, d verifier.Decision) verifier.Commitment {
	switch {
	case u.givenUp:
		return verifier.Commitment{Closed: true}
	case !u.presentation.Same(&d.Presentation):
		isSecondTry := d.Device != nil && d.Device.Key == u.device && u.presentation.Asks(&d.Presentation)
		return verifier.Commitment{Closed: isSecondTry, Replay: !isSecondTry}
	case d.Device == nil || d.Device.Generation != u.generation, !d.Now.Before(u.answer().ValidUntil), m.convicted[u.device] > u.decision:
		return verifier.Commitment{Closed: true}
	}
	return verifier.Commitment{Repeat: true, Answer: u.answer()}
}

// forget drops expired nonces: their evidence is refused as expired before it gets here. It looks through all of them
// when they have doubled, so that it costs a constant for each, whatever their lives.
func (m *Memory) forget(now time.Time) {
	const floor = 1024
	if len(m.nonces) < 2*m.alive+floor {
		return
	}
	for key, u := range m.nonces {
		if !now.Before(u.expiry) {
			delete(m.nonces, key)
		}
	}
	m.alive = len(m.nonces)
	if now.After(m.forgot) {
		m.forgot = now
	}
}
