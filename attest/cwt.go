package attest

import (
	"crypto/ecdsa"
	"fmt"
	"io"

	"github.com/fxamacker/cbor/v2"
)

// SignCWT signs encoded claims as a CWT: COSE_Sign1 whose typ is application/eat+cwt. The claims are deterministic CBOR
// (RFC 8949 section 4.2.1). With a signer that is deterministic without randomness, the same claims give the same bytes.
func SignCWT(rand io.Reader, claims []byte, signer Signer, kid KeyID) ([]byte, error) {
	return signMessage(rand, signer, protectedHeader{KeyID: kid[:], Type: contentFormatEAT}, nil, cbor.RawMessage(claims))
}

// OpenCWT returns the claims of what SignCWT made, deterministic CBOR and a part of the token, after verifying it under key. The error is a
// [*FormatError], or [ErrSignature].
func OpenCWT(token []byte, key *ecdsa.PublicKey) (claims []byte, err error) {
	var m message
	if err := m.decode(token); err != nil {
		return nil, err
	}
	if m.header.Type != contentFormatEAT {
		return nil, formatError(ClassProfile, "protected header", "typ is not %d, application/eat+cwt (RFC 9596)", contentFormatEAT)
	}
	if KeyIDOf(key) != m.keyID {
		return nil, fmt.Errorf("the key id is another key's: %w", ErrSignature)
	}
	if err := m.verify(key); err != nil {
		return nil, err
	}
	return m.Payload, requireDeterministic("claims", m.Payload)
}
