package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/testbench/nrftest"
)

const (
	eirPath  = "/n5g-eir-eic/v1/equipment-status"
	eirID    = "b4f4a6a0-5a1e-4c3e-9f7e-000000000002"
	nrfID    = "b4f4a6a0-5a1e-4c3e-9f7e-000000000001"
	eirOwner = "imsi-001010000000001"
)

// amf asks by HTTP/2, without TLS unless it is given whom to trust.
type amf struct {
	t    *testing.T
	root string
	*http.Client
}

func newAMF(t *testing.T, address string, with *tls.Config) *amf {
	t.Helper()
	transport, scheme := &http.Transport{Protocols: new(http.Protocols), TLSClientConfig: with}, "http"
	if with != nil {
		transport.Protocols.SetHTTP2(true)
		scheme = "https"
	} else {
		transport.Protocols.SetUnencryptedHTTP2(true)
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &amf{t, scheme + "://" + address, &http.Client{Transport: transport}}
}

// ask returns the status code and the body, or why there is none.
func (a *amf) ask(query string, headers ...string) string {
	a.t.Helper()
	request, err := http.NewRequest("GET", a.root+eirPath+query, nil)
	if err != nil {
		a.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := a.Do(request)
	if err != nil {
		return "no answer: " + err.Error()
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	written.Write(body)
	if response.ProtoMajor != 2 {
		a.t.Errorf("the answer came by %s", response.Proto)
	}
	return fmt.Sprint(response.StatusCode, " ", string(body))
}

// registersBy lets the sample device register with IMS, by AKA.
func registersBy(t *testing.T, address, impi string) {
	t.Helper()
	const challenge = "dcd98b7102dd2f0e8b11d0f600bfb0c093"
	evidence := token(t, attest.StorageTPMDiscrete, attest.NonceFrom401(challenge))
	body := fmt.Sprintf(`{"evidence":%q,"registration":{"instance_id":%q,"impi":%q,"auth":"AKAv1-MD5","integrity_protected":"yes","challenge_401":%q,"challenge_outstanding":true}}`,
		base64.StdEncoding.EncodeToString(evidence), attesttest.MustIMEI(attesttest.IMEI1).URN(), impi, challenge)
	response, err := fresh.Post("http://"+address+"/v1/appraise", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if answer, _ := io.ReadAll(response.Body); !bytes.Contains(answer, []byte(`"action":"accept"`)) {
		t.Fatalf("the registration gets %s", response.Status)
	}
}

// TestAnAMFIsAnswered through the whole program: a device registers with IMS, and NAS asks about it.
func TestAnAMFIsAnswered(t *testing.T) {
	policy := write(t, "policy.yaml", []byte(execute("", "policy", "show", "enforce").stdout))
	p := launch(t, []string{"IMEIATT_EIR_5G_LISTEN=" + anyPort}, "--trust", trustFolder(t), "--state", t.TempDir(), "--listen", anyPort, "--admin", anyPort, "--policy", policy)
	registersBy(t, p.address, "001010000000001@ims.mnc001.mcc001.3gppnetwork.org")
	a := newAMF(t, p.amfs, nil)
	pei := "?pei=imei-" + attesttest.IMEI1
	for query, want := range map[string]string{
		pei + "&supi=" + eirOwner:               `200 {"status":"WHITELISTED"}`,
		pei:                                     `200 {"status":"GREYLISTED"}`,
		pei + "&supi=imsi-001010000000002":      `200 {"status":"GREYLISTED"}`,
		"?pei=imei-" + attesttest.OtherIMEI:     `404 {"title":"Not Found","status":404,"detail":"nobody endorsed this equipment","cause":"ERROR_EQUIPMENT_UNKNOWN"}`,
		"?pei=" + attesttest.IMEI1:              `"cause":"MANDATORY_QUERY_PARAM_INCORRECT"`,
		pei + "&x=" + strings.Repeat("x", 4096): `414 {`,
	} {
		if got := a.ask(query); !strings.Contains(got, want) {
			t.Errorf("%s: got %s, want %s", query[:min(60, len(query))], got, want)
		}
	}
	_, metrics := fetched(p.admin, "/metrics")
	for _, want := range []string{`imeiatt_eir_5g_answers_total{result="permitted"} 1`, `imeiatt_eir_5g_answers_total{result="tracked"} 2`, `imeiatt_eir_5g_answers_total{result="unknown"} 1`,
		`imeiatt_eir_5g_answers_total{result="refused"} 2`, `imeiatt_http_requests_total{code="200",endpoint="GET /n5g-eir-eic/v1/equipment-status"} 3`, "imeiatt_eir_5g_registered 0"} {
		if !strings.Contains(metrics, want+"\n") {
			t.Errorf("no metric %s", want)
		}
	}
	p.signal(syscall.SIGTERM)
	if err := p.cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// TestTheNRFIsToldOfTheFront: at its start, and at its end before the last question is answered.
func TestTheNRFIsToldOfTheFront(t *testing.T) {
	nrf := &nrftest.NRF{Heartbeat: time.Second}
	s := httptest.NewUnstartedServer(nrf)
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	defer s.Close()
	p := launch(t, []string{"IMEIATT_EIR_5G_LISTEN=" + anyPort, "IMEIATT_EIR_5G_NRF=" + s.URL, "IMEIATT_EIR_5G_INSTANCE=" + eirID},
		"--trust", trustFolder(t), "--state", t.TempDir(), "--listen", anyPort, "--admin", anyPort)
	p.until("registered at the NRF")
	profile := fmt.Sprint(nrf.Profile(eirID)["nfServices"])
	if _, port, _ := strings.Cut(p.amfs, ":"); !strings.Contains(profile, "port:"+port) {
		t.Errorf("the NRF tells AMFs %s, not %s", profile, p.amfs)
	}
	nrf.Restart()
	p.until("registered at the NRF")
	_, metrics := fetched(p.admin, "/metrics")
	if !strings.Contains(metrics, "imeiatt_eir_5g_registered 1\n") {
		t.Error("the metrics do not say so")
	}
	p.signal(syscall.SIGTERM)
	p.until("the registration at the NRF was taken back")
	if err := p.cmd.Wait(); err != nil || nrf.Profile(eirID) != nil {
		t.Errorf("%v; the NRF saw %v", err, nrf.Seen())
	}
}

// TestAnNRFThatIsAwayStopsNobody: AMFs are answered, and the program ends in time.
func TestAnNRFThatIsAwayStopsNobody(t *testing.T) {
	nrf := httptest.NewServer(nil)
	nrf.Close()
	p := launch(t, []string{"IMEIATT_EIR_5G_LISTEN=" + anyPort, "IMEIATT_EIR_5G_NRF=" + nrf.URL, "IMEIATT_EIR_5G_INSTANCE=" + eirID},
		"--trust", trustFolder(t), "--state", t.TempDir(), "--listen", anyPort, "--admin", anyPort)
	p.until("the NRF does not take the registration: AMFs that are told of this network function go on asking it")
	if got := newAMF(t, p.amfs, nil).ask("?pei=imei-" + attesttest.IMEI1); got != `200 {"status":"GREYLISTED"}` {
		t.Errorf("got %s", got)
	}
	begun := time.Now()
	p.signal(syscall.SIGTERM)
	if err := p.cmd.Wait(); err != nil || time.Since(begun) > 5*time.Second {
		t.Errorf("%v, after %v", err, time.Since(begun))
	}
}

// TestAMFsShowCertificatesAndTokens: HTTP/2 by TLS, with a certificate of the SBI's and an access token; both are exchanged under way.
func TestAMFsShowCertificatesAndTokens(t *testing.T) {
	ca, caPEM, _ := issue(t, nil, "")
	dir := t.TempDir()
	put := func() {
		_, certificate, key := issue(t, &ca, "")
		replaceFile(t, filepath.Join(dir, "eir.key"), string(key))
		replaceFile(t, filepath.Join(dir, "eir.pem"), string(certificate))
	}
	put()
	replaceFile(t, filepath.Join(dir, "ca.pem"), string(caPEM))
	signer := putNRFKey(t, dir)
	path := filepath.Join(dir, "verifier.yaml")
	replaceFile(t, path, fmt.Sprintf(`listen: 127.0.0.1:0
admin: 127.0.0.1:0
trust: %s
state: state
eir_5g: {listen: '127.0.0.1:0', certificate: eir.pem, key: eir.key, client_ca: ca.pem, instance: %s, token_key: nrf.pem, token_issuer: %s}
`, trustFolder(t), eirID, nrfID))
	p := launch(t, nil, "--config", path)
	roots := x509.NewCertPool()
	roots.AddCert(ca.Leaf)
	certificate, _, _ := issue(t, &ca, "urn:uuid:b4f4a6a0-5a1e-4c3e-9f7e-000000000003")
	stranger, _, _ := issue(t, nil, "")
	with := func(c ...tls.Certificate) *tls.Config {
		return &tls.Config{RootCAs: roots, ServerName: "127.0.0.1", Certificates: c}
	}
	const tracked = `200 {"status":"GREYLISTED"}`
	query := "?pei=imei-" + attesttest.IMEI1
	known := newAMF(t, p.amfs, with(certificate))
	for name, c := range map[string]struct {
		amf   *amf
		token string
		want  string
	}{
		"a known AMF with a token": {known, bearer(t, signer), tracked},
		"a known AMF without one":  {known, "", `401 {`},
		"a token of somebody else": {known, bearer(t, putNRFKey(t, t.TempDir())), `401 {`},
		"no certificate":           {newAMF(t, p.amfs, with()), bearer(t, signer), "no answer"},
		"another CA's certificate": {newAMF(t, p.amfs, with(stranger)), bearer(t, signer), "no answer"},
		"no TLS":                   {newAMF(t, p.amfs, nil), bearer(t, signer), "no answer"},
	} {
		if got := c.amf.ask(query, "Authorization", c.token); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
	put()
	p.until("the certificate of the 5G-EIR was read again")
	next := putNRFKey(t, dir)
	p.until("the NRF's key was read again")
	for _, c := range []struct {
		key  *ecdsa.PrivateKey
		want string
	}{{next, tracked}, {signer, `401 {`}} {
		if got := newAMF(t, p.amfs, with(certificate)).ask(query, "Authorization", bearer(t, c.key)); !strings.HasPrefix(got, c.want) {
			t.Errorf("after the exchange: got %s, want %s", got, c.want)
		}
	}
	replaceFile(t, filepath.Join(dir, "nrf.pem"), "nothing")
	if e := p.until("the NRF's key was refused: what was in force before still is"); !strings.Contains(e.Error, "eir_5g.token_key: it holds no key") {
		t.Errorf("%+v", e)
	}
}

// putNRFKey draws a key of an NRF and writes its public half down.
func putNRFKey(t *testing.T, dir string) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	replaceFile(t, filepath.Join(dir, "nrf.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})))
	return key
}

func bearer(t *testing.T, key *ecdsa.PrivateKey) string {
	t.Helper()
	text, err := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{"iss": nrfID, "sub": "b4f4a6a0-5a1e-4c3e-9f7e-000000000003", "aud": []string{eirID},
		"scope": "n5g-eir-eic", "exp": time.Now().Add(time.Minute).Unix()}).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return "Bearer " + text
}

// TestAnEIRBehindTheFront: two programs in a row, the second over TLS with certificates of both sides.
func TestAnEIRBehindTheFront(t *testing.T) {
	ca, caPEM, _ := issue(t, nil, "")
	dir := t.TempDir()
	_, certificate, key := issue(t, &ca, "")
	for name, text := range map[string][]byte{"eir.key": key, "eir.pem": certificate, "ca.pem": caPEM} {
		replaceFile(t, filepath.Join(dir, name), string(text))
	}
	config := func(name, eir string) string {
		path := filepath.Join(dir, name+".yaml")
		replaceFile(t, path, fmt.Sprintf("listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\ntrust: %s\nstate: %s\nstore: memory\neir_5g: {listen: '127.0.0.1:0', certificate: eir.pem, key: eir.key, client_ca: ca.pem%s",
			trustFolder(t), name, eir))
		return path
	}
	second := launch(t, nil, "--config", config("second", "}\n"))
	first := launch(t, nil, "--config", config("first", fmt.Sprintf(", peer_ca: ca.pem}\neir_5g_upstream: {root: 'https://%s', fail: deny}\n", second.amfs)))
	roots := x509.NewCertPool()
	roots.AddCert(ca.Leaf)
	own, _, _ := issue(t, &ca, "")
	a := newAMF(t, first.amfs, &tls.Config{RootCAs: roots, ServerName: "127.0.0.1", Certificates: []tls.Certificate{own}})
	query := "?pei=imei-" + attesttest.IMEI1
	if got := a.ask(query); got != `200 {"status":"GREYLISTED"}` {
		t.Errorf("got %s", got)
	}
	second.signal(syscall.SIGTERM)
	if err := second.cmd.Wait(); err != nil {
		t.Error(err)
	}
	if got := a.ask(query); got != `200 {"status":"BLACKLISTED"}` {
		t.Errorf("while it is away: got %s", got)
	}
	_, metrics := fetched(first.admin, "/metrics")
	for _, want := range []string{`imeiatt_eir_5g_upstream_total{outcome="answered"} 1`, `imeiatt_eir_5g_upstream_total{outcome="failed"} 1`} {
		if !strings.Contains(metrics, want+"\n") {
			t.Errorf("no metric %s", want)
		}
	}
}

// TestTheFrontDrains: an AMF that is being answered when the server is stopped gets its answer.
func TestTheFrontDrains(t *testing.T) {
	asked, answer := make(chan bool), make(chan bool)
	slow := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked <- true
		<-answer
		_, _ = io.WriteString(w, `{"status":"BLACKLISTED"}`)
	}))
	slow.Config.Protocols = new(http.Protocols)
	slow.Config.Protocols.SetUnencryptedHTTP2(true)
	slow.Start()
	defer slow.Close()
	p := launch(t, []string{"IMEIATT_EIR_5G_LISTEN=" + anyPort, "IMEIATT_EIR_5G_UPSTREAM_ROOT=" + slow.URL}, "--trust", trustFolder(t), "--state", t.TempDir(), "--listen", anyPort, "--admin", anyPort)
	a := newAMF(t, p.amfs, nil)
	got := make(chan string)
	go func() { got <- a.ask("?pei=imei-" + attesttest.IMEI1) }()
	<-asked
	p.signal(syscall.SIGTERM)
	for code := http.StatusOK; code != http.StatusServiceUnavailable; {
		code, _ = fetched(p.admin, "/readyz")
	}
	close(answer)
	if got := <-got; got != `200 {"status":"BLACKLISTED"}` {
		t.Errorf("got %s", got)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Error(err)
	}
}

func TestARateOfAMFsIsChangedUnderWay(t *testing.T) {
	path := filepath.Join(t.TempDir(), "verifier.yaml")
	config := func(rate string) string {
		return fmt.Sprintf("listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\ntrust: %s\nstate: state\nstore: memory\neir_5g: {listen: '127.0.0.1:0', rate: %s}\n", trustFolder(t), rate)
	}
	replaceFile(t, path, config("0.01"))
	p := launch(t, nil, "--config", path)
	a := newAMF(t, p.amfs, nil)
	var got []string
	ask := func() { got = append(got, a.ask("?pei=mac-00-00-5E-00-53-00")[:3]) }
	ask()
	ask()
	replaceFile(t, path, config("0"))
	p.until("the configuration was read again")
	ask()
	ask()
	if want := []string{"404", "429", "404", "404"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestAnEIRThatCannotBeOpenedIsTold(t *testing.T) {
	taken := start(t, trustFolder(t), t.TempDir())
	defer taken.stop()
	for name, c := range map[string]struct{ fields, want string }{
		"an address that is taken":           {"listen: '" + taken.address + "'", "eir_5g.listen (line 4)"},
		"a certificate that is missing":      {"listen: '127.0.0.1:0', certificate: c.pem, key: k.pem", "eir_5g.key"},
		"a key of tokens that is missing":    {"listen: '127.0.0.1:0', token_key: nrf.pem, token_issuer: " + nrfID + ", instance: " + eirID, "eir_5g.token_key"},
		"a CA of peers that is missing":      {"listen: '127.0.0.1:0', nrf: 'https://127.0.0.1:1', instance: " + eirID + ", peer_ca: ca.pem", "eir_5g.peer_ca"},
		"settings that do not go together":   {"nrf: 'http://127.0.0.1:1'", "is of no use without eir_5g.listen"},
		"a CA of peers that is not a CA":     {"listen: '127.0.0.1:0', nrf: 'https://127.0.0.1:1', instance: " + eirID + ", peer_ca: verifier.yaml", "want PEM blocks CERTIFICATE"},
		"a key of tokens that is not a key":  {"listen: '127.0.0.1:0', token_key: verifier.yaml, token_issuer: " + nrfID + ", instance: " + eirID, "it holds no key"},
		"a certificate that others can read": {"listen: '127.0.0.1:0', certificate: open.pem, key: open.pem", "chmod 600"},
	} {
		path := write(t, "verifier.yaml", []byte("listen: 127.0.0.1:0\ntrust: "+trustFolder(t)+"\nstate: state\neir_5g: {"+c.fields+"}\n"))
		replaceFile(t, filepath.Join(filepath.Dir(path), "open.pem"), "x")
		if err := syscall.Chmod(filepath.Join(filepath.Dir(path), "open.pem"), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := execute("", "serve", "--config", path); got.code != exitUsage || !strings.Contains(got.stderr, c.want) {
			t.Errorf("%s: got %d %s, want %q", name, got.code, got.stderr, c.want)
		}
		if got := execute("", "config", "check", path); name != "an address that is taken" && (got.code != exitUsage || !strings.Contains(got.stderr, c.want)) {
			t.Errorf("%s: check says %d %s, want %q", name, got.code, got.stderr, c.want)
		}
	}
}
