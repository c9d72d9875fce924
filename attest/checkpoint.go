package attest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"io"
	"math"
	"time"
)

// CheckpointProfile is the eat_profile claim of a Checkpoint. It keeps it apart from all else that is signed.
const CheckpointProfile = "tag:imei-attest.example,2026:checkpoint/1"

// Checkpoint is a Verifier's statement of how far its audit chain reaches and what its last link is: whoever keeps one notices when
// something before it is altered or taken away.
type Checkpoint struct {
	IssuedAt time.Time // UTC, whole seconds
	Sequence uint64    // of the last entry, from 1
	Hash     [sha256.Size]byte
}

// SignedCheckpoint is a decoded Checkpoint with its signature, which only Verify checks.
type SignedCheckpoint struct {
	Checkpoint
	KeyID   KeyID // hint at the verifier's key
	message *message
}

type wireCheckpoint struct {
	IssuedAt int64  `cbor:"6,keyasint"`
	Profile  string `cbor:"265,keyasint"`
	Sequence uint64 `cbor:"-70031,keyasint"`
	Hash     []byte `cbor:"-70032,keyasint"`
}

// SignCheckpoint signs c with the verifier's key.
func SignCheckpoint(rand io.Reader, c Checkpoint, signer Signer, kid KeyID) ([]byte, error) {
	w := wireCheckpoint{IssuedAt: c.IssuedAt.Unix(), Profile: CheckpointProfile, Sequence: c.Sequence, Hash: c.Hash[:]}
	if _, err := w.checkpoint(); err != nil {
		return nil, err
	}
	return signMessage(rand, signer, protectedHeader{KeyID: kid[:]}, nil, w)
}

const partCheckpoint = "checkpoint"

// DecodeCheckpoint reads a Checkpoint strictly: an entry that it does not know is refused. The signature is not checked. The error is
// a [*FormatError].
func DecodeCheckpoint(raw []byte) (*SignedCheckpoint, error) {
	m := new(message)
	if err := m.decode(raw); err != nil {
		return nil, err
	}
	if len(m.Unprotected) != 0 {
		return nil, formatError(ClassStructure, partCheckpoint, "has an unprotected header")
	}
	var w wireCheckpoint
	if err := decodeStrict(partCheckpoint, decMode, m.Payload, &w); err != nil {
		return nil, err
	}
	if again, err := encMode.Marshal(w); err != nil || !bytes.Equal(again, m.Payload) {
		return nil, formatError(ClassClaim, partCheckpoint, "has an entry that is not of this profile")
	}
	c, err := w.checkpoint()
	if err != nil {
		return nil, err
	}
	return &SignedCheckpoint{Checkpoint: c, KeyID: m.keyID, message: m}, nil
}

// Verify checks the signature under the verifier's key.
func (c *SignedCheckpoint) Verify(key *ecdsa.PublicKey) error { return c.message.verify(key) }

func (w *wireCheckpoint) checkpoint() (c Checkpoint, err error) {
	switch {
	case w.Profile != CheckpointProfile:
		return c, formatError(ClassProfile, partCheckpoint, "the profile is not %s", CheckpointProfile)
	case w.IssuedAt <= 0:
		return c, formatError(ClassClaim, partCheckpoint, "iat is missing")
	case w.Sequence == 0, w.Sequence > math.MaxInt64:
		return c, formatError(ClassClaim, partCheckpoint, "the sequence is missing or above 2^63-1")
	case len(w.Hash) != len(c.Hash):
		return c, formatError(ClassClaim, partCheckpoint, "the hash has %d bytes, want %d", len(w.Hash), len(c.Hash))
	}
	return Checkpoint{IssuedAt: time.Unix(w.IssuedAt, 0).UTC(), Sequence: w.Sequence, Hash: [sha256.Size]byte(w.Hash)}, nil
}
