package registrar_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"imei-attest/testbench/peertest"
	"imei-attest/testbench/registrar"
)

var (
	kamailio = peertest.Peer{Name: "kamailio", Version: []string{"-v"}}
	alice    = registrar.NewSubscriber("001010000000017")
	bob      = registrar.NewSubscriber("001010000000038")
)

const instance = "<urn:gsma:imei:49015420-323751-0>"

// within bounds what a test waits for.
func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// needKamailio skips where modules are missing.
func needKamailio(t *testing.T, err error) {
	t.Helper()
	if errors.Is(err, registrar.ErrNoKamailio) {
		peertest.Unavailable(t, kamailio, err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// home is a home network with a server that only hears.
type home struct {
	*registrar.Kamailio
	as net.PacketConn
}

func newHome(t *testing.T, subscribers ...registrar.Subscriber) *home {
	t.Helper()
	as, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { as.Close() })
	k, err := registrar.StartSCSCF(within(t), registrar.SCSCF{Dir: t.TempDir(), Subscribers: subscribers, Server: "sip:" + as.LocalAddr().String()})
	needKamailio(t, err)
	t.Cleanup(func() { stop(t, k) })
	return &home{k, as}
}

func stop(t *testing.T, k *registrar.Kamailio) {
	if err := k.Stop(); err != nil {
		t.Error(err)
	}
	if t.Failed() {
		t.Logf("Kamailio said:\n%s", k.Log())
	}
}

func (h *home) ue(t *testing.T, network string, s registrar.Subscriber) *registrar.UE {
	t.Helper()
	u, err := registrar.NewUE(within(t), network, h.Addr, s, instance, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { u.Close() })
	return u
}

// hears returns the next message to the application server.
func (h *home) hears(t *testing.T) []byte {
	t.Helper()
	raw := make([]byte, 1<<16)
	h.as.SetReadDeadline(time.Now().Add(10 * time.Second))
	n, _, err := h.as.ReadFrom(raw)
	if err != nil {
		t.Fatal(err)
	}
	return raw[:n]
}

func status(t *testing.T, r *registrar.Response, err error) int {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return r.Code
}

// TestSCSCF registers, prolongs and ends: each REGISTER reaches the application server as it was sent.
func TestSCSCF(t *testing.T) {
	row := peertest.Use(t, kamailio, "S-CSCF: AKA, re-registration, deregistration; the whole REGISTER in the third-party one, NULs too")
	h := newHome(t, alice)
	for _, network := range []string{"udp", "tcp"} {
		ctx, u := within(t), h.ue(t, network, alice)
		challenge, err := u.Start(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if challenge.Algorithm != "AKAv1-MD5" {
			t.Errorf("challenged by %q", challenge.Algorithm)
		}
		token := registrar.Body{Type: "application/eat+cwt", Content: bytes.Repeat([]byte{0, 1, '\r', '\n', 0xff}, 60)}
		challenge, r, err := u.Persist(ctx, challenge, func(*registrar.Challenge) registrar.Body { return token })
		if status(t, r, err) != http.StatusOK {
			t.Fatalf("over %s: %s", network, r.Status())
		}
		checkThirdParty(t, h.hears(t), token.Content)
		challenge, r, err = u.Persist(ctx, challenge, func(*registrar.Challenge) registrar.Body { return registrar.Body{} })
		if status(t, r, err) != http.StatusOK {
			t.Fatalf("over %s, once more: %s", network, r.Status())
		}
		checkThirdParty(t, h.hears(t), nil)
		if r, err := u.Deregister(ctx, challenge); status(t, r, err) != http.StatusOK {
			t.Errorf("over %s, deregistration: %s", network, r.Status())
		}
		if !bytes.Contains(h.hears(t), []byte("Expires: 0\r\n")) {
			t.Error("the application server is not told of the deregistration")
		}
	}
	if log := h.Log(); strings.Contains(log, "323751") {
		t.Errorf("Kamailio logs IMEIs:\n%s", log)
	}
	row.Asserted += "; UDP and TCP"
}

// checkThirdParty looks for the UE's own REGISTER in the S-CSCF's.
func checkThirdParty(t *testing.T, raw, body []byte) {
	t.Helper()
	outer, inner, _ := bytes.Cut(raw, []byte("\r\n\r\n"))
	if bytes.Contains(outer, []byte("sip.instance")) || !bytes.Contains(outer, []byte("Content-Type: message/sip")) {
		t.Errorf("the outer message is\n%s", outer)
	}
	if !bytes.Contains(inner, []byte(`+sip.instance="`+instance+`"`)) || !bytes.HasSuffix(inner, append([]byte("\r\n\r\n"), body...)) {
		t.Errorf("the inner message is\n%q", inner)
	}
}

// TestSCSCFRefuses who is somebody else, or nobody.
func TestSCSCFRefuses(t *testing.T) {
	peertest.Use(t, kamailio, "S-CSCF: refuses an answer to another challenge, and a subscriber of nobody's; its challenge is refused by another USIM")
	thief := registrar.NewSubscriber("001010000000046") // and its USIM
	claimed := thief
	claimed.IMPI, claimed.IMPU = alice.IMPI, alice.IMPU
	byPassword := bob
	byPassword.ByPassword = true
	h := newHome(t, alice, byPassword)

	if _, err := h.ue(t, "udp", thief).Start(within(t)); err == nil || !strings.Contains(err.Error(), "want a 401") {
		t.Errorf("a subscriber of nobody's: %v", err)
	}
	if _, err := h.ue(t, "udp", claimed).Start(within(t)); err == nil || !strings.Contains(err.Error(), "not of its home network") {
		t.Errorf("another's USIM takes the challenge: %v", err)
	}
	u := h.ue(t, "udp", byPassword)
	challenge, err := u.Start(within(t))
	if err != nil || challenge.Algorithm != "MD5" {
		t.Fatalf("%+v, %v", challenge, err)
	}
	challenge.Nonce += "0"
	if r, err := u.Register(within(t), challenge, registrar.Body{}); status(t, r, err) == http.StatusOK {
		t.Error("an answer to another challenge is taken")
	}
}

// TestRegistrar challenges for the password.
func TestRegistrar(t *testing.T) {
	peertest.Use(t, kamailio, "registrar: password, binding with +sip.instance, deregistration")
	k, err := registrar.StartRegistrar(within(t), t.TempDir(), "")
	needKamailio(t, err)
	t.Cleanup(func() { stop(t, k) })
	h := &home{Kamailio: k}
	for _, network := range []string{"udp", "tcp"} {
		ctx, u := within(t), h.ue(t, network, alice)
		challenge, err := u.Start(ctx)
		if err != nil {
			t.Fatal(err)
		}
		challenge, r, err := u.Persist(ctx, challenge, func(*registrar.Challenge) registrar.Body {
			return registrar.Body{Type: "application/eat+cwt", Content: []byte{0, 0}}
		})
		if status(t, r, err) != http.StatusOK || !strings.Contains(r.Header.Get("Contact"), instance) {
			t.Errorf("over %s: %s %v", network, r.Status(), r.Header)
		}
		if r, err := u.Deregister(ctx, challenge); status(t, r, err) != http.StatusOK || r.Header.Get("Contact") != "" {
			t.Errorf("over %s, deregistration: %s %v", network, r.Status(), r.Header)
		}
	}
}

// TestKamailioThatDoesNotStart says why.
func TestKamailioThatDoesNotStart(t *testing.T) {
	peertest.Use(t, kamailio, "a start that fails tells why, and leaves no process")
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "registrar.cfg"), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := registrar.StartRegistrar(within(t), dir, "")
	if err == nil || !strings.Contains(err.Error(), "configuration") {
		t.Errorf("a folder in the configuration's place: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := registrar.StartRegistrar(ctx, t.TempDir(), ""); !errors.Is(err, context.Canceled) {
		t.Errorf("given up before: %v", err)
	}
}
