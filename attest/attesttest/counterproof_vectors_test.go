package attesttest_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"
	"strings"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"

	"github.com/fxamacker/cbor/v2"
)

// attestation is a TPMS_ATTEST of TPM2_NV_Certify (TPM 2.0 Part 2 section 10.12.12) before its parts are spoiled, put together
// of bytes by the letter of the specification.
type attestation struct {
	variant         int
	magic, kind     []byte
	signer, binding []byte // nil for what is right
	clock           uint64
	reset, restart  uint32
	safe            byte
	firmware        uint64
	index           []byte // Name
	offset          uint16
	counter         uint64
	key             *ecdsa.PrivateKey
	parts           func(carried, counter, signature []byte) any // of the proof
}

var tpmKeyName = "\x00\x0b" + strings.Repeat("n", 32)

// nameOf is a TPM Name with SHA-256 (Part 1 section 16).
func nameOf(public []byte) []byte {
	digest := sha256.Sum256(public)
	return append([]byte{0x00, 0x0b}, digest[:]...)
}

func counterName(variant int) []byte {
	public := "\x01\x40\x0e\x12\x00\x0b\x66\x04\x00\x14\x00\x00\x00\x08"
	if variant == 2 {
		public = "\x01\x80\x0e\x12\x00\x0b\x26\x04\x00\x14\x00\x00\x00\x08"
	}
	return nameOf([]byte(public))
}

func sized(b []byte) []byte { return append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...) }

func (a attestation) carried() []byte {
	b := binary.BigEndian.AppendUint64(nil, a.clock)
	b = binary.BigEndian.AppendUint32(b, a.reset)
	b = binary.BigEndian.AppendUint32(b, a.restart)
	return binary.BigEndian.AppendUint64(append(b, a.safe), a.firmware)
}

// proof is the tpmproof for a payload.
func (a attestation) proof(payload []byte) any {
	if a.binding == nil {
		digest := sha256.Sum256(payload)
		a.binding = digest[:]
	}
	if a.signer == nil {
		a.signer = nameOf([]byte("\x40\x00\x00\x0b" + tpmKeyName))
	}
	if a.index == nil {
		a.index = counterName(a.variant)
	}
	counter := binary.BigEndian.AppendUint64(nil, a.counter)
	structure := slices.Concat(a.magic, a.kind, sized(a.signer), sized(a.binding), a.carried(), sized(a.index),
		binary.BigEndian.AppendUint16(nil, a.offset), sized(counter))
	return a.parts(a.carried(), counter, sign(a.key, structure))
}

func proofParts(carried, counter, signature []byte) any {
	return []any{1, bstr(carried), bstr(counter), bstr(signature)}
}

// proved is a token of profile B with its Credential beside it.
func proved(change func(*attestation)) []byte {
	a := attestation{variant: 1, magic: []byte{0xff, 'T', 'C', 'G'}, kind: []byte{0x80, 0x14}, clock: 75_000_000_000, reset: 40, restart: 2,
		safe: 1, firmware: 0x2023010700120034, counter: 300, key: attesttest.DeviceKey, parts: proofParts}
	change(&a)
	return ev(func(f *frame) {
		endorsed := cred(claims{-70012: storage(1, claims{2: 1, 3: a.variant})})
		f.unprotected = slices.Concat([]byte{0xa2, 13}, endorsed[1:], encode(-70004), encode(a.proof(encode(f.payload))))
	})
}

// changed is a proof of which something is exchanged after signing.
func changed(change func(carried, counter, signature []byte)) []byte {
	return proved(func(a *attestation) {
		a.parts = func(carried, counter, signature []byte) any {
			change(carried, counter, signature)
			return proofParts(carried, counter, signature)
		}
	})
}

// shaped is a proof in another shape.
func shaped(parts func(carried, counter, signature []byte) any) []byte {
	return proved(func(a *attestation) { a.parts = parts })
}

func counterProofVectors() []attesttest.Vector {
	p := func(id, title, clause string, expected any, raw []byte) attesttest.Vector {
		return vector(id, "profile-b", title, clause, expected, raw)
	}
	const structure, clocks, certify = "TPM 2.0 Part 2 section 10.12.12", "TPM 2.0 Part 2 section 10.11.1", "TPM 2.0 Part 3 section 31.16"
	epoch := nameOf([]byte("\x01\x40\x0e\x11\x00\x0b\x62\x05\x00\x11\x00\x00\x00\x08"))
	return []attesttest.Vector{
		p("P001", "the platform's counter", profile, "ok", proved(func(*attestation) {})),
		p("P002", "the owner's counter", profile, "ok", proved(func(a *attestation) { a.variant = 2 })),
		p("P003", "a TPM that was just cleared, after a power failure", clocks, "ok", proved(func(a *attestation) { a.clock, a.reset, a.restart, a.safe = 0, 0, 0, 0 })),
		p("P004", "the largest numbers", profile, "ok", proved(func(a *attestation) {
			a.clock, a.reset, a.restart, a.firmware, a.counter = 1<<64-1, 1<<32-1, 1<<32-1, 1<<64-1, 1<<64-1
		})),

		p("P101", "the proof's signature with a bit flipped", certify, "signature", changed(func(_, _, s []byte) { s[63] ^= 1 })),
		p("P102", "R and S of the proof zero", "FIPS 186-5 section 6.4.2", "signature", changed(func(_, _, s []byte) { clear(s) })),
		p("P103", "a proof by another key", certify, "signature", proved(func(a *attestation) { a.key = attesttest.Key("stranger") })),
		p("P104", "a proof for other claims", certify, "signature", proved(func(a *attestation) { a.binding = make([]byte, 32) })),
		p("P105", "a proof over the nonce alone", certify, "signature", proved(func(a *attestation) { a.binding = attesttest.Nonce() })),
		p("P106", "a proof over the claims, not their hash", certify, "signature", proved(func(a *attestation) { a.binding = encode(body()) })),
		p("P107", "the counter raised after signing", structure, "signature", changed(func(_, c, _ []byte) { c[7]++ })),
		p("P108", "the clock changed after signing", clocks, "signature", changed(func(c, _, _ []byte) { c[7]++ })),
		p("P109", "the resets changed after signing", clocks, "signature", changed(func(c, _, _ []byte) { c[11]++ })),
		p("P110", "the restarts changed after signing", clocks, "signature", changed(func(c, _, _ []byte) { c[15]++ })),
		p("P111", "safe changed after signing", clocks, "signature", changed(func(c, _, _ []byte) { c[16] = 0 })),
		p("P112", "the firmware version changed after signing", structure, "signature", changed(func(c, _, _ []byte) { c[24]++ })),
		p("P113", "a structure that no TPM made: another magic", "TPM 2.0 Part 2 section 6.2", "signature", proved(func(a *attestation) { a.magic = []byte{0xff, 'T', 'C', 'H'} })),
		p("P114", "the structure of a quote", "TPM 2.0 Part 2 section 6.9", "signature", proved(func(a *attestation) { a.kind = []byte{0x80, 0x18} })),
		p("P115", "the digest form of the structure", "TPM 2.0 Part 2 section 6.9", "signature", proved(func(a *attestation) { a.kind = []byte{0x80, 0x1c} })),
		p("P116", "a key of the owner hierarchy", "TPM 2.0 Part 1 section 16.3", "signature", proved(func(a *attestation) { a.signer = nameOf([]byte("\x40\x00\x00\x01" + tpmKeyName)) })),
		p("P117", "the key's Name in place of its qualified one", "TPM 2.0 Part 1 section 16.3", "signature", proved(func(a *attestation) { a.signer = []byte(tpmKeyName) })),
		p("P118", "the epoch counter in place of the attestation counter", structure, "signature", proved(func(a *attestation) { a.index = epoch })),
		p("P119", "the owner's counter where the Credential says the platform's", structure, "signature", proved(func(a *attestation) { a.index = counterName(2) })),
		p("P120", "the platform's counter where the Credential says the owner's", structure, "signature", proved(func(a *attestation) { a.variant, a.index = 2, counterName(1) })),
		p("P121", "another offset", structure, "signature", proved(func(a *attestation) { a.offset = 1 })),

		p("P201", "24 bytes carried", profile, attest.ClassClaim, shaped(func(c, n, s []byte) any { return proofParts(c[:24], n, s) })),
		p("P202", "26 bytes carried", profile, attest.ClassClaim, shaped(func(c, n, s []byte) any { return proofParts(append(bytes.Clone(c), 0), n, s) })),
		p("P203", "a counter of 4 bytes", profile, attest.ClassClaim, shaped(func(c, n, s []byte) any { return proofParts(c, n[4:], s) })),
		p("P204", "a signature of 63 bytes", profile, attest.ClassClaim, shaped(func(c, n, s []byte) any { return proofParts(c, n, s[:63]) })),
		p("P205", "safe is 2", clocks, attest.ClassClaim, proved(func(a *attestation) { a.safe = 2 })),
		p("P206", "the counter as a number", profile, attest.ClassClaim, shaped(func(c, _, s []byte) any { return []any{1, bstr(c), 300, bstr(s)} })),
		p("P207", "an array of three", profile, attest.ClassClaim, shaped(func(c, n, _ []byte) any { return []any{1, bstr(c), bstr(n)} })),
		p("P208", "an array of five", profile, attest.ClassClaim, shaped(func(c, n, s []byte) any { return []any{1, bstr(c), bstr(n), bstr(s), nil} })),
		p("P209", "another kind, which is not judged", profile, attest.ClassProfile, shaped(func(c, n, s []byte) any { return []any{2, bstr(c), bstr(n), bstr(s)} })),
		p("P210", "another kind of another shape, which is not judged", profile, attest.ClassProfile, shaped(func([]byte, []byte, []byte) any { return []any{"quote", claims{1: 2}} })),
		p("P211", "a proof of indefinite length", rfc8949, attest.ClassIndefinite, shaped(func(c, n, s []byte) any {
			return append(append([]byte{0x9f}, encode(proofParts(c, n, s))[1:]...), 0xff)
		})),
		p("P212", "the kind in more bytes than it needs", rfc8949, attest.ClassNonPreferred, shaped(func(c, n, s []byte) any {
			return append([]byte{0x84, 0x18, 1}, encode(proofParts(c, n, s))[2:]...)
		})),
		p("P213", "the claims exchanged after signing", rfc9052, "signature", exchanged()),
	}
}

// exchanged is a token that carries claims its device signed neither as evidence nor in the proof.
func exchanged() []byte {
	good := proved(func(*attestation) {})
	var whole struct {
		_                               struct{} `cbor:",toarray"`
		Protected, Unprotected, Payload cbor.RawMessage
		Signature                       []byte
	}
	if err := cbor.Unmarshal(good[1:], &whole); err != nil {
		panic(err)
	}
	other := maps.Clone(body())
	other[275] = 1
	return slices.Concat([]byte{0xd2, 0x84}, whole.Protected, whole.Unprotected, encode(bstr(encode(other))), encode(bstr(whole.Signature)))
}
