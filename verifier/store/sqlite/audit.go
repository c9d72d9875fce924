package sqlite

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"imei-attest/attest"
)

// Kind says what an entry of the audit chain is about.
type Kind uint8

// The kinds of entries. Decided is a committed decision; the others are events.
const (
	Decided Kind = 1 + iota
	TrustChanged
	PolicyChanged
	KeysChanged
	Swept
	Restored
	ListChanged
)

var kindNames = [...]string{Decided: "decision", TrustChanged: "trust", PolicyChanged: "policy", KeysChanged: "keys", Swept: "sweep", Restored: "restore", ListChanged: "list"}

// String is the kind's name in answers.
func (k Kind) String() string {
	if k == 0 || int(k) >= len(kindNames) {
		return fmt.Sprintf("kind %d", uint8(k))
	}
	return kindNames[k]
}

// Event is something beside decisions that the operator should be able to account for.
type Event struct {
	At   time.Time
	Kind Kind
	Text string // for people, without identities
}

// Audit enters an event in the audit chain and returns when it is on the disk.
func (s *Store) Audit(ctx context.Context, e Event) error {
	return s.do(ctx, func(w *writer) error { return w.appendEvent(e) })
}

// When a checkpoint is signed: after so many entries, or so long after the last one, and at the end.
const (
	checkpointEntries = 1 << 14
	checkpointTime    = time.Minute
)

// link is an entry of the chain. Its hash covers the hash of the one before.
type link struct {
	seq     int64
	at      time.Time
	kind    Kind
	subject []byte // the id of a decision; empty, or 16 bytes
	digest  [sha256.Size]byte
	text    string
}

func (l *link) hash(before [sha256.Size]byte) [sha256.Size]byte {
	b := append(make([]byte, 0, 128), before[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(l.seq))
	b = binary.BigEndian.AppendUint64(b, uint64(nanos(l.at)))
	b = append(b, byte(l.kind), byte(len(l.subject)))
	return sha256.Sum256(append(append(b, l.subject...), l.digest[:]...))
}

// chain is its end.
type chain struct {
	seq  int64
	hash [sha256.Size]byte
	at   time.Time
	// The last checkpoint.
	signedSeq int64
	signedAt  time.Time
}

func (c *chain) next() int64 { return c.seq + 1 }

func (c *chain) load(s *statements) error {
	*c = chain{}
	var at int64
	var hash, signed []byte
	if _, err := s.row(`SELECT seq, at, hash FROM audit ORDER BY seq DESC LIMIT 1`, nil, &c.seq, &at, &hash); err != nil {
		return err
	}
	copy(c.hash[:], hash)
	c.at = fromNanos(at)
	if _, err := s.row(`SELECT seq, signed FROM checkpoints ORDER BY seq DESC LIMIT 1`, nil, &c.signedSeq, &signed); err != nil {
		return err
	}
	if checkpoint, err := attest.DecodeCheckpoint(signed); err == nil {
		c.signedAt = checkpoint.IssuedAt
	}
	return nil
}

// append adds a link to the chain.
func (w *writer) append(l link) error {
	l.seq = w.chain.next()
	hash := l.hash(w.chain.hash)
	subject := l.subject
	if subject == nil {
		subject = []byte{}
	}
	_, err := w.exec(`INSERT INTO audit (seq, at, kind, subject, digest, text, hash) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		l.seq, nanos(l.at), l.kind, subject, l.digest[:], l.text, hash[:])
	if err == nil {
		w.chain.seq, w.chain.hash, w.chain.at = l.seq, hash, l.at
	}
	return err
}

func (w *writer) appendEvent(e Event) error {
	return w.append(link{at: e.At, kind: e.Kind, digest: sha256.Sum256([]byte(e.Text)), text: e.Text})
}

func (w *writer) checkpointIfDue() error {
	c := &w.chain
	if c.signedAt.IsZero() {
		c.signedAt = c.at
	}
	if c.seq-c.signedSeq < checkpointEntries && (c.seq == c.signedSeq || c.at.Sub(c.signedAt) < checkpointTime) {
		return nil
	}
	err := w.checkpoint()
	if errors.Is(err, errSigning) {
		c.signedAt = c.at // decisions do not wait for a signature: it is tried again, and audit verify tells what is not signed
		return nil
	}
	return err
}

var errSigning = errors.New("signing a checkpoint of the audit chain")

// checkpoint signs how far the chain reaches.
func (w *writer) checkpoint() error {
	c := &w.chain
	if w.store.config.Signer == nil || c.seq == c.signedSeq || c.at.Unix() <= 0 {
		return nil
	}
	statement := attest.Checkpoint{IssuedAt: c.at, Sequence: uint64(c.seq), Hash: c.hash}
	signed, err := attest.SignCheckpoint(rand.Reader, statement, w.store.config.Signer, w.store.config.KeyID)
	if err != nil {
		return fmt.Errorf("%w: %w", errSigning, err)
	}
	if _, err = w.exec(`INSERT INTO checkpoints (seq, signed) VALUES (?, ?)`, c.seq, signed); err == nil {
		c.signedSeq, c.signedAt = c.seq, c.at
	}
	return err
}

// Checkpoint returns the last signed checkpoint, nil if there is none. Kept elsewhere, it shows later whether the end of the chain was
// cut off.
func (s *Store) Checkpoint(context.Context) (signed []byte, err error) {
	_, err = s.reads.row(`SELECT signed FROM checkpoints ORDER BY seq DESC LIMIT 1`, nil, &signed)
	return signed, fault("reading a checkpoint", err)
}

// ChainError says where the audit chain breaks.
type ChainError struct {
	Entry   uint64 // the first one that is not as it was written
	Problem string
}

func (e *ChainError) Error() string {
	return fmt.Sprintf("the audit chain breaks at entry %d: %s", e.Entry, e.Problem)
}

// Chain is what Verify found in order.
type Chain struct {
	First       uint64    `json:"first"` // entry that is kept; those before it were swept
	Last        uint64    `json:"last"`
	LastAt      time.Time `json:"last_at,omitzero"`
	Checkpoints int       `json:"checkpoints"` // whose signature verified
	Unsigned    uint64    `json:"unsigned"`    // entries after the last checkpoint
}

// Verify follows the audit chain link by link and checks the signed checkpoints under the verifier's keys, current and earlier. Kept are
// checkpoints that were kept elsewhere. The error is a [*ChainError] where the chain is not as it was written. Step is called for each
// entry; nil is allowed.
func (s *Store) Verify(ctx context.Context, keys []*ecdsa.PublicKey, kept [][]byte, step func()) (found Chain, err error) {
	tx, err := s.db.BeginTx(ctx, nil) // one view of the whole while others write
	if err != nil {
		return found, fault("reading the audit chain", err)
	}
	defer tx.Rollback()
	v := &verification{keys: keys, step: step, claims: make(map[int64][][sha256.Size]byte)}
	if err := v.readCheckpoints(ctx, tx, kept); err != nil {
		return found, err
	}
	err = v.follow(ctx, tx)
	return v.found, err
}
