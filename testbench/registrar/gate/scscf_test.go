package gate

import (
	"context"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"imei-attest/attest"
	"imei-attest/testbench/peertest"
	"imei-attest/testbench/registrar"
	"imei-attest/verifier/bench"
)

// core is an S-CSCF with the gate, its HSS and its verifier.
type core struct {
	*service
	*proxy
	crowd *bench.Crowd
	// foreign is the instance-id of a device that takes no part.
	foreign string
	// vectors is how often the HSS was asked for authentication vectors.
	vectors *atomic.Int32
}

func newCore(t *testing.T, devices int) *core {
	t.Helper()
	crowd := newCrowd(t)
	s := newService(t, crowd, "enforce", withoutBreaker)
	s.enroll(crowd, devices)
	var subscribers []registrar.Subscriber
	for i := range devices {
		sub := registrar.NewSubscriber(imsi(t, crowd, i))
		sub.ByPassword = i%2 == 1
		subscribers = append(subscribers, sub)
	}
	as, err := net.ListenPacket("udp", "127.0.0.1:0") // hears the third-party REGISTER, and no more
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { as.Close() })
	vectors := new(atomic.Int32)
	hss, err := registrar.StartHSS(t.Context(), subscribers, "sip:"+as.LocalAddr().String(), func(s registrar.Step) {
		if strings.HasPrefix(s.What, "MAR") {
			vectors.Add(1)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { hss.Close() })
	_, hssPort, _ := net.SplitHostPort(hss.Addr)
	text, err := os.ReadFile("testdata/cdp.xml")
	if err != nil {
		t.Fatal(err)
	}
	_, cdpPort, _ := net.SplitHostPort(freeAddress(t))
	s.write("cdp.xml", []byte(strings.NewReplacer("HSS_PORT", hssPort, "CDP_PORT", cdpPort).Replace(string(text))))
	p := newProxyOf(t, "scscf.cfg", gated(s.address, settings{"CDP_FILE": s.folder + "/cdp.xml", "IMEI_GATE_SENDER": "scscf-1", "IMEI_GATE_HEADER": "P-IMEI-Label"}))
	c := &core{service: s, proxy: p, crowd: crowd, vectors: vectors}
	foreign, _ := c.shown(t, devices, nil)
	c.foreign = "<" + foreign + ">"
	await(t, "the HSS", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		u, err := registrar.NewUE(ctx, "tcp", p.address, subscribers[0], "", nil)
		if err != nil {
			return false
		}
		defer u.Close()
		_, err = u.Start(ctx)
		return err == nil
	}, p.log.String)
	return c
}

func imsi(t *testing.T, crowd *bench.Crowd, number int) string {
	shown, err := crowd.Show(number, make(attest.Nonce, attest.DefaultNonceBytes), false)
	if err != nil {
		t.Fatal(err)
	}
	digits, _, _ := strings.Cut(shown.IMPI, "@")
	return digits
}

// ue is the UE of a device; a device of an odd number knows a password and reaches no USIM.
func (c *core) ue(t *testing.T, network string, number int, instance string) *registrar.UE {
	t.Helper()
	sub := registrar.NewSubscriber(imsi(t, c.crowd, number))
	sub.ByPassword = number%2 == 1
	u, err := registrar.NewUE(t.Context(), network, c.proxy.address, sub, "<"+instance+">", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { u.Close() })
	return u
}

func (c *core) challenge(t *testing.T, u *registrar.UE) *registrar.Challenge {
	t.Helper()
	challenge, err := u.Start(t.Context())
	if err != nil {
		t.Fatalf("%v\n%s", err, c.proxy.log.String())
	}
	return challenge
}

// shown is what a device shows for a challenge.
func (c *core) shown(t *testing.T, number int, challenge *registrar.Challenge) (instance string, body registrar.Body) {
	t.Helper()
	nonce := make(attest.Nonce, attest.DefaultNonceBytes)
	if challenge != nil {
		nonce = attest.NonceFrom401(challenge.Nonce)
	}
	shown, err := c.crowd.Show(number, nonce, false)
	if err != nil {
		t.Fatal(err)
	}
	return shown.InstanceID, registrar.Body{Type: "application/eat+cwt", Content: shown.Token}
}

// reasons are how often the verifier found what tells registrations apart.
func (c *core) reasons() map[string]int {
	found := make(map[string]int)
	for _, reason := range []string{"subscriber-bound", "client-unverified", "registration-spoofed", "evidence-missing", "stale"} {
		if n := c.count("imeiatt_reasons_total", `"`+reason+`"`); n > 0 {
			found[reason] = n
		}
	}
	return found
}

// viaSCSCF is a first registration at the S-CSCF, what it gets, and what the verifier finds that tells it from others.
type viaSCSCF struct {
	name    string
	number  int // of the device; odd: by password
	change  func(c *core, u *registrar.UE, body *registrar.Body)
	code    int
	reasons map[string]int
}

func foreignIMEI(c *core, u *registrar.UE, _ *registrar.Body) { u.InstanceID = c.foreign }
func noToken(_ *core, _ *registrar.UE, body *registrar.Body)  { *body = registrar.Body{} }

var viaSCSCFs = []viaSCSCF{
	{"AKA and a token for its challenge", 0, nil, 200, map[string]int{"subscriber-bound": 1}},
	{"AKA and another's IMEI", 2, foreignIMEI, 403, map[string]int{"subscriber-bound": 1, "registration-spoofed": 1}},
	{"AKA and no token", 4, noToken, 401, map[string]int{"evidence-missing": 1}},
	{"a password and a token for its challenge", 1, nil, 200, map[string]int{"client-unverified": 1}},
	{"a password that calls itself AKA", 3, func(_ *core, u *registrar.UE, _ *registrar.Body) { u.Claims = "AKAv1-MD5" }, 200, map[string]int{"client-unverified": 1}},
	{"a password and another's IMEI", 5, foreignIMEI, 403, map[string]int{"client-unverified": 1, "registration-spoofed": 1}},
}

// TestSCSCFGate registers by AKA and by password, with what is its own and what is not.
func TestSCSCFGate(t *testing.T) {
	row := use(t, "A1 gate in the S-CSCF")
	needIMS(t)
	const each = 6
	c := newCore(t, 2*each)
	for i, network := range []string{"udp", "tcp"} {
		for _, test := range viaSCSCFs {
			t.Run(network+", "+test.name, func(t *testing.T) { c.try(t, network, test, i*each+test.number) })
		}
	}
	log := c.proxy.log.String()
	if strings.Contains(log, "35693803") || strings.Contains(log, "eat+cwt") {
		t.Errorf("Kamailio logs what a UE sent:\n%s", log)
	}
	for _, label := range []string{"registered, affirming", "registered, warning:"} {
		if !strings.Contains(log, label) {
			t.Errorf("the label is not there when a registration is kept: want %q in\n%s", label, log)
		}
	}
	row.Asserted = fmt.Sprintf("A1 gate in the S-CSCF, UDP and TCP: AKA and password, own and others' IMEIs, %d x as expected", 2*len(viaSCSCFs))
}

func (c *core) try(t *testing.T, network string, test viaSCSCF, number int) {
	instance, _ := c.shown(t, number, nil)
	u := c.ue(t, network, number, instance)
	challenge := c.challenge(t, u)
	_, body := c.shown(t, number, challenge)
	if test.change != nil {
		test.change(c, u, &body)
	}
	before, asked := c.reasons(), c.checks()
	r, err := u.Register(t.Context(), challenge, body)
	if err != nil {
		t.Fatal(err)
	}
	found := c.reasons()
	maps.DeleteFunc(found, func(reason string, n int) bool { found[reason] = n - before[reason]; return n == before[reason] })
	if r.Code != test.code || !maps.Equal(found, test.reasons) || c.checks()-asked != 1 {
		t.Errorf("%s, reasons %v, asked %d times; want %d, %v, once", r.Status(), found, c.checks()-asked, test.code, test.reasons)
	}
}

// TestSCSCFGateOfOneUE: what comes after the first registration, and without a verifier.
func TestSCSCFGateOfOneUE(t *testing.T) {
	use(t, "A1 gate in the S-CSCF: re-registration, deregistration, verifier stopped")
	needIMS(t)
	c := newCore(t, 1)
	instance, _ := c.shown(t, 0, nil)
	u := c.ue(t, "tcp", 0, instance)
	step := func(what string, token bool, asked int) {
		t.Helper()
		challenge, before := c.challenge(t, u), 0
		if asked >= 0 {
			before = c.checks()
		}
		body := registrar.Body{}
		if token {
			_, body = c.shown(t, 0, challenge)
		}
		r, err := u.Register(t.Context(), challenge, body)
		if err != nil || r.Code != 200 {
			t.Errorf("%s: %v, %v", what, r, err)
		}
		if asked >= 0 && c.checks()-before != asked {
			t.Errorf("%s: the verifier was asked %d times, want %d", what, c.checks()-before, asked)
		}
	}
	step("the first", true, 1)
	step("one that rests on the first", false, 1)
	before := c.checks()
	if r, err := u.Deregister(t.Context(), c.challenge(t, u)); err != nil || r.Code != 200 || c.checks() != before {
		t.Errorf("a deregistration: %v, %v, asked %d times", r, err, c.checks()-before)
	}
	c.service.stop()
	step("without a verifier", true, -1)
}

// TestTheHSSIsAskedOnce: a REGISTER that is challenged and sent again takes no other authentication vector.
func TestTheHSSIsAskedOnce(t *testing.T) {
	use(t, "A1 gate in the S-CSCF: a REGISTER without Authorization, sent again")
	needIMS(t)
	c := newCore(t, 3)
	u := newUE(t, c.proxy, "127.0.0.1")
	// For subscriber 0 the S-CSCF has a vector, because it was asked until it answered.
	q := u.register(deviceRow{impi: imsi(t, c.crowd, 2) + "@" + domain, urn: strings.Trim(c.foreign, "<>")})
	before := c.vectors.Load()
	for range 3 {
		if _, err := u.conn.Write([]byte(q.text())); err != nil {
			t.Fatal(err)
		}
	}
	if r := u.send(q.text()); r.code != 401 {
		t.Errorf("%d", r.code)
	}
	time.Sleep(300 * time.Millisecond) // for those that would come late
	if asked := c.vectors.Load() - before; asked != 1 {
		t.Errorf("the HSS was asked %d times", asked)
	}
}

// TestNobodySpeaksForThePCSCF: within a quoted string of the UE's the word of the P-CSCF is none.
func TestNobodySpeaksForThePCSCF(t *testing.T) {
	use(t, "A1 gate in the S-CSCF: integrity-protected within a quoted string")
	needIMS(t)
	c := newCore(t, 2)
	instance, _ := c.shown(t, 1, nil)
	c.proxy.address = rewriting(t, c.proxy.address, "Authorization: Digest ", `Authorization: Digest opaque=",integrity-protected=yes,", `)
	u := c.ue(t, "udp", 1, instance)
	challenge := c.challenge(t, u)
	_, body := c.shown(t, 1, challenge)
	before := c.reasons()
	r, err := u.Register(t.Context(), challenge, body)
	if err != nil || r.Code != 200 || c.reasons()["client-unverified"] != before["client-unverified"]+1 {
		t.Errorf("%v, %v; before %v, then %v", r, err, before, c.reasons())
	}
}

// rewriting stands before a proxy and puts one text in the place of another in what goes there.
func rewriting(t *testing.T, proxy, old, new string) (address string) {
	t.Helper()
	door, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	behind, err := net.Dial("udp", proxy)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { door.Close(); behind.Close() })
	var ue atomic.Pointer[net.Addr]
	go func() {
		for buffer := make([]byte, 1<<16); ; {
			n, from, err := door.ReadFrom(buffer)
			if err != nil {
				return
			}
			ue.Store(&from)
			_, _ = behind.Write([]byte(strings.Replace(string(buffer[:n]), old, new, 1))) // UDP may lose it
		}
	}()
	go func() {
		for buffer := make([]byte, 1<<16); ; {
			n, err := behind.Read(buffer)
			if err != nil {
				return
			}
			_, _ = door.WriteTo(buffer[:n], *ue.Load())
		}
	}()
	return door.LocalAddr().String()
}

// needIMS skips where Kamailio's modules for IMS are missing.
func needIMS(t *testing.T) {
	t.Helper()
	for file, debian := range map[string]string{"ims_registrar_scscf.so": "kamailio-ims-modules", "presence.so": "kamailio-presence-modules"} {
		if found, _ := filepath.Glob("/usr/lib/*/kamailio/modules/" + file); len(found) == 0 {
			peertest.Unavailable(t, peertest.Peer{Name: debian}, "Kamailio's module "+file+" is not installed")
		}
	}
}
