package access_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"imei-attest/verifier/access"
)

// from is a request of an address, with a certificate or without.
func from(address string, certificate *x509.Certificate, verified bool) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.RemoteAddr = address
	if certificate != nil {
		r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{certificate}}
		if verified {
			r.TLS.VerifiedChains = [][]*x509.Certificate{{certificate}}
		}
	}
	return r
}

func TestAClientIsKnownByOneNameOfAVerifiedCertificate(t *testing.T) {
	clients := access.NewClients([]access.Grant{
		{Name: "pcscf", Certificates: []string{"spiffe://operator.example/pcscf", "dns:pcscf.example"}, Roles: []string{"network"}},
		{Name: "portal", Certificates: []string{"spiffe://operator.example/portal"}, Roles: []string{"admin"}},
	}, access.Unnamed{Roles: []string{"device"}})
	const pcscf, portal = "spiffe://operator.example/pcscf", "spiffe://operator.example/portal"
	for _, c := range []struct {
		name        string
		certificate *x509.Certificate
		verified    bool
		want, role  string
	}{
		{"a listed URI", named(t, []string{pcscf}), true, "pcscf", "network"},
		{"a listed DNS name", named(t, nil, "pcscf.example"), true, "pcscf", "network"},
		{"two names of one client", named(t, []string{pcscf}, "pcscf.example"), true, "pcscf", "network"},
		{"another URI besides", named(t, []string{"spiffe://other.example/x", portal}), true, "portal", "admin"},
		{"no certificate", nil, true, "", "device"},
		{"a certificate that was not verified", named(t, []string{pcscf}), false, "", "device"},
		{"two clients in one certificate", named(t, []string{pcscf, portal}), true, "", "device"},
		{"two clients by URI and DNS name", named(t, []string{portal}, "pcscf.example"), true, "", "device"},
		{"a URI below a listed one", named(t, []string{pcscf + "/1"}), true, "", "device"},
		{"a URI of another trust domain", named(t, []string{"spiffe://evil.example/pcscf"}), true, "", "device"},
		{"a DNS name below a listed one", named(t, nil, "a.pcscf.example"), true, "", "device"},
		{"a listed URI as a DNS name", named(t, nil, pcscf), true, "", "device"},
	} {
		if got := clients.Of(from("192.0.2.1:1", c.certificate, c.verified)); got.Name != c.want || got.Roles[0] != c.role {
			t.Errorf("%s: got %+v, want %q with %s", c.name, got, c.want, c.role)
		}
	}
}

// answers are the statuses of requests, one after the other.
func answers(handler http.Handler, requests ...*http.Request) string {
	var got []string
	for _, r := range requests {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		got = append(got, strconv.Itoa(w.Code)+w.Header().Get("Retry-After"))
	}
	return strings.Join(got, " ")
}

func ok(http.ResponseWriter, *http.Request) {}

func newGate(c *access.Clients, inFlight int, limited func(access.Limit)) *access.Gate {
	return access.NewGate(c, inFlight, time.Now, limited)
}

func TestEachCallerHasItsOwnLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		counts := make(map[access.Limit]int)
		clients := access.NewClients([]access.Grant{
			{Name: "slow", Certificates: []string{"dns:slow"}, Rate: 0.1, Burst: 1},
			{Name: "free", Certificates: []string{"dns:free"}},
		}, access.Unnamed{Rate: 1, Burst: 2, Addresses: 100})
		gate := newGate(clients, 1, func(l access.Limit) { counts[l]++ })
		h := gate.Handler(http.HandlerFunc(ok))
		a := func() *http.Request { return from("192.0.2.1:1000", nil, false) }
		if got := answers(h, a(), from("192.0.2.1:2", nil, false), a(), a(), from("192.0.2.2:1", nil, false)); got != "200 200 4291 4291 200" {
			t.Errorf("one address: %s", got)
		}
		six := func(address string) *http.Request { return from("["+address+"]:1", nil, false) }
		if got := answers(h, six("2001:db8::1"), six("2001:db8::2"), six("2001:db8:0:0:ffff::1"), six("2001:db8:0:1::1"), six("::ffff:192.0.2.1")); got != "200 200 4291 200 4291" {
			t.Errorf("64 bits of IPv6: %s", got)
		}
		client := func(name string) *http.Request { return from("192.0.2.1:1", named(t, nil, name), true) }
		if got := answers(h, client("slow"), client("slow"), client("free"), client("free"), client("free")); got != "200 42910 200 200 200" {
			t.Errorf("named clients: %s", got)
		}
		time.Sleep(time.Second)
		if got := answers(h, a(), a()); got != "200 4291" {
			t.Errorf("a second later: %s", got)
		}
		gate.SetClients(access.NewClients(nil, access.Unnamed{}))
		if got := answers(h, a(), a(), a()); got != "200 200 200" {
			t.Errorf("after the limit was lifted: %s", got)
		}
		if counts[access.LimitRate] != 6 || len(counts) != 1 {
			t.Errorf("told of %v", counts)
		}
	})
}

// TestTheTableOfAddressesIsBounded: the one that was silent longest is forgotten, and no other.
func TestTheTableOfAddressesIsBounded(t *testing.T) {
	h := newGate(access.NewClients(nil, access.Unnamed{Rate: 0.001, Burst: 1, Addresses: 2}), 1, func(access.Limit) {}).Handler(http.HandlerFunc(ok))
	a, b, c := from("192.0.2.1:1", nil, false), from("192.0.2.2:1", nil, false), from("192.0.2.3:1", nil, false)
	if got := answers(h, a, b, a, c, a, b); got != "200 200 4291000 200 4291000 200" {
		t.Errorf("got %s", got)
	}
}
