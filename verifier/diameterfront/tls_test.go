package diameterfront_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"imei-attest/verifier/diameterfront"
	"imei-attest/verifier/diameterfront/diameter"
)

// certificates are those of an operator's own authority.
type certificates struct {
	authority *x509.Certificate
	key       *ecdsa.PrivateKey
	pool      *x509.CertPool
	folder    string
}

// makeCertificates makes an authority, ca.pem, and the certificate of an agent, agent.pem and agent.key.
func makeCertificates(t testing.TB, folder string) *certificates {
	t.Helper()
	c := &certificates{pool: x509.NewCertPool(), folder: folder}
	var err error
	c.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "operator"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &c.key.PublicKey, c.key)
	must(t, err)
	c.authority, err = x509.ParseCertificate(raw)
	must(t, err)
	c.pool.AddCert(c.authority)
	c.write(t, "ca.pem", "CERTIFICATE", raw)
	pair := c.issue(t, "agent.example")
	c.write(t, "agent.pem", "CERTIFICATE", pair.Certificate[0])
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	must(t, err)
	c.write(t, "agent.key", "PRIVATE KEY", key)
	return c
}

func (c *certificates) write(t testing.TB, name, kind string, raw []byte) {
	t.Helper()
	must(t, os.WriteFile(filepath.Join(c.folder, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: raw}), 0o600))
}

// issue makes a certificate for a name.
func (c *certificates) issue(t testing.TB, name string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotBefore: c.authority.NotBefore, NotAfter: c.authority.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	raw, err := x509.CreateCertificate(rand.Reader, template, c.authority, &key.PublicKey, c.key)
	must(t, err)
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key}
}

// server is the front's side of TLS.
func (c *certificates) server(t testing.TB) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{c.issue(t, "eir.example")}, ClientCAs: c.pool, ClientAuth: tls.VerifyClientCertIfGiven}
}

// counting is a listener that counts the watchdogs which the front sends and receives, whatever protects them.
type counting struct {
	net.Listener
	asked    atomic.Int64
	answered atomic.Int64
}

func newCounting(t *testing.T, c *certificates, secured bool) *counting {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	if secured {
		return &counting{Listener: tls.NewListener(l, c.server(t))}
	}
	return &counting{Listener: l}
}

// Accept implements net.Listener.
func (c *counting) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if secured, is := conn.(*tls.Conn); is {
		return securedConn{&countedConn{conn, c}, secured}, nil
	}
	return &countedConn{conn, c}, nil
}

// securedConn shows the certificate of a counted one.
type securedConn struct {
	*countedConn
	tls *tls.Conn
}

// ConnectionState is that of TLS.
func (s securedConn) ConnectionState() tls.ConnectionState { return s.tls.ConnectionState() }

func (c *counting) wait(t *testing.T, least int64) {
	t.Helper()
	for range 3000 {
		if c.asked.Load() >= least && c.answered.Load() >= least {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d watchdogs, %d of them answered", c.asked.Load(), c.answered.Load())
}

type countedConn struct {
	net.Conn
	of *counting
}

func (c *countedConn) Write(p []byte) (int, error) {
	if len(p) >= diameter.HeaderBytes && diameter.ReadHeader(p).Command == diameter.DeviceWatchdog {
		c.of.asked.Add(1)
	}
	return c.Conn.Write(p)
}

func (c *countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n >= diameter.HeaderBytes && diameter.ReadHeader(p).Command == diameter.DeviceWatchdog {
		c.of.answered.Add(1)
	}
	return n, err
}

// TestOverTLSTheCertificateCounts: the name in it is that of the peer, or nobody is there.
func TestOverTLSTheCertificateCounts(t *testing.T) {
	c, strangers := makeCertificates(t, t.TempDir()), makeCertificates(t, t.TempDir())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	f := serveOn(t, tls.NewListener(l, c.server(t)), withCustomers(t, "enforce"), func(config *diameterfront.Config) {
		config.Peers = []diameterfront.Peer{{Host: mme, Certificate: "dns:MME.example"}, {Host: "any.example", Addresses: loopback},
			{Host: "uri.example", Certificate: "spiffe://example/mme"}}
	})
	issue := func(of *certificates, name string) []tls.Certificate { return []tls.Certificate{of.issue(t, name)} }
	for _, q := range []struct {
		name  string
		shown []tls.Certificate
		host  string
		want  uint32 // 0 for no answer at all
	}{
		{"its certificate", issue(c, mme), mme, 2001},
		{"another's certificate", issue(c, "other.example"), mme, 3010},
		{"no certificate", nil, mme, 3010},
		{"a certificate of strangers", issue(strangers, mme), mme, 0},
		{"its certificate, and another name", issue(c, mme), "any.example", 2001}, // whom the address suffices for
		{"a name where a URI is wanted", issue(c, mme), "uri.example", 3010},
	} {
		t.Run(q.name, func(t *testing.T) {
			conn, err := tls.Dial("tcp", f.address, &tls.Config{RootCAs: c.pool, ServerName: "eir.example", Certificates: q.shown})
			must(t, err)
			defer conn.Close()
			must(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
			_, _ = conn.Write(capabilities(q.host)) // a certificate that is refused shows when the answer is read (RFC 8446 section 4.4.2)
			m, err := receive(conn)
			if (err != nil) != (q.want == 0) || err == nil && result(m) != q.want {
				t.Fatalf("got %d, %v; want %d", result(m), err, q.want)
			}
			if q.want != 2001 {
				return
			}
			_, err = conn.Write(bytes.Repeat(question(honest.Body(), alice), 3))
			must(t, err)
			for range 3 {
				if m, err := receive(conn); err != nil || status(m) != 0 {
					t.Errorf("got %d, %v", status(m), err)
				}
			}
		})
	}
}
