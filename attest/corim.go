package attest

import (
	"bytes"
	"io"
)

// Media types of draft-ietf-rats-corim-11, section "New Media Types": a signed CoRIM, and the payload of one.
const (
	CoRIMMediaType   = "application/rim+cose"
	corimContentType = "application/rim+cbor"
)

// MaxCoRIMBytes is the longest signed CoRIM that is looked at: room for some 15 000 revoked keys.
const MaxCoRIMBytes = 4 << 20

// SignedCoRIM is the signed frame of a Concise Reference Integrity Manifest (draft-ietf-rats-corim-11 section 4.2). What the
// payload says is read elsewhere: see verifier/trust/corim.
type SignedCoRIM struct {
	Signer  string // signer-name (section 4.2.3.1): the URI of a manufacturer, 1..64 bytes
	KeyID   KeyID  // hint at the manufacturer's credential key
	Payload []byte // tagged-unsigned-corim-map (section 4.1), not looked at
	message *message
}

// corimHeader is the protected header of section 4.2.1, with the key id that this profile demands of all messages. Of the two forms
// of metadata it knows corim-meta, which the signers there are write.
type corimHeader struct {
	Algorithm   Algorithm `cbor:"1,keyasint"`
	ContentType string    `cbor:"3,keyasint"`
	KeyID       []byte    `cbor:"4,keyasint"`
	Meta        []byte    `cbor:"8,keyasint"` // an encoded corimMeta
}

// corimMeta is a corim-meta-map (section 4.2.3) without signature-validity: a CoRIM says itself how long it is valid.
type corimMeta struct {
	Signer corimSigner `cbor:"0,keyasint"`
}

type corimSigner struct {
	Name string `cbor:"0,keyasint"`
}

// SignCoRIM signs an encoded tagged-unsigned-corim-map with a credential key of the manufacturer whose URI is issuer.
func SignCoRIM(rand io.Reader, issuer string, payload []byte, signer Signer, kid KeyID) ([]byte, error) {
	meta, err := encMode.Marshal(corimMeta{corimSigner{issuer}})
	if err != nil {
		return nil, err
	}
	header := corimHeader{Algorithm: signer.Algorithm(), ContentType: corimContentType, KeyID: kid[:], Meta: meta}
	protected, err := encMode.Marshal(header)
	if err != nil {
		return nil, err
	}
	raw, err := signFrame(rand, signer, sign1{Protected: protected, Payload: payload})
	if err != nil {
		return nil, err
	}
	_, err = DecodeCoRIM(raw) // what nobody would read is not written
	return raw, err
}

// DecodeCoRIM reads the frame strictly: an entry of its headers that it does not know is refused. The signature is not checked.
// The error is a [*FormatError].
func DecodeCoRIM(raw []byte) (*SignedCoRIM, error) {
	if len(raw) > MaxCoRIMBytes {
		return nil, formatError(ClassOversized, "CoRIM", "%d bytes, at most %d are looked at", len(raw), MaxCoRIMBytes)
	}
	m := new(message)
	if err := m.decodeSign1(raw); err != nil {
		return nil, err
	}
	if len(m.Unprotected) != 0 {
		return nil, formatError(ClassStructure, "unprotected header", "it must be empty")
	}
	var header corimHeader
	if err := decodeWhole("protected header", m.Protected, &header); err != nil {
		return nil, asStructure(err)
	}
	if header.ContentType != corimContentType {
		return nil, formatError(ClassStructure, "protected header", "the content type is not %s", corimContentType)
	}
	var meta corimMeta
	if err := decodeWhole("corim-meta", header.Meta, &meta); err != nil {
		return nil, err
	}
	if name := meta.Signer.Name; name == "" || len(name) > maxIssuerBytes {
		return nil, formatError(ClassClaim, "corim-meta", "signer-name must have 1 to %d bytes, not %d", maxIssuerBytes, len(name))
	}
	return &SignedCoRIM{Signer: meta.Signer.Name, KeyID: m.keyID, Payload: m.Payload, message: m}, nil
}

// decodeWhole is decodeStrict that refuses map entries whose label v does not know.
func decodeWhole(part string, raw []byte, v any) error {
	if err := decodeStrict(part, decMode, raw, v); err != nil {
		return err
	}
	if again, err := encMode.Marshal(v); err != nil || !bytes.Equal(again, raw) {
		return formatError(ClassClaim, part, "has an entry that is not of this profile")
	}
	return nil
}

// VerifyCoRIM decodes the frame of a CoRIM, finds its key and checks the signature. It returns what that key is trusted for. The
// error is a [*FormatError], [ErrKeyUnknown] or [ErrSignature].
func (s *KeySet[T]) VerifyCoRIM(raw []byte) (*SignedCoRIM, T, error) {
	var none T
	c, err := DecodeCoRIM(raw)
	if err != nil {
		return nil, none, err
	}
	key, found := s.keys[c.KeyID]
	if !found {
		return nil, none, ErrKeyUnknown
	}
	if err := c.message.verify(key.public); err != nil {
		return nil, none, err
	}
	return c, key.scope, nil
}
