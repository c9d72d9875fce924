package verifier_test

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/attest/imei"
	"imei-attest/verifier"
	"imei-attest/verifier/lists"
	"imei-attest/verifier/store"
)

// scene is where a story happens: an operator's verifier with what it trusts, and people with their phones.
type scene struct {
	*lab
	anchor     *verifier.Anchor   // of the manufacturer
	oemKeys    []*ecdsa.PublicKey // the keys it signs Credentials with
	trust      *verifier.Trust    // what the folder says
	policy     *verifier.Policy
	names      *verifier.Pseudonyms       // the keys that all verifiers of the operator share
	list       verifier.List              // nil without one
	weaknesses map[firmware]attest.Reason // of the sample model
	phones     []*phone
	challenges int
	failing    bool // the store does
	strangers  bool // who acts just now is no honest person
	told       []answered
}

// answered is what somebody was told.
type answered struct {
	verifier.Verdict
	toStranger bool
}

func newScene(t testing.TB, p *verifier.Policy) *scene {
	s := &scene{lab: newLab(t), anchor: anchor(), oemKeys: []*ecdsa.PublicKey{&attesttest.OEMKey.PublicKey}, policy: p, names: verifier.RandomPseudonyms(),
		trust: &verifier.Trust{}, weaknesses: make(map[firmware]attest.Reason)}
	s.reopen(time.Time{})
	s.readTrust()
	return s
}

// reopen starts the verifier anew, with the store that the scene has.
func (s *scene) reopen(since time.Time) {
	s.t.Helper()
	var err error
	s.Verifier, err = verifier.New(verifier.Config{Store: s.store, Nonces: s.nonces, Trust: s.trust, Policy: s.policy, List: s.list, Cases: s, Since: since, Pseudonyms: s.names})
	if err != nil {
		s.t.Fatal(err)
	}
}

// readTrust lets the verifier read the trust folder again.
func (s *scene) readTrust() {
	s.t.Helper()
	s.trust = &verifier.Trust{Generation: s.trust.Generation + 1}
	for _, key := range s.oemKeys {
		if err := s.trust.Keys.Add(key, s.anchor); err != nil {
			s.t.Fatal(err)
		}
	}
	s.SetTrust(s.trust)
}

// trusts changes the manufacturer's file in the trust folder.
func (s *scene) trusts(edit func(*verifier.Anchor)) {
	changed := *s.anchor
	edit(&changed)
	s.anchor = &changed
	s.readTrust()
}

// revokes changes what the manufacturer vouches for no longer.
func (s *scene) revokes(edit func(*verifier.Revocations)) {
	s.trusts(func(a *verifier.Anchor) { edit(&a.Revoked) })
}

// rules changes the operator's policy.
func (s *scene) rules(edit func(*verifier.Policy)) {
	changed := *s.policy
	edit(&changed)
	s.policy = &changed
	s.SetPolicy(s.policy)
}

// lists exchanges the operator's list of equipment.
func (s *scene) lists(lines ...string) {
	s.t.Helper()
	s.list = listing(s.t, lines...)
	s.SetList(s.list)
}

// listing is a list with these lines.
func listing(t testing.TB, lines ...string) *lists.List {
	t.Helper()
	l, err := lists.Read(strings.NewReader(strings.Join(append([]string{lists.Header}, lines...), "\n")))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// next is the 14 digits after those of an IMEI.
func next(id imei.IMEI) string {
	n, _ := strconv.ParseUint(id.Body(), 10, 64)
	return fmt.Sprintf("%014d", n+1)
}

// forgets is a restart of a verifier whose store is its memory.
func (s *scene) forgets() {
	s.store = store.NewMemory()
	s.reopen(s.now.Truncate(time.Second).Add(time.Second)) // the next whole second: some of this one is forgotten
	s.passes(time.Second)
}

// atNode goes on at another verifier on the same store, whose clock is ahead by so much.
func (s *scene) atNode(ahead time.Duration) {
	s.now = s.now.Add(ahead)
	s.reopen(time.Time{})
}

// storeFails lets something happen while the verifier's store is down.
func (s *scene) storeFails(meanwhile func()) {
	works := s.store
	s.store, s.failing = &downStore{Memory: works.(*store.Memory), failing: "commit"}, true
	s.reopen(time.Time{})
	meanwhile()
	s.store, s.failing = works, false
	s.reopen(time.Time{})
}

// passes lets time go by; the clocks of the TPMs run on.
func (s *scene) passes(d time.Duration) {
	s.now = s.now.Add(d)
	for _, p := range s.phones {
		if p.tpm != nil {
			p.tpm.Clock += uint64(d.Milliseconds())
		}
	}
}

// firmware is a revision of the modem's firmware on the models of a TAC.
type firmware struct {
	tac      imei.TAC
	revision string
}

// Weakness implements verifier.Cases.
func (s *scene) Weakness(_ context.Context, tac imei.TAC, _, revision string) (attest.Reason, error) {
	return s.weaknesses[firmware{tac, revision}], nil
}

// byStranger lets somebody act who is no honest person.
func (s *scene) byStranger(act func()) {
	s.strangers = true
	act()
	s.strangers = false
}

// present asks the verifier, and sees that the decision explains itself and names nobody.
func (s *scene) present(token []byte, r *verifier.Registration) {
	s.t.Helper()
	in := verifier.Input{Evidence: token, Registration: r, Now: s.now}
	if s.failing {
		verdict, err := s.Appraise(context.Background(), in)
		switch {
		case errors.Is(err, errDown):
			verdict = s.Unjudged(in)
		case err != nil:
			s.t.Fatal(err)
		}
		s.told = append(s.told, answered{verdict, s.strangers})
		return
	}
	verdict := s.decide(in)
	s.told = append(s.told, answered{verdict, s.strangers})
	record, _, err := s.Record(context.Background(), verdict.ID)
	if err != nil {
		s.t.Fatal(err)
	}
	var text strings.Builder
	if err := record.Explain(&text); err != nil {
		s.t.Fatal(err)
	}
	if found := anIdentity.FindString(text.String()); found != "" {
		s.t.Errorf("the explanation names %q:\n%s", found, &text)
	}
	for _, f := range record.Findings() {
		if f.Input == "" || f.Check == "" || f.Clause == "" || f.Sentence == "" {
			s.t.Errorf("a finding without its input: %+v", f)
		}
	}
}

// anIdentity is an IMEI or an IMSI, or anything of a private or public user identity.
var anIdentity = regexp.MustCompile(`\b[0-9]{14,16}\b|\S*@\S*|urn:gsma\S*|imsi-\S*`)

// last is the answer that the story is about.
func (s *scene) last() verifier.Verdict { return s.told[len(s.told)-1].Verdict }

// subscriber is somebody with a SIM, by the IMSI.
type subscriber string

const (
	alice    subscriber = "001010000000017"
	aliceNew subscriber = "001010000000029" // her next SIM
	bob      subscriber = "001010000000038"
	thief    subscriber = "001010000000046"
)

// impi is what the ISIM or the IMSI gives (TS 23.003 clause 13.3).
func (who subscriber) impi() string {
	if who == "" {
		return ""
	}
	return string(who) + "@ims.mnc001.mcc001.3gppnetwork.org"
}

// ims is an initial registration of IMS, with the challenge that its SIM just answered.
func (s *scene) ims(shown imei.IMEI, who subscriber, edits ...func(*verifier.Registration)) *verifier.Registration {
	s.challenges++
	return registering(shown, append([]func(*verifier.Registration){by(who.impi()), func(r *verifier.Registration) {
		r.Auth, r.IntegrityProtected = "AKAv1-MD5", "yes"
		r.Challenge401, r.ChallengeOutstanding = fmt.Sprintf("%s %d", text401, s.challenges), true
	}}, edits...)...)
}

// unchallenged: the network did not authenticate the SIM for this request.
func unchallenged(r *verifier.Registration) { r.Challenge401, r.ChallengeOutstanding = "", false }

// phone is a device: what its manufacturer made it, and what became of it.
type phone struct {
	s          *scene
	key        *ecdsa.PrivateKey
	credential attest.Credential
	carried    []byte // the Credential as it goes beside a token
	modem      []attest.Observed
	shows      imei.IMEI            // to the network
	firmware   string               // of the modem
	tpm        *attest.CounterProof // what a TPM proves of itself; nil for a phone of profile A
	claims     []func(*attest.Claims)
}

// phone is made by the manufacturer, as the edits say, in order but for them: a discrete TPM, id1, and a modem that tells it.
func (s *scene) phone(edits ...func(*attest.Credential)) *phone {
	return s.phoneOf(attesttest.DeviceKey, edits...)
}

// another has a key of its own.
func (s *scene) another(name string, edits ...func(*attest.Credential)) *phone {
	return s.phoneOf(attesttest.Key(name), edits...)
}

func (s *scene) phoneOf(key *ecdsa.PrivateKey, edits ...func(*attest.Credential)) *phone {
	p := &phone{s: s, key: key}
	p.endorse(edits...)
	p.shows = p.credential.Slots[0]
	for _, id := range p.credential.Slots {
		p.modem = append(p.modem, says(id))
	}
	s.phones = append(s.phones, p)
	return p
}

// endorse gives the phone a Credential.
func (p *phone) endorse(edits ...func(*attest.Credential)) {
	p.credential = endorsed(append([]func(*attest.Credential){func(c *attest.Credential) { c.Key = &p.key.PublicKey }}, edits...)...)
	p.carried = attesttest.SignedCredential(p.credential)
}

// proving lets the phone's TPM prove its counter (profile B).
func (p *phone) proving() *phone {
	proof := attesttest.Proof()
	p.tpm = &proof
	return p
}

// copied is the phone once more: same key, same state of the TPM.
func (p *phone) copied() *phone {
	twin := *p
	if p.tpm != nil {
		state := *p.tpm
		twin.tpm = &state
	}
	p.s.phones = append(p.s.phones, &twin)
	return &twin
}

// tells changes what the modem answers, slot by slot.
func (p *phone) tells(answers ...attest.Observed) *phone {
	p.modem = answers
	return p
}

// showing changes the IMEI that the network is shown.
func (p *phone) showing(id imei.IMEI) *phone {
	p.shows = id
	return p
}

// claiming changes what the agent claims.
func (p *phone) claiming(edits ...func(*attest.Claims)) *phone {
	p.claims = append(p.claims, edits...)
	return p
}

// running changes the firmware of the modem.
func (p *phone) running(revision string) *phone {
	p.firmware = revision
	return p
}

// token answers a nonce.
func (p *phone) token(n attest.Nonce) []byte {
	c := attesttest.Claims()
	c.IssuedAt, c.Nonce, c.Modem.Revision = p.s.now.Truncate(time.Second), n, p.firmware
	provisioned(p.credential.Slots...)(&c)
	modem(p.modem...)(&c)
	for _, edit := range p.claims {
		edit(&c)
	}
	with := attest.Enclosure{Credential: p.carried}
	if p.tpm != nil {
		p.tpm.Counter++
		with.Prove = attesttest.Prove(p.key, p.credential, *p.tpm)
	}
	raw, err := attest.SignEvidence(nil, c, attesttest.Signer(p.key), attest.KeyIDOf(&p.key.PublicKey), with)
	if err != nil {
		p.s.t.Fatal(err)
	}
	return raw
}

// answering answers the challenge of a registration.
func (p *phone) answering(r *verifier.Registration) []byte {
	return p.token(attest.NonceFrom401(r.Challenge401))
}

// registers with IMS; the evidence answers the challenge that the SIM answers.
func (p *phone) registers(who subscriber, edits ...func(*verifier.Registration)) {
	p.s.t.Helper()
	r := p.s.ims(p.shows, who, edits...)
	p.s.present(p.answering(r), r)
}

// registersBeside registers with evidence that answers a nonce of the verifier, not the challenge of the SIM.
func (p *phone) registersBeside(who subscriber, edits ...func(*verifier.Registration)) {
	p.s.t.Helper()
	p.s.present(p.token(p.s.mint()), p.s.ims(p.shows, who, append(edits, unchallenged)...))
}

// registersMute registers without evidence.
func (p *phone) registersMute(who subscriber, edits ...func(*verifier.Registration)) {
	p.s.t.Helper()
	p.s.present(nil, p.s.ims(p.shows, who, edits...))
}

// reregisters without a challenge, and so without evidence.
func (p *phone) reregisters(who subscriber, edits ...func(*verifier.Registration)) {
	p.s.t.Helper()
	p.registersMute(who, append(edits, unchallenged, again)...)
}

// attests to the verifier, and no registration is judged.
func (p *phone) attests() {
	p.s.t.Helper()
	p.s.present(p.token(p.s.mint()), nil)
}

// eir is a question of a 5G-EIR: no token can come with it (TS 29.511 clause 5.2.2).
func (p *phone) eir(who subscriber) *verifier.Registration {
	r := &verifier.Registration{PEI: "imei-" + p.shows.Digits(), Front: verifier.Front5GEIR, Initial: new(bool)}
	if who != "" {
		r.SUPI = "imsi-" + string(who)
	}
	return r
}

// mme is the same question by S13 (TS 29.272 clause 6.2).
func (p *phone) mme(who subscriber) *verifier.Registration {
	r := p.eir(who)
	r.PEI, r.IMEI, r.Front = "", p.shows.Digits(), verifier.FrontS13
	return r
}

// everywhere is a phone that is switched on: it comes into the network, then into IMS, and an EIR is asked once more.
func (s *scene) everywhere(p *phone, who subscriber) {
	s.t.Helper()
	s.present(nil, p.eir(who))
	s.passes(time.Second)
	p.registers(who)
	s.passes(time.Second)
	s.present(nil, p.eir(who))
	p.reregisters(who)
}

// byPassword: the network authenticated by one, and not the USIM.
func byPassword(r *verifier.Registration) { r.Auth, r.IntegrityProtected = "MD5", "no" }

// serial is of a Credential: a higher one supersedes.
func serial(n uint64) func(*attest.Credential) { return func(c *attest.Credential) { c.Serial = n } }

// flagged is an answer of the modem with a remark.
func flagged(id imei.IMEI, flags attest.ReadingFlags) attest.Observed {
	return attest.Observed{IMEI: id, Flags: flags}
}

// names lets the agent name the subscribers whose SIMs are in the slots.
func names(who ...subscriber) func(*attest.Claims) {
	return func(c *attest.Claims) {
		for slot, imsi := range who {
			c.Observed[slot].Subscriber = attest.SubscriberHash(c.Nonce, string(imsi))
		}
	}
}

// with puts SIMs into the slots; the agent names their subscribers from then on.
func (p *phone) with(who ...subscriber) *phone {
	p.claims = []func(*attest.Claims){names(who...)}
	return p
}

// bobs is an IMEI of another phone of the same model.
var bobs = must14("49015420518837")

// fromMSC makes an MSC server of the sender, that the policy names.
func fromMSC(s *scene) func(*verifier.Registration) {
	const msc = "msc.home.example"
	s.rules(func(p *verifier.Policy) { p.MSCServers = map[string]bool{msc: true} })
	return func(r *verifier.Registration) { r.Sender = msc }
}

// revisions of the modem's firmware on the sample model.
func revisions(from, to string) []verifier.FirmwareRange {
	return []verifier.FirmwareRange{{TACs: verifier.TACRange{First: id1.TAC(), Last: id1.TAC()}, From: from, To: to}}
}
