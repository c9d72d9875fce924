package verifier_test

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"encoding/json"
	"io"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/attest/imei"
	"imei-attest/attest/tpmprofile"
	"imei-attest/verifier"
	"imei-attest/verifier/store"
)

// The sample device has id1, or id1 and id2; the stranger's is nobody's here.
var (
	id1      = attesttest.MustIMEI(attesttest.IMEI1)
	id2      = attesttest.MustIMEI(attesttest.IMEI2)
	stranger = attesttest.MustIMEI(attesttest.OtherIMEI)
)

// good is what a device in order has beside what its IMEI says: a TPM and an approved boot.
const good = " hardware-vault boot-approved"

// lab is a manufacturer and a verifier that trusts it, at one moment.
type lab struct {
	*verifier.Verifier
	t      testing.TB
	store  verifier.Store
	nonces *attest.NonceKeys
	random io.Reader
	now    time.Time
}

func newLab(t testing.TB) *lab {
	t.Helper()
	l := &lab{t: t, store: store.NewMemory(), random: rand.NewChaCha8([32]byte{}), now: attesttest.Now}
	var err error
	if l.nonces, err = attest.NewNonceKeys(0, make([]byte, 32), nil); err != nil {
		t.Fatal(err)
	}
	if l.Verifier, err = verifier.New(verifier.Config{Store: l.store, Nonces: l.nonces, Trust: trusting(anchor())}); err != nil {
		t.Fatal(err)
	}
	return l
}

// anchor may vouch for everything that the samples say.
func anchor() *verifier.Anchor {
	return &verifier.Anchor{
		Issuer: attesttest.Credential().Issuer, OEMID: attesttest.Credential().OEMID,
		TACs: []verifier.TACRange{{First: id1.TAC(), Last: id1.TAC()}, {First: id2.TAC(), Last: id2.TAC()}},
		StorageKinds: []attest.StorageKind{attest.StorageTPMDiscrete, attest.StorageTPMFirmware, attest.StorageSoftware,
			attest.StorageOther},
		NVKey: public("nv"), BootKey: public("boot"), BootKeyStandby: public("standby"),
	}
}

func public(name string) *ecdsa.PublicKey { return &attesttest.Key(name).PublicKey }

func trusting(a *verifier.Anchor) *verifier.Trust {
	t := &verifier.Trust{Generation: 1}
	if err := t.Keys.Add(&attesttest.OEMKey.PublicKey, a); err != nil {
		panic(err)
	}
	return t
}

// endorsed is a Credential of a device with a discrete TPM and measured boot, changed as the edits say. The Name of its
// key is right for what it says then, and only a TPM is protected against rollback.
func endorsed(edits ...func(*attest.Credential)) attest.Credential {
	c := attesttest.Credential()
	c.Storage.Kind, c.Storage.Boot, c.Storage.NV = attest.StorageTPMDiscrete, attest.BootMeasured, attest.NVPlatform
	c.Storage.RollbackProtected = true
	for _, edit := range edits {
		edit(&c)
	}
	if !c.Storage.Kind.IsTPM() {
		c.Storage.NV, c.Storage.RollbackProtected = 0, false
		return c
	}
	binding, err := attest.BindingHash(c.OEMID, c.Slots, c.Storage.RecordID)
	if err != nil {
		panic(err)
	}
	profile := tpmprofile.Profile{NVKey: public("nv"), BootPrimary: public("boot"), BootStandby: public("standby"),
		Variant: c.Storage.NV, Boot: c.Storage.Boot}
	if c.Storage.KeyName, err = profile.KeyName(c.Key, binding); err != nil {
		panic(err)
	}
	return c
}

func kind(k attest.StorageKind) func(*attest.Credential) {
	return func(c *attest.Credential) { c.Storage.Kind = k }
}

// unprotected storage may have been set back, unless a proof shows that it was not.
func unprotected(c *attest.Credential) { c.Storage.RollbackProtected = false }

func slots(ids ...imei.IMEI) func(*attest.Credential) {
	return func(c *attest.Credential) { c.Slots = ids }
}

// credential is an endorsed one, signed.
func credential(edits ...func(*attest.Credential)) []byte {
	return attesttest.SignedCredential(endorsed(edits...))
}

// modem makes claims of what a modem answers for slots in order, with the agent's honest comparison.
func modem(answers ...attest.Observed) func(*attest.Claims) {
	return func(c *attest.Claims) {
		c.Observed, c.Measurements = nil, nil
		for i, o := range answers {
			o.Slot = i + 1
			c.Observed = append(c.Observed, o)
			switch {
			case i >= len(c.Provisioned):
				c.Measurements = append(c.Measurements, attest.MeasuredNoRef)
			case o.IMEI.IsZero():
				c.Measurements = append(c.Measurements, attest.MeasuredNotRun)
			case o.IMEI == c.Provisioned[i]:
				c.Measurements = append(c.Measurements, attest.MeasuredEqual)
			default:
				c.Measurements = append(c.Measurements, attest.MeasuredDifferent)
			}
		}
	}
}

func says(id imei.IMEI) attest.Observed       { return attest.Observed{IMEI: id} }
func saysText(text string) attest.Observed    { return attest.Observed{Text: text} }
func saysNothing(word string) attest.Observed { return attest.Observed{Error: word} }

// mint makes a nonce of the verifier under test.
func (l *lab) mint() attest.Nonce {
	l.t.Helper()
	n, _, err := l.MintNonce(l.random, l.now, attest.DefaultNonceBytes)
	if err != nil {
		l.t.Fatal(err)
	}
	return n
}

// token answers a nonce of the verifier, honestly but for the edits; carried may be nil.
func (l *lab) token(carried []byte, edits ...func(*attest.Claims)) []byte {
	return answering(l.mint(), carried, edits...)
}

func answering(n attest.Nonce, carried []byte, edits ...func(*attest.Claims)) []byte {
	c := attesttest.Claims()
	c.Nonce = n
	for _, edit := range edits {
		edit(&c)
	}
	return attesttest.Token(c, carried)
}

// registering is an initial registration that shows an IMEI in its instance-id.
func registering(id imei.IMEI, edits ...func(*verifier.Registration)) *verifier.Registration {
	r := &verifier.Registration{InstanceID: "<" + id.URN() + ">", Front: verifier.FrontSIP, CallID: "a84b4c76e66710"}
	both(edits...)(r)
	return r
}

// both applies all edits in order.
func both(edits ...func(*verifier.Registration)) func(*verifier.Registration) {
	return func(r *verifier.Registration) {
		for _, edit := range edits {
			edit(r)
		}
	}
}

func by(impi string) func(*verifier.Registration) {
	return func(r *verifier.Registration) { r.IMPI = impi }
}

// again is a re-registration, over the security association of the first.
func again(r *verifier.Registration) {
	r.Initial, r.Auth, r.IntegrityProtected = new(bool), cmp.Or(r.Auth, "AKAv1-MD5"), cmp.Or(r.IntegrityProtected, "yes")
}

// calling is a registration of another binding.
func calling(id string) func(*verifier.Registration) {
	return func(r *verifier.Registration) { r.CallID = id }
}

func fromDevice(r *verifier.Registration) { r.Front = verifier.FrontDevice }

func (l *lab) appraise(token []byte, r *verifier.Registration) attest.Result {
	l.t.Helper()
	return l.ask(verifier.Input{Evidence: token, Registration: r, Now: l.now})
}

func (l *lab) ask(in verifier.Input) attest.Result {
	l.t.Helper()
	return l.decide(in).Result
}

// decide judges, and judges again from what was recorded: each test of the appraisal is one of the replay, too.
func (l *lab) decide(in verifier.Input) verifier.Verdict {
	l.t.Helper()
	verdict, err := l.Appraise(context.Background(), in)
	if err != nil {
		l.t.Fatal(err)
	}
	l.replay(verdict.ID)
	return verdict
}

// replay makes a recorded decision again, after it went through JSON.
func (l *lab) replay(id verifier.DecisionID) {
	l.t.Helper()
	kept, found, err := l.Record(context.Background(), id)
	if err != nil || !found {
		l.t.Fatalf("decision %s: found %v, %v", id, found, err)
	}
	text, err := json.Marshal(kept)
	if err != nil {
		l.t.Fatal(err)
	}
	var r verifier.Record
	if err := json.Unmarshal(text, &r); err != nil {
		l.t.Fatal(err)
	}
	if err := r.Replay(); err != nil {
		l.t.Error(err)
	}
	for _, identity := range []string{id1.Body()[8:], id2.Body()[8:], stranger.Body()[8:], bobs.Body()[8:], "alice", "mallory", string(alice), string(bob), string(thief)} {
		if strings.Contains(randomText.ReplaceAllString(string(text), ""), identity) {
			l.t.Errorf("the record names %s: %s", identity, text)
		}
	}
}

// randomText is what holds any digits by chance: identifiers, keys, digests, and nonces in base64.
var randomText = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{32,}|"nonce":"[^"]*"`)

func (l *lab) judge(token []byte, r *verifier.Registration) string {
	l.t.Helper()
	return summary(l.appraise(token, r))
}

// summary writes a whole result in one line: "slot1 STATUS: REASON REASON | registration STATUS: REASON".
func summary(r attest.Result) string {
	var parts []string
	for _, s := range r.Submods {
		text := s.Name + " " + s.Status.String() + ":"
		for _, reason := range s.Reasons {
			text += " " + string(reason)
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, " | ")
}

// row is one line of a table about a single question to a verifier that knows nobody yet.
type row struct {
	name         string
	credential   []byte // nil for the usual one
	claims       []func(*attest.Claims)
	registration *verifier.Registration
	want         string
}

func (r row) run(t *testing.T) {
	l := newLab(t)
	carried := r.credential
	if carried == nil {
		carried = credential()
	}
	if got := l.judge(l.token(carried, r.claims...), r.registration); got != r.want {
		t.Errorf("\n got %s\nwant %s", got, r.want)
	}
}

func claims(edits ...func(*attest.Claims)) []func(*attest.Claims) { return edits }

func provisioned(ids ...imei.IMEI) func(*attest.Claims) {
	return func(c *attest.Claims) { c.Provisioned = ids }
}

func runRows(t *testing.T, rows []row) {
	for _, r := range rows {
		t.Run(r.name, r.run)
	}
}
