package attest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/fxamacker/cbor/v2"
)

// Evidence is a decoded token. Its claims are what the token says: believe them only after [Evidence.Verify] under
// a key that a verified Credential endorses.
type Evidence struct {
	Claims Claims
	KeyID  KeyID // hint at the device key
	// Credential is the token's kcwt, nil when the token carries none. In a header it travels without the tag of
	// COSE_Sign1 (RFC 9528 allows both): common decoders take no tag there. Here it has its tag again.
	Credential []byte
	// TPMProof is the encoded proof of profiles B and C, nil in profile A.
	TPMProof []byte
	message  message
}

// Enclosure is what a token carries beside its claims, unprotected: each part is signed on its own.
type Enclosure struct {
	Credential []byte // nil when the verifier knows it already
	// Prove makes the storage's own proof over [Evidence.Binding], deterministic CBOR as [CounterProof.Encode] gives it;
	// nil, or a proof that is nil, in profile A.
	Prove func(binding [32]byte) ([]byte, error)
}

// SignEvidence makes a token: COSE_Sign1 over the claims by the device key whose key id is kid.
func SignEvidence(rand io.Reader, claims Claims, signer Signer, kid KeyID, enclosed Enclosure) ([]byte, error) {
	if alg := signer.Algorithm(); alg != ES256 {
		return nil, fmt.Errorf("device keys are on P-256 and sign with ES256 (-7), not %d", alg)
	}
	w, err := claims.wire()
	if err != nil {
		return nil, err
	}
	unprotected := map[any]cbor.RawMessage{}
	if enclosed.Credential != nil {
		untagged, ok := bytes.CutPrefix(enclosed.Credential, []byte(sign1Head))
		if !ok {
			return nil, errors.New("the Credential to enclose is no tagged COSE_Sign1")
		}
		unprotected[headerKCWT] = untagged
	}
	payload, err := encMode.Marshal(w)
	if err != nil {
		return nil, err
	}
	if enclosed.Prove != nil {
		proof, err := enclosed.Prove(sha256.Sum256(payload))
		if err != nil {
			return nil, fmt.Errorf("proving the state of the storage: %w", err)
		}
		if proof != nil {
			unprotected[headerTPMProof] = proof
		}
	}
	return signMessage(rand, signer, protectedHeader{KeyID: kid[:], Type: contentFormatEAT}, unprotected, cbor.RawMessage(payload))
}

// Binding is the SHA-256 of the claims as encoded: what the storage's own proof is made over.
func (e *Evidence) Binding() [32]byte { return sha256.Sum256(e.message.Payload) }

// DecodeEvidence reads a token strictly; nothing is verified. What it returns is made of parts of the token, which must not change any
// more. The error is a [*FormatError].
func DecodeEvidence(token []byte) (*Evidence, error) {
	e := new(Evidence)
	m := &e.message
	err := m.decode(token)
	if err != nil {
		return nil, err
	}
	if m.header.Type != contentFormatEAT {
		return nil, formatError(ClassProfile, "protected header", "typ is not %d, application/eat+cwt (RFC 9596)", contentFormatEAT)
	}
	if m.header.Algorithm != ES256 {
		return nil, formatError(ClassAlgorithm, "protected header", "device keys are on P-256 and sign with ES256 (-7), not %d", m.header.Algorithm)
	}
	e.KeyID, e.TPMProof = m.keyID, m.Unprotected[int64(headerTPMProof)]
	if untagged, ok := m.Unprotected[uint64(headerKCWT)]; ok {
		e.Credential = slices.Concat([]byte(sign1Head), untagged)
	}
	if e.Claims, err = decodeClaims(m.Payload); err != nil {
		return nil, err
	}
	return e, nil
}

func decodeClaims(payload []byte) (Claims, error) {
	var room claimsRoom
	if w, isUsual := usualClaims(payload, &room); isUsual {
		return w.claims()
	}
	return decodeUnusualClaims(payload)
}

// decodeUnusualClaims looks at the profile first: claims of another profile are unexpected, not wrong.
func decodeUnusualClaims(payload []byte) (Claims, error) {
	w := new(wireClaims)
	if err := decodeStrict("claims", decMode, payload, w); err != nil {
		var profile struct {
			Profile string `cbor:"265,keyasint"`
		}
		if decMode.Unmarshal(payload, &profile) == nil && profile.Profile != "" && profile.Profile != EvidenceProfile {
			return Claims{}, formatError(ClassProfile, "claim eat_profile", "another profile than %s", EvidenceProfile)
		}
		return Claims{}, err
	}
	return w.claims()
}

// Verify checks the signature under the device key and that the token's key id is that key's.
// The error is [ErrSignature].
func (e *Evidence) Verify(key *ecdsa.PublicKey) error {
	if KeyIDOf(key) != e.KeyID {
		return fmt.Errorf("the key id is another key's: %w", ErrSignature)
	}
	return e.VerifySignature(key)
}

// VerifySignature is [Evidence.Verify] for a caller that found the key by the token's key id and so knows it to be that
// key's. The error is [ErrSignature].
func (e *Evidence) VerifySignature(key *ecdsa.PublicKey) error { return e.message.verify(key) }

// ClassOf returns the class of a decoding error, or "" for any other.
func ClassOf(err error) Class {
	var f *FormatError
	if errors.As(err, &f) {
		return f.Class
	}
	return ""
}
