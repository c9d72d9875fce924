package verifier

import (
	"bytes"
	"context"
	"errors"
	"sync"

	"imei-attest/attest"
)

// endorsement is a Credential that verified, and the anchor it verified under. It holds for one generation of trust.
type endorsement struct {
	credential *attest.SignedCredential
	anchor     *Anchor
	generation uint64
	kept       bool // by the store, with the generation
}

// endorse is step 2: find the Credential of the key that signed and see that its manufacturer may vouch for it. The
// reason is empty if so. A Credential that a committed decision rested on is not verified again until the trust
// changes; anybody can present a genuine but outdated one, so before that nothing is remembered of it.
func (v *Verifier) endorse(ctx context.Context, q *question) (*endorsement, attest.Reason, error) {
	carried := q.evidence.Credential
	if known := v.endorsements.get(q.evidence.KeyID); known != nil && known.generation == q.trust.Generation &&
		(carried == nil || bytes.Equal(carried, known.credential.Raw)) {
		return known, "", nil
	}
	kept, found, err := v.store.Credential(ctx, q.evidence.KeyID)
	if err != nil {
		return nil, "", err
	}
	if carried == nil && !found {
		return nil, attest.ReasonKeyUnknown, nil
	}
	if carried != nil && !bytes.Equal(carried, kept.Credential) {
		kept = Endorsed{Credential: carried}
	}
	e, refusal := q.trust.uphold(kept)
	if refusal == "" && attest.KeyIDOf(e.credential.Key) != q.evidence.KeyID {
		refusal = attest.ReasonSignatureInvalid // the Credential is of another key than the one that says it signed
	}
	return e, refusal, nil
}

// asKept is the endorsement once the store has it.
func (e *endorsement) asKept() *endorsement {
	if e.kept {
		return e
	}
	kept := *e
	kept.kept = true
	return &kept
}

// uphold is endorse of what a store keeps: what verified under the same trust before does not have to again.
func (t *Trust) uphold(kept Endorsed) (*endorsement, attest.Reason) {
	if kept.Generation == t.Generation {
		if c, anchor, err := t.Keys.RecallCredential(kept.Credential); err == nil {
			return &endorsement{credential: c, anchor: anchor, generation: t.Generation, kept: true}, ""
		}
	}
	return t.endorse(kept.Credential)
}

func (t *Trust) endorse(raw []byte) (*endorsement, attest.Reason) {
	c, anchor, err := t.Keys.VerifyCredential(raw)
	switch {
	case errors.Is(err, attest.ErrKeyUnknown):
		return nil, attest.ReasonKeyUnknown
	case err != nil, !anchor.permits(&c.Credential):
		return nil, attest.ReasonCredentialInvalid
	case anchor.Revoked.CredentialKeys[c.KeyID], anchor.Revoked.Credentials[attest.DigestOf(raw)]:
		return nil, attest.ReasonCredentialRevoked
	case anchor.Revoked.DeviceKeys[attest.KeyIDOf(c.Key)]:
		return nil, attest.ReasonKeyRevoked
	case !anchor.isOurKey(&c.Credential):
		return nil, attest.ReasonKeyNameMismatch
	}
	return &endorsement{credential: c, anchor: anchor, generation: t.Generation}, ""
}

// endorsementCache keeps recent endorsements in two halves: when the young half is full it becomes the old one and
// the old one is forgotten. That bounds memory at two lookups a miss and no bookkeeping a hit.
type endorsementCache struct {
	mu         sync.RWMutex
	young, old map[attest.KeyID]*endorsement
}

// cacheHalf bounds the cache at about 2 * 4 Ki entries of some 2 KiB. A miss costs a look into the store and no signature.
const cacheHalf = 1 << 12

func (c *endorsementCache) get(key attest.KeyID) *endorsement {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if e := c.young[key]; e != nil {
		return e
	}
	return c.old[key]
}

func (c *endorsementCache) put(key attest.KeyID, e *endorsement) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.young[key] == e {
		return
	}
	if c.young == nil || len(c.young) >= cacheHalf {
		c.old, c.young = c.young, make(map[attest.KeyID]*endorsement)
	}
	c.young[key] = e
}
