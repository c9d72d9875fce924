package attest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/fxamacker/cbor/v2"
)

// Algorithm is a COSE algorithm identifier (RFC 9053 section 2.1).
type Algorithm int64

// The algorithms of this profile: device keys sign with ES256, manufacturers with either.
const (
	ES256 Algorithm = -7  // ECDSA with P-256 and SHA-256
	ES384 Algorithm = -35 // ECDSA with P-384 and SHA-384
)

// Signer makes the signature of a COSE message. Content is the encoded Sig_structure (RFC 9052 section 4.4), not a
// hash of it, so that a TPM can hash it itself; the signature is R||S, each padded on the left to the length of the
// curve's order (RFC 9053 section 2.1). The shape is that of go-cose's Signer.
type Signer interface {
	Algorithm() Algorithm
	Sign(rand io.Reader, content []byte) ([]byte, error)
}

// ErrSignature means the signature does not verify under the key.
var ErrSignature = errors.New("the signature does not verify")

// sign1 is COSE_Sign1 (RFC 9052 section 4.2). Unprotected values stay encoded: each has its own rules.
type sign1 struct {
	_           struct{} `cbor:",toarray"`
	Protected   []byte
	Unprotected map[any]cbor.RawMessage
	Payload     []byte
	Signature   []byte
}

// protectedHeader holds what this profile knows of the protected bucket (RFC 9052 section 3.1).
type protectedHeader struct {
	Algorithm Algorithm       `cbor:"1,keyasint"`
	Critical  cbor.RawMessage `cbor:"2,keyasint,omitempty"`
	KeyID     []byte          `cbor:"4,keyasint,omitempty"`
	Type      uint64          `cbor:"16,keyasint,omitempty"`
}

// Heads of CBOR items (RFC 8949 section 3).
const (
	sign1Head   = "\xd2" // tag 18
	longestHead = 5      // of a byte string shorter than 4 GiB
)

// message is a decoded COSE_Sign1 whose signature has not been looked at.
type message struct {
	sign1
	header protectedHeader
	keyID  KeyID
}

// decode reads the frame and the protected header, strictly.
func (m *message) decode(raw []byte) error {
	if len(raw) > MaxTokenBytes {
		return formatError(ClassOversized, "token", "%d bytes, at most %d are looked at", len(raw), MaxTokenBytes)
	}
	return m.decodeSign1(raw)
}

// decodeSign1 is decode for messages that have a limit of their own.
func (m *message) decodeSign1(raw []byte) error {
	untagged, found := bytes.CutPrefix(raw, []byte(sign1Head))
	if !found && len(raw) > 0 {
		return formatError(ClassTag, "token", "not tagged as COSE_Sign1 (%d)", cborTagSign1)
	}
	var isUsual bool
	if m.sign1, isUsual = usualSign1(untagged); !isUsual {
		m.sign1 = sign1{} // the decoder would put what it reads into what is there
		if err := decodeStrict("token", decMode, untagged, &m.sign1); err != nil {
			return asStructure(err)
		}
	}
	switch {
	case m.Payload == nil:
		return formatError(ClassStructure, "token", "the payload is detached")
	case len(m.Protected) == 0:
		return formatError(ClassAlgorithm, "protected header", "empty: no algorithm")
	}
	if err := m.header.decode(m.Protected); err != nil {
		return err
	}
	if err := m.checkHeader(); err != nil || isUsual {
		return err
	}
	return m.checkUnprotected()
}

func (h *protectedHeader) decode(raw []byte) error {
	var isUsual bool
	if *h, isUsual = usualHeader(raw); isUsual {
		return nil
	}
	*h = protectedHeader{}
	return asStructure(decodeStrict("protected header", decMode, raw, h))
}

// asStructure turns a type error in frame or header, which are no claims, into one of structure.
func asStructure(err error) error {
	var f *FormatError
	if errors.As(err, &f) && f.Class == ClassClaim {
		f.Class = ClassStructure
	}
	return err
}

func (m *message) checkHeader() error {
	const part = "protected header"
	h := m.header
	if h.Critical != nil {
		if err := h.checkCritical(); err != nil {
			return err
		}
	}
	size, err := signatureBytes(h.Algorithm)
	if err != nil {
		return formatError(ClassAlgorithm, part, "this profile knows ES256 (-7) and ES384 (-35) only")
	}
	if len(m.Signature) != size {
		return formatError(ClassStructure, "signature", "%d bytes, algorithm %d has %d", len(m.Signature), h.Algorithm, size)
	}
	if len(h.KeyID) != len(m.keyID) {
		return formatError(ClassKeyID, part, "key id of %d bytes, want the first %d of the key's thumbprint (RFC 9679)", len(h.KeyID), len(m.keyID))
	}
	m.keyID = KeyID(h.KeyID)
	return nil
}

// checkCritical refuses every critical parameter that this package does not act on, or that is not there
// (RFC 9052 section 3.1).
func (h *protectedHeader) checkCritical() error {
	const part = "protected header"
	var labels []any
	if err := decMode.Unmarshal(h.Critical, &labels); err != nil || len(labels) == 0 {
		return formatError(ClassCritical, part, "crit is not a list of labels")
	}
	for _, label := range labels {
		switch label {
		case uint64(headerAlg), uint64(headerKeyID): // both are demanded anyway
		case uint64(headerType):
			if h.Type == 0 {
				return formatError(ClassCritical, part, "typ is critical but absent")
			}
		default:
			return formatError(ClassCritical, part, "a critical parameter is not understood")
		}
	}
	return nil
}

// checkUnprotected proves that the values nobody reads are deterministic and free of tags too.
func (m *message) checkUnprotected() error {
	for label, raw := range m.Unprotected {
		switch label {
		case uint64(headerAlg), uint64(headerCrit), uint64(headerKeyID), uint64(headerType):
			return formatError(ClassStructure, "unprotected header", "parameter %v must be protected", label)
		}
		switch label.(type) {
		case uint64, int64, string:
		default:
			return formatError(ClassStructure, "unprotected header", "a label is neither integer nor text (RFC 9052 section 1.5)")
		}
		if err := requireDeterministic("unprotected header", raw); err != nil {
			return err
		}
	}
	return nil
}

// verify checks the signature under key; the key's curve must be the algorithm's.
func (m *message) verify(key *ecdsa.PublicKey) error {
	if alg, err := AlgorithmOf(key); err != nil || alg != m.header.Algorithm {
		return fmt.Errorf("algorithm %d does not fit the key: %w", m.header.Algorithm, ErrSignature)
	}
	room := rooms.Get().(*[]byte)
	defer rooms.Put(room)
	*room = appendToBeSigned((*room)[:0], m.Protected, m.Payload)
	return Verify(key, *room, m.Signature)
}

// rooms are where the content of a signature is put together to be hashed: each is as long as the longest that was.
var rooms = sync.Pool{New: func() any { return new([]byte) }}

// toBeSigned encodes the Sig_structure of a COSE_Sign1 without external data (RFC 9052 section 4.4): an array of the
// context, the protected header, no external data and the payload.
func toBeSigned(protected, payload []byte) []byte { return appendToBeSigned(nil, protected, payload) }

func appendToBeSigned(b, protected, payload []byte) []byte {
	const start, noExternal = "\x84\x6aSignature1", "\x40"
	b = slices.Grow(b, len(start)+longestHead+len(protected)+len(noExternal)+longestHead+len(payload))
	b = append(appendBytes(append(b, start...), protected), noExternal...)
	return appendBytes(b, payload)
}

// appendBytes appends a CBOR byte string with the shortest head (RFC 8949 section 4.2.1). Those of this package are far
// shorter than 4 GiB.
func appendBytes(b, content []byte) []byte {
	const lengthInByte, lengthInTwo, lengthInFour = 24, 25, 26 // additional information
	switch n := len(content); {
	case n < lengthInByte:
		b = append(b, majorBytes<<5|byte(n))
	case n <= math.MaxUint8:
		b = append(b, majorBytes<<5|lengthInByte, byte(n))
	case n <= math.MaxUint16:
		b = binary.BigEndian.AppendUint16(append(b, majorBytes<<5|lengthInTwo), uint16(n))
	default:
		b = binary.BigEndian.AppendUint32(append(b, majorBytes<<5|lengthInFour), uint32(n))
	}
	return append(b, content...)
}

// signMessage builds and signs a COSE_Sign1.
func signMessage(rand io.Reader, signer Signer, header protectedHeader, unprotected map[any]cbor.RawMessage, payload any) ([]byte, error) {
	header.Algorithm = signer.Algorithm()
	m := sign1{Unprotected: unprotected}
	var err error
	if m.Protected, err = encMode.Marshal(header); err != nil {
		return nil, fmt.Errorf("encoding the protected header: %w", err)
	}
	if m.Payload, err = encMode.Marshal(payload); err != nil {
		return nil, fmt.Errorf("encoding the claims: %w", err)
	}
	return signFrame(rand, signer, m)
}

// signFrame signs a message that is complete but for its signature. The protected header names the signer's algorithm.
func signFrame(rand io.Reader, signer Signer, m sign1) ([]byte, error) {
	want, err := signatureBytes(signer.Algorithm())
	if err != nil {
		return nil, err
	}
	if m.Unprotected == nil {
		m.Unprotected = map[any]cbor.RawMessage{}
	}
	if m.Signature, err = signer.Sign(rand, toBeSigned(m.Protected, m.Payload)); err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	if len(m.Signature) != want {
		return nil, fmt.Errorf("the signer gave %d bytes, algorithm %d has %d", len(m.Signature), signer.Algorithm(), want)
	}
	raw, err := encMode.Marshal(m)
	return append([]byte(sign1Head), raw...), err
}

func signatureBytes(alg Algorithm) (int, error) {
	switch alg {
	case ES256:
		return signatureHalves * 32, nil
	case ES384:
		return signatureHalves * 48, nil
	}
	return 0, fmt.Errorf("COSE algorithm %d is not of this profile (ES256 -7, ES384 -35)", alg)
}

func digest(alg Algorithm, content []byte) []byte {
	if alg == ES384 {
		d := sha512.Sum384(content)
		return d[:]
	}
	d := sha256.Sum256(content)
	return d[:]
}

// Verify checks what a [Signer] with this key made of content: R||S, each half padded on the left. The error is
// [ErrSignature].
func Verify(key *ecdsa.PublicKey, content, signature []byte) error {
	alg, err := AlgorithmOf(key)
	if err != nil {
		return fmt.Errorf("%w: %w", err, ErrSignature)
	}
	if size, _ := signatureBytes(alg); len(signature) != size {
		return fmt.Errorf("a signature of %d bytes, want %d: %w", len(signature), size, ErrSignature)
	}
	der := ders.Get().(*[longestDER]byte)
	defer ders.Put(der)
	if !verifies(key, alg, content, appendSigValue(der[:0], signature)) {
		return ErrSignature
	}
	return nil
}

// longestDER is of a signature on P-384, in bytes: each length in it fits one.
const longestDER = 104

var ders = sync.Pool{New: func() any { return new([longestDER]byte) }}

var verifications atomic.Uint64

// Verifications is how many signatures this process has verified, good ones and bad: what judging a token costs, for who
// measures it.
func Verifications() uint64 { return verifications.Load() }

// verifies keeps the digest on the stack.
func verifies(key *ecdsa.PublicKey, alg Algorithm, content, der []byte) bool {
	verifications.Add(1)
	if alg == ES384 {
		sum := sha512.Sum384(content)
		return ecdsa.VerifyASN1(key, sum[:], der)
	}
	sum := sha256.Sum256(content)
	return ecdsa.VerifyASN1(key, sum[:], der)
}

// appendSigValue appends R||S as an ECDSA-Sig-Value in DER (RFC 3279 section 2.2.3), for which crypto/ecdsa need not make numbers of
// the halves. It starts at the beginning of b.
func appendSigValue(b, signature []byte) []byte {
	const sequence, integer = 0x30, 0x02
	half := len(signature) / signatureHalves
	der := append(b[:0], sequence, 0)
	for _, n := range [...][]byte{signature[:half], signature[half:]} {
		n = bytes.TrimLeft(n, "\x00")
		if len(n) == 0 || n[0]&0x80 != 0 { // the first bit is the sign
			der = append(append(der, integer, byte(1+len(n)), 0), n...)
		} else {
			der = append(append(der, integer, byte(len(n))), n...)
		}
	}
	der[1] = byte(len(der) - 2)
	return der
}

// AlgorithmOf returns the algorithm that a key on P-256 or P-384 signs with.
func AlgorithmOf(key *ecdsa.PublicKey) (Algorithm, error) {
	switch {
	case key == nil:
		return 0, errors.New("no key")
	case key.Curve == elliptic.P256():
		return ES256, nil
	case key.Curve == elliptic.P384():
		return ES384, nil
	}
	return 0, errors.New("the key is on neither P-256 nor P-384")
}

// NewSigner makes a Signer of a key in software or in an HSM: any crypto.Signer on P-256 or P-384.
func NewSigner(key crypto.Signer) (Signer, error) {
	public, ok := key.Public().(*ecdsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("a signing key must be ECDSA on P-256 or P-384, not %T", key.Public())
	}
	alg, err := AlgorithmOf(public)
	if err != nil {
		return nil, err
	}
	return cryptoSigner{key, alg}, nil
}

type cryptoSigner struct {
	key crypto.Signer
	alg Algorithm
}

func (s cryptoSigner) Algorithm() Algorithm { return s.alg }

// Sign hashes content, signs it, and turns the ASN.1 form that crypto.Signer gives into R||S.
func (s cryptoSigner) Sign(rand io.Reader, content []byte) ([]byte, error) {
	hash := crypto.SHA256
	if s.alg == ES384 {
		hash = crypto.SHA384
	}
	der, err := s.key.Sign(rand, digest(s.alg, content), hash)
	if err != nil {
		return nil, err
	}
	var rs struct{ R, S *big.Int }
	if rest, err := asn1.Unmarshal(der, &rs); err != nil || len(rest) != 0 {
		return nil, errors.New("the key's signature is not an ECDSA-Sig-Value (RFC 3279)")
	}
	size, err := signatureBytes(s.alg)
	if err != nil {
		return nil, err
	}
	half := size / signatureHalves
	if rs.R.Sign() < 0 || rs.S.Sign() < 0 || rs.R.BitLen() > 8*half || rs.S.BitLen() > 8*half {
		return nil, errors.New("the key's signature is longer than its curve")
	}
	sig := make([]byte, size)
	rs.R.FillBytes(sig[:half])
	rs.S.FillBytes(sig[half:])
	return sig, nil
}
