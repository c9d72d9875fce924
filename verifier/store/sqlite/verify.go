package sqlite

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"slices"

	"imei-attest/attest"
)

// verification is a walk along the chain.
type verification struct {
	keys   []*ecdsa.PublicKey
	step   func()
	claims map[int64][][sha256.Size]byte // hashes of entries, as checkpoints have them
	found  Chain
	swept  int64 // the entry up to which the chain says that it was swept
}

func (v *verification) readCheckpoints(ctx context.Context, tx *sql.Tx, kept [][]byte) error {
	for _, signed := range kept {
		if err := v.claim(signed, 0, true); err != nil {
			return err
		}
	}
	rows, err := tx.QueryContext(ctx, `SELECT seq, signed FROM checkpoints ORDER BY seq`)
	if err != nil {
		return fault("reading checkpoints", err)
	}
	defer rows.Close()
	for rows.Next() {
		var seq int64
		var signed []byte
		if err := rows.Scan(&seq, &signed); err != nil {
			return fault("reading checkpoints", err)
		}
		if err := v.claim(signed, seq, false); err != nil {
			return err
		}
	}
	return fault("reading checkpoints", rows.Err())
}

// claim takes a checkpoint's word if its signature verifies.
func (v *verification) claim(signed []byte, seq int64, kept bool) error {
	c, err := attest.DecodeCheckpoint(signed)
	if err != nil {
		return &ChainError{uint64(seq), fmt.Sprintf("a checkpoint cannot be read: %v", err)}
	}
	if !slices.ContainsFunc(v.keys, func(k *ecdsa.PublicKey) bool { return c.Verify(k) == nil }) {
		return &ChainError{c.Sequence, fmt.Sprintf("its checkpoint, by key %s, does not verify: it was altered, or its key is an earlier one of this verifier", c.KeyID)}
	}
	if !kept && int64(c.Sequence) != seq {
		return &ChainError{uint64(seq), fmt.Sprintf("its checkpoint is entry %d's", c.Sequence)}
	}
	v.claims[int64(c.Sequence)] = append(v.claims[int64(c.Sequence)], c.Hash)
	v.found.Checkpoints++
	return nil
}

// follow walks from the first entry that is kept. If earlier ones were swept, the checkpoint before it tells its hash.
func (v *verification) follow(ctx context.Context, tx *sql.Tx) error {
	rows, err := tx.QueryContext(ctx, `SELECT seq, at, kind, subject, digest, text, hash FROM audit ORDER BY seq`)
	if err != nil {
		return fault("reading the audit chain", err)
	}
	defer rows.Close()
	var before [sha256.Size]byte
	var last, lastSigned int64
	for rows.Next() {
		l, hash, err := scanLink(rows)
		if err != nil {
			return err
		}
		if last == 0 {
			if before, err = v.start(l.seq); err != nil {
				return err
			}
			v.found.First, last = uint64(l.seq), l.seq-1
			lastSigned = last
		}
		if err := v.check(l, hash, before, last+1); err != nil {
			return err
		}
		if before, last = hash, l.seq; len(v.claims[last]) > 0 {
			lastSigned = last
		}
		v.found.Last, v.found.LastAt = uint64(last), l.at
		if v.step != nil {
			v.step()
		}
	}
	v.found.Unsigned = uint64(last - lastSigned)
	if err := rows.Err(); err != nil {
		return fault("reading the audit chain", err)
	}
	return v.end(last)
}

// start returns the hash before the first entry that is kept.
func (v *verification) start(first int64) (before [sha256.Size]byte, err error) {
	if first == 1 {
		return before, nil
	}
	if claims := v.claims[first-1]; len(claims) > 0 {
		return claims[0], nil
	}
	return before, &ChainError{uint64(first - 1), "it and those before it are missing, and no checkpoint says that they were swept"}
}

func scanLink(rows *sql.Rows) (l link, hash [sha256.Size]byte, err error) {
	var at int64
	var digest, sum []byte
	if err := rows.Scan(&l.seq, &at, &l.kind, &l.subject, &digest, &l.text, &sum); err != nil {
		return l, hash, fault("reading the audit chain", err)
	}
	l.at = fromNanos(at)
	copy(l.digest[:], digest)
	copy(hash[:], sum)
	return l, hash, nil
}

// check is one step: number, content, link to the one before, and what checkpoints say.
func (v *verification) check(l link, hash, before [sha256.Size]byte, want int64) error {
	entry := uint64(l.seq)
	switch {
	case l.seq != want:
		return &ChainError{uint64(want), fmt.Sprintf("it is missing: entry %d comes next", l.seq)}
	case l.kind == Decided && l.text != "", l.kind != Decided && sha256.Sum256([]byte(l.text)) != l.digest:
		return &ChainError{entry, "its text was altered"}
	case l.hash(before) != hash:
		return &ChainError{entry, "it was altered, or stands in another's place"}
	}
	if l.kind == Swept {
		var upTo int64
		if _, err := fmt.Sscanf(l.text, sweptUpTo, &upTo); err == nil {
			v.swept = max(v.swept, upTo)
		}
	}
	for _, claimed := range v.claims[l.seq] {
		if claimed != hash {
			return &ChainError{entry, "a signed checkpoint tells another hash: the chain up to here was written anew"}
		}
	}
	return nil
}

// end looks for checkpoints beyond the last entry, and for the event that tells of a sweep.
func (v *verification) end(last int64) error {
	if before := int64(v.found.First) - 1; before > v.swept {
		return &ChainError{uint64(before), "it and those before it are missing, and no entry says that they were swept"}
	}
	for seq := range v.claims {
		if seq > last {
			return &ChainError{uint64(last + 1), fmt.Sprintf("it is missing, and all after it: a signed checkpoint is of entry %d", seq)}
		}
	}
	return nil
}
