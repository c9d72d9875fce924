package sqlite

import (
	"context"

	"imei-attest/attest"
	"imei-attest/attest/imei"
	"imei-attest/verifier"
)

// preparedClaim is a subscriber that a device named, sealed: from the hash and the nonce beside it an IMSI can be searched for.
type preparedClaim struct {
	device verifier.Alias
	sealed []byte
}

// sealClaim writes the slot, the hash and the nonce. The seal covers which decision answered.
func (s *Store) sealClaim(c verifier.Claim, n attest.Nonce, answer verifier.DecisionID) preparedClaim {
	content := append(append([]byte{c.Slot}, c.Hash[:]...), n...)
	return preparedClaim{s.names.Device(c.IMEI), s.claims.current.Seal(nil, nil, content, answer[:])}
}

func (s *Store) openClaim(id uint32, content, answer []byte) (c verifier.Claimed, err error) {
	opened, err := s.claims.openRaw(id, content, answer)
	if err != nil {
		return c, err
	}
	if len(opened) < 1+len(c.Hash) {
		return c, errSeal
	}
	c.Slot, c.Nonce = opened[0], opened[1+len(c.Hash):]
	copy(c.Hash[:], opened[1:])
	return c, nil
}

// keepClaims replaces the names that a device gave before.
func (w *writer) keepClaims(d *decision) error {
	for i := range d.claims {
		_, err := w.exec(`INSERT INTO claims (device, key, at, generation, record, subkey, sealed) VALUES (?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (device) DO UPDATE SET key = excluded.key, at = excluded.at, generation = excluded.generation, record = excluded.record,
			subkey = excluded.subkey, sealed = excluded.sealed`,
			d.claims[i].device.Current[:], w.keys.devices, nanos(d.Now), int64(d.Device.Generation), d.record.id[:], w.keys.subscribers, d.claims[i].sealed)
		if err != nil {
			return err
		}
	}
	return nil
}

// Claimed implements verifier.Store.
func (s *Store) Claimed(_ context.Context, id imei.IMEI) (c verifier.Claimed, found bool, err error) {
	var at, generation int64
	var sealedBy uint32
	var record, content, body []byte
	found, err = s.either(`SELECT c.at, c.generation, c.record, c.subkey, c.sealed, r.body FROM claims c JOIN records r ON r.id = c.record WHERE c.device = ?`,
		s.names.Device(id), &at, &generation, &record, &sealedBy, &content, &body)
	if err == nil && found {
		c, err = s.openClaim(sealedBy, content, record)
	}
	var r answered
	if err == nil && found {
		err = decode(body, &r)
	}
	if err != nil || !found {
		return verifier.Claimed{}, false, fault("reading a claim", err)
	}
	c.At, c.Generation, c.Answer = fromNanos(at), uint64(generation), r.Verdict.Result
	return c, true, nil
}
