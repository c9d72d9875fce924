package attest

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"
	"time"
)

// Nonce is what makes Evidence fresh: 8 to 64 bytes chosen by the verifier (RFC 9711 section 4.1).
type Nonce []byte

// String is the text form in URLs and session names: base64url without padding (RFC 4648 section 5).
func (n Nonce) String() string { return base64.RawURLEncoding.EncodeToString(n) }

// Sizes of minted nonces in bytes, and their life. The default makes 44 characters of base64 without padding.
const (
	DefaultNonceBytes = 33
	MinMintedNonce    = nonceFixedBytes + 8
	MaxMintedNonce    = maxNonceBytes
	NonceLife         = 120 * time.Second

	// MinNonce and MaxNonce bound those that somebody else chose (RFC 9711 section 4.1).
	MinNonce = minNonceBytes
	MaxNonce = maxNonceBytes

	nonceHeadBytes   = 1
	nonceExpiryBytes = 4
	nonceTagBytes    = 16
	nonceFixedBytes  = nonceHeadBytes + nonceExpiryBytes + nonceTagBytes
	nonceVersion     = 1 << 4 // the head's high half; the key id is its low half
	enclosedVersion  = 2 << 4 // of a nonce that somebody else chose, enclosed
	nonceKeyIDs      = 1 << 4
	nonceKeyBytes    = 32
	// mintDraws bounds the search for a nonce without the letters that base64 and base64url write differently. Each draw
	// succeeds with (62/64)^44, one in four, at the default size and with (62/64)^85, one in fifteen, at the longest: 1024
	// failures in a row do not happen.
	mintDraws = 1024
)

// Errors of [NonceKeys.Check].
var (
	ErrNonceForeign = errors.New("the nonce is not one of ours")
	ErrNonceExpired = errors.New("the nonce has expired: ask for a new one")
)

// NonceKeys mints and checks nonces without a table: any node with the keys knows its own nonces. A nonce is
// head (version, key id) 1 || random n-21 || expiry XOR first 4 random bytes 4 || HMAC-SHA-256 truncated to 16.
type NonceKeys struct {
	current byte
	keys    map[byte]*nonceKey
}

// nonceKey makes tags. To begin an HMAC costs as much as to compute a tag with it, so begun ones are kept.
type nonceKey struct{ begun sync.Pool }

// hmacState is an HMAC and where its sum is put.
type hmacState struct {
	hash.Hash
	sum [sha256.Size]byte
}

func newNonceKey(key []byte) *nonceKey {
	key = bytes.Clone(key)
	return &nonceKey{sync.Pool{New: func() any { return &hmacState{Hash: hmac.New(sha256.New, key)} }}}
}

func (k *nonceKey) tag(content []byte) (tag [nonceTagBytes]byte) {
	mac := k.begun.Get().(*hmacState)
	defer k.begun.Put(mac)
	mac.Reset()
	mac.Write(content)
	copy(tag[:], mac.Sum(mac.sum[:0]))
	return tag
}

// NewNonceKeys takes the key that mints and the earlier one that still checks, nil when there is none; each has 32
// bytes. Generation numbers the current key, so that the keys of a rotation carry different ids.
func NewNonceKeys(generation uint, current, earlier []byte) (*NonceKeys, error) {
	if len(current) != nonceKeyBytes || earlier != nil && len(earlier) != nonceKeyBytes {
		return nil, fmt.Errorf("a nonce key has %d bytes", nonceKeyBytes)
	}
	id := byte(generation % nonceKeyIDs)
	k := &NonceKeys{current: id, keys: map[byte]*nonceKey{id: newNonceKey(current)}}
	if earlier != nil {
		k.keys[(id+nonceKeyIDs-1)%nonceKeyIDs] = newNonceKey(earlier)
	}
	return k, nil
}

// Mint makes a nonce of size bytes, 29 to 64, that expires [NonceLife] after now. It reads the same in base64 and
// base64url, padding apart, so that clients of either kind can read it; one of the default size has no padding either.
func (k *NonceKeys) Mint(rand io.Reader, now time.Time, size int) (Nonce, error) {
	if size < MinMintedNonce || size > MaxMintedNonce {
		return nil, fmt.Errorf("a nonce of %d bytes: want %d to %d, because it carries its own proof", size, MinMintedNonce, MaxMintedNonce)
	}
	for range mintDraws {
		n, err := k.draw(rand, now.Add(NonceLife), size)
		if err != nil {
			return nil, err
		}
		if !hasAmbiguousLetter(n) {
			return n, nil
		}
	}
	return nil, fmt.Errorf("no nonce free of + and / in %d draws: the random source is broken", mintDraws)
}

func (k *NonceKeys) draw(rand io.Reader, expiry time.Time, size int) (Nonce, error) {
	n := make(Nonce, size)
	n[0] = nonceVersion | k.current
	tagAt := size - nonceTagBytes
	expiryAt := tagAt - nonceExpiryBytes
	if _, err := io.ReadFull(rand, n[nonceHeadBytes:expiryAt]); err != nil {
		return nil, fmt.Errorf("drawing a nonce: %w", err)
	}
	mask := binary.BigEndian.Uint32(n[nonceHeadBytes:])
	binary.BigEndian.PutUint32(n[expiryAt:], uint32(expiry.Unix())^mask)
	tag := k.keys[k.current].tag(n[:tagAt])
	copy(n[tagAt:], tag[:])
	return n, nil
}

// Check tells whether a nonce is ours and when it expires. The error is [ErrNonceForeign] or [ErrNonceExpired].
func (k *NonceKeys) Check(n Nonce, now time.Time) (expiry time.Time, err error) {
	if len(n) < MinMintedNonce || len(n) > MaxMintedNonce || !k.made(n, nonceVersion) {
		return time.Time{}, ErrNonceForeign
	}
	tagAt := len(n) - nonceTagBytes
	mask := binary.BigEndian.Uint32(n[nonceHeadBytes:])
	return expires(binary.BigEndian.Uint32(n[tagAt-nonceExpiryBytes:])^mask, now)
}

// made reports that these keys made something of a version, at least as long as its tag and head.
func (k *NonceKeys) made(b []byte, version byte) bool {
	key, found := k.keys[b[0]%nonceKeyIDs]
	if !found || b[0]&^(nonceKeyIDs-1) != version {
		return false
	}
	tagAt := len(b) - nonceTagBytes
	tag := key.tag(b[:tagAt])
	return hmac.Equal(tag[:], b[tagAt:])
}

func expires(seconds uint32, now time.Time) (expiry time.Time, err error) {
	if expiry = time.Unix(int64(seconds), 0).UTC(); !now.Before(expiry) {
		err = ErrNonceExpired
	}
	return expiry, err
}

// Enclose makes of a nonce that somebody else chose, 8 to 64 bytes, what any node with the keys knows for its own and takes the
// nonce out of: head (version, key id) 1 || expiry 4 || nonce || HMAC-SHA-256 truncated to 16. It expires [NonceLife] after now,
// and is no nonce itself.
func (k *NonceKeys) Enclose(n Nonce, now time.Time) ([]byte, error) {
	if len(n) < MinNonce || len(n) > MaxNonce {
		return nil, fmt.Errorf("a nonce of %d bytes: want %d to %d (RFC 9711 section 4.1)", len(n), MinNonce, MaxNonce)
	}
	b := append(make([]byte, 0, nonceFixedBytes+len(n)), enclosedVersion|k.current)
	b = append(binary.BigEndian.AppendUint32(b, uint32(now.Add(NonceLife).Unix())), n...)
	tag := k.keys[k.current].tag(b)
	return append(b, tag[:]...), nil
}

// Disclose takes the nonce out of what Enclose made. The error is [ErrNonceForeign] or [ErrNonceExpired].
func (k *NonceKeys) Disclose(enclosed []byte, now time.Time) (n Nonce, expiry time.Time, err error) {
	if len(enclosed) < nonceFixedBytes+MinNonce || len(enclosed) > nonceFixedBytes+MaxNonce || !k.made(enclosed, enclosedVersion) {
		return nil, time.Time{}, ErrNonceForeign
	}
	const nonceAt = nonceHeadBytes + nonceExpiryBytes
	expiry, err = expires(binary.BigEndian.Uint32(enclosed[nonceHeadBytes:]), now)
	return enclosed[nonceAt : len(enclosed)-nonceTagBytes], expiry, err
}

// hasAmbiguousLetter finds a 6-bit group of 62 or 63, which base64 and base64url write differently.
func hasAmbiguousLetter(n Nonce) bool {
	for _, c := range []byte(n.String()) {
		if c == '-' || c == '_' {
			return true
		}
	}
	return false
}

// NonceFrom401 derives the nonce of a registration from the text of the 401 challenge that it answers.
func NonceFrom401(challenge string) Nonce {
	sum := sha256.Sum256([]byte("imei-attest-401-v1" + challenge))
	return sum[:]
}

// SubscriberHash is how out-of-band evidence names its subscriber. Treat it as the IMSI itself.
func SubscriberHash(n Nonce, imsi string) []byte {
	h := sha256.New()
	h.Write([]byte("imei-attest-sub-v1"))
	h.Write(n)
	h.Write([]byte(imsi))
	return h.Sum(nil)
}
