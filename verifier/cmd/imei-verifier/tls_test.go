package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// issue makes a certificate and its key, signed by an authority or, without one, by itself. It has a URI, or a DNS name after "dns:".
func issue(t *testing.T, ca *tls.Certificate, uri string) (c tls.Certificate, certificate, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: ca == nil, BasicConstraintsValid: true}
	if host, isDNS := strings.CutPrefix(uri, "dns:"); isDNS {
		template.DNSNames = []string{host}
	} else if uri != "" {
		u, err := url.Parse(uri)
		if err != nil {
			t.Fatal(err)
		}
		template.URIs = []*url.URL{u}
	}
	parent, signer := template, private
	if ca != nil {
		parent, signer = ca.Leaf, ca.PrivateKey.(*ecdsa.PrivateKey)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &private.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	certificate = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	key = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
	if c, err = tls.X509KeyPair(certificate, key); err != nil {
		t.Fatal(err)
	}
	return c, certificate, key
}

// TestRolesOverTLS: a client is what its certificate says, and everybody else a device; certificates are exchanged under way.
func TestRolesOverTLS(t *testing.T) {
	ca, caPEM, _ := issue(t, nil, "")
	dir := t.TempDir()
	put := func() {
		_, certificate, key := issue(t, &ca, "")
		replaceFile(t, filepath.Join(dir, "server.key"), string(key))
		replaceFile(t, filepath.Join(dir, "server.pem"), string(certificate))
	}
	put()
	replaceFile(t, filepath.Join(dir, "ca.pem"), string(caPEM))
	path := filepath.Join(dir, "verifier.yaml")
	replaceFile(t, path, fmt.Sprintf(`listen: 0.0.0.0:0
admin: 0.0.0.0:0
trust: %s
state: state
tls: {certificate: server.pem, key: server.key, client_ca: ca.pem}
clients:
  - {name: pcscf, certificates: ["spiffe://operator.example/pcscf"], roles: [network]}
  - {name: desk, certificates: ["spiffe://operator.example/desk"], roles: [admin]}
`, trustFolder(t)))
	p := launch(t, nil, "--config", path)
	roots := x509.NewCertPool()
	roots.AddCert(ca.Leaf)
	ask := func(address, method, path, as string) int {
		t.Helper()
		config := &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"}
		if as != "" {
			c, _, _ := issue(t, &ca, "spiffe://operator.example/"+as)
			config.Certificates = []tls.Certificate{c}
		}
		transport := &http.Transport{TLSClientConfig: config}
		defer transport.CloseIdleConnections()
		_, port, _ := net.SplitHostPort(address)
		request, err := http.NewRequest(method, "https://127.0.0.1:"+port+path, bytes.NewReader([]byte(`{"registration":{"emergency":true}}`)))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		response, err := (&http.Client{Transport: transport}).Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if body, _ := io.ReadAll(response.Body); response.StatusCode >= http.StatusBadRequest {
			written.Write(body) // a result is a token, for who asked
		}
		return response.StatusCode
	}
	for _, c := range []struct {
		address, method, path, as string
		want                      int
	}{
		{p.address, "POST", "/v1/appraise", "pcscf", 200},
		{p.address, "POST", "/v1/appraise", "", 403},
		{p.address, "POST", "/v1/appraise", "stranger", 403},
		{p.address, "POST", "/v1/appraise", "desk", 403},
		{p.address, "POST", "/endorsement-provisioning/v1/submit", "pcscf", 403},
		{p.address, "POST", "/challenge-response/v1/newSession", "", 201},
		{p.address, "POST", "/challenge-response/v1/newSession", "pcscf", 403},
		{p.admin, "GET", "/admin/v1/decisions", "desk", 200},
		{p.admin, "GET", "/admin/v1/decisions", "", 403},
		{p.admin, "GET", "/admin/v1/decisions", "pcscf", 403},
		{p.admin, "GET", "/readyz", "", 200},
		{p.admin, "GET", "/metrics", "desk", 200},
		{p.admin, "GET", "/metrics", "", 403},
	} {
		if got := ask(c.address, c.method, c.path, c.as); got != c.want {
			t.Errorf("%s %s as %q: %d, want %d", c.method, c.path, c.as, got, c.want)
		}
	}
	askAsOperator(t, dir, p.admin, &ca)
	put()
	p.until("the certificate was read again")
	if got := ask(p.address, "POST", "/v1/appraise", "pcscf"); got != 200 {
		t.Errorf("after the exchange: %d", got)
	}
	if err := os.Chmod(filepath.Join(dir, "server.key"), 0o644); err != nil {
		t.Fatal(err)
	}
	if e := p.until("the certificate was refused: what was in force before still is"); !strings.Contains(e.Error, "chmod 600") {
		t.Errorf("%+v", e)
	}
	if got := ask(p.address, "POST", "/v1/appraise", "pcscf"); got != 200 {
		t.Errorf("after the refusal: %d", got)
	}
}

// askAsOperator uses the commands for recorded decisions at an address beyond loopback.
func askAsOperator(t *testing.T, dir, address string, ca *tls.Certificate) {
	t.Helper()
	_, port, _ := net.SplitHostPort(address)
	named := func(name string) (flags []string) {
		_, certificate, key := issue(t, ca, "spiffe://operator.example/"+name)
		replaceFile(t, filepath.Join(dir, name+".pem"), string(certificate))
		replaceFile(t, filepath.Join(dir, name+".key"), string(key))
		return []string{"--cert", filepath.Join(dir, name+".pem"), "--key", filepath.Join(dir, name+".key")}
	}
	trusted := []string{"--ca", filepath.Join(dir, "ca.pem")}
	public := named("public")
	if err := os.Chmod(public[3], 0o644); err != nil {
		t.Fatal(err)
	}
	policy := write(t, "policy.yaml", []byte("name: p\n"))
	for _, c := range []struct {
		name, scheme string
		flags        []string
		code         int
		want         string
	}{
		{"an operator", "https", append(named("desk"), trusted...), exitYes, ""},
		{"another client", "https", append(named("pcscf"), trusted...), exitUsage, "403 Forbidden"},
		{"nobody", "https", trusted, exitUsage, "with --cert and --key"},
		{"an authority that nobody named", "https", named("desk"), exitUsage, "with --ca"},
		{"a key that others can read", "https", append(public, trusted...), exitUsage, "chmod 600"},
		{"the key of another", "https", append([]string{"--cert", filepath.Join(dir, "desk.pem"), "--key", filepath.Join(dir, "pcscf.key")}, trusted...), exitUsage, "its own key"},
		{"without TLS", "http", nil, exitUsage, "want https://"},
	} {
		for _, command := range [][]string{{"decisions"}, {"replay"}, {"policy", "try", "--policy", policy}, {"explain", "019ca945-0a00-7d9c-b2cb-84d42dae6fa3"}} {
			got := execute("", append(append(command, "--admin", c.scheme+"://127.0.0.1:"+port), c.flags...)...)
			code, want := c.code, c.want
			if c.code == exitYes && command[0] == "explain" {
				code, want = exitUsage, "no decision with this identifier"
			}
			if got.code != code || !strings.Contains(got.stderr, want) {
				t.Errorf("%s, %v: %+v, want %d %q", c.name, command, got, code, want)
			}
		}
	}
}
