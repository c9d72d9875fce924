package sqlite

import (
	"context"
	"time"

	"imei-attest/attest"
	"imei-attest/attest/imei"
	"imei-attest/verifier"
)

// Credential implements verifier.Store.
func (s *Store) Credential(_ context.Context, key attest.KeyID) (kept verifier.Endorsed, found bool, err error) {
	var generation int64
	var sealedBy uint32
	var content []byte
	found, err = s.reads.row(`SELECT generation, key, sealed FROM credentials WHERE kid = ?`, []any{key[:]}, &generation, &sealedBy, &content)
	if err == nil && found {
		kept, err = s.seals.open(key, sealedBy, uint64(generation), content)
	}
	return kept, found && err == nil, fault("reading a Credential", err)
}

// State implements verifier.Store.
func (s *Store) State(_ context.Context, key attest.KeyID) (state verifier.State, err error) {
	var counter, resets, clock, seen int64
	var binding []byte
	found, err := s.reads.row(`SELECT counter, resets, clock, binding, seen FROM devices WHERE kid = ?`, []any{key[:]},
		&counter, &resets, &clock, &binding, &seen)
	if err != nil || !found {
		return state, fault("reading a state", err)
	}
	state = verifier.State{Counter: uint64(counter), ResetCount: uint32(resets), Clock: uint64(clock), Seen: fromNanos(seen)}
	copy(state.Binding[:], binding)
	return state, nil
}

// either reads a row by a current name, or else by the former one.
func (s *Store) either(query string, name verifier.Alias, into ...any) (found bool, err error) {
	found, err = s.reads.row(query, []any{name.Current[:]}, into...)
	if err == nil && !found && name.Former != (verifier.Pseudonym{}) {
		found, err = s.reads.row(query, []any{name.Former[:]}, into...)
	}
	return found, err
}

// Holder implements verifier.Store.
func (s *Store) Holder(_ context.Context, id imei.IMEI) (h verifier.Holder, err error) {
	var kid []byte
	var serial int64
	found, err := s.either(`SELECT kid, issuer, serial FROM holders WHERE device = ?`, s.names.Device(id), &kid, &h.Issuer, &serial)
	if found {
		copy(h.Key[:], kid)
		h.Serial = uint64(serial)
	}
	return h, fault("reading the holder of an IMEI", err)
}

// Prior implements verifier.Store.
func (s *Store) Prior(_ context.Context, id imei.IMEI, subscriber string) (p verifier.Prior, found bool, err error) {
	device, by := s.names.Device(id), s.names.Subscriber(subscriber)
	var at, generation int64
	var body []byte
	for _, names := range [][2]verifier.Pseudonym{{device.Current, by.Current}, {device.Current, by.Former}, {device.Former, by.Current}, {device.Former, by.Former}} {
		if names[0] == (verifier.Pseudonym{}) || names[1] == (verifier.Pseudonym{}) && names[1] != by.Current {
			continue // there is no former key
		}
		found, err = s.reads.row(`SELECT p.at, p.generation, r.body FROM priors p JOIN records r ON r.id = p.record WHERE p.device = ? AND p.subscriber = ?`,
			[]any{names[0][:], names[1][:]}, &at, &generation, &body)
		if err != nil || found {
			break
		}
	}
	var r answered
	if err == nil && found {
		err = decode(body, &r)
	}
	if err != nil || !found {
		return p, false, fault("reading an earlier answer", err)
	}
	return verifier.Prior{At: fromNanos(at), Generation: uint64(generation), Answer: r.Verdict.Result, Binding: r.Binding}, true, nil
}

// Presented implements verifier.Store.
func (s *Store) Presented(_ context.Context, n attest.Nonce) (v verifier.Verdict, found bool, err error) {
	var record []byte
	found, err = s.reads.row(`SELECT record FROM nonces WHERE nonce = ?`, []any{[]byte(n)}, &record)
	if err == nil && record != nil {
		var r answered
		_, err = s.reads.find(record, &r)
		v = r.Verdict
	}
	return v, found, fault("reading a used nonce", err)
}

// Seen implements verifier.Store.
func (s *Store) Seen(_ context.Context, id imei.IMEI, subscriber string) (seen []verifier.Seen, err error) {
	var raw []byte
	_, err = s.either(`SELECT seen FROM sightings WHERE device = ?`, s.names.Device(id), &raw)
	by := s.names.Subscriber(subscriber)
	for _, one := range decodeSightings(raw) {
		seen = append(seen, verifier.Seen{At: fromNanos(one.at), Same: by.Is(one.name)})
	}
	return seen, fault("reading sightings", err)
}

// Days implements verifier.Store.
func (s *Store) Days(ctx context.Context, id imei.IMEI, year int, month time.Month) (map[verifier.Pseudonym]uint32, error) {
	if err := s.settle(ctx); err != nil {
		return nil, err
	}
	device := s.names.Device(id)
	rows, err := s.db.QueryContext(ctx, `SELECT subscriber, bits FROM days WHERE device IN (?, ?) AND month = ?`, device.Current[:], device.Former[:],
		monthNumber(year, month))
	if err != nil {
		return nil, fault("reading days", err)
	}
	defer rows.Close()
	days := make(map[verifier.Pseudonym]uint32)
	for rows.Next() {
		var subscriber []byte
		var bits uint32
		if err := rows.Scan(&subscriber, &bits); err != nil {
			return nil, fault("reading days", err)
		}
		days[verifier.Pseudonym(subscriber)] |= bits
	}
	return days, fault("reading days", rows.Err())
}

// find reads a recorded decision, or as much of it as into has room for.
func (s *statements) find(id []byte, into any) (found bool, err error) {
	var body []byte
	found, err = s.row(`SELECT body FROM records WHERE id = ?`, []any{id}, &body)
	if err == nil && found {
		err = decode(body, into)
	}
	return found && err == nil, err
}

// Record implements verifier.Store.
func (s *Store) Record(ctx context.Context, id verifier.DecisionID) (*verifier.Record, bool, error) {
	if err := s.settle(ctx); err != nil {
		return nil, false, err
	}
	r := new(verifier.Record)
	found, err := s.reads.find(id[:], r)
	if err != nil || !found {
		return nil, false, fault("reading a decision", err)
	}
	return r, true, nil
}

// Latest implements verifier.Store.
func (s *Store) Latest(ctx context.Context, public verifier.Alias) (*verifier.Record, bool, error) {
	if err := s.settle(ctx); err != nil {
		return nil, false, err
	}
	var body []byte
	found, err := s.either(`SELECT body FROM records WHERE public = ? ORDER BY at DESC, id DESC LIMIT 1`, public, &body)
	if err != nil || !found {
		return nil, false, fault("reading a decision", err)
	}
	r, err := decodeRecord(body)
	return r, err == nil, fault("reading a decision", err)
}

// Records implements verifier.Store. It holds no lock while it yields: the decisions come by the page.
func (s *Store) Records(ctx context.Context, since time.Time, yield func(*verifier.Record) bool) error {
	if err := s.settle(ctx); err != nil {
		return err
	}
	at, id := nanos(since), []byte{}
	for {
		page, err := s.page(ctx, at, id)
		if err != nil || len(page) == 0 {
			return fault("reading decisions", err)
		}
		for _, r := range page {
			if !yield(r) {
				return nil
			}
		}
		last := page[len(page)-1]
		at, id = nanos(last.Facts.Now), last.Verdict.ID[:]
	}
}

// page is the decisions after one of a time and an identifier.
func (s *Store) page(ctx context.Context, at int64, id []byte) (page []*verifier.Record, err error) {
	const most = 256
	rows, err := s.db.QueryContext(ctx, `SELECT body FROM records WHERE (at, id) > (?, ?) ORDER BY at, id LIMIT ?`, at, id, most)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var body []byte
		if err := rows.Scan(&body); err != nil {
			return nil, err
		}
		r, err := decodeRecord(body)
		if err != nil {
			return nil, err
		}
		page = append(page, r)
	}
	return page, rows.Err()
}
