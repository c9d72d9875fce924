package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"imei-attest/verifier/diameterfront/diameter"
)

// mme is a peer's side of a connection to S13.
type mme struct {
	net.Conn
	t *testing.T
}

// dialMME connects, and exchanges capabilities by a name.
func dialMME(t *testing.T, address, host string, secured *tls.Config) *mme {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	if secured != nil {
		conn = tls.Client(conn, secured)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	m := &mme{conn, t}
	answer := m.ask(diameter.Header{Flags: diameter.Request, Command: diameter.CapabilitiesExchange}, func(to []byte) []byte {
		to = diameter.AppendText(diameter.AppendText(to, diameter.OriginHost, host), diameter.OriginRealm, "example")
		to = diameter.AppendText(to, diameter.HostIPAddress, "\x00\x01\x7f\x00\x00\x01")
		to = diameter.AppendText(diameter.AppendUint32(to, diameter.VendorID, 0), diameter.ProductName, "test")
		return diameter.AppendUint32(to, diameter.AuthApplicationID, diameter.ApplicationS13)
	})
	if got := number(answer, diameter.ResultCodeAVP); got != uint32(diameter.Success) {
		t.Fatalf("capabilities are answered with %d", got)
	}
	return m
}

// check asks about an IMEI, and returns the Equipment-Status.
func (m *mme) check(digits, imsi string) uint32 {
	m.t.Helper()
	answer := m.ask(diameter.Header{Flags: diameter.Request | diameter.Proxiable, Command: diameter.MEIdentityCheck, Application: diameter.ApplicationS13}, func(to []byte) []byte {
		to = diameter.AppendUint32(diameter.AppendText(to, diameter.SessionID, "mme.example;1;2"), diameter.AuthSessionState, diameter.NoStateMaintained)
		to = diameter.AppendText(diameter.AppendText(to, diameter.OriginHost, "mme.example"), diameter.OriginRealm, "example")
		to = diameter.AppendText(diameter.AppendText(to, diameter.DestinationRealm, "example"), diameter.UserName, imsi)
		return diameter.AppendGroup(to, diameter.TerminalInformation, func(to []byte) []byte { return diameter.AppendText(to, diameter.IMEI, digits) })
	})
	return number(answer, diameter.EquipmentStatus)
}

func (m *mme) ask(h diameter.Header, avps func([]byte) []byte) diameter.Message {
	m.t.Helper()
	b := avps(diameter.Begin(nil, h))
	diameter.End(b, 0)
	if _, err := m.Write(b); err != nil {
		m.t.Fatal(err)
	}
	answer, err := m.receive()
	if err != nil {
		m.t.Fatal(err)
	}
	return answer
}

func (m *mme) receive() (answer diameter.Message, err error) {
	b := make([]byte, diameter.MaxBytes)
	if _, err := io.ReadFull(m, b[:4]); err != nil {
		return answer, err
	}
	length, err := diameter.Length(b)
	if err != nil {
		return answer, err
	}
	if _, err := io.ReadFull(m, b[4:length]); err != nil {
		return answer, err
	}
	return answer, answer.Decode(b[:length])
}

func number(m diameter.Message, id diameter.ID) uint32 {
	if a := diameter.Find(m.AVPs, id); a != nil {
		if n, err := a.Uint32(); err == nil {
			return n
		}
	}
	return 1<<32 - 1
}

// s13Addresses are those that the log told before the last of the addresses, without TLS and with it.
func (s *serving) s13Addresses() (plain, secured string) {
	for _, e := range s.warning {
		switch {
		case e.Message == "listening for S13" && e.TLS:
			secured = e.Address
		case e.Message == "listening for S13":
			plain = e.Address
		}
	}
	return plain, secured
}

// TestServeAnswersOverS13, counts it, exchanges its peers under way, and says farewell.
func TestServeAnswersOverS13(t *testing.T) {
	const imei, imsi = "352099001761481", "001010000000001"
	path := filepath.Join(t.TempDir(), "verifier.yaml")
	write := func(peers string) {
		replaceFile(t, path, fmt.Sprintf("admin: 127.0.0.1:0\ns13: {listen: \"127.0.0.1:0\", host: eir.example, realm: example}\ns13_peers:\n%s", peers))
	}
	const listed = "  - {host: mme.example, addresses: [127.0.0.1]}\n"
	write(listed + "  - {host: old.example, addresses: [127.0.0.0/8]}\n")
	s := startIn(t, path)
	plain, _ := s.s13Addresses()
	old, m := dialMME(t, plain, "old.example", nil), dialMME(t, plain, "mme.example", nil)
	if got := m.check(imei, imsi); got != 2 {
		t.Errorf("under the policy observe, got %d", got)
	}
	if e := s.until("judged"); e.Status != "none" {
		t.Errorf("the log says %+v", e)
	}
	_, figures := fetched(s.admin, "/metrics")
	for _, line := range []string{`imeiatt_s13_answers_total{outcome="greylisted"} 1`, `imeiatt_s13_answers_total{outcome="blacklisted"} 0`, `imeiatt_s13_peers 2`} {
		if !strings.Contains(figures, "\n"+line+"\n") {
			t.Errorf("there is no %s", line)
		}
	}
	write(listed)
	s.until("the configuration was read again")
	if _, err := old.receive(); err == nil {
		t.Error("a peer that is listed no more is still connected")
	}
	if got := m.check(imei, imsi); got != 2 {
		t.Errorf("the other one gets %d", got)
	}
	s.cancel()
	bye, err := m.receive()
	if err != nil || bye.Command != diameter.DisconnectPeer {
		t.Errorf("got %+v, %v", bye.Header, err)
	}
	m.Close()
	s.stop()
}

// TestAnotherEIRIsAskedOverTLS: each service shows the other its certificate.
func TestAnotherEIRIsAskedOverTLS(t *testing.T) {
	ca, caPEM, _ := issue(t, nil, "")
	folder := func(name, more string) string {
		dir := t.TempDir()
		_, certificate, key := issue(t, &ca, "dns:"+name)
		replaceFile(t, filepath.Join(dir, "server.key"), string(key))
		replaceFile(t, filepath.Join(dir, "server.pem"), string(certificate))
		replaceFile(t, filepath.Join(dir, "ca.pem"), string(caPEM))
		path := filepath.Join(dir, "verifier.yaml")
		replaceFile(t, path, fmt.Sprintf("admin: 127.0.0.1:0\ntls: {certificate: server.pem, key: server.key, client_ca: ca.pem}\n"+
			"s13: {listen_tls: \"0.0.0.0:0\", host: %s, realm: example}\n%s", name, more))
		return path
	}
	behind := startIn(t, folder("old.example", "s13_peers:\n  - {host: eir.example, certificate: \"dns:eir.example\"}\n"))
	defer behind.stop()
	_, address := behind.s13Addresses()
	_, port, _ := net.SplitHostPort(address)
	front := startIn(t, folder("eir.example", "s13_peers:\n  - {host: mme.example, certificate: \"dns:mme.example\", addresses: [127.0.0.1]}\n"+
		"s13_upstream: {address: \"127.0.0.1:"+port+"\", host: old.example, realm: example, ca: ca.pem, fail: deny}\n"))
	defer front.stop()
	front.until("connected to the operator's own EIR")
	shown, _, _ := issue(t, &ca, "dns:mme.example")
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(caPEM)
	_, address = front.s13Addresses()
	_, port, _ = net.SplitHostPort(address)
	m := dialMME(t, "127.0.0.1:"+port, "mme.example", &tls.Config{RootCAs: pool, ServerName: "eir.example", Certificates: []tls.Certificate{shown}})
	defer m.Close()
	if got := m.check("35209900176148", "001010000000001"); got != 2 {
		t.Errorf("got %d", got)
	}
	_, figures := fetched(front.admin, "/metrics")
	if !strings.Contains(figures, `imeiatt_s13_upstream_total{outcome="answered"} 1`) {
		t.Errorf("it was not asked:\n%s", figures)
	}
}

// TestABadUpstreamCAIsTold by config check, before anything listens.
func TestABadUpstreamCAIsTold(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "verifier.yaml")
	replaceFile(t, path, fmt.Sprintf("listen: 127.0.0.1:0\ntrust: %s\nstate: state\ns13: {listen: \"127.0.0.1:0\", host: e, realm: r}\ns13_peers: [{host: m, addresses: [127.0.0.1]}]\n"+
		"s13_upstream: {address: \"127.0.0.1:1\", host: o, realm: r, ca: ca.pem}\n", trustFolder(t)))
	for _, content := range []string{"", "no certificate"} {
		if content != "" {
			replaceFile(t, filepath.Join(dir, "ca.pem"), content)
		}
		if got := execute("", "config", "check", path); got.code != exitUsage || !strings.Contains(got.stderr, "s13_upstream.ca: ") {
			t.Errorf("%q: %+v", content, got)
		}
	}
}

func startIn(t *testing.T, path string) *serving {
	t.Helper()
	return start(t, trustFolder(t), t.TempDir(), "--config", path)
}
