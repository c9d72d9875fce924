package attesttest_test

import (
	"strings"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"
)

var oem384 = attesttest.Key384("oem credential")

func coseKeyOf(name string) claims {
	p, err := attesttest.Key(name).PublicKey.Bytes()
	if err != nil {
		panic(err)
	}
	return claims{1: 2, -1: 1, -2: bstr(p[1:33]), -3: bstr(p[33:])}
}

func storage(kind int, changes claims) claims {
	s := claims{1: kind, 2: 2, 5: bstr(strings.Repeat("r", 16))}
	if kind != 3 && kind != 4 {
		s[3], s[7] = 1, bstr("\x00\x0b"+strings.Repeat("n", 32))
	}
	return with(s, changes)
}

func credentialBody() claims {
	return claims{1: "tag:example,2026:oem", 6: attesttest.Now.Unix(), 8: claims{1: coseKeyOf("device")}, 256: ueid(attesttest.IMEI1),
		258: 32473, 259: bstr("sample"), -70011: 1, -70012: storage(3, nil), -70013: 3}
}

func credential() frame {
	return frame{protected: claims{1: -7, 4: kid(attesttest.OEMKey)}, unprotected: claims{}, payload: credentialBody(), key: attesttest.OEMKey}
}

func cred(changes claims) []byte {
	f := credential()
	f.payload = with(credentialBody(), changes)
	return f.bytes()
}

func credWithout(label any) []byte {
	f := credential()
	f.payload = without(credentialBody(), label)
	return f.bytes()
}

func credentialVectors() []attesttest.Vector {
	c := func(id, title, clause string, expected any, raw []byte) attesttest.Vector {
		return vector(id, "credential", title, clause, expected, raw)
	}
	es384 := credential()
	es384.protected, es384.key = claims{1: -35, 4: kid(oem384)}, oem384
	absent := credential()
	absent.protected = with(absent.protected.(claims), claims{2: []any{16}})
	stranger := credential()
	stranger.key = attesttest.Key("stranger")
	twoSlots := claims{266: claims{"slot2": claims{256: ueid(attesttest.IMEI2)}}}
	const cnf = "RFC 8747 section 3.2"
	return []attesttest.Vector{
		c("C001", "software storage", profile, "ok", credential().bytes()),
		c("C002", "TPM storage, measured boot", profile, "ok", cred(claims{-70012: storage(1, claims{2: 1, 4: bstr(strings.Repeat("e", 32)), 6: true})})),
		c("C003", "emulated TPM, owner's index", profile, "ok", cred(claims{-70012: storage(5, claims{3: 2})})),
		c("C004", "two slots", profile, "ok", cred(twoSlots)),
		c("C005", "signed with ES384", "RFC 9053 section 2.1", "ok", es384.bytes()),
		c("C006", "OEM id of the IEEE form", "RFC 9711 section 4.2.3.2", "ok", cred(claims{258: bstr("\xac\x80\xde")})),
		c("C007", "OEM id of the random form", "RFC 9711 section 4.2.3.1", "ok", cred(claims{258: bstr(strings.Repeat("o", 16))})),

		c("C101", "no issuer", "RFC 8392 section 3.1.1", attest.ClassClaim, credWithout(1)),
		c("C102", "issuer of 65 bytes", profile, attest.ClassClaim, cred(claims{1: strings.Repeat("i", 65)})),
		c("C103", "no time of issue", profile, attest.ClassClaim, credWithout(6)),
		c("C104", "time of issue as a float", profile, attest.ClassClaim, cred(claims{6: 1.5})),
		c("C105", "no cnf", cnf, attest.ClassClaim, credWithout(8)),
		c("C106", "cnf with a key id only", cnf, attest.ClassClaim, cred(claims{8: claims{3: bstr("kid")}})),
		c("C107", "cnf with a private key", cnf, attest.ClassClaim, cred(claims{8: claims{1: with(coseKeyOf("device"), claims{-4: bstr(strings.Repeat("d", 32))})}})),
		c("C108", "cnf on P-384", cnf, attest.ClassClaim, cred(claims{8: claims{1: with(coseKeyOf("device"), claims{-1: 2})}})),
		c("C109", "cnf that is no point of the curve", cnf, attest.ClassClaim, cred(claims{8: claims{1: with(coseKeyOf("device"), claims{-2: bstr(strings.Repeat("\x01", 32))})}})),
		c("C110", "no ueid", profile, attest.ClassClaim, credWithout(256)),
		c("C111", "OEM id 0", "RFC 9711 section 4.2.3.3", attest.ClassClaim, cred(claims{258: 0})),
		c("C112", "OEM id of 4 bytes", "RFC 9711 section 4.2.3", attest.ClassClaim, cred(claims{258: bstr("abcd")})),
		c("C113", "hardware model of 33 bytes", profile, attest.ClassClaim, cred(claims{259: bstr(strings.Repeat("m", 33))})),
		c("C114", "no serial", profile, attest.ClassClaim, credWithout(-70011)),
		c("C115", "storage kind 9", profile, attest.ClassClaim, cred(claims{-70012: storage(9, nil)})),
		c("C116", "TPM storage without a key Name", profile, attest.ClassClaim, cred(claims{-70012: without(storage(1, nil), 7)})),
		c("C117", "software storage with a key Name", profile, attest.ClassClaim, cred(claims{-70012: storage(3, claims{7: bstr("\x00\x0b" + strings.Repeat("n", 32))})})),
		c("C118", "TPM storage without an NV variant", profile, attest.ClassClaim, cred(claims{-70012: without(storage(1, nil), 3)})),
		c("C119", "boot 0", profile, attest.ClassClaim, cred(claims{-70012: storage(3, claims{2: 0})})),
		c("C120", "record id of 15 bytes", profile, attest.ClassClaim, cred(claims{-70012: storage(3, claims{5: bstr(strings.Repeat("r", 15))})})),
		c("C121", "an unknown entry in storage", profile, attest.ClassClaim, cred(claims{-70012: storage(3, claims{99: 1})})),
		c("C122", "client class 4", profile, attest.ClassClaim, cred(claims{-70013: 4})),
		c("C123", "over 720 bytes", profile, attest.ClassOversized, cred(claims{999: strings.Repeat("z", 600)})),
		c("C124", "signed by another key under the manufacturer's id", "RFC 9052 section 4.4", "signature", stranger.bytes()),
		c("C125", "a critical parameter that is absent", "RFC 9052 section 3.1", attest.ClassCritical, absent.bytes()),
	}
}
