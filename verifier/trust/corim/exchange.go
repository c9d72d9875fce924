package corim

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"imei-attest/attest"
	"imei-attest/verifier"
	"imei-attest/verifier/trust"
)

// Validity is how long an exported CoRIM may be imported. It cannot be called back in that time, but it cannot take anything back.
const Validity = 30 * 24 * time.Hour

// Refusal is the error of [Import] for a document that is not taken. Any other error is a failure of ours or of the folder.
type Refusal struct{ Err error }

// Error says why.
func (r *Refusal) Error() string {
	return "the CoRIM was refused, and nothing was changed: " + r.Err.Error()
}

// Unwrap is the reason.
func (r *Refusal) Unwrap() error { return r.Err }

// Options are what an import is allowed.
type Options struct {
	Now    time.Time
	DryRun bool // change nothing
	// NewKeys takes credential keys that the folder does not hold. Whoever stole one key could otherwise add one of his own, and
	// outlive the revocation of the stolen one: so a person has to ask for it.
	NewKeys bool
}

// Import adds to the trust folder what a signed CoRIM says, all of it or nothing, and returns what the folder did not hold before. A
// document that says nothing new changes nothing.
func Import(dir string, signed []byte, o Options) (*trust.Additions, error) {
	var d *Document
	var added *trust.Additions
	verify := func(t *verifier.Trust) (anchor *verifier.Anchor, err error) {
		d, anchor, err = Verify(signed, &t.Keys, o.Now)
		return anchor, err
	}
	add := func(f *trust.File) (write bool, err error) {
		if added, err = f.Add(d.Additions()); err != nil {
			return false, &Refusal{err}
		}
		if len(added.CredentialKeys) > 0 && !o.NewKeys {
			return false, &Refusal{errors.New("triples 3: it brings a credential key that the trust folder does not hold: " +
				"ask the manufacturer by another way, then use imei-verifier corim import --new-keys")}
		}
		return !o.DryRun && !added.IsEmpty(), nil
	}
	if err := trust.Update(dir, verify, add); err != nil {
		return nil, err
	}
	return added, nil
}

// Verify reads a signed CoRIM and finds the manufacturer whose key signed it. The error is a [*Refusal].
func Verify(signed []byte, keys *attest.KeySet[*verifier.Anchor], now time.Time) (*Document, *verifier.Anchor, error) {
	frame, anchor, err := keys.VerifyCoRIM(signed)
	switch {
	case errors.Is(err, attest.ErrKeyUnknown):
		return nil, nil, &Refusal{errors.New("its key is none of the credential keys in the trust folder: only a manufacturer that is trusted may add to its file")}
	case errors.Is(err, attest.ErrSignature):
		return nil, nil, &Refusal{errors.New("its signature does not verify: it was changed, or another key signed it")}
	case err != nil:
		return nil, nil, &Refusal{err}
	}
	d, err := Decode(frame.Payload)
	if err == nil {
		err = d.checkFor(anchor, frame, now)
	}
	if err != nil {
		return nil, nil, &Refusal{err}
	}
	return d, anchor, nil
}

// checkFor demands that the manufacturer speaks of itself, with a key that still counts, at a time when it may.
func (d *Document) checkFor(anchor *verifier.Anchor, frame *attest.SignedCoRIM, now time.Time) error {
	switch {
	case anchor.Revoked.CredentialKeys[frame.KeyID]:
		return fmt.Errorf("its key %s is revoked", frame.KeyID)
	case frame.Signer != anchor.Issuer || d.Issuer != anchor.Issuer || d.OEMID != anchor.OEMID:
		return fmt.Errorf("it speaks in the name or of the devices of another manufacturer than %s (%s), whose key signed it", anchor.Issuer, anchor.OEMID)
	case now.Before(d.NotBefore):
		return fmt.Errorf("rim-validity: it is valid from %s on: import it then", d.NotBefore.Format(time.RFC3339))
	case now.After(d.NotAfter):
		return fmt.Errorf("rim-validity: it was valid until %s: ask the manufacturer for a new one", d.NotAfter.Format(time.RFC3339))
	}
	return nil
}

// Export makes a signed CoRIM of what the folder's file of a manufacturer says, valid from now on for [Validity]. The key is one of
// the credential keys there.
func Export(rand io.Reader, dir, issuer string, key crypto.Signer, now time.Time) ([]byte, error) {
	files, err := trust.Files(dir)
	if err != nil {
		return nil, err
	}
	a, f, err := signedBy(files, issuer, key)
	if err != nil {
		return nil, err
	}
	d := &Document{Issuer: f.Issuer, NotBefore: now.UTC().Truncate(time.Second)}
	d.NotAfter = d.NotBefore.Add(Validity)
	if d.OEMID, err = attest.ParseOEMID(f.OEMID); err != nil {
		return nil, err
	}
	if err := d.say(a); err != nil {
		return nil, err
	}
	d.ID = "sha256:" + d.digest()
	payload, err := d.Encode()
	if err != nil {
		return nil, err
	}
	signer, err := attest.NewSigner(key)
	if err != nil {
		return nil, err
	}
	return attest.SignCoRIM(rand, d.Issuer, payload, signer, attest.KeyIDOf(key.Public().(*ecdsa.PublicKey)))
}

// digest tells documents of one manufacturer apart (section 4.1.1).
func (d *Document) digest() string {
	said := fmt.Sprintf("%q %v %d %q %q %q", d.Issuer, d.OEMID, d.NotBefore.Unix(), d.References, d.Keys, d.Withdrawals)
	sum := sha256.Sum256([]byte(said))
	return hex.EncodeToString(sum[:])
}

// signedBy finds the manufacturer's file that holds the key.
func signedBy(files []*trust.File, issuer string, key crypto.Signer) (*trust.Additions, *trust.File, error) {
	public, ok := key.Public().(*ecdsa.PublicKey)
	if !ok {
		return nil, nil, fmt.Errorf("want an ECDSA key on P-256 or P-384, not %T", key.Public())
	}
	text, err := trust.FormatKey(public)
	if err != nil {
		return nil, nil, err
	}
	found := false
	for _, f := range files {
		if f.Issuer != issuer {
			continue
		}
		found = true
		a, err := f.Additions()
		if err != nil {
			return nil, nil, err
		}
		if slices.Contains(a.Revoked.CredentialKeys, attest.KeyIDOf(public).String()) {
			return nil, nil, fmt.Errorf("key %s is revoked: nobody would take what it signs", attest.KeyIDOf(public))
		}
		if slices.Contains(a.CredentialKeys, text) {
			return a, f, nil
		}
	}
	if !found {
		return nil, nil, fmt.Errorf("no file in the trust folder has the issuer %q", issuer)
	}
	return nil, nil, fmt.Errorf("key %s is none of the credential keys of %s: nobody would take what it signs", attest.KeyIDOf(public), issuer)
}
