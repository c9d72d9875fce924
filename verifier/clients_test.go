package verifier_test

import (
	"cmp"
	"fmt"
	"strings"
	"testing"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/attest/imei"
	"imei-attest/testbench/peertest"
	"imei-attest/testbench/registrar"
	"imei-attest/verifier"
)

// client registers with IMS: one of the three classes of the 3GPP discussion paper, or a phone whose UICC vouches for it.
type client struct {
	title, authentication, evidence string

	byPassword bool   // it reaches no USIM
	claims     string // the algorithm that it says it was challenged by
	lies       bool   // it shows another phone's IMEI
	phone      func(*scene) *phone
	token      func(*phone, *registrar.Challenge) []byte // nil for none
	want       string                                    // the result, whole
	tier       attest.Tier
	why        string
}

// How a client comes by evidence.
var (
	fromSession = func(p *phone, _ *registrar.Challenge) []byte { return p.token(p.s.mint()) }
	fromTheUE   = func(p *phone, c *registrar.Challenge) []byte { return p.token(attest.NonceFrom401(c.Nonce)) }
)

const (
	byAKA     = "AKA"
	byDigest  = "password"
	forThe401 = "for the 401"
	forANonce = "for a nonce of the verifier"
)

// ofClass is a phone in order that the manufacturer shipped with a client of the class, and that has attested by itself before.
func ofClass(class uint8) func(*scene) *phone {
	return func(s *scene) *phone {
		p := s.phone(func(c *attest.Credential) { c.ClientClass = class })
		p.attests()
		return p
	}
}

// vouched is a phone without a token of its manufacturer, whose UICC vouches for the IMEI: a UICC has it from the phone alone, which answers
// PROVIDE LOCAL INFORMATION as it likes (TS 31.111 clause 6.4.15).
func vouched(told imei.IMEI, trusted bool) func(*scene) *phone {
	return func(s *scene) *phone {
		issuer := attesttest.Key("uicc issuer")
		p := s.another("uicc", kind(attest.StorageOther), slots(told), func(c *attest.Credential) {
			c.Issuer = "tag:operator.example,2026:uicc"
		})
		p.carried = issued(p.credential, issuer, attest.KeyIDOf(&issuer.PublicKey))
		if trusted {
			anchor := &verifier.Anchor{Issuer: p.credential.Issuer, OEMID: p.credential.OEMID, StorageKinds: []attest.StorageKind{attest.StorageOther},
				TACs: []verifier.TACRange{{First: told.TAC(), Last: told.TAC()}}}
			if err := s.trust.Keys.Add(&issuer.PublicKey, anchor); err != nil {
				s.t.Fatal(err)
			}
			s.SetTrust(s.trust)
		}
		return p
	}
}

// What is found of the UICC's evidence: the same of a phone that told it the truth and of one that lied.
const (
	uiccUnknown = "slot1 warning: key-unknown | registration none:"
	uiccTrusted = "slot1 warning: imei-consistent software-vault rollback-unknown | " + boundReg
)

var clients = []client{
	{title: "2.1: an app with an IMS stack of its own", authentication: byDigest, evidence: "none", byPassword: true, phone: ofClass(3),
		want: "registration warning: evidence-missing", why: "its IMEI is a text that it wrote; the phone that has it can attest"},
	{title: "2.1: the same, with a token of the phone", authentication: byDigest, evidence: forANonce, byPassword: true, phone: ofClass(3), token: fromSession,
		want: device + warnedReg + " subscriber-unbound" + t1, tier: attest.T1, why: "the token is of this phone, and nothing ties the app to it"},
	{title: "2.1: the same, and the phone answers its 401", authentication: byDigest, evidence: forThe401, byPassword: true, phone: ofClass(3), token: fromTheUE,
		want: device + warnedReg + " subscriber-unbound" + t1, tier: attest.T1, why: "a password may be known anywhere"},
	{title: "2.1: the same, and it calls its password AKA", authentication: byDigest, evidence: forThe401, byPassword: true, claims: "AKAv1-MD5", phone: ofClass(3), token: fromTheUE,
		want: device + warnedReg + " subscriber-unbound" + t1, tier: attest.T1, why: "how it authenticated is for the network to say"},
	{title: "2.1: an app that shows another phone's IMEI", authentication: byDigest, evidence: forANonce, byPassword: true, lies: true, phone: ofClass(3), token: fromSession,
		want: device + "registration contraindicated: registration-spoofed subscriber-unbound" + t1, tier: attest.T1, why: "the token names the phone that signed it"},
	{title: "2.2: an app over the phone's registration function", authentication: byAKA, evidence: forThe401, phone: ofClass(2), token: fromTheUE,
		want: device + "registration affirming: imei-consistent subscriber-bound", tier: attest.T2, why: "the phone registers: its token answers the challenge that its USIM answered"},
	{title: "2.3: the phone's own client", authentication: byAKA, evidence: forThe401, phone: ofClass(3), token: fromTheUE,
		want: device + "registration affirming: imei-consistent subscriber-bound", tier: attest.T3, why: "the same, and the manufacturer says that no other code registers"},
	{title: "2.3: the same, where the instance-id was changed", authentication: byAKA, evidence: forThe401, lies: true, phone: ofClass(3), token: fromTheUE,
		want: device + "registration contraindicated: registration-spoofed subscriber-bound", tier: attest.T3, why: "the token names the phone that signed it"},
	{title: "a UICC vouches for the IMEI of its phone", authentication: byAKA, evidence: forThe401, phone: vouched(id1, false), token: fromTheUE,
		want: uiccUnknown, why: "who issues UICCs did not make the phone"},
	{title: "a UICC vouches, and its phone told it another phone's IMEI", authentication: byAKA, evidence: forThe401, phone: vouched(bobs, false), token: fromTheUE,
		want: uiccUnknown, why: "the answer is that for the truth"},
	{title: "a UICC vouches, and its issuer is trusted as a manufacturer", authentication: byAKA, evidence: forThe401, phone: vouched(id1, true), token: fromTheUE,
		want: uiccTrusted, tier: attest.T3, why: "provisioned, read and shown are one thing here: what the phone told"},
	{title: "the same, and its phone told it another phone's IMEI", authentication: byAKA, evidence: forThe401, phone: vouched(bobs, true), token: fromTheUE,
		want: uiccTrusted, tier: attest.T3, why: "the answer is that for the truth: it proves nothing of the IMEI"},
}

// TestClients registers each client in a home network that asks over HTTP, and compares the table with that of the README.
func TestClients(t *testing.T) {
	rows := [][]string{{"client", "authenticates by", "evidence", "status", "tier", "reasons", "enforce does", "why"}}
	for _, c := range clients {
		t.Run(c.title, func(t *testing.T) {
			rows = append(rows, c.row(t, c.register(t, newHTTPHome).verdict))
		})
	}
	if len(rows) < len(clients)+1 {
		return // not all were asked for
	}
	compareREADME(t, "clients", markdown(rows))
	var text strings.Builder
	fmt.Fprintf(&text, "\nClients of IMS, before the verifier: %d\n", len(clients))
	align(&text, rows)
	peertest.Show(t, text.String())
}

func (c client) row(t *testing.T, v verifier.Verdict) []string {
	t.Helper()
	if got := summary(v.Result); got != c.want || v.Tier != c.tier {
		t.Errorf("\n got %s, tier %s\nwant %s, tier %s", got, v.Tier, c.want, c.tier)
	}
	return []string{c.title, c.authentication, c.evidence, v.Status().String(), v.Tier.String(), cmp.Or(reasonsOf(v), "-"), v.Answer.Action, c.why}
}

// TestClientsAtSCSCF registers each client at Kamailio as S-CSCF, with the gate in it, and with the SIP application server behind it: the rows are
// the same.
func TestClientsAtSCSCF(t *testing.T) {
	for _, at := range []struct {
		name string
		new  func(*testing.T) func(*scene) imsHome
	}{{"the gate in it", newGate}, {"the SIP application server behind it", newSCSCF}} {
		t.Run(at.name, func(t *testing.T) {
			peertest.Use(t, kamailio, "S-CSCF, "+at.name+": the clients of verifier/README.md get the same")
			open := at.new(t)
			for _, c := range clients {
				t.Run(c.title, func(t *testing.T) { c.row(t, c.register(t, open).verdict) })
			}
		})
	}
}

// register registers the client in a home network of its own.
func (c client) register(t *testing.T, open func(*scene) imsHome) registered {
	t.Helper()
	s := newScene(t, enforced())
	return s.registers(open(s), ueOf{phone: c.phone(s), byPassword: c.byPassword, claims: c.claims, lies: c.lies, token: c.token})
}
