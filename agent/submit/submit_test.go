package submit_test

import (
	"context"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"imei-attest/agent/submit"
	"imei-attest/attest"
)

// The real verifier is met in the tests of whole programs; here it is what a verifier may do wrong.

func TestNewRefusesWhatIsNoAddress(t *testing.T) {
	for _, address := range []string{"", "verifier", "ftp://verifier", "http://", "unix:/x", "http://%zz"} {
		if _, err := submit.New(address); err == nil || !strings.Contains(err.Error(), "http") {
			t.Errorf("New(%q): error %v", address, err)
		}
	}
}

// serve answers every request the same way.
func serve(t *testing.T, status int, header map[string]string, body string) *submit.Client {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for k, v := range header {
			w.Header().Set(k, v)
		}
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}))
	t.Cleanup(s.Close)
	c, err := submit.New(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestNewSession(t *testing.T) {
	location := map[string]string{"Location": "session/abc"}
	for _, tt := range []struct {
		name   string
		status int
		header map[string]string
		body   string
		nonce  string // "" if an error is wanted
		text   string
	}{
		{"base64url", 201, location, `{"nonce":"_-8A"}`, "\xff\xef\x00", ""},
		{"padded base64", 201, location, `{"nonce":"/+8="}`, "\xff\xef", ""},
		{"no nonce", 201, location, `{}`, "", "nonce"},
		{"no location", 201, nil, `{"nonce":"AAAA"}`, "", "session"},
		{"a location on another host", 201, map[string]string{"Location": "http://elsewhere.example/x"}, `{"nonce":"AAAA"}`, "", "same host"},
		{"no JSON", 201, location, `<html>`, "", "verifier's?"},
		{"refused with a detail", 429, nil, `{"detail":"come back later"}`, "", "come back later"},
		{"refused without", 500, nil, ``, "", "500"},
		{"a redirect is not followed", 307, map[string]string{"Location": "http://127.0.0.1:1/"}, ``, "", "307"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := serve(t, tt.status, tt.header, tt.body)
			s, err := c.NewSession(context.Background())
			if tt.nonce == "" {
				if err == nil || !strings.Contains(err.Error(), tt.text) {
					t.Errorf("error %v, want %q", err, tt.text)
				}
				return
			}
			if err != nil || string(s.Nonce) != tt.nonce {
				t.Errorf("session %+v, %v, want the nonce %x", s, err, tt.nonce)
			}
		})
	}
}

func ear(payload string) string {
	return `{"result":"e30.` + base64.RawURLEncoding.EncodeToString([]byte(payload)) + `.c2ln"}`
}

func TestSubmitReadsTheVerdict(t *testing.T) {
	for _, tt := range []struct {
		name    string
		body    string
		status  attest.Status
		reasons []attest.Reason
		text    string // of the error, "" if none is wanted
	}{
		{"with dots", ear(`{"submods":{"slot1":{"ear.status":"affirming","imei-attest.reasons":["imei-consistent"]}}}`), attest.StatusAffirming, []attest.Reason{"imei-consistent"}, ""},
		{"a warning", ear(`{"submods":{"slot1":{"ear.status":"warning","imei-attest.reasons":["stale"]}}}`), attest.StatusWarning, []attest.Reason{"stale"}, ""},
		{"the worst of two", ear(`{"submods":{"slot1":{"ear.status":"affirming"},"slot2":{"ear.status":"contraindicated"}}}`), attest.StatusContraindicated, nil, ""},
		{"a status nobody knows affirms nothing", ear(`{"submods":{"slot1":{"ear.status":"splendid"}}}`), attest.StatusNone, nil, ""},
		{"no submods", ear(`{}`), 0, nil, "no EAR"},
		{"no JWT", `{"result":"x"}`, 0, nil, "no EAR"},
		{"no result", `{}`, 0, nil, "no EAR"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var asked string
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "/newSession") {
					w.Header().Set("Location", "session/abc")
					w.WriteHeader(http.StatusCreated)
					fmt.Fprint(w, `{"nonce":"AAAA"}`)
					return
				}
				content, _ := io.ReadAll(r.Body)
				asked = r.URL.Path + " " + r.URL.Query().Get("signalled") + " " + string(content)
				fmt.Fprint(w, tt.body)
			}))
			defer s.Close()
			c, err := submit.New(s.URL)
			if err != nil {
				t.Fatal(err)
			}
			session, err := c.NewSession(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			v, err := c.Submit(context.Background(), session, []byte("token"), "urn:gsma:imei:49015420-323751-0")
			if tt.text != "" {
				if err == nil || !strings.Contains(err.Error(), tt.text) {
					t.Errorf("error %v, want %q", err, tt.text)
				}
				return
			}
			if err != nil || v.Status != tt.status || !slices.Equal(v.Reasons, tt.reasons) {
				t.Errorf("%+v, %v, want %v %v", v, err, tt.status, tt.reasons)
			}
			if want := "/challenge-response/v1/session/abc urn:gsma:imei:49015420-323751-0 token"; asked != want {
				t.Errorf("asked %q, want %q", asked, want)
			}
		})
	}
}

func TestAVerifierThatIsNotThere(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	address := s.URL
	s.Close()
	c, err := submit.New(address)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.NewSession(context.Background()); err == nil || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("error %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := c.NewSession(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want the context's", err)
	}
}

// TestWhatIsNotTLSAsExpected is told apart from a verifier that does not answer.
func TestWhatIsNotTLSAsExpected(t *testing.T) {
	secured := httptest.NewUnstartedServer(http.NotFoundHandler())
	secured.Config.ErrorLog = log.New(io.Discard, "", 0)
	secured.StartTLS()
	defer secured.Close()
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	host := func(s *httptest.Server) string { return s.Listener.Addr().String() }
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for name, c := range map[string]struct {
		address, want string
		answers       bool
	}{
		"an authority that nobody knows": {"https://" + host(secured), "does not trust: name the file of the authority's certificate in SSL_CERT_FILE", true},
		"HTTP to a port with TLS":        {"http://" + host(secured), "its address begins with https://", true},
		"TLS to a port without":          {"https://" + host(plain), "speaks no TLS", true},
		"nobody":                         {"http://" + host(gone), "does not answer: ", false},
	} {
		client, err := submit.New(c.address)
		if err != nil {
			t.Fatal(err)
		}
		_, err = client.NewSession(context.Background())
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "does not answer") == c.answers {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// TestSSLCertFileNamesTheAuthority: as the message says. Certificates of the system are read once in a process, so another one asks.
func TestSSLCertFileNamesTheAuthority(t *testing.T) {
	const address = "IMEI_AGENT_TEST_ADDRESS"
	if at := os.Getenv(address); at != "" {
		client, err := submit.New(at)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.NewSession(context.Background()); err == nil || !strings.Contains(err.Error(), "404") {
			t.Errorf("got %v, want an answer", err)
		}
		return
	}
	secured := httptest.NewTLSServer(http.NotFoundHandler())
	defer secured.Close()
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secured.Certificate().Raw}), 0o644); err != nil {
		t.Fatal(err)
	}
	self := exec.Command(os.Args[0], "-test.run", "^TestSSLCertFileNamesTheAuthority$")
	self.Env = append(os.Environ(), address+"="+secured.URL, "SSL_CERT_FILE="+file)
	if said, err := self.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, said)
	}
}

func TestIsConfidential(t *testing.T) {
	for address, want := range map[string]bool{
		"https://verifier.example": true, "https://192.0.2.1:8443": true, "http://127.0.0.1:8080": true, "http://127.9.9.9": true, "http://[::1]:80": true,
		"http://localhost:8080": true, "http://verifier.example": false, "http://192.0.2.1": false, "http://localhost.example": false, "http://127.0.0.1.example": false,
		"http://[::]": false, "http://0.0.0.0": false,
	} {
		c, err := submit.New(address)
		if err != nil || c.IsConfidential() != want {
			t.Errorf("%s: %v, want %v", address, err, want)
		}
	}
}
