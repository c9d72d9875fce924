package attest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// ManifestProfile is the eat_profile claim of a Manifest. It keeps a Manifest and a Credential, which one key signs,
// from ever being taken for each other.
const ManifestProfile = "tag:imei-attest.example,2026:manifest/1"

// Limits of a Manifest.
const (
	MaxManifestEntries = 1 << 20
	maxBatchName       = 64
	digestBytes        = 2 + sha256.Size // with its CBOR head
	maxManifestBytes   = MaxManifestEntries*digestBytes + MaxTokenBytes
)

// CredentialDigest is the SHA-256 of a whole Credential. It covers a signature, which nobody can guess, so it tells
// nothing of the IMEIs.
type CredentialDigest [sha256.Size]byte

// DigestOf returns the digest of an encoded Credential.
func DigestOf(credential []byte) CredentialDigest { return sha256.Sum256(credential) }

// Manifest is a manufacturer's statement of which Credentials one batch of devices got: these and no others.
type Manifest struct {
	Issuer   string    // URI of the manufacturer, 1..64 bytes
	IssuedAt time.Time // UTC, whole seconds
	Batch    string    // 1..64 bytes
	Digests  []CredentialDigest
}

// SignedManifest is a decoded Manifest with its signature, which only Verify checks.
type SignedManifest struct {
	Manifest
	KeyID   KeyID // hint at the manufacturer's credential key
	message *message
}

type wireManifest struct {
	Issuer   string   `cbor:"1,keyasint"`
	IssuedAt int64    `cbor:"6,keyasint"`
	Profile  string   `cbor:"265,keyasint"`
	Batch    string   `cbor:"-70021,keyasint"`
	Count    uint64   `cbor:"-70022,keyasint"`
	Digests  [][]byte `cbor:"-70023,keyasint"`
}

// SignManifest sorts the digests and signs m with the manufacturer's credential key. A digest that stands twice is an
// error: one Credential is for one device.
func SignManifest(rand io.Reader, m Manifest, signer Signer, kid KeyID) ([]byte, error) {
	w := wireManifest{Issuer: m.Issuer, IssuedAt: m.IssuedAt.Unix(), Profile: ManifestProfile, Batch: m.Batch, Count: uint64(len(m.Digests))}
	for _, d := range slices.SortedFunc(slices.Values(m.Digests), compareDigests) {
		w.Digests = append(w.Digests, d[:])
	}
	if _, err := w.manifest(); err != nil {
		return nil, err
	}
	return signMessage(rand, signer, protectedHeader{KeyID: kid[:]}, nil, w)
}

func compareDigests(a, b CredentialDigest) int { return bytes.Compare(a[:], b[:]) }

// DecodeManifest reads a Manifest strictly: other than in Evidence, an entry that it does not know is refused. The
// signature is not checked. The error is a [*FormatError].
func DecodeManifest(raw []byte) (*SignedManifest, error) {
	if len(raw) > maxManifestBytes {
		return nil, formatError(ClassOversized, partManifest, "%d bytes, at most %d are looked at", len(raw), maxManifestBytes)
	}
	m := new(message)
	if err := m.decodeSign1(raw); err != nil {
		return nil, err
	}
	if len(m.Unprotected) != 0 {
		return nil, formatError(ClassStructure, partManifest, "has an unprotected header")
	}
	var w wireManifest
	if err := decodeStrict(partManifest, manifestMode(), m.Payload, &w); err != nil {
		return nil, err
	}
	if again, err := encMode.Marshal(w); err != nil || !bytes.Equal(again, m.Payload) {
		return nil, formatError(ClassClaim, partManifest, "has an entry that is not of this profile")
	}
	manifest, err := w.manifest()
	if err != nil {
		return nil, err
	}
	return &SignedManifest{Manifest: manifest, KeyID: m.keyID, message: m}, nil
}

const partManifest = "manifest"

// manifestMode lets the list of digests be long. It is made when it is needed: no device reads a Manifest.
func manifestMode() cbor.DecMode {
	o := decOptions()
	o.MaxArrayElements = MaxManifestEntries
	return must(o.DecMode())
}

// Verify checks the signature under the manufacturer's credential key.
func (m *SignedManifest) Verify(key *ecdsa.PublicKey) error { return m.message.verify(key) }

func (w *wireManifest) manifest() (m Manifest, err error) {
	m = Manifest{Issuer: w.Issuer, IssuedAt: time.Unix(w.IssuedAt, 0).UTC(), Batch: w.Batch}
	switch {
	case w.Profile != ManifestProfile:
		return m, formatError(ClassProfile, partManifest, "the profile is not %s", ManifestProfile)
	case w.Issuer == "" || len(w.Issuer) > maxIssuerBytes:
		return m, formatError(ClassClaim, partManifest, "iss must have 1 to %d bytes, not %d", maxIssuerBytes, len(w.Issuer))
	case w.IssuedAt <= 0:
		return m, formatError(ClassClaim, partManifest, "iat is missing")
	case CheckBatchName(w.Batch) != nil:
		return m, formatError(ClassClaim, partManifest, "%v", CheckBatchName(w.Batch))
	case len(w.Digests) == 0 || len(w.Digests) > MaxManifestEntries:
		return m, formatError(ClassClaim, partManifest, "%d entries, want 1 to %d", len(w.Digests), MaxManifestEntries)
	case w.Count != uint64(len(w.Digests)):
		return m, formatError(ClassClaim, partManifest, "the count says %d, and there are %d entries", w.Count, len(w.Digests))
	}
	m.Digests, err = orderedDigests(w.Digests)
	return m, err
}

// CheckBatchName refuses a name that a Manifest cannot hold, or that would show otherwise than it is.
func CheckBatchName(name string) error {
	if name == "" || len(name) > maxBatchName {
		return fmt.Errorf("a batch name must have 1 to %d bytes, not %d", maxBatchName, len(name))
	}
	printable := func(r rune) bool { return r >= ' ' && r <= '~' }
	if strings.IndexFunc(name, func(r rune) bool { return !printable(r) }) >= 0 {
		return fmt.Errorf("a batch name has printable ASCII characters only")
	}
	return nil
}

// orderedDigests demands rising order, in which no digest can stand twice.
func orderedDigests(raw [][]byte) ([]CredentialDigest, error) {
	digests := make([]CredentialDigest, len(raw))
	for i, d := range raw {
		if len(d) != sha256.Size {
			return nil, formatError(ClassClaim, partManifest, "entry %d has %d bytes, want %d", i+1, len(d), sha256.Size)
		}
		digests[i] = CredentialDigest(d)
		if i > 0 && compareDigests(digests[i-1], digests[i]) >= 0 {
			return nil, formatError(ClassClaim, partManifest, "entry %d does not come after the one before it", i+1)
		}
	}
	return digests, nil
}
