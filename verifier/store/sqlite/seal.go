package sqlite

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math"

	"imei-attest/attest"
	"imei-attest/verifier"
)

// seals hide what names somebody and has to come back: AES-256-GCM under a key that follows from that of the pseudonyms (HKDF, RFC
// 5869) and from what it is for.
type seals struct {
	id              uint32 // of the current key
	current, former cipher.AEAD
}

// What seals are for: Credentials, which hold IMEIs, and the firmware that devices told of; and the subscribers that devices named.
const (
	forCredentials = "imei-attest-credential-seal-v1"
	forClaims      = "imei-attest-claim-seal-v1"
)

func newSeals(keys verifier.PseudonymKeys, purpose string) (s *seals, err error) {
	s = &seals{id: keys.Current.ID()}
	if s.current, err = newSeal(keys.Current, purpose); err == nil && keys.Former != nil {
		s.former, err = newSeal(*keys.Former, purpose)
	}
	return s, err
}

func newSeal(key verifier.PseudonymKey, purpose string) (cipher.AEAD, error) {
	secret, err := hkdf.Key(sha256.New, key[:], nil, purpose, len(key))
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// openRaw opens a seal of the key with this id; it covers what it is about, so that neither can be changed in the file.
func (s *seals) openRaw(id uint32, content, about []byte) ([]byte, error) {
	aead := s.current
	if id != s.id {
		if aead = s.former; aead == nil {
			return nil, errSeal
		}
	}
	opened, err := aead.Open(nil, nil, content, about)
	if err != nil {
		return nil, errSeal
	}
	return opened, nil
}

// sealed is what the seal of a Credential is about: whose it is, and which trust it verified under.
func sealed(key attest.KeyID, generation uint64) []byte {
	return binary.BigEndian.AppendUint64(key[:len(key):len(key)], generation)
}

// seal writes the version of the TPM's firmware, the length of the modem's revision and it, and the Credential.
func (s *seals) seal(key attest.KeyID, kept verifier.Endorsed) []byte {
	revision := kept.Software.Revision[:min(len(kept.Software.Revision), math.MaxUint8)]
	content := binary.BigEndian.AppendUint64(make([]byte, 0, softwareLen+len(revision)+len(kept.Credential)), kept.Software.TPM)
	content = append(append(append(content, byte(len(revision))), revision...), kept.Credential...)
	return s.current.Seal(nil, nil, content, sealed(key, kept.Generation))
}

// softwareLen is what stands before the revision.
const softwareLen = 8 + 1

func unseal(content []byte) (kept verifier.Endorsed, err error) {
	if len(content) < softwareLen || len(content) < softwareLen+int(content[softwareLen-1]) {
		return kept, errSeal
	}
	end := softwareLen + int(content[softwareLen-1])
	kept.Software = verifier.Software{TPM: binary.BigEndian.Uint64(content), Revision: string(content[softwareLen:end])}
	kept.Credential = content[end:]
	return kept, nil
}

var errSeal = errors.New("a seal is broken: the file was altered, or its key is another")

// open opens the seal of a Credential. What was sealed under the former key counts as not verified: so it is soon sealed anew.
func (s *seals) open(key attest.KeyID, id uint32, generation uint64, content []byte) (kept verifier.Endorsed, err error) {
	opened, err := s.openRaw(id, content, sealed(key, generation))
	if err != nil {
		return kept, err
	}
	if kept, err = unseal(opened); err == nil && id == s.id {
		kept.Generation = generation
	}
	return kept, err
}

// randomID names a backup or another thing of which there is one.
func randomID() (id [16]byte) {
	_, _ = rand.Read(id[:]) // crypto/rand.Read never fails
	return id
}
