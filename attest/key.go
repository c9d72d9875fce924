package attest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
)

// KeyID is the kid of this profile: the first 16 bytes of the key's thumbprint. It is a hint for looking a key up;
// whoever finds one checks the whole [Thumbprint].
type KeyID [16]byte

// String is the key id in hex.
func (k KeyID) String() string { return hex.EncodeToString(k[:]) }

// MarshalText implements encoding.TextMarshaler.
func (k KeyID) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (k *KeyID) UnmarshalText(text []byte) error {
	raw, err := hex.DecodeString(string(text))
	if err != nil || len(raw) != len(k) {
		return fmt.Errorf("a key id is %d bytes in hex", len(k))
	}
	copy(k[:], raw)
	return nil
}

// coseKey is an EC2 COSE_Key (RFC 9053 section 7.1.1) of the members that a thumbprint covers.
type coseKey struct {
	Type  int    `cbor:"1,keyasint"`
	Curve int    `cbor:"-1,keyasint"`
	X     []byte `cbor:"-2,keyasint"`
	Y     []byte `cbor:"-3,keyasint"`
}

func newCOSEKey(key *ecdsa.PublicKey) (coseKey, error) {
	alg, err := AlgorithmOf(key)
	if err != nil {
		return coseKey{}, err
	}
	point, err := key.Bytes() // 0x04, X, Y
	if err != nil {
		return coseKey{}, fmt.Errorf("the key is not a point of its curve: %w", err)
	}
	curve := curveP256
	if alg == ES384 {
		curve = curveP384
	}
	half := (len(point) - 1) / 2
	return coseKey{Type: keyTypeEC2, Curve: curve, X: point[1 : 1+half], Y: point[1+half:]}, nil
}

// thumbprint is the SHA-256 of the deterministic encoding: the labels in their order, values below 24 in one byte (RFC 9679 section 4.2).
func (k coseKey) thumbprint() [32]byte {
	const type1, curve, x, y = 0x01, 0x20, 0x21, 0x22 // labels 1, -1, -2 and -3
	b := append(make([]byte, 0, 128), 0xA4, type1, byte(k.Type), curve, byte(k.Curve), x)
	return sha256.Sum256(appendBytes(append(appendBytes(b, k.X), y), k.Y))
}

func (k coseKey) id() KeyID {
	t := k.thumbprint()
	return KeyID(t[:len(KeyID{})])
}

// publicKey returns the key if it is a point on P-256, the only curve of device keys.
func (k coseKey) publicKey() (*ecdsa.PublicKey, error) {
	const size = 32
	if k.Type != keyTypeEC2 || k.Curve != curveP256 || len(k.X) != size || len(k.Y) != size {
		return nil, errors.New("not an EC2 key on P-256")
	}
	point := append(append(append(make([]byte, 0, 1+2*size), 4), k.X...), k.Y...)
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		return nil, errors.New("not a point on P-256")
	}
	return key, nil
}

// Thumbprint is the SHA-256 COSE Key Thumbprint (RFC 9679) of a key on P-256 or P-384; zero for any other key.
func Thumbprint(key *ecdsa.PublicKey) [32]byte {
	k, err := newCOSEKey(key)
	if err != nil {
		return [32]byte{}
	}
	return k.thumbprint()
}

// KeyIDOf returns the kid of a key.
func KeyIDOf(key *ecdsa.PublicKey) KeyID {
	t := Thumbprint(key)
	return KeyID(t[:len(KeyID{})])
}

// KeySet holds the keys one trusts, each with what it is trusted for. The zero value trusts nobody.
type KeySet[T any] struct{ keys map[KeyID]trustedKey[T] }

type trustedKey[T any] struct {
	public *ecdsa.PublicKey
	scope  T
}

// Add trusts a key for scope. Two keys with one key id are refused: one of them could stand for the other.
func (s *KeySet[T]) Add(key *ecdsa.PublicKey, scope T) error {
	if _, err := newCOSEKey(key); err != nil { // a key without a thumbprint has no key id
		return err
	}
	id := KeyIDOf(key)
	if _, taken := s.keys[id]; taken {
		return fmt.Errorf("key %s stands twice", id)
	}
	if s.keys == nil {
		s.keys = make(map[KeyID]trustedKey[T])
	}
	s.keys[id] = trustedKey[T]{key, scope}
	return nil
}

// Len is the number of keys.
func (s *KeySet[T]) Len() int { return len(s.keys) }

// ErrKeyUnknown means that no key of the set has the message's key id.
var ErrKeyUnknown = errors.New("no trusted key has this key id")

// VerifyCredential decodes a Credential, finds its key and checks the signature. It returns what that key is
// trusted for; nobody needs to look at the key id again. The error is a [*FormatError], [ErrKeyUnknown] or
// [ErrSignature]; with the latter two the Credential is returned as well, unverified, to say whose it claims to be.
func (s *KeySet[T]) VerifyCredential(raw []byte) (*SignedCredential, T, error) {
	var none T
	c, err := DecodeCredential(raw)
	if err != nil {
		return nil, none, err
	}
	key, found := s.keys[c.KeyID]
	if !found {
		return c, none, ErrKeyUnknown
	}
	if err := c.Verify(key.public); err != nil {
		return c, none, err
	}
	return c, key.scope, nil
}

// RecallCredential decodes a Credential that [KeySet.VerifyCredential] of the very same keys accepted before, and was kept safe since:
// the signature is not checked again. The error is a [*FormatError] or [ErrKeyUnknown].
func (s *KeySet[T]) RecallCredential(raw []byte) (*SignedCredential, T, error) {
	var none T
	c, err := DecodeCredential(raw)
	if err != nil {
		return nil, none, err
	}
	key, found := s.keys[c.KeyID]
	if !found {
		return nil, none, ErrKeyUnknown
	}
	return c, key.scope, nil
}
