package diameterfront_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/attest/imei"
	"imei-attest/attest/tpmprofile"
	"imei-attest/verifier"
	"imei-attest/verifier/diameterfront"
	"imei-attest/verifier/diameterfront/diameter"
	"imei-attest/verifier/policy"
	"imei-attest/verifier/store/sqlite"
)

// Who is known to the verifier of the tests: the honest device of alice, and the reprogrammed one of mallory.
var (
	honest   = attesttest.MustIMEI(attesttest.IMEI1)
	tampered = attesttest.MustIMEI(attesttest.IMEI2)
	stranger = attesttest.MustIMEI(attesttest.OtherIMEI)
	other    = attesttest.MustIMEI("352099001761481") // what the reprogrammed modem answers
)

const (
	alice   = "001010000000001"
	mallory = "001010000000002"
	bob     = "001010000000003"
)

// operator is a verifier with a store on the disk that enforces, and what it was told before the EIR is asked.
type operator struct {
	*verifier.Verifier
	t     testing.TB
	store *brokenStore
	calls int
}

// brokenStore is a store that works until it is told to fail, to hang, or to panic.
type brokenStore struct {
	verifier.Store
	mu      sync.Mutex
	fail    func(context.Context) error
	reached int
}

func (b *brokenStore) breakBy(fail func(context.Context) error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fail, b.reached = fail, 0
}

// Holder implements verifier.Store: each question about an IMEI begins with it.
func (b *brokenStore) Holder(ctx context.Context, id imei.IMEI) (verifier.Holder, error) {
	b.mu.Lock()
	fail := b.fail
	b.reached++
	b.mu.Unlock()
	if fail != nil {
		if err := fail(ctx); err != nil {
			return verifier.Holder{}, err
		}
	}
	return b.Store.Holder(ctx, id)
}

func newOperator(t testing.TB, shipped string) *operator {
	t.Helper()
	kept, err := sqlite.Open(context.Background(), sqlite.Config{Path: filepath.Join(t.TempDir(), "store.db"), Devices: verifier.PseudonymKeys{Current: verifier.PseudonymKey{1}},
		Subscribers: verifier.PseudonymKeys{Current: verifier.PseudonymKey{2}}})
	must(t, err)
	t.Cleanup(func() { must(t, kept.Close()) })
	text, _ := policy.Shipped(shipped)
	rules, _, err := policy.Parse(text, attesttest.Now)
	must(t, err)
	nonces, err := attest.NewNonceKeys(0, make([]byte, 32), nil)
	must(t, err)
	trust := &verifier.Trust{Generation: 1}
	must(t, trust.Keys.Add(&attesttest.OEMKey.PublicKey, &verifier.Anchor{Issuer: attesttest.Credential().Issuer, OEMID: attesttest.Credential().OEMID,
		StorageKinds: []attest.StorageKind{attest.StorageTPMDiscrete}, NVKey: public("nv"), BootKey: public("boot"), BootKeyStandby: public("standby")}))
	o := &operator{t: t, store: &brokenStore{Store: kept}}
	o.Verifier, err = verifier.New(verifier.Config{Store: o.store, Nonces: nonces, Trust: trust, Policy: rules, Pseudonyms: kept.Pseudonyms()})
	must(t, err)
	return o
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func public(name string) *ecdsa.PublicKey { return &attesttest.Key(name).PublicKey }

// registers lets a device register in IMS with evidence; its modem answers what it answers.
func (o *operator) registers(key *ecdsa.PrivateKey, provisioned, answered imei.IMEI, imsi string) {
	o.t.Helper()
	endorsed := attesttest.Credential()
	endorsed.Key, endorsed.Slots = &key.PublicKey, []imei.IMEI{provisioned}
	endorsed.Storage = attest.Storage{Kind: attest.StorageTPMDiscrete, Boot: attest.BootMeasured, NV: attest.NVPlatform, RollbackProtected: true}
	copy(endorsed.Storage.RecordID[:], provisioned.Body())
	binding, err := attest.BindingHash(endorsed.OEMID, endorsed.Slots, endorsed.Storage.RecordID)
	must(o.t, err)
	profile := tpmprofile.Profile{NVKey: public("nv"), BootPrimary: public("boot"), BootStandby: public("standby"), Variant: attest.NVPlatform, Boot: attest.BootMeasured}
	endorsed.Storage.KeyName, err = profile.KeyName(endorsed.Key, binding)
	must(o.t, err)

	o.calls++
	r := &verifier.Registration{InstanceID: provisioned.URN(), IMPI: imsi + "@ims.mnc001.mcc001.3gppnetwork.org", Auth: "AKAv1-MD5", IntegrityProtected: "yes",
		Challenge401: fmt.Sprint("challenge ", o.calls), ChallengeOutstanding: true, CallID: fmt.Sprint(o.calls), Front: verifier.FrontSIP}
	claims := attesttest.Claims()
	claims.Nonce, claims.Provisioned, claims.Observed[0].IMEI = attest.NonceFrom401(r.Challenge401), endorsed.Slots, answered
	if answered != provisioned {
		claims.Measurements[0] = attest.MeasuredDifferent
	}
	token, err := attest.SignEvidence(nil, claims, attesttest.Signer(key), attest.KeyIDOf(&key.PublicKey), attest.Enclosure{Credential: attesttest.SignedCredential(endorsed)})
	must(o.t, err)
	verdict, err := o.Appraise(context.Background(), verifier.Input{Evidence: token, Registration: r, Now: attesttest.Now})
	must(o.t, err)
	if want := attest.StatusAffirming; answered == provisioned && verdict.Status() != want {
		o.t.Fatalf("the honest device is %s: %v", verdict.Status(), verdict.Reasons())
	}
}

// withCustomers is an operator whose honest and reprogrammed customers have registered.
func withCustomers(t testing.TB, shipped string) *operator {
	t.Helper()
	o := newOperator(t, shipped)
	o.registers(attesttest.DeviceKey, honest, honest, alice)
	o.registers(attesttest.Key("reprogrammed"), tampered, other, mallory)
	return o
}

// node is this side in the tests.
var node = diameterfront.Node{Host: "eir.example", Realm: "example", Product: "test"}

const mme = "mme.example"

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}

// front is one that serves on loopback.
type front struct {
	*diameterfront.Server
	t       testing.TB
	address string
	log     *journal
	stop    func()
	told    told
}

// told is what the front's observer heard.
type told struct {
	mu    sync.Mutex
	words []string
}

func (o *told) hear(word string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.words = append(o.words, word)
}

func (o *told) heard() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.words)
}

// journal is a log.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// wait waits until the log has a text.
func (j *journal) wait(t testing.TB, text string) {
	t.Helper()
	for range 500 {
		if strings.Contains(j.String(), text) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("the log has no %q:\n%s", text, j)
}

func serve(t testing.TB, judge diameterfront.Judge, edits ...func(*diameterfront.Config)) *front {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	return serveOn(t, l, judge, edits...)
}

func serveOn(t testing.TB, l net.Listener, judge diameterfront.Judge, edits ...func(*diameterfront.Config)) *front {
	t.Helper()
	return serveAll(t, []net.Listener{l}, judge, edits...)
}

// serveAll serves on several listeners; the address is the first one's.
func serveAll(t testing.TB, listeners []net.Listener, judge diameterfront.Judge, edits ...func(*diameterfront.Config)) *front {
	t.Helper()
	f := &front{t: t, address: listeners[0].Addr().String(), log: &journal{}}
	c := diameterfront.Config{Judge: judge, Node: node, Peers: []diameterfront.Peer{{Host: mme, Addresses: loopback}}, InFlight: 16,
		Now: func() time.Time { return attesttest.Now }, Log: slog.New(slog.NewTextHandler(f.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Observer: diameterfront.Observer{Answered: func(outcome string, _ time.Duration) { f.told.hear(outcome) }, Refused: f.told.hear,
			Upstream: func(ok bool) { f.told.hear(fmt.Sprint("upstream ", ok)) }}}
	for _, edit := range edits {
		edit(&c)
	}
	var err error
	f.Server, err = diameterfront.New(c)
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f.Serve(ctx, listeners...) }()
	var once sync.Once
	f.stop = func() {
		once.Do(func() {
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("serving ended with %v", err)
			}
		})
	}
	t.Cleanup(f.stop)
	return f
}

// caller is a peer's side of a connection.
type caller struct {
	net.Conn
	t testing.TB
}

func (f *front) dial() *caller {
	f.t.Helper()
	conn, err := net.Dial("tcp", f.address)
	must(f.t, err)
	f.t.Cleanup(func() { conn.Close() })
	must(f.t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	return &caller{conn, f.t}
}

// connect is dial with capabilities.
func (f *front) connect() *caller {
	f.t.Helper()
	c := f.dial()
	if m := c.ask(capabilities(mme)); result(m) != 2001 {
		f.t.Fatalf("capabilities are answered with %d", result(m))
	}
	return c
}

func (c *caller) send(bytes []byte) {
	c.t.Helper()
	_, err := c.Write(bytes)
	must(c.t, err)
}

// ask sends and receives.
func (c *caller) ask(bytes []byte) diameter.Message {
	c.t.Helper()
	c.send(bytes)
	return c.receive()
}

func (c *caller) receive() diameter.Message {
	c.t.Helper()
	m, err := receive(c)
	must(c.t, err)
	return m
}

func receive(r io.Reader) (m diameter.Message, err error) {
	bytes := make([]byte, diameter.MaxBytes)
	if _, err := io.ReadFull(r, bytes[:4]); err != nil {
		return m, err
	}
	length, err := diameter.Length(bytes)
	if err != nil {
		return m, err
	}
	if _, err := io.ReadFull(r, bytes[4:length]); err != nil {
		return m, err
	}
	return m, m.Decode(bytes[:length])
}

// isClosed wants nothing more to come.
func (c *caller) isClosed() {
	c.t.Helper()
	if m, err := receive(c); !errors.Is(err, io.EOF) && !strings.Contains(fmt.Sprint(err), "reset") {
		c.t.Errorf("not closed: %+v, %v", m, err)
	}
}

// number is the value of an AVP, or all bits if it is missing.
func number(avps []diameter.AVP, id diameter.ID) uint32 {
	if a := diameter.Find(avps, id); a != nil {
		if n, err := a.Uint32(); err == nil {
			return n
		}
	}
	return 1<<32 - 1
}

func result(m diameter.Message) uint32 { return number(m.AVPs, diameter.ResultCodeAVP) }

// status is the Equipment-Status of an answer, or its Experimental-Result-Code.
func status(m diameter.Message) uint32 {
	if group := diameter.Find(m.AVPs, diameter.ExperimentalResult); group != nil {
		inside, err := group.Group(nil)
		if err == nil && number(inside, diameter.VendorID) == 10415 {
			return number(inside, diameter.ExperimentalCode)
		}
	}
	return number(m.AVPs, diameter.EquipmentStatus)
}

func message(h diameter.Header, parts ...func([]byte) []byte) []byte {
	b := diameter.Begin(nil, h)
	for _, part := range parts {
		b = part(b)
	}
	diameter.End(b, 0)
	return b
}

func text(id diameter.ID, value string) func([]byte) []byte {
	return func(to []byte) []byte { return diameter.AppendText(to, id, value) }
}

func value(id diameter.ID, n uint32) func([]byte) []byte {
	return func(to []byte) []byte { return diameter.AppendUint32(to, id, n) }
}

func group(id diameter.ID, parts ...func([]byte) []byte) func([]byte) []byte {
	return func(to []byte) []byte {
		return diameter.AppendGroup(to, id, func(to []byte) []byte {
			for _, part := range parts {
				to = part(to)
			}
			return to
		})
	}
}

// base is the header of a request of the base protocol.
func base(command uint32) diameter.Header {
	return diameter.Header{Flags: diameter.Request, Command: command, HopByHop: rand.Uint32(), EndToEnd: rand.Uint32()}
}

// capabilities are those of an MME, with more.
func capabilities(host string, more ...func([]byte) []byte) []byte {
	parts := []func([]byte) []byte{text(diameter.OriginHost, host), text(diameter.OriginRealm, "example"), text(diameter.HostIPAddress, "\x00\x01\x7f\x00\x00\x01"),
		value(diameter.VendorID, 0), text(diameter.ProductName, "test"),
		group(diameter.VendorSpecificAppID, value(diameter.VendorID, diameter.Vendor3GPP), value(diameter.AuthApplicationID, diameter.ApplicationS13))}
	return message(base(diameter.CapabilitiesExchange), append(parts, more...)...)
}

// asking is the header of a question.
func asking() diameter.Header {
	h := base(diameter.MEIdentityCheck)
	h.Flags, h.Application = diameter.Request|diameter.Proxiable, diameter.ApplicationS13
	return h
}

// terminal is the Terminal-Information of an IMEI.
func terminal(digits string) func([]byte) []byte {
	return group(diameter.TerminalInformation, text(diameter.IMEI, digits), text(diameter.SoftwareVersion, "01"))
}

// routed are the AVPs of a question but those that it is about.
func routed() []func([]byte) []byte {
	return []func([]byte) []byte{text(diameter.SessionID, "mme.example;1;2"), value(diameter.AuthSessionState, diameter.NoStateMaintained),
		text(diameter.OriginHost, mme), text(diameter.OriginRealm, "example"), text(diameter.DestinationRealm, "example")}
}

// question asks about an IMEI, and a subscriber unless that is "".
func question(digits, imsi string) []byte {
	parts := append(routed(), terminal(digits))
	if imsi != "" {
		parts = append(parts, text(diameter.UserName, imsi))
	}
	return message(asking(), parts...)
}

// diameterfrontInput is a question as the verifier gets it, for what the policy says of one that fails.
func diameterfrontInput() verifier.Input {
	return verifier.Input{Registration: &verifier.Registration{IMEI: honest.Body(), SUPI: "imsi-" + alice, Front: verifier.FrontS13}, Now: attesttest.Now}
}

// nobody judges, where connections are tried alone.
type nobody struct{ diameterfront.Judge }

var silent = slog.New(slog.DiscardHandler)

// waiting is how many questions have reached the store since it was broken.
func (b *brokenStore) waiting() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.reached
}
