package verifier_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/attest/imei"
	"imei-attest/testbench/peertest"
	"imei-attest/testbench/registrar"
	"imei-attest/verifier"
	"imei-attest/verifier/ear"
	"imei-attest/verifier/httpapi"
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

// TestClients registers each client in a home network, and compares the table with that of the README. Its rows are those of the HTTP front; with
// Kamailio as S-CSCF and the SIP application server they are the same.
func TestClients(t *testing.T) {
	rows := [][]string{{"client", "authenticates by", "evidence", "status", "tier", "reasons", "enforce does", "why"}}
	for _, c := range clients {
		t.Run(c.title, func(t *testing.T) {
			v := c.register(t, newHTTPHome)
			rows = append(rows, c.row(t, v))
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

// imsHome is a home network before the scene's verifier.
type imsHome struct {
	proxy   string // host:port
	network string // udp or tcp
}

// register lets the client register in a home network of its own, and returns what the verifier made of it.
func (c client) register(t *testing.T, open func(*scene, registrar.Subscriber) imsHome) verifier.Verdict {
	t.Helper()
	s := newScene(t, enforced())
	p := c.phone(s)
	who := registrar.NewSubscriber(string(alice))
	who.ByPassword = c.byPassword
	home := open(s, who)
	shown := p.shows
	if c.lies {
		shown = bobs
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ue, err := registrar.NewUE(ctx, home.network, home.proxy, who, registrar.InstanceID(shown), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ue.Close()
	ue.Claims = c.claims
	challenge, err := ue.Start(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var body registrar.Body
	if c.token != nil {
		body = registrar.Body{Type: attest.EvidenceMediaType, Content: c.token(p, challenge)}
	}
	before := len(s.records())
	if _, err := ue.Register(ctx, challenge, body); err != nil {
		t.Fatal(err)
	}
	for ctx.Err() == nil { // an application server is told after the UE has its answer
		if all := s.records(); len(all) > before {
			return all[len(all)-1]
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("the verifier was not asked")
	return verifier.Verdict{}
}

// records are the verdicts so far, in the order of their making.
func (s *scene) records() (all []verifier.Verdict) {
	s.t.Helper()
	err := s.Records(context.Background(), time.Time{}, func(r *verifier.Record) bool {
		all = append(all, r.Verdict)
		return true
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return all
}

// newHTTPHome asks POST /v1/registrations/check, as a proxy would.
func newHTTPHome(s *scene, who registrar.Subscriber) imsHome {
	s.t.Helper()
	results, err := ear.NewSigner(attesttest.Key("results"), "test")
	if err != nil {
		s.t.Fatal(err)
	}
	handler, err := httpapi.New(httpapi.Config{Verifier: s.Verifier, Results: results, Identify: httpapi.Anybody(httpapi.RoleNetwork), Rand: s.random,
		Now: func() time.Time { return s.now }, Log: slog.New(slog.DiscardHandler), Version: "test"})
	if err != nil {
		s.t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	s.t.Cleanup(server.Close)
	standIn, err := registrar.StartStandIn(s.t.Context(), []registrar.Subscriber{who}, func(_ context.Context, message []byte, known registrar.Facts) (int, error) {
		return checkRegistration(server.URL, message, known)
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { standIn.Close() })
	return imsHome{standIn.Addr, "udp"}
}

func checkRegistration(url string, message []byte, known registrar.Facts) (int, error) {
	question, err := json.Marshal(map[string]any{"message": message, "registration": verifier.Registration{Auth: known.Algorithm,
		IntegrityProtected: known.Protected, ChallengeOutstanding: known.Outstanding, Initial: &known.Initial, Sender: "pcscf-1"}})
	if err != nil {
		return 0, err
	}
	response, err := http.Post(url+"/v1/registrations/check", "application/json", bytes.NewReader(question))
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("%s %s: %w", response.Status, raw, err)
	}
	var answer struct {
		Code int `json:"sip_code"`
	}
	err = json.Unmarshal(raw, &answer)
	return answer.Code, err
}
