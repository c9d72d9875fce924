package provision

import (
	"crypto/ecdsa"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"imei-attest/agent/softvault/privatefile"
	"imei-attest/attest"
)

// CredentialSuffix ends the names of Credentials in a folder; before it stands the digest in hex.
const CredentialSuffix = ".credential.cose"

// SignManifest signs the list of a batch's Credentials with the credential key.
func (o *OEM) SignManifest(batch string, digests []attest.CredentialDigest, now time.Time) ([]byte, error) {
	signer, err := attest.NewSigner(o.Credential)
	if err != nil {
		return nil, fmt.Errorf("credential key: %w", err)
	}
	m := attest.Manifest{Issuer: o.Issuer, IssuedAt: now.UTC().Truncate(time.Second), Batch: batch, Digests: digests}
	return attest.SignManifest(rand.Reader, m, signer, attest.KeyIDOf(publicKey(o.Credential)))
}

// SaveManifest writes a manifest. It is public: no IMEI can be found out from it.
func SaveManifest(path string, raw []byte) error {
	const publicFile = 0o644
	return privatefile.Replace(path, raw, publicFile)
}

// ErrManifest means that a manifest is not the manufacturer's, or does not list what it is compared with.
var ErrManifest = errors.New("the manifest does not hold")

// VerifyManifest reads a manifest and checks that a credential key of the anchor signed it.
func VerifyManifest(raw, anchor []byte) (*attest.SignedManifest, error) {
	issuer, keys, err := credentialKeys(anchor)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAnchor, err)
	}
	return verifyManifest(raw, issuer, keys)
}

// VerifyManifest reads a manifest and checks that this manufacturer signed it.
func (o *OEM) VerifyManifest(raw []byte) (*attest.SignedManifest, error) {
	return verifyManifest(raw, o.Issuer, o.endorsers)
}

func verifyManifest(raw []byte, issuer string, keys []*ecdsa.PublicKey) (*attest.SignedManifest, error) {
	m, err := attest.DecodeManifest(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrManifest, err)
	}
	at := slices.IndexFunc(keys, func(key *ecdsa.PublicKey) bool { return attest.KeyIDOf(key) == m.KeyID })
	if at < 0 {
		return nil, fmt.Errorf("%w: %w of the anchor", ErrManifest, attest.ErrKeyUnknown)
	}
	if err := m.Verify(keys[at]); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrManifest, err)
	}
	if m.Issuer != issuer {
		return nil, fmt.Errorf("%w: its issuer is not that of the anchor", ErrManifest)
	}
	return m, nil
}

func credentialKeys(anchor []byte) (issuer string, keys []*ecdsa.PublicKey, err error) {
	var f anchorFile
	if err := yaml.Load(anchor, &f, yaml.WithKnownFields()); err != nil {
		return "", nil, err
	}
	for _, text := range f.CredentialKeys {
		key, err := parsePublicPEM(text)
		if err != nil {
			return "", nil, fmt.Errorf("credential_keys: %w", err)
		}
		keys = append(keys, key)
	}
	return f.Issuer, keys, nil
}

// CompareManifest compares the entries of a manifest with those that are meant to be in it, both sorted.
func CompareManifest(m *attest.SignedManifest, want []attest.CredentialDigest, whose string) error {
	missing, foreign := without(want, m.Digests), without(m.Digests, want)
	if missing == 0 && foreign == 0 {
		return nil
	}
	return fmt.Errorf("%w: %d Credentials of %s are not in it, and %d of its entries are not of %s", ErrManifest, missing, whose, foreign, whose)
}

// without counts the elements of a that b has not.
func without(a, b []attest.CredentialDigest) (count int) {
	in := make(map[attest.CredentialDigest]bool, len(b))
	for _, d := range b {
		in[d] = true
	}
	for _, d := range a {
		if !in[d] {
			count++
		}
	}
	return count
}

// KeepCredential writes a Credential into a folder, under its digest.
func KeepCredential(folder string, c *attest.SignedCredential) error {
	name := fmt.Sprintf("%x%s", attest.DigestOf(c.Raw), CredentialSuffix)
	return privatefile.Replace(filepath.Join(folder, name), c.Raw, privatefile.FileMode)
}

// CredentialDigests computes the digests of the Credentials in a folder.
func CredentialDigests(folder fs.FS) (digests []attest.CredentialDigest, err error) {
	names, err := fs.Glob(folder, "*"+CredentialSuffix)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		raw, err := fs.ReadFile(folder, name)
		if err != nil {
			return nil, err
		}
		if _, err := attest.DecodeCredential(raw); err != nil {
			return nil, fmt.Errorf("%s is no Credential: %w", name, err)
		}
		digest := attest.DigestOf(raw)
		if !strings.HasPrefix(name, fmt.Sprintf("%x", digest)) {
			return nil, fmt.Errorf("%s has another digest than its name says", name)
		}
		digests = append(digests, digest)
	}
	if len(digests) == 0 {
		return nil, fmt.Errorf("no file *%s: %w", CredentialSuffix, os.ErrNotExist)
	}
	return digests, nil
}
