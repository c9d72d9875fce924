package verifier_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/asn1"
	"math/big"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/attest/tpmprofile"
	"imei-attest/verifier"
	"imei-attest/verifier/store"
)

// The benchmarks judge tokens of a device with a TPM, in-band size, one new nonce each; first contact carries the
// Credential. In profile A the manufacturer vouches against rollback, in profile B a proof shows it. BenchmarkP256Verify is
// the floor: one raw verification of the same token. Signatures to verify, warm and at first contact: 1 and 2 in profile A,
// 2 and 3 in profile B, as verifications/op counts; TestWhichSignaturesAreVerified shows which.

// benchTokens is how many tokens are signed beforehand; when they are used up the store starts anew, off the clock.
const benchTokens = 2048

type bench struct {
	trust      *verifier.Trust
	nonces     *attest.NonceKeys
	endorsed   attest.Credential
	credential []byte // endorsed, signed
	proofs     bool   // profile B
	tokens     [][]byte
}

// newBench makes a manufacturer, and tokens with or without the Credential and a proof beside them.
func newBench(b *testing.B, firstContact, proofs bool) *bench {
	b.Helper()
	nv, boot, standby := attesttest.Key("nv"), attesttest.Key("boot"), attesttest.Key("standby")
	anchor := &verifier.Anchor{Issuer: attesttest.Credential().Issuer, OEMID: attesttest.Credential().OEMID,
		StorageKinds: []attest.StorageKind{attest.StorageTPMDiscrete},
		NVKey:        &nv.PublicKey, BootKey: &boot.PublicKey, BootKeyStandby: &standby.PublicKey}
	s := &bench{trust: &verifier.Trust{Generation: 1}, proofs: proofs}
	must(b, s.trust.Keys.Add(&attesttest.OEMKey.PublicKey, anchor))
	var err error
	s.nonces, err = attest.NewNonceKeys(0, make([]byte, 32), nil)
	must(b, err)
	s.endorsed = tpmCredential(b, anchor, !proofs)
	s.credential = attesttest.SignedCredential(s.endorsed)
	random := &countingReader{}
	for i := range benchTokens {
		nonce, err := s.nonces.Mint(random, attesttest.Now, attest.DefaultNonceBytes)
		must(b, err)
		var carried []byte
		if firstContact {
			carried = s.credential
		}
		s.tokens = append(s.tokens, s.token(nonce, carried, uint64(1+i)))
	}
	return s
}

// token is number n of the device.
func (s *bench) token(nonce attest.Nonce, carried []byte, n uint64) []byte {
	claims := attesttest.Claims()
	claims.Nonce = nonce
	if !s.proofs {
		return attesttest.Token(claims, carried)
	}
	proof := attesttest.Proof()
	proof.Counter += n
	proof.Clock += n
	return attesttest.ProvedToken(claims, s.endorsed, proof, carried)
}

func tpmCredential(b *testing.B, anchor *verifier.Anchor, protected bool) attest.Credential {
	b.Helper()
	c := attesttest.Credential()
	c.Storage.Kind, c.Storage.Boot, c.Storage.NV = attest.StorageTPMDiscrete, attest.BootMeasured, attest.NVPlatform
	c.Storage.RollbackProtected = protected
	binding, err := attest.BindingHash(c.OEMID, c.Slots, c.Storage.RecordID)
	must(b, err)
	profile := tpmprofile.Profile{NVKey: anchor.NVKey, BootPrimary: anchor.BootKey, BootStandby: anchor.BootKeyStandby,
		Variant: c.Storage.NV, Boot: c.Storage.Boot}
	c.Storage.KeyName, err = profile.KeyName(c.Key, binding)
	must(b, err)
	return c
}

// countingReader gives different bytes each time, and the same ones in each run.
type countingReader struct{ n uint64 }

func (r *countingReader) Read(p []byte) (int, error) {
	for i := range p {
		r.n = r.n*6364136223846793005 + 1442695040888963407
		p[i] = byte(r.n >> 56)
	}
	return len(p), nil
}

func must(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// fresh returns a verifier that knows the device already, unless first contact is what is measured.
func (s *bench) fresh(b *testing.B, known bool) *verifier.Verifier {
	b.Helper()
	v, err := verifier.New(verifier.Config{Store: store.NewMemory(), Nonces: s.nonces, Trust: s.trust})
	must(b, err)
	if !known {
		return v
	}
	nonce, err := s.nonces.Mint(&countingReader{n: 1}, attesttest.Now, attest.MaxMintedNonce)
	must(b, err)
	s.judge(b, v, s.token(nonce, s.credential, 0))
	return v
}

func (s *bench) judge(b *testing.B, v *verifier.Verifier, token []byte) {
	result, err := v.Appraise(context.Background(), verifier.Input{Evidence: token, Now: attesttest.Now})
	if err != nil || result.Status() != attest.StatusAffirming {
		b.Fatalf("%v %v, %v", result.Status(), result.Reasons(), err)
	}
}

func BenchmarkAppraiseWarm(b *testing.B)                 { benchmarkAppraise(b, false, false) }
func BenchmarkAppraiseFirstContact(b *testing.B)         { benchmarkAppraise(b, true, false) }
func BenchmarkAppraiseProfileB(b *testing.B)             { benchmarkAppraise(b, false, true) }
func BenchmarkAppraiseFirstContactProfileB(b *testing.B) { benchmarkAppraise(b, true, true) }

func benchmarkAppraise(b *testing.B, firstContact, proofs bool) {
	s := newBench(b, firstContact, proofs)
	verifiers := make([]*verifier.Verifier, 1)
	if firstContact { // a verifier that has seen the Credential does not verify it again, so each token has one of its own
		verifiers = make([]*verifier.Verifier, benchTokens)
	}
	verified := uint64(0)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		if i%benchTokens == 0 {
			b.StopTimer()
			for k := range verifiers {
				verifiers[k] = s.fresh(b, !firstContact)
			}
			b.StartTimer()
		}
		before := attest.Verifications()
		s.judge(b, verifiers[i%len(verifiers)], s.tokens[i%benchTokens])
		verified += attest.Verifications() - before
	}
	b.ReportMetric(float64(verified)/float64(b.N), "verifications/op")
}

func BenchmarkP256Verify(b *testing.B) {
	key := &attesttest.DeviceKey.PublicKey
	structure, der := signedParts(b, attesttest.Token(attesttest.Claims(), nil))
	b.ReportAllocs()
	for b.Loop() {
		digest := sha256.Sum256(structure)
		if !ecdsa.VerifyASN1(key, digest[:], der) {
			b.Fatal("the signature does not verify")
		}
	}
}

// signedParts returns what a token's signature is over (RFC 9052 section 4.4), and the signature in ASN.1.
func signedParts(b *testing.B, token []byte) (structure, der []byte) {
	b.Helper()
	var message cbor.Tag
	must(b, cbor.Unmarshal(token, &message))
	parts := message.Content.([]any)
	signature := parts[3].([]byte)
	structure, err := cbor.Marshal([]any{"Signature1", parts[0], []byte{}, parts[2]})
	must(b, err)
	half := len(signature) / 2
	der, err = asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(signature[:half]), new(big.Int).SetBytes(signature[half:])})
	must(b, err)
	return structure, der
}
