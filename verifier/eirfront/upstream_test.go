package eirfront_test

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"imei-attest/attest"
	"imei-attest/verifier/eirfront"
)

// behind is a front before an EIR of the operator's.
func behind(t testing.TB, eir http.RoundTripper, least string) (f *front, outcomes map[string]int) {
	t.Helper()
	outcomes = make(map[string]int)
	f = newFront(t, func(c *eirfront.Config) {
		c.Upstream = eirfront.NewUpstream(eirfront.UpstreamConfig{Root: "http://eir.example/", Transport: eir, Least: least, Now: time.Now, Log: c.Log,
			Asked: func(outcome string) { outcomes[outcome]++ }})
	})
	return f, outcomes
}

// eir answers every question with a status, or with what unknown equipment gets.
func eir(status string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if status == attest.EIRUnknown {
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(`{"status":404,"cause":"ERROR_EQUIPMENT_UNKNOWN"}`))
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"status": status})
	})
}

const (
	white, grey, black = "WHITELISTED", "GREYLISTED", "BLACKLISTED"
	subscribed         = "&supi=" + alice
	unknown            = "Not Found ERROR_EQUIPMENT_UNKNOWN"
)

func TestTheWorseStatusCounts(t *testing.T) {
	for _, c := range []struct {
		name, query, upstream, want string
	}{
		{"both permit", "pei=" + peiGood + subscribed, white, "OK WHITELISTED"},
		{"the operator tracks", "pei=" + peiGood + subscribed, grey, "OK GREYLISTED"},
		{"the operator prohibits", "pei=" + peiGood + subscribed, black, "OK BLACKLISTED"},
		{"the operator knows nothing", "pei=" + peiGood + subscribed, attest.EIRUnknown, "OK WHITELISTED"},
		{"the verifier tracks", "pei=" + peiGood, white, "OK GREYLISTED"},
		{"the verifier tracks, and the operator knows nothing", "pei=" + peiGood, attest.EIRUnknown, "OK GREYLISTED"},
		{"the verifier prohibits", "pei=" + peiBad + subscribed, white, "OK BLACKLISTED"},
		{"the verifier knows nothing", "pei=" + peiUnknown + subscribed, white, "OK WHITELISTED"},
		{"the verifier knows nothing, of no subscriber", "pei=" + peiUnknown, white, "OK GREYLISTED"},
		{"the verifier knows nothing, and the operator prohibits", "pei=" + peiUnknown, black, "OK BLACKLISTED"},
		{"neither knows anything", "pei=" + peiUnknown + subscribed, attest.EIRUnknown, unknown},
		{"the operator knows a fixed line", "pei=mac-00-00-5E-00-53-00" + subscribed, white, "OK WHITELISTED"},
	} {
		f, _ := behind(t, transport{eir(c.upstream)}, white)
		if got := f.ask("GET", about(c.query)).String(); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

func TestTheQuestionIsSentOnAsItCame(t *testing.T) {
	var got *http.Request
	f, _ := behind(t, transport{http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		eir(white).ServeHTTP(w, r)
	})}, white)
	const query = "gpsi=extid-meter%40operator.example&pei=" + peiGood + "&supi=" + alice + "&supported-features=1&later=%20"
	f.ask("GET", about(query), "Authorization", "Bearer of-the-AMF", "X-Other", "1")
	if got == nil || got.Method != "GET" || got.URL.String() != "http://eir.example/n5g-eir-eic/v1/equipment-status?"+query ||
		got.Header.Get("Accept") == "" || len(got.Header) != 1 {
		t.Errorf("got %+v", got)
	}
}

func TestNobodyIsAskedWhereNothingCouldBeWorse(t *testing.T) {
	f, outcomes := behind(t, transport{eir(white)}, white)
	f.ask("GET", about("pei="+peiBad))
	f.ask("GET", about("pei="))
	if len(outcomes) > 0 {
		t.Errorf("asked: %v", outcomes)
	}
}

func TestWhatNoEIRAnswersIsAFailure(t *testing.T) {
	answering := func(status int, body string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		})
	}
	for _, c := range []struct {
		name string
		http.Handler
	}{
		{"another status", answering(200, `{"status":"PINKLISTED"}`)},
		{"a number", answering(200, `{"status":1}`)},
		{"no status", answering(200, `{}`)},
		{"no JSON", answering(200, `WHITELISTED`)},
		{"nothing", answering(200, ``)},
		{"half an answer", answering(200, `{"status":"WHITELISTED"`)},
		{"an answer without an end", answering(200, `{"status":"WHITELISTED","x":"`+strings.Repeat("x", 1<<20))},
		{"a status with another code", answering(201, `{"status":"WHITELISTED"}`)},
		{"a 404 for another cause", answering(404, `{"cause":"RESOURCE_URI_STRUCTURE_NOT_FOUND"}`)},
		{"a 404 of somebody else", answering(404, `404 page not found`)},
		{"its cause with another code", answering(400, `{"cause":"ERROR_EQUIPMENT_UNKNOWN"}`)},
		{"a refusal", answering(403, `{}`)},
		{"its fault", answering(500, `{}`)},
		{"elsewhere", answering(307, ``)},
		{"a connection that breaks", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })},
	} {
		for least, want := range map[string]string{white: "OK WHITELISTED", grey: "OK GREYLISTED", black: "OK BLACKLISTED"} {
			f, outcomes := behind(t, transport{c.Handler}, least)
			got := f.ask("GET", about("pei="+peiGood+subscribed)).String()
			if got != want || outcomes[eirfront.OutcomeFailed] != 1 || len(outcomes) != 1 {
				t.Errorf("%s, at best %s: got %s, %v; want %s", c.name, least, got, outcomes, want)
			}
		}
		f, _ := behind(t, transport{c.Handler}, white)
		if got := f.ask("GET", about("pei="+peiUnknown+subscribed)).String(); got != unknown {
			t.Errorf("%s: unknown equipment got %s", c.name, got)
		}
	}
}

func TestAnOutageCostsLittleAndIsLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var eirIs http.RoundTripper = silent{}
		f, outcomes := behind(t, roundTripper(func(r *http.Request) (*http.Response, error) { return eirIs.RoundTrip(r) }), grey)
		begun := time.Now()
		for i := range 20 {
			if got := f.ask("GET", about("pei="+peiGood+subscribed)).String(); got != "OK GREYLISTED" {
				t.Fatalf("question %d: %s", i, got)
			}
		}
		if took := time.Since(begun); took != 5*time.Second || outcomes[eirfront.OutcomeFailed] != 5 || outcomes[eirfront.OutcomeSkipped] != 15 {
			t.Errorf("took %v, %v", took, outcomes)
		}
		time.Sleep(6 * time.Second)
		eirIs = transport{eir(white)}
		for range 3 {
			if got := f.ask("GET", about("pei="+peiGood+subscribed)).String(); got != "OK WHITELISTED" {
				t.Errorf("after the outage: %s", got)
			}
		}
		log := f.log.String()
		if strings.Count(log, "does not answer") != 1 || strings.Count(log, "answers again") != 1 || strings.Contains(log, peiGood[5:]) || strings.Contains(log, alice[5:]) {
			t.Errorf("the log says %s", log)
		}
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestATrialThatFails: only one question in five seconds waits for an EIR that stays away.
func TestATrialThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, outcomes := behind(t, silent{}, black)
		for range 100 {
			f.ask("GET", about("pei="+peiGood+subscribed))
			time.Sleep(time.Second)
		}
		if n := outcomes[eirfront.OutcomeFailed]; n < 5+15 || n > 5+20 {
			t.Errorf("%v", outcomes)
		}
	})
}

// TestAnAMFThatGivesUpIsNoFaultOfTheEIR: the breaker stays closed.
func TestAnAMFThatGivesUpIsNoFaultOfTheEIR(t *testing.T) {
	f, outcomes := behind(t, silent{}, white)
	for range 10 {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		f.do(httptest.NewRequest("GET", about("pei="+peiGood+subscribed), nil).WithContext(ctx))
	}
	if len(outcomes) > 0 || strings.Contains(f.log.String(), "does not answer") {
		t.Errorf("%v %s", outcomes, f.log)
	}
}

// TestAnotherFrontIsAnEIRToo: two of ours in a row, over HTTP/2 without TLS.
func TestAnotherFrontIsAnEIRToo(t *testing.T) {
	second := newFront(t)
	root := listen(t, second.handler)
	f := newFront(t, func(c *eirfront.Config) {
		c.Upstream = eirfront.NewUpstream(eirfront.UpstreamConfig{Root: root, Transport: h2c(t), Least: black, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	})
	for query, want := range map[string]string{"pei=" + peiGood + subscribed: "OK WHITELISTED", "pei=" + peiUnknown: unknown, "pei=" + peiGood: "OK GREYLISTED"} {
		if got := f.ask("GET", about(query)).String(); got != want {
			t.Errorf("%s: got %s, want %s", query, got, want)
		}
	}
	if n := len(second.judge.asked); n != 3 {
		t.Errorf("the second was asked %d times", n)
	}
}

// listen serves HTTP/2 without TLS, as the program does.
func listen(t testing.TB, handler http.Handler) (root string) {
	t.Helper()
	s := httptest.NewUnstartedServer(handler)
	s.Config.Protocols, s.Config.ErrorLog = new(http.Protocols), log.New(io.Discard, "", 0)
	s.Config.Protocols.SetHTTP1(true)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(s.Close)
	return s.URL
}

// listenTLS serves HTTP/2 with TLS, and returns whom to trust.
func listenTLS(t testing.TB, handler http.Handler) (root string, trusting *x509.CertPool) {
	t.Helper()
	s := httptest.NewUnstartedServer(handler)
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	trusting = x509.NewCertPool()
	trusting.AddCert(s.Certificate())
	return s.URL, trusting
}

// h2c asks by HTTP/2 without TLS, with prior knowledge (RFC 9113 section 3.3).
func h2c(t testing.TB) *http.Transport {
	c := &http.Transport{Protocols: new(http.Protocols)}
	c.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(c.CloseIdleConnections)
	return c
}

func TestTheFrontSpeaksHTTP2WithoutTLSAndHTTP1(t *testing.T) {
	root := listen(t, newFront(t).handler)
	old := new(http.Transport)
	defer old.CloseIdleConnections()
	for proto, client := range map[string]http.RoundTripper{"HTTP/2.0": h2c(t), "HTTP/1.1": old} {
		request, err := http.NewRequest("GET", root+about("pei="+peiGood+subscribed), nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(response.Proto, " ", readAll(t, response)); got != proto+" OK WHITELISTED" {
			t.Errorf("got %s", got)
		}
	}
}
