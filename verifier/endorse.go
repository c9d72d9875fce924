package verifier

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"

	"imei-attest/attest"
)

// endorsement is a Credential that verified, and the anchor it verified under. It holds for one generation of trust.
type endorsement struct {
	credential *attest.SignedCredential
	anchor     *Anchor
	generation uint64
	software   Software // that the device told of before
	kept       bool     // by the store, with the generation
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
	switch {
	case err != nil:
		return nil, "", err
	case carried == nil && !found:
		return nil, attest.ReasonKeyUnknown, nil
	case carried == nil || bytes.Equal(carried, kept.Credential):
		e, refusal := q.trust.uphold(kept)
		return e, refusal, nil
	}
	e, refusal := q.trust.endorse(carried)
	switch {
	case refusal != "":
		return nil, refusal, nil
	case e.credential.DeviceKeyID != q.evidence.KeyID:
		return nil, attest.ReasonSignatureInvalid, nil // the Credential is of another key than the one that says it signed
	}
	e.software = kept.Software
	if found {
		if newer, refusal := q.trust.uphold(kept); refusal == "" && newer.supersedes(e) {
			return newer, "", nil
		}
	}
	return e, "", nil
}

// supersedes reports a later Credential of the same manufacturer: what an earlier one says counts no longer.
func (e *endorsement) supersedes(o *endorsement) bool {
	return e.credential.Issuer == o.credential.Issuer && e.credential.Serial > o.credential.Serial
}

// asKept is the endorsement once the store has it, and what the device told of.
func (e *endorsement) asKept(told Software) *endorsement {
	if e.kept && e.software == told {
		return e
	}
	kept := *e
	kept.kept, kept.software = true, told
	return &kept
}

// stillFinds reports that the trust says of the device's firmware and storage what it said for an earlier result.
func (e *endorsement) stillFinds(earlier *attest.Result) bool {
	c := &e.credential.Credential
	firmware := e.anchor.judgeFirmware(c, e.software.Revision)
	for reason, finds := range map[attest.Reason]bool{
		attest.ReasonFirmwareApproved:  firmware == attest.ReasonFirmwareApproved,
		attest.ReasonFirmwareUnlisted:  firmware == attest.ReasonFirmwareUnlisted,
		attest.ReasonFirmwareRevoked:   firmware == attest.ReasonFirmwareRevoked,
		attest.ReasonFirmwareUnknown:   firmware == attest.ReasonFirmwareUnknown,
		attest.ReasonTPMFirmwareDenied: e.anchor.deniesTPM(e.software.TPM),
		attest.ReasonEmulatedVault:     c.Storage.Kind == attest.StorageTPMEmulated && !e.anchor.vouches(c.Storage.Kind),
	} {
		if slices.Contains(earlier.Reasons(), reason) != finds {
			return false
		}
	}
	return true
}

// uphold is endorse of what a store keeps: what verified under the same trust before does not have to again.
func (t *Trust) uphold(kept Endorsed) (*endorsement, attest.Reason) {
	if kept.Generation == t.Generation {
		if c, anchor, err := t.Keys.RecallCredential(kept.Credential); err == nil {
			return &endorsement{credential: c, anchor: anchor, generation: t.Generation, software: kept.Software, kept: true}, ""
		}
	}
	e, refusal := t.endorse(kept.Credential)
	if refusal == "" {
		e.software = kept.Software
	}
	return e, refusal
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
	case anchor.Revoked.DeviceKeys[c.DeviceKeyID]:
		return nil, attest.ReasonKeyRevoked
	case !t.isOurKey(&c.Credential, anchor):
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

// put keeps an endorsement. Of evidence that told nothing of the device's software, it keeps what others told meanwhile.
func (c *endorsementCache) put(key attest.KeyID, e *endorsement, told bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known := c.young[key]
	if known == nil {
		known = c.old[key]
	}
	if !told && known != nil && known.generation == e.generation && bytes.Equal(known.credential.Raw, e.credential.Raw) {
		e = known
	}
	if c.young[key] == e {
		return
	}
	if c.young == nil || len(c.young) >= cacheHalf {
		c.old, c.young = c.young, make(map[attest.KeyID]*endorsement)
	}
	c.young[key] = e
}
