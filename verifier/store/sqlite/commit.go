package sqlite

import (
	"bytes"
	"context"
	"crypto/sha256"
	"strings"
	"time"

	"imei-attest/attest"
	"imei-attest/verifier"
)

// decision is one to commit, with all that can be computed beforehand, by those who wait and not by the one who writes.
type decision struct {
	verifier.Decision
	presented verifier.Alias // the presentation, and the same by any token
	asked     verifier.Alias
	record    preparedRecord
	sealed    []byte           // the Credential, nil where it stays
	held      []verifier.Alias // the IMEIs of Device.Holds
	shown     verifier.Alias
	by        verifier.Alias
	sighting  *preparedSighting
	claims    []preparedClaim
	view      *preparedView
}

type preparedRecord struct {
	id     verifier.DecisionID
	at     time.Time
	body   []byte // nil if there is none
	public any    // the pseudonym's bytes, or nil
}

func prepareRecord(r *verifier.Record) (p preparedRecord, err error) {
	if r == nil {
		return p, nil
	}
	p.id, p.at = r.Verdict.ID, r.Facts.Now
	if r.Public != (verifier.Pseudonym{}) {
		p.public = r.Public[:]
	}
	p.body, err = encodeRecord(r)
	return p, err
}

type preparedSighting struct {
	device, subscriber verifier.Alias
	at                 time.Time
}

func (s *Store) prepareSighting(of *verifier.Sighting) *preparedSighting {
	if of == nil {
		return nil
	}
	return &preparedSighting{s.names.Device(of.IMEI), s.names.Subscriber(of.Subscriber), of.At}
}

func (s *Store) prepare(d verifier.Decision) (p *decision, err error) {
	p = &decision{Decision: d, presented: s.names.Presentation(&d.Presentation), sighting: s.prepareSighting(d.Sighting), view: s.prepareView(d.View)}
	byAnyToken := d.Presentation
	byAnyToken.Token = [32]byte{}
	p.asked = s.names.Presentation(&byAnyToken)
	if p.record, err = prepareRecord(d.Record); err != nil || d.Device == nil {
		return p, err
	}
	if d.Device.Credential != nil {
		p.sealed = s.seals.seal(d.Device.Key, verifier.Endorsed{Credential: d.Device.Credential, Generation: d.Device.Generation, Software: d.Device.Software})
	}
	for _, h := range d.Device.Holds {
		p.held = append(p.held, s.names.Device(h.IMEI))
	}
	for _, c := range d.Claims {
		p.claims = append(p.claims, s.sealClaim(c, d.Presentation.Nonce, p.record.id))
	}
	if d.Lasting {
		p.shown, p.by = s.names.Device(d.Presentation.Signalled), s.names.Subscriber(d.Presentation.Subscriber)
	}
	return p, nil
}

// Commit implements verifier.Store.
func (s *Store) Commit(ctx context.Context, d verifier.Decision) (done verifier.Commitment, err error) {
	p, err := s.prepare(d)
	if err != nil {
		return done, err
	}
	err = s.do(ctx, func(w *writer) (err error) {
		done, err = w.decide(p)
		return err
	})
	if err != nil {
		return verifier.Commitment{}, err
	}
	return done, nil
}

// decide is Commit within the batch.
func (w *writer) decide(d *decision) (verifier.Commitment, error) {
	if err := w.rename(d); err != nil {
		return verifier.Commitment{}, err
	}
	w.now = d.Now
	seen, err := w.seen(d.sighting)
	if err != nil {
		return verifier.Commitment{}, err
	}
	taken, err := w.take(d, seen)
	if err != nil {
		return verifier.Commitment{}, err
	}
	if !taken {
		return w.refuse(d)
	}
	if err := w.keep(d, seen); err != nil {
		return verifier.Commitment{}, err
	}
	return verifier.Commitment{}, w.forget()
}

// take takes the nonce, unless its use may be forgotten (the clock was set back), or the decision was judged by something else than is kept.
func (w *writer) take(d *decision, seen []sighting) (bool, error) {
	if d.Expiry.UnixNano() <= w.forgot || d.sighting.hasOthers(seen, d.Others) {
		return false, nil
	}
	text, args := d.guard(w.chain.next())
	changed, err := w.exec(text, args...)
	return changed > 0, err
}

// guard is the statement that takes the nonce for audit entry number seq. It changes no row where the nonce was used, or the device's
// state or the holder of an IMEI is another than the decision was judged by.
func (d *decision) guard(seq int64) (text string, args []any) {
	var kid, record []byte
	if d.Device != nil {
		kid = d.Device.Key[:]
	}
	if d.record.body != nil {
		record = d.record.id[:]
	}
	args = append(make([]any, 0, 24), []byte(d.Presentation.Nonce), nanos(d.Expiry), d.presented.Current[:], d.asked.Current[:], kid, record, seq)
	var b strings.Builder
	b.WriteString(`INSERT INTO nonces (nonce, expiry, presented, asked, kid, record, seq) SELECT ?, ?, ?, ?, ?, ?, ? WHERE true`)
	if d.Device != nil {
		args = guardState(&b, args, d.Device)
		for i, h := range d.Device.Holds {
			args = guardHolder(&b, args, &d.held[i], h.Was)
		}
	}
	b.WriteString(` ON CONFLICT (nonce) DO NOTHING`)
	return b.String(), args
}

func guardState(b *strings.Builder, args []any, d *verifier.Device) []any {
	if d.State == nil {
		return args
	}
	was := &d.State.Was
	if was.Same(verifier.State{}) {
		b.WriteString(` AND NOT EXISTS (SELECT 1 FROM devices WHERE kid = ? AND (counter <> 0 OR binding <> ?))`)
		return append(args, d.Key[:], was.Binding[:])
	}
	b.WriteString(` AND EXISTS (SELECT 1 FROM devices WHERE kid = ? AND counter = ? AND binding = ?)`)
	return append(args, d.Key[:], int64(was.Counter), was.Binding[:])
}

func guardHolder(b *strings.Builder, args []any, device *verifier.Alias, was verifier.Holder) []any {
	if was == (verifier.Holder{}) {
		b.WriteString(` AND NOT EXISTS (SELECT 1 FROM holders WHERE device = ?)`)
		return append(args, device.Current[:])
	}
	b.WriteString(` AND EXISTS (SELECT 1 FROM holders WHERE device = ? AND kid = ? AND issuer = ? AND serial = ?)`)
	return append(args, device.Current[:], was.Key[:], was.Issuer, int64(was.Serial))
}

// refuse says why the nonce was not taken. An answer is repeated only while it is valid, under the same trust, and while its device
// was not convicted since.
func (w *writer) refuse(d *decision) (done verifier.Commitment, err error) {
	var presented, asked, kid, record []byte
	var seq, convicted int64
	found, err := w.row(`SELECT presented, asked, kid, record, seq FROM nonces WHERE nonce = ?`, []any{[]byte(d.Presentation.Nonce)},
		&presented, &asked, &kid, &record, &seq)
	switch {
	case err != nil:
		return done, err
	case !found && d.Expiry.UnixNano() > w.forgot:
		return verifier.Commitment{Conflict: true}, nil
	case !found, kid == nil:
		return verifier.Commitment{Closed: true}, nil
	case !d.presented.Is(verifier.Pseudonym(presented)):
		isSecondTry := d.Device != nil && bytes.Equal(d.Device.Key[:], kid) && d.asked.Is(verifier.Pseudonym(asked))
		return verifier.Commitment{Closed: isSecondTry, Replay: !isSecondTry}, nil
	}
	var answer answered
	found, err = w.find(record, &answer)
	if err == nil && found {
		_, err = w.row(`SELECT convicted FROM devices WHERE kid = ?`, []any{kid}, &convicted)
	}
	if err != nil || !found || d.Device == nil || d.Device.Generation != answer.Generation || !d.Now.Before(answer.Verdict.ValidUntil) || convicted > seq {
		return verifier.Commitment{Closed: true}, err
	}
	return verifier.Commitment{Repeat: true, Answer: answer.Verdict}, nil
}

// keep records the decision and what it says of its device.
func (w *writer) keep(d *decision, seen []sighting) error {
	link := link{at: d.Now, kind: Decided, subject: d.record.id[:], digest: sha256.Sum256(d.record.body)}
	if d.record.body == nil {
		link.subject, link.digest = nil, sha256.Sum256(d.Presentation.Nonce)
	}
	seq := w.chain.next()
	if err := w.append(link); err != nil {
		return err
	}
	if err := w.keepRecord(d.record); err != nil {
		return err
	}
	if d.Device != nil {
		if err := w.keepDevice(d, seq); err != nil {
			return err
		}
	}
	if err := w.view(d.view); err != nil {
		return err
	}
	return w.see(d.sighting, seen)
}

func (w *writer) keepRecord(r preparedRecord) error {
	if r.body == nil {
		return nil
	}
	_, err := w.exec(`INSERT INTO records (id, at, body, public) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`, r.id[:], nanos(r.at), r.body, r.public)
	return err
}

func (w *writer) keepDevice(d *decision, seq int64) error {
	kid := d.Device.Key
	if d.sealed != nil {
		_, err := w.exec(`INSERT INTO credentials (kid, generation, key, sealed) VALUES (?, ?, ?, ?) ON CONFLICT (kid) DO UPDATE SET
			generation = excluded.generation, key = excluded.key, sealed = excluded.sealed`,
			kid[:], int64(d.Device.Generation), w.store.seals.id, d.sealed)
		if err != nil {
			return err
		}
	}
	if c := d.Device.State; c != nil && !c.Is.Same(c.Was) {
		if err := w.keepState(kid, &c.Is); err != nil {
			return err
		}
	}
	if d.Damning {
		_, err := w.exec(`INSERT INTO devices (kid, counter, resets, clock, binding, seen, convicted) VALUES (?, 0, 0, 0, ?, 0, ?)
			ON CONFLICT (kid) DO UPDATE SET convicted = excluded.convicted`, kid[:], make([]byte, len(verifier.State{}.Binding)), seq)
		if err != nil {
			return err
		}
	}
	for i := range d.held {
		if err := w.hold(d, i); err != nil {
			return err
		}
	}
	return w.last(d)
}

func (w *writer) keepState(kid attest.KeyID, is *verifier.State) error {
	_, err := w.exec(`INSERT INTO devices (kid, counter, resets, clock, binding, seen, convicted) VALUES (?, ?, ?, ?, ?, ?, 0)
		ON CONFLICT (kid) DO UPDATE SET counter = excluded.counter, resets = excluded.resets, clock = excluded.clock,
		binding = excluded.binding, seen = excluded.seen`,
		kid[:], int64(is.Counter), int64(is.ResetCount), int64(is.Clock), is.Binding[:], nanos(is.Seen))
	return err
}

// hold passes an IMEI on. What lasted for it ends with a conviction, and with another key.
func (w *writer) hold(d *decision, i int) error {
	h, device := &d.Device.Holds[i], d.held[i].Current[:]
	if h.Is != h.Was {
		_, err := w.exec(`INSERT INTO holders (device, key, kid, issuer, serial) VALUES (?, ?, ?, ?, ?) ON CONFLICT (device) DO UPDATE SET
			key = excluded.key, kid = excluded.kid, issuer = excluded.issuer, serial = excluded.serial`,
			device, w.keys.devices, h.Is.Key[:], h.Is.Issuer, int64(h.Is.Serial))
		if err != nil {
			return err
		}
	}
	if !d.Damning && h.Is.Key == h.Was.Key {
		return nil
	}
	for _, table := range []string{"priors", "claims"} {
		if _, err := w.exec(`DELETE FROM `+table+` WHERE device = ?`, device); err != nil {
			return err
		}
	}
	return nil
}

// last keeps an answer that may stand in for later evidence.
func (w *writer) last(d *decision) error {
	if d.record.body == nil {
		return nil
	}
	if err := w.keepClaims(d); err != nil || !d.Lasting {
		return err
	}
	_, err := w.exec(`INSERT INTO priors (device, subscriber, key, subkey, at, generation, record) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (device, subscriber) DO UPDATE SET at = excluded.at, generation = excluded.generation, record = excluded.record`,
		d.shown.Current[:], d.by.Current[:], w.keys.devices, w.keys.subscribers, nanos(d.Now), int64(d.Device.Generation), d.record.id[:])
	return err
}

// seen is the kept sightings of an IMEI, the latest last.
func (w *writer) seen(of *preparedSighting) ([]sighting, error) {
	if of == nil {
		return nil, nil
	}
	var raw []byte
	_, err := w.row(`SELECT seen FROM sightings WHERE device = ?`, []any{of.device.Current[:]}, &raw)
	return decodeSightings(raw), err
}

// hasOthers reports that other sightings of other subscribers are kept than a decision was judged by.
func (s *preparedSighting) hasOthers(seen []sighting, judged *verifier.Others) bool {
	if s == nil || judged == nil {
		return false
	}
	kept := verifier.Others{Since: judged.Since}
	for _, o := range seen {
		if !s.subscriber.Is(o.name) {
			kept.Add(fromNanos(o.at))
		}
	}
	return !kept.Same(judged)
}

// see adds a sighting to those that are kept: the latest of a subscriber, and the earlier ones as long as others came between.
func (w *writer) see(s *preparedSighting, all []sighting) error {
	if s == nil {
		return nil
	}
	now := sighting{nanos(s.at), s.subscriber.Current}
	n := len(all)
	if n == 0 || !now.isMarkedBy(all[n-1]) {
		if err := w.mark(s); err != nil {
			return err
		}
	}
	if n > 0 && s.subscriber.Is(all[n-1].name) {
		all = all[:n-1]
	}
	all = append(all, now)
	all = all[max(0, len(all)-verifier.KeptSightings):]
	_, err := w.exec(`INSERT INTO sightings (device, key, at, seen) VALUES (?, ?, ?, ?) ON CONFLICT (device) DO UPDATE SET
		at = excluded.at, seen = excluded.seen`, s.device.Current[:], w.keys.devices, nanos(s.at), encodeSightings(all))
	return err
}

// isMarkedBy reports that its day is marked by an earlier sighting of the same subscriber, under the same name.
func (s sighting) isMarkedBy(o sighting) bool {
	return s.name == o.name && fromNanos(s.at).Truncate(day).Equal(fromNanos(o.at).Truncate(day))
}

// mark enters a sighting in the days of its month.
func (w *writer) mark(s *preparedSighting) error {
	if s == nil {
		return nil
	}
	year, month, day := s.at.UTC().Date()
	_, err := w.exec(`INSERT INTO days (device, month, subscriber, key, subkey, bits) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (device, month, subscriber) DO UPDATE SET bits = bits | excluded.bits WHERE bits & excluded.bits = 0`,
		s.device.Current[:], monthNumber(year, month), s.subscriber.Current[:], w.keys.devices, w.keys.subscribers, int64(1)<<(day-1))
	return err
}

func monthNumber(year int, month time.Month) int { return 12*year + int(month) - 1 }
