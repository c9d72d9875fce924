package attesttest_test

import (
	"bytes"
	"crypto"
	"encoding/hex"
	"strings"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"

	"github.com/fxamacker/cbor/v2"
)

func hashOf(size int) crypto.Hash {
	if size > 32 {
		return crypto.SHA384
	}
	return crypto.SHA256
}

func vector(id, kind, title, clause string, expected any, raw []byte) attesttest.Vector {
	v := attesttest.Vector{ID: id, Kind: kind, Title: title, Clause: clause, Hex: hex.EncodeToString(raw)}
	switch e := expected.(type) {
	case string:
		v.Expected = e
	case attest.Class:
		v.Expected = string(e)
	}
	return v
}

const (
	rfc8949 = "RFC 8949 section 4.2.1"
	rfc9052 = "RFC 9052 section 4.2"
	rfc9711 = "RFC 9711 section 6.4"
	profile = "profile.cddl"
)

func evidenceVectors() []attesttest.Vector {
	good := evidence().bytes()
	e := func(id, title, clause string, expected any, raw []byte) attesttest.Vector {
		return vector(id, "evidence", title, clause, expected, raw)
	}
	second := claims{256: ueid(attesttest.IMEI2)}
	return append(framesAndHeaders(good, e), []attesttest.Vector{
		e("E101", "one slot, in-band", profile, "ok", good),
		e("E102", "two slots", "RFC 9711 section 4.2.18", "ok", evClaims(claims{266: claims{"slot2": second}, 274: measres(1, 1),
			-70001: []any{observed(m1, nil), []any{2, bstr(attesttest.IMEI2[:14]), 0, "07", 3, nil, nil}}})),
		e("E103", "spare digit form and restart seen", profile, "ok", evObserved(1, m1, 5, nil, 1, nil, nil)),
		e("E104", "wrong check digit", profile, "ok", evObserved(1, m1, 2, nil, 1, nil, nil)),
		e("E105", "a module serial in place of an IMEI", profile, "ok", evClaims(claims{274: measres(3), -70001: []any{observed("2623CKLQ0001234", nil)}})),
		e("E106", "no answer: timeout", profile, "ok", evClaims(claims{274: measres(3), -70001: []any{observed(nil, "timeout")}})),
		e("E107", "a blank answer", profile, "ok", evClaims(claims{274: measres(3), -70001: []any{observed("", nil)}})),
		e("E108", "a device without a clock", "RFC 9711 section 4.3.1", "ok", evWithout(6)),
		e("E109", "intended use generic", "RFC 9711 section 4.3.3", "ok", evClaims(claims{275: 1})),
		e("E110", "unknown claims are ignored", "RFC 9711 section 7.2.2", "ok", evClaims(claims{999: "x", "text": []any{1.5}, -80000: claims{1: 2}})),
		e("E111", "modem texts and subscriber", profile, "ok", evClaims(claims{-70002: claims{1: "ACME", 2: "M1", 3: "R1"},
			-70001: []any{[]any{1, m1, 0, "01", 63, bstr(strings.Repeat("s", 32)), nil}}})),
		e("E112", "nonce of 8 bytes", "RFC 9711 section 4.1", "ok", evClaims(claims{10: bstr("12345678")})),
		e("E113", "nonce of 64 bytes", "RFC 9711 section 4.1", "ok", evClaims(claims{10: bstr(strings.Repeat("n", 64))})),
		e("E114", "a slot the manufacturer did not provision", profile, "ok", evClaims(claims{274: measres(1, 4),
			-70001: []any{observed(m1, nil), []any{2, bstr(attesttest.IMEI2[:14]), 0, nil, 1, nil, nil}}})),

		e("E115", "text labels that look like known ones are unknown claims", "RFC 8392 section 1.1", "ok", evClaims(claims{"6": 1.5, "10": true, "Nonce": 1})),

		e("E201", "no nonce", "RFC 9711 section 4.1", attest.ClassClaim, evWithout(10)),
		e("E202", "no ueid", profile, attest.ClassClaim, evWithout(256)),
		e("E203", "no eat_profile", "RFC 9711 section 4.3.2", attest.ClassClaim, evWithout(265)),
		e("E204", "no measres", profile, attest.ClassClaim, evWithout(274)),
		e("E205", "no intuse", profile, attest.ClassClaim, evWithout(275)),
		e("E206", "no observed", profile, attest.ClassClaim, evWithout(-70001)),
		e("E207", "no reading age", profile, attest.ClassClaim, evWithout(-70005)),
		e("E208", "iat as a float", "RFC 9711 section 4.3.1", attest.ClassClaim, evClaims(claims{6: 1.5})),
		e("E209", "iat as an integral float", "RFC 9711 section 4.3.1", attest.ClassClaim, evClaims(claims{6: float64(1772366400)})),
		e("E210", "iat null", profile, attest.ClassClaim, evClaims(claims{6: nil})),
		e("E211", "iat before 1970", profile, attest.ClassClaim, evClaims(claims{6: -1})),
		e("E212", "two nonces", profile, attest.ClassClaim, evClaims(claims{10: []any{bstr("12345678"), bstr("abcdefgh")}})),
		e("E213", "nonce of 7 bytes", "RFC 9711 section 4.1", attest.ClassClaim, evClaims(claims{10: bstr("1234567")})),
		e("E214", "nonce of 65 bytes", "RFC 9711 section 4.1", attest.ClassClaim, evClaims(claims{10: bstr(strings.Repeat("n", 65))})),
		e("E215", "nonce as text", profile, attest.ClassClaim, evClaims(claims{10: "1234567890"})),
		e("E216", "nonce as an array of numbers", profile, attest.ClassClaim, evClaims(claims{10: []any{1, 2, 3, 4, 5, 6, 7, 8}})),
		e("E217", "another eat_profile", "RFC 9711 section 4.3.2", attest.ClassProfile, evClaims(claims{265: "tag:example,2026:other"})),
		e("E218", "another eat_profile with other claims", "RFC 9711 section 4.3.2", attest.ClassProfile, ev(func(f *frame) { f.payload = claims{10: bstr("12345678"), 265: "tag:psacertified.org,2023:psa#tfm"} })),
		e("E219", "ueid of the random type", "RFC 9711 section 4.2.1.1", attest.ClassClaim, evClaims(claims{256: "\x01" + ueid(attesttest.IMEI1)[1:]})),
		e("E220", "ueid with a digit above 9", "RFC 9711 section 4.2.1.1", attest.ClassClaim, evClaims(claims{256: bstr("\x03\x04\x09\x00\x01\x05\x04\x02\x00\x03\x02\x03\x07\x05\x0a")})),
		e("E221", "ueid with a check digit", profile, attest.ClassClaim, evClaims(claims{256: ueid(attesttest.IMEI1) + "\x08"})),
		e("E222", "ueid of zeros", profile, attest.ClassClaim, evClaims(claims{256: bstr("\x03" + strings.Repeat("\x00", 14))})),
		e("E223", "submods with a gap", profile, attest.ClassClaim, evClaims(claims{266: claims{"slot3": second}})),
		e("E224", "submods repeats slot 1", profile, attest.ClassClaim, evClaims(claims{266: claims{"slot2": claims{256: ueid(attesttest.IMEI1)}}})),
		e("E225", "submods empty", profile, attest.ClassClaim, evClaims(claims{266: claims{}})),
		e("E226", "measres result 5", "RFC 9711 section 4.2.16.2", attest.ClassClaim, evClaims(claims{274: measres(5)})),
		e("E227", "measres of another system", profile, attest.ClassClaim, evClaims(claims{274: []any{[]any{"sim", []any{[]any{"slot1", 1}}}}})),
		e("E228", "measres longer than observed", profile, attest.ClassClaim, evClaims(claims{274: measres(1, 1)})),
		e("E229", "measres of five slots", profile, attest.ClassClaim, evClaims(claims{274: measres(1, 1, 1, 1, 1)})),
		e("E230", "intuse 3", "RFC 9711 section 4.3.3", attest.ClassClaim, evClaims(claims{275: 3})),
		e("E231", "observed slot misnumbered", profile, attest.ClassClaim, evObserved(2, m1, 0, nil, 1, nil, nil)),
		e("E232", "observed of five elements", profile, attest.ClassClaim, evObserved(1, m1, 0, nil, 1)),
		e("E233", "M is an IMEI as text", profile, attest.ClassClaim, evObserved(1, attesttest.IMEI1, 0, nil, 1, nil, nil)),
		e("E234", "M is 14 digits of which one is a letter", profile, attest.ClassClaim, evObserved(1, bstr("4901542032375A"), 0, nil, 1, nil, nil)),
		e("E235", "M is a number", profile, attest.ClassClaim, evObserved(1, 49015420323751, 0, nil, 1, nil, nil)),
		e("E236", "M is 14 zeros as bytes", profile, attest.ClassClaim, evObserved(1, bstr("00000000000000"), 0, nil, 1, nil, nil)),
		e("E237", "M is a text of 33 bytes", profile, attest.ClassClaim, evObserved(1, strings.Repeat("z", 33), 0, nil, 1, nil, nil)),
		e("E238", "M null without an error word", profile, attest.ClassClaim, evObserved(1, nil, 0, nil, 1, nil, nil)),
		e("E239", "M with an error word", profile, attest.ClassClaim, evObserved(1, m1, 0, nil, 1, nil, "timeout")),
		e("E240", "an unknown flag", profile, attest.ClassClaim, evObserved(1, m1, 16, nil, 1, nil, nil)),
		e("E241", "svn of three digits", profile, attest.ClassClaim, evObserved(1, m1, 0, "012", 1, nil, nil)),
		e("E242", "subscriber of 31 bytes", profile, attest.ClassClaim, evObserved(1, m1, 0, nil, 1, bstr(strings.Repeat("s", 31)), nil)),
		e("E243", "modem text of 33 bytes", profile, attest.ClassClaim, evClaims(claims{-70002: claims{1: strings.Repeat("m", 33)}})),
		e("E244", "modem empty", profile, attest.ClassClaim, evClaims(claims{-70002: claims{}})),
		e("E245", "reading age negative", profile, attest.ClassClaim, evClaims(claims{-70005: -1})),
		e("E246", "reading age of 25 hours", profile, attest.ClassClaim, evClaims(claims{-70005: 25 * 3600 * 1000})),
		e("E247", "a tag inside the claims", rfc9711, attest.ClassTag, evClaims(claims{6: cbor.Tag{Number: 1, Content: 1}})),
		e("E248", "a tag inside an unknown claim", rfc9711, attest.ClassTag, evClaims(claims{999: cbor.Tag{Number: 1, Content: 1}})),
		e("E249", "claims nested nine deep", profile, attest.ClassLimits, evClaims(claims{999: nest(9)})),
		e("E250", "more than 64 claims", profile, attest.ClassLimits, evClaims(many(65))),
		e("E251", "claims are an array", rfc9711, attest.ClassClaim, ev(func(f *frame) { f.payload = []any{1, 2} })),
		e("E252", "text that is not UTF-8", "RFC 8949 section 3.1", attest.ClassNotCBOR, evClaims(claims{999: "\xff\xfe"})),
		e("E253", "an IMEI as a label that stands twice", "RFC 8949 section 5.6", attest.ClassDuplicate, ev(func(f *frame) {
			twice := encode(claims{attesttest.IMEI1: 1})[1:]
			f.payload = bytes.Join([][]byte{{0xa2}, twice, twice}, nil)
		})),
		e("E254", "an IMEI as flags", profile, attest.ClassClaim, evObserved(1, m1, imeiNumber, nil, 1, nil, nil)),
		e("E255", "an IMEI as slot number", profile, attest.ClassClaim, evObserved(imeiNumber, m1, 0, nil, 1, nil, nil)),
		e("E256", "an IMEI as intended use", "RFC 9711 section 4.3.3", attest.ClassClaim, evClaims(claims{275: imeiNumber})),
		e("E257", "an IMEI as reading age", profile, attest.ClassClaim, evClaims(claims{-70005: imeiNumber})),
		e("E258", "an IMEI as svn", profile, attest.ClassClaim, evObserved(1, m1, 0, attesttest.IMEI1, 1, nil, nil)),
		e("E259", "an IMEI as tag number", rfc9711, attest.ClassTag, append([]byte{0xdb, 0, 1, 0xbd, 0xca, 0xeb, 0x2b, 0x4c, 0x8e}, evidence().bytes()[1:]...)),
		e("E260", "an IMEI as algorithm", "RFC 9053 section 2.1", attest.ClassAlgorithm, evHeader(claims{1: imeiNumber})),
		e("E261", "an IMEI as typ", "RFC 9596", attest.ClassProfile, evHeader(claims{16: imeiNumber})),
		e("E262", "an IMEI as critical parameter", "RFC 9052 section 3.1", attest.ClassCritical, evHeader(claims{2: []any{attesttest.IMEI1}, attesttest.IMEI1: 1})),
		e("E263", "an IMEI as unprotected label of a tagged value", rfc9711, attest.ClassTag, ev(func(f *frame) {
			f.unprotected = claims{attesttest.IMEI1: cbor.Tag{Number: 1, Content: 1}}
		})),
		e("E264", "submods with slot 4 but no slot 3", profile, attest.ClassClaim, evClaims(claims{266: claims{"slot2": second,
			"slot4": claims{256: ueid(attesttest.OtherIMEI)}}})),
	}...)
}

func framesAndHeaders(good []byte, e func(string, string, string, any, []byte) attesttest.Vector) []attesttest.Vector {
	flip := func(at int) func([]byte) []byte {
		return func(s []byte) []byte { s = bytes.Clone(s); s[at] ^= 1; return s }
	}
	return []attesttest.Vector{
		e("E001", "with the Credential in kcwt", "RFC 9528", "ok", ev(func(f *frame) { f.unprotected = claims{13: cbor.RawMessage(credential().bytes()[1:])} })),
		e("E002", "an unknown unprotected parameter", "RFC 9052 section 3", "ok", ev(func(f *frame) { f.unprotected = claims{-99999: "x", "y": 1} })),
		e("E003", "a critical parameter that is understood", "RFC 9052 section 3.1", "ok", evHeader(claims{2: []any{16}})),
		e("E004", "with a proof of the storage", profile, "ok", ev(func(f *frame) { f.unprotected = claims{-70004: []any{1, bstr("carried"), bstr("value"), bstr("sig")}} })),

		e("E011", "nothing", rfc9052, attest.ClassTruncated, nil),
		e("E012", "one byte missing", rfc9052, attest.ClassTruncated, good[:len(good)-1]),
		e("E013", "half a token", rfc9052, attest.ClassTruncated, good[:len(good)/2]),
		e("E014", "a byte too many", rfc9052, attest.ClassTrailing, append(bytes.Clone(good), 0)),
		e("E015", "two tokens", rfc9052, attest.ClassTrailing, append(bytes.Clone(good), good...)),
		e("E016", "over 8 KiB", profile, attest.ClassOversized, ev(func(f *frame) { f.payload = with(body(), claims{999: strings.Repeat("z", 8<<10)}) })),
		e("E017", "no tag", rfc9711, attest.ClassTag, ev(func(f *frame) { f.wrap = array })),
		e("E018", "tag 17, COSE_Mac0", rfc9052, attest.ClassTag, ev(func(f *frame) {
			f.wrap = func(p, u, pl, s []byte) []byte { return append([]byte{0xd1}, array(p, u, pl, s)...) }
		})),
		e("E019", "tag 61 around the token", rfc9711, attest.ClassTag, append([]byte{0xd8, 61}, good...)),
		e("E020", "three elements", rfc9052, attest.ClassStructure, ev(func(f *frame) {
			f.wrap = func(p, u, pl, s []byte) []byte {
				return bytes.Join([][]byte{{0xd2, 0x83}, encode(bstr(p)), u, encode(bstr(pl))}, nil)
			}
		})),
		e("E021", "an array of indefinite length", rfc8949, attest.ClassIndefinite, ev(func(f *frame) {
			f.wrap = func(p, u, pl, s []byte) []byte {
				return append(append([]byte{0xd2, 0x9f}, array(p, u, pl, s)[1:]...), 0xff)
			}
		})),
		e("E022", "the payload is detached", rfc9052, attest.ClassStructure, ev(func(f *frame) {
			f.wrap = func(p, u, pl, s []byte) []byte {
				return bytes.Join([][]byte{{0xd2, 0x84}, encode(bstr(p)), u, {0xf6}, encode(bstr(s))}, nil)
			}
		})),
		e("E023", "the payload is an array of numbers", rfc9052, attest.ClassStructure, ev(func(f *frame) {
			f.wrap = func(p, u, pl, s []byte) []byte {
				return bytes.Join([][]byte{{0xd2, 0x84}, encode(bstr(p)), u, {0x82, 1, 2}, encode(bstr(s))}, nil)
			}
		})),
		e("E024", "the signature is text", rfc9052, attest.ClassStructure, ev(func(f *frame) {
			f.wrap = func(p, u, pl, s []byte) []byte {
				return bytes.Join([][]byte{{0xd2, 0x84}, encode(bstr(p)), u, encode(bstr(pl)), encode("x")}, nil)
			}
		})),
		e("E025", "a duplicate claim", "RFC 8949 section 5.6", attest.ClassDuplicate, ev(func(f *frame) { f.payload = duplicate(encode(body())) })),
		e("E026", "a duplicate header parameter", "RFC 9052 section 3", attest.ClassDuplicate, ev(func(f *frame) { f.protected = duplicate(encode(f.protected)) })),
		e("E027", "a duplicate unprotected parameter", "RFC 9052 section 3", attest.ClassDuplicate, ev(func(f *frame) { f.unprotected = []byte{0xa2, 0x18, 0x64, 1, 0x18, 0x64, 1} })),
		e("E028", "claims in another order", rfc8949, attest.ClassNonPreferred, ev(func(f *frame) { f.payload = unsorted(body()) })),
		e("E029", "an integer in more bytes than it needs", rfc8949, attest.ClassNonPreferred, ev(func(f *frame) {
			f.payload = bytes.Replace(encode(body()), encode(claims{275: 2})[1:], []byte{0x19, 0x01, 0x13, 0x18, 2}, 1)
		})),
		e("E030", "a float in more bytes than it needs", rfc8949, attest.ClassNonPreferred, ev(func(f *frame) {
			f.payload = appendEntry(without(body(), -70005), []byte{0x19, 0x03, 0xe7, 0xfb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0})
		})),
		e("E031", "claims of indefinite length", rfc8949, attest.ClassIndefinite, ev(func(f *frame) { f.payload = append(append([]byte{0xbf}, encode(body())[1:]...), 0xff) })),
		e("E032", "the protected header in more bytes than it needs", rfc8949, attest.ClassNonPreferred, ev(func(f *frame) { f.protected = append([]byte{0xb8, 3}, encode(f.protected)[1:]...) })),
		e("E033", "an empty protected header", "RFC 9052 section 3", attest.ClassAlgorithm, ev(func(f *frame) { f.protected = []byte{} })),
		e("E034", "EdDSA", "RFC 9053 section 2.2", attest.ClassAlgorithm, evHeader(claims{1: -8})),
		e("E035", "ES512", "RFC 9053 section 2.1", attest.ClassAlgorithm, evHeader(claims{1: -36})),
		e("E036", "algorithm 0", "RFC 9053 section 2", attest.ClassAlgorithm, evHeader(claims{1: 0})),
		e("E037", "algorithm as text", "RFC 9053 section 2", attest.ClassStructure, evHeader(claims{1: "ES256"})),
		e("E038", "algorithm unprotected", "RFC 9052 section 3.1", attest.ClassStructure, ev(func(f *frame) { f.unprotected = claims{1: -7} })),
		e("E039", "key id unprotected only", profile, attest.ClassKeyID, ev(func(f *frame) { f.protected = without(f.protected.(claims), 4); f.unprotected = claims{} })),
		e("E040", "key id of 32 bytes", profile, attest.ClassKeyID, evHeader(claims{4: bstr(strings.Repeat("k", 32))})),
		e("E041", "key id null", profile, attest.ClassStructure, evHeader(claims{4: nil})),
		e("E042", "a critical parameter that is not understood", "RFC 9052 section 3.1", attest.ClassCritical, evHeader(claims{2: []any{-70009}, -70009: 1})),
		e("E043", "an empty list of critical parameters", "RFC 9052 section 3.1", attest.ClassCritical, evHeader(claims{2: []any{}})),
		e("E044", "no typ", "RFC 9596", attest.ClassProfile, ev(func(f *frame) { f.protected = without(f.protected.(claims), 16) })),
		e("E045", "typ of another media type", "RFC 9596", attest.ClassProfile, evHeader(claims{16: 61})),
		e("E046", "a signature one byte short", "RFC 9053 section 2.1", attest.ClassStructure, ev(func(f *frame) { f.signature = func(s []byte) []byte { return s[:63] } })),
		e("E047", "a signature in ASN.1", "RFC 9053 section 2.1", attest.ClassStructure, ev(func(f *frame) {
			f.signature = func(s []byte) []byte { return append([]byte{0x30, 0x44, 2, 32}, append(s, 0, 0)...) }
		})),
		e("E048", "ES384 by a device key", profile, attest.ClassAlgorithm, ev(func(f *frame) { f.protected = with(f.protected.(claims), claims{1: -35}); f.key = oem384 })),
		e("E049", "an unprotected value that is tagged", rfc9711, attest.ClassTag, ev(func(f *frame) { f.unprotected = claims{-99999: cbor.Tag{Number: 1, Content: 1}} })),
		e("E050", "unprotected parameters in another order", rfc8949, attest.ClassNonPreferred, ev(func(f *frame) { f.unprotected = []byte{0xa2, 0x18, 0x65, 1, 0x18, 0x64, 1} })),
		e("E051", "random bytes", rfc9052, attest.ClassNotCBOR, []byte{0xd2, 0x84, 0x1c, 0xff, 0x00}),
		e("E052", "a Credential in kcwt in more bytes than it needs", rfc8949, attest.ClassNonPreferred, ev(func(f *frame) {
			f.unprotected = append([]byte{0xa1, 13, 0x98, 4}, credential().bytes()[2:]...)
		})),
		e("E054", "a Credential in kcwt with its tag", profile, attest.ClassTag, ev(func(f *frame) { f.unprotected = claims{13: cbor.RawMessage(credential().bytes())} })),
		e("E053", "an unprotected label that is a byte string", "RFC 9052 section 1.5", attest.ClassStructure, ev(func(f *frame) { f.unprotected = claims{bstr("x"): 1} })),

		e("E061", "the signature's first bit flipped", rfc9052, "signature", ev(func(f *frame) { f.signature = flip(0) })),
		e("E062", "the signature's last bit flipped", rfc9052, "signature", ev(func(f *frame) { f.signature = flip(63) })),
		e("E063", "signed by another key under this key's id", rfc9052, "signature", ev(func(f *frame) { f.key = attesttest.Key("stranger") })),
		e("E064", "R and S zero", "FIPS 186-5 section 6.4.2", "signature", ev(func(f *frame) { f.signature = func([]byte) []byte { return make([]byte, 64) } })),
		e("E065", "claims exchanged after signing", rfc9052, "signature", ev(func(f *frame) {
			f.wrap = func(p, u, _, s []byte) []byte { return tagged(p, u, encode(with(body(), claims{275: 1})), s) }
		})),
		e("E066", "header exchanged after signing", rfc9052, "signature", ev(func(f *frame) {
			f.wrap = func(_, u, pl, s []byte) []byte {
				return tagged(encode(claims{1: -7, 4: kid(attesttest.DeviceKey), 16: 263, 100: 1}), u, pl, s)
			}
		})),
		e("E067", "another key's id", profile, "signature", evHeader(claims{4: kid(attesttest.Key("stranger"))})),
	}
}

// imeiNumber is an IMEI where a small number is due: messages about it must not repeat it.
const imeiNumber = 490154203237518

func nest(depth int) any {
	if depth == 0 {
		return 1
	}
	return []any{nest(depth - 1)}
}

func many(n int) claims {
	c := claims{}
	for i := range n {
		c[1000+i] = 1
	}
	return c
}

// duplicate repeats the first entry of an encoded map with a small integer key and value head.
func duplicate(m []byte) []byte {
	var first struct {
		Algorithm cbor.RawMessage `cbor:"1,keyasint,omitempty"`
		IssuedAt  cbor.RawMessage `cbor:"6,keyasint,omitempty"`
	}
	if err := cbor.Unmarshal(m, &first); err != nil {
		panic(err)
	}
	entry := append([]byte{1}, first.Algorithm...)
	if first.Algorithm == nil {
		entry = append([]byte{6}, first.IssuedAt...)
	}
	return append(append([]byte{m[0] + 1}, entry...), m[1:]...)
}

// unsorted puts the reading age, which sorts last, first.
func unsorted(c claims) []byte {
	last := encode(claims{-70005: c[-70005]})[1:]
	rest := encode(without(c, -70005))
	return append(append([]byte{rest[0] + 1}, last...), rest[1:]...)
}

// appendEntry adds an encoded entry behind the others, and the reading age in its place.
func appendEntry(c claims, entry []byte) []byte {
	positive := encode(without(c, -70001))
	m := append([]byte{positive[0] + 3}, positive[1:]...)
	m = append(m, entry...)
	m = append(m, encode(claims{-70001: c[-70001]})[1:]...)
	return append(m, encode(claims{-70005: 12})[1:]...)
}
