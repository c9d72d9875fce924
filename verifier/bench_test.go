package verifier_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/asn1"
	"fmt"
	"math/big"
	"slices"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/attest/imei"
	"imei-attest/attest/tpmprofile"
	"imei-attest/verifier"
	"imei-attest/verifier/store"
)

// The benchmarks judge tokens of devices with a TPM, in-band size, one new nonce each. Warm, all are of one device that the verifier knows; at
// first contact each is of another, which it does not know, and carries the Credential. In profile A the manufacturer vouches
// against rollback, in profile B a proof shows it. BenchmarkP256Verify is the floor: one raw verification of such a token.
// Signatures to verify, warm and at first contact: 1 and 2 in profile A, 2 and 3 in profile B, as verifications/op counts;
// TestWhichSignaturesAreVerified shows which.

// benchTokens is how many tokens are signed beforehand; when they are used up the store starts anew, off the clock.
const benchTokens = 2048

type bench struct {
	trust   *verifier.Trust
	nonces  *attest.NonceKeys
	proofs  bool // profile B
	devices []benchDevice
	tokens  [][]byte // of the devices in turn
}

type benchDevice struct {
	key        *ecdsa.PrivateKey
	endorsed   attest.Credential
	credential []byte // endorsed, signed
}

// newBench makes a manufacturer, its devices and their tokens, with or without the Credential and a proof beside them.
func newBench(b testing.TB, firstContact, proofs bool) *bench {
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
	devices := 1
	if firstContact {
		devices = benchTokens
	}
	for i := range devices {
		s.devices = append(s.devices, newBenchDevice(b, anchor, i, !proofs))
	}
	random := &countingReader{}
	for i := range benchTokens {
		nonce, err := s.nonces.Mint(random, attesttest.Now, attest.DefaultNonceBytes)
		must(b, err)
		d := &s.devices[i%devices]
		var carried []byte
		if firstContact {
			carried = d.credential
		}
		s.tokens = append(s.tokens, s.token(b, d, nonce, carried, uint64(1+i)))
	}
	s.devices = slices.Clone(s.devices[:1]) // what the others are made of is nothing for the garbage collector to look through
	return s
}

// token is number n of a device.
func (s *bench) token(b testing.TB, d *benchDevice, nonce attest.Nonce, carried []byte, n uint64) []byte {
	b.Helper()
	claims, enclosed := attesttest.Claims(), attest.Enclosure{Credential: carried}
	claims.Nonce, claims.Provisioned, claims.Observed[0].IMEI = nonce, d.endorsed.Slots, d.endorsed.Slots[0]
	if s.proofs {
		proof := attesttest.Proof()
		proof.Counter += n
		proof.Clock += n
		enclosed.Prove = attesttest.Prove(d.key, d.endorsed, proof)
	}
	token, err := attest.SignEvidence(nil, claims, attesttest.Signer(d.key), attest.KeyIDOf(&d.key.PublicKey), enclosed)
	must(b, err)
	return token
}

// newBenchDevice is the manufacturer's device of a number, with a TPM.
func newBenchDevice(b testing.TB, anchor *verifier.Anchor, number int, protected bool) benchDevice {
	b.Helper()
	id, err := imei.FromBody(fmt.Sprintf("49015420%06d", 323751+number))
	must(b, err)
	key, c := attesttest.Key(fmt.Sprint("device ", number)), attesttest.Credential()
	c.Key, c.Slots = &key.PublicKey, []imei.IMEI{id}
	c.Storage.Kind, c.Storage.Boot, c.Storage.NV = attest.StorageTPMDiscrete, attest.BootMeasured, attest.NVPlatform
	c.Storage.RollbackProtected = protected
	binding, err := attest.BindingHash(c.OEMID, c.Slots, c.Storage.RecordID)
	must(b, err)
	profile := tpmprofile.Profile{NVKey: anchor.NVKey, BootPrimary: anchor.BootKey, BootStandby: anchor.BootKeyStandby,
		Variant: c.Storage.NV, Boot: c.Storage.Boot}
	c.Storage.KeyName, err = profile.KeyName(c.Key, binding)
	must(b, err)
	return benchDevice{key, c, attesttest.SignedCredential(c)}
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

func must(b testing.TB, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// fresh returns a verifier that knows the device already, unless first contact is what is measured.
func (s *bench) fresh(b testing.TB, known bool) *verifier.Verifier {
	b.Helper()
	v, err := verifier.New(verifier.Config{Store: store.NewMemory(), Nonces: s.nonces, Trust: s.trust})
	must(b, err)
	if !known {
		return v
	}
	nonce, err := s.nonces.Mint(&countingReader{n: 1}, attesttest.Now, attest.MaxMintedNonce)
	must(b, err)
	d := &s.devices[0]
	s.judge(b, v, s.token(b, d, nonce, d.credential, 0))
	return v
}

func (s *bench) judge(b testing.TB, v *verifier.Verifier, token []byte) {
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
	var v *verifier.Verifier
	verified := uint64(0)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		if i%benchTokens == 0 {
			b.StopTimer()
			v = s.fresh(b, !firstContact)
			b.StartTimer()
		}
		before := attest.Verifications()
		s.judge(b, v, s.tokens[i%benchTokens])
		verified += attest.Verifications() - before
	}
	b.ReportMetric(float64(verified)/float64(b.N), "verifications/op")
}

func BenchmarkP256Verify(b *testing.B) {
	verify := newVerification(b)
	b.ReportAllocs()
	for b.Loop() {
		verify()
	}
}

// newVerification is one raw verification of a token, with what is signed put together already.
func newVerification(b testing.TB) func() {
	key := &attesttest.DeviceKey.PublicKey
	structure, der := signedParts(b, attesttest.Token(attesttest.Claims(), nil))
	return func() {
		digest := sha256.Sum256(structure)
		if !ecdsa.VerifyASN1(key, digest[:], der) {
			b.Fatal("the signature does not verify")
		}
	}
}

// signedParts returns what a token's signature is over (RFC 9052 section 4.4), and the signature in ASN.1.
func signedParts(b testing.TB, token []byte) (structure, der []byte) {
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
