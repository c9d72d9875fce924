package access_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"imei-attest/verifier/access"
)

// listening serves a handler behind a bound on connections.
func listening(t *testing.T, most int, handler http.Handler, with *tls.Config) (*access.Connections, *atomic.Int32) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var closed atomic.Int32
	connections := access.NewConnections(l, most, func(access.Limit) { closed.Add(1) })
	var listener net.Listener = connections
	if with != nil {
		listener = tls.NewListener(connections, with)
	}
	gate := newGate(access.NewClients(nil, access.Unnamed{}), 100, func(access.Limit) {})
	s := &http.Server{Handler: gate.Handler(handler), ConnContext: connections.Context, Protocols: new(http.Protocols)}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	go s.Serve(listener)
	t.Cleanup(func() { s.Close() })
	return connections, &closed
}

func dial(t *testing.T, c *access.Connections) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", c.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// ask sends a request and returns the answer's status line.
func ask(conn net.Conn) (string, error) {
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: verifier\r\n\r\n")
	return bufio.NewReader(conn).ReadString('\n')
}

func until(t *testing.T, what string, reached func() bool) {
	t.Helper()
	for begun := time.Now(); !reached(); time.Sleep(time.Millisecond) {
		if time.Since(begun) > 10*time.Second {
			t.Fatalf("never %s", what)
		}
	}
}

func TestWhoWaitsLongestMakesRoom(t *testing.T) {
	hold := make(chan bool)
	c, closed := listening(t, 3, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hold" {
			<-hold
		}
	}), nil)
	busy := dial(t, c)
	fmt.Fprint(busy, "GET /hold HTTP/1.1\r\nHost: verifier\r\n\r\n")
	silent := dial(t, c)
	until(t, "two open", func() bool { return c.Open() == 2 })
	kept := dial(t, c)
	if got, err := ask(kept); err != nil || !strings.Contains(got, "200") {
		t.Fatalf("%q, %v", got, err)
	}
	fresh := dial(t, c)
	if got, err := ask(fresh); err != nil || !strings.Contains(got, "200") {
		t.Errorf("the newcomer: %q, %v", got, err)
	}
	if _, err := silent.Read(make([]byte, 1)); err == nil {
		t.Error("the silent one is still there")
	}
	if c.Open() != 3 || closed.Load() != 1 {
		t.Errorf("%d open, %d closed", c.Open(), closed.Load())
	}
	close(hold)
	if got, err := bufio.NewReader(busy).ReadString('\n'); err != nil || !strings.Contains(got, "200") {
		t.Errorf("the one that was answered: %q, %v", got, err)
	}
	for _, conn := range []net.Conn{busy, kept, fresh} {
		conn.Close()
	}
	until(t, "all closed", func() bool { return c.Open() == 0 })
}

// TestAConnectionIsAnsweredAsLongAsOneOfItsRequestsIs: in HTTP/2 one may end while others go on.
func TestAConnectionIsAnsweredAsLongAsOneOfItsRequestsIs(t *testing.T) {
	hold, entered := make(chan bool), make(chan bool)
	c, closed := listening(t, 1, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hold" {
			entered <- true
			<-hold
		}
	}), nil)
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()
	get := func(path string) string {
		response, err := (&http.Client{Transport: transport}).Get("http://" + c.Addr().String() + path)
		if err != nil {
			return err.Error()
		}
		response.Body.Close()
		return response.Proto + " " + response.Status
	}
	answer := make(chan string)
	go func() { answer <- get("/hold") }()
	<-entered
	if got := get("/"); got != "HTTP/2.0 200 OK" || c.Open() != 1 {
		t.Errorf("got %s on %d connections", got, c.Open())
	}
	if got, err := ask(dial(t, c)); err != nil || !strings.Contains(got, "200") { // one more than there may be
		t.Errorf("the newcomer: %q, %v", got, err)
	}
	close(hold)
	if got := <-answer; got != "HTTP/2.0 200 OK" || closed.Load() != 0 {
		t.Errorf("the one that was answered: %s; %d closed", got, closed.Load())
	}
}

func TestCertificatesMayBeDemanded(t *testing.T) {
	ca := newAuthority(t)
	certificates := access.Certificates{Protocols: []string{"h2"}, Demand: true}
	if _, err := certificates.Use(ca.server(noon.Add(time.Hour)), func() time.Time { return noon }); err != nil {
		t.Fatal(err)
	}
	c, _ := listening(t, 10, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), certificates.Config())
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.pem)
	for _, shown := range [][]tls.Certificate{nil, {*certificates.Current()}} {
		conn := tls.Client(dial(t, c), &tls.Config{RootCAs: roots, ServerName: "127.0.0.1", Time: func() time.Time { return noon }, Certificates: shown, NextProtos: []string{"h2"}})
		err := conn.Handshake()
		if err == nil {
			_, err = conn.Read(make([]byte, 1)) // in TLS 1.3 a refusal comes after the handshake; HTTP/2 speaks first
		}
		if (err == nil) != (shown != nil) {
			t.Errorf("with %d certificates: %v", len(shown), err)
		}
		if shown != nil && conn.ConnectionState().NegotiatedProtocol != "h2" {
			t.Errorf("the protocol is %q", conn.ConnectionState().NegotiatedProtocol)
		}
	}
}

func TestCertificatesAreExchangedWhileConnectionsLast(t *testing.T) {
	ca := newAuthority(t)
	now := func() time.Time { return noon }
	var certificates access.Certificates
	first, second := ca.server(noon.Add(time.Hour)), ca.server(noon.Add(2*time.Hour))
	if ends, err := certificates.Use(first, now); err != nil || !ends.Equal(noon.Add(time.Hour)) {
		t.Fatal(ends, err)
	}
	var names atomic.Value
	c, _ := listening(t, 10, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		names.Store(fmt.Sprint(len(r.TLS.VerifiedChains), len(r.TLS.PeerCertificates)))
	}), certificates.Config())

	_, cert, key := ca.sign(named(t, []string{"spiffe://operator.example/pcscf"}))
	pair, err := tls.X509KeyPair(cert, keyPEM(t, key))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.pem)
	connect := func(own ...tls.Certificate) *tls.Conn {
		t.Helper()
		conn := tls.Client(dial(t, c), &tls.Config{RootCAs: roots, ServerName: "127.0.0.1", Time: now, Certificates: own})
		if err := conn.Handshake(); err != nil {
			t.Fatal(err)
		}
		return conn
	}
	old := connect(pair)
	if got, err := ask(old); err != nil || !strings.Contains(got, "200") || names.Load() != "1 1" {
		t.Errorf("with a certificate: %q, %v, %v", got, err, names.Load())
	}
	if got, err := ask(connect()); err != nil || !strings.Contains(got, "200") || names.Load() != "0 0" {
		t.Errorf("without one: %q, %v, %v", got, err, names.Load())
	}
	if _, err := certificates.Use(second, now); err != nil {
		t.Fatal(err)
	}
	if got := connect().ConnectionState().PeerCertificates[0].NotAfter; !got.Equal(noon.Add(2 * time.Hour)) {
		t.Errorf("a new connection is shown the certificate that ends at %v", got)
	}
	if got, err := ask(old); err != nil || !strings.Contains(got, "200") {
		t.Errorf("on the old connection: %q, %v", got, err)
	}
	stranger := newAuthority(t)
	_, cert, key = stranger.sign(named(t, []string{"spiffe://operator.example/pcscf"}))
	if pair, err = tls.X509KeyPair(cert, keyPEM(t, key)); err != nil {
		t.Fatal(err)
	}
	conn := tls.Client(dial(t, c), &tls.Config{RootCAs: roots, ServerName: "127.0.0.1", Time: now,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }})
	if got, err := ask(conn); err == nil {
		t.Errorf("a certificate of a stranger got %q", got)
	}
}

func TestCertificatesThatCannotServeAreRefused(t *testing.T) {
	ca := newAuthority(t)
	good, other := ca.server(noon.Add(time.Hour)), ca.server(noon.Add(time.Hour))
	ended := ca.server(noon.Add(-time.Second))
	for name, c := range map[string]struct {
		pem  access.PEM
		want string
	}{
		"another key":                {access.PEM{Certificate: good.Certificate, Key: other.Key}, "private key does not match"},
		"no certificate":             {access.PEM{Certificate: []byte("nothing"), Key: good.Key}, "certificate and key"},
		"no key":                     {access.PEM{Certificate: good.Certificate}, "certificate and key"},
		"a CA file without any":      {access.PEM{Certificate: good.Certificate, Key: good.Key, ClientCA: []byte("x")}, "client_ca"},
		"a certificate of yesterday": {ended, "renew it, or set the clock"},
	} {
		var certificates access.Certificates
		if _, err := certificates.Use(c.pem, func() time.Time { return noon }); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}
