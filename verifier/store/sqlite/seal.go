package sqlite

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"

	"imei-attest/attest"
	"imei-attest/verifier"
)

// seals hide Credentials, which hold IMEIs: AES-256-GCM under a key that follows from that of the IMEIs' pseudonyms (HKDF, RFC 5869).
// The seal covers whose Credential it is and which trust it verified under, so that neither can be changed in the file.
type seals struct {
	id              uint32 // of the current key
	current, former cipher.AEAD
}

func newSeals(keys verifier.PseudonymKeys) (s *seals, err error) {
	s = &seals{id: keys.Current.ID()}
	if s.current, err = newSeal(keys.Current); err == nil && keys.Former != nil {
		s.former, err = newSeal(*keys.Former)
	}
	return s, err
}

func newSeal(key verifier.PseudonymKey) (cipher.AEAD, error) {
	secret, err := hkdf.Key(sha256.New, key[:], nil, "imei-attest-credential-seal-v1", len(key))
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func sealed(key attest.KeyID, generation uint64) []byte {
	return binary.BigEndian.AppendUint64(key[:len(key):len(key)], generation)
}

func (s *seals) seal(key attest.KeyID, kept verifier.Endorsed) []byte {
	return s.current.Seal(nil, nil, kept.Credential, sealed(key, kept.Generation))
}

var errSeal = errors.New("the seal of a Credential is broken: the file was altered, or its key is another")

// open opens a seal. What was sealed under the former key counts as not verified: so it is soon sealed anew.
func (s *seals) open(key attest.KeyID, id uint32, generation uint64, content []byte) (kept verifier.Endorsed, err error) {
	aead := s.current
	if id != s.id {
		if aead = s.former; aead == nil {
			return kept, errSeal
		}
	}
	if kept.Credential, err = aead.Open(nil, nil, content, sealed(key, generation)); err != nil {
		return verifier.Endorsed{}, errSeal
	}
	if id == s.id {
		kept.Generation = generation
	}
	return kept, nil
}

// randomID names a backup or another thing of which there is one.
func randomID() (id [16]byte) {
	_, _ = rand.Read(id[:]) // crypto/rand.Read never fails
	return id
}
