package gate

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"testing"
	"time"
)

// TestTLS: the verifier is asked over TLS and knows the registrar by its certificate. Without it, or of a verifier that somebody else
// certified, nothing is judged.
func TestTLS(t *testing.T) {
	row := use(t, "A1 gate: TLS")
	crowd := newCrowd(t)
	s := newService(t, crowd, "enforce", nil)
	s.enroll(crowd, 4)
	authority, stranger := newAuthority(t), newAuthority(t)
	s.certify("ca", authority.raw, nil)
	s.certify("other-ca", stranger.raw, nil)
	authority.issue(s, "server", "127.0.0.1")
	authority.issue(s, "proxy", "registrar.example")
	rows := s.signFor(crowd, 0, 3)
	s.stop()
	s.configuration = "tls: {certificate: server.pem, key: server.key, client_ca: ca.pem}\nclients:\n  - name: registrar\n    certificates: [\"dns:registrar.example\"]\n    roles: [network]\n"
	s.start()
	identity := ";client_cert=" + s.folder + "/proxy.pem;client_key=" + s.folder + "/proxy.key"
	for i, c := range []struct{ name, ca, identity, label string }{
		{"certificate and authority", "ca", identity, "warning:subscriber-unbound"},
		{"no certificate", "ca", "", "not-judged"},
		{"another authority", "other-ca", identity, "not-judged"},
	} {
		p := newProxy(t, settings{"WITH_GATE": "", "WITH_TLS": "", "CA_FILE": s.folder + "/" + c.ca + ".pem", "IMEI_GATE_URL": "https://" + s.address + c.identity, "IMEI_GATE_HEADER": "P-IMEI-Label"})
		u := newUE(t, p, "127.0.0.1")
		if got := u.send(u.register(rows[i]).text()); got.code != 200 || got.header.Get("P-Imei-Label") != c.label {
			t.Errorf("%s: %d with label %q, want 200 with %q\n%s", c.name, got.code, got.header.Get("P-Imei-Label"), c.label, p.log.String())
		}
	}
	row.Asserted = "A1 gate over TLS: knows the verifier by its authority and shows a certificate of its own; without either nothing is judged"
}

// authority signs certificates.
type authority struct {
	t    *testing.T
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	raw  []byte
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t}
	a.key, a.raw = newCertificate(t, nil, &x509.Certificate{Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	var err error
	if a.cert, err = x509.ParseCertificate(a.raw); err != nil {
		t.Fatal(err)
	}
	return a
}

// issue writes NAME.pem and NAME.key for a host.
func (a *authority) issue(s *service, name, host string) {
	a.t.Helper()
	template := &x509.Certificate{Subject: pkix.Name{CommonName: name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	key, raw := newCertificate(a.t, a, template)
	s.certify(name, raw, key)
}

func newCertificate(t *testing.T, by *authority, template *x509.Certificate) (*ecdsa.PrivateKey, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber, template.NotBefore, template.NotAfter = big.NewInt(time.Now().UnixNano()), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := template, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	return key, raw
}

// certify writes a certificate, and its key if there is one.
func (s *service) certify(name string, raw []byte, key *ecdsa.PrivateKey) {
	s.t.Helper()
	s.write(name+".pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}))
	if key == nil {
		return
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		s.t.Fatal(err)
	}
	s.write(name+".key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}
