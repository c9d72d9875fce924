package httpapi_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"imei-attest/attest"
	"imei-attest/verifier/ear"
)

const spoofing = `{"imei":"356938035643809","impi":"alice@example"}`

func (s *server) check(body string) reply {
	s.t.Helper()
	return s.do("POST", "/v1/registrations/check", strings.NewReader(body), "Content-Type", "application/json")
}

// TestTheSameQuestionGetsTheSameAnswer, byte for byte, whichever way and whichever node it is asked again: a network retries.
func TestTheSameQuestionGetsTheSameAnswer(t *testing.T) {
	for _, registration := range []string{`{"imei":"490154203237518","impi":"alice@example","initial":true}`, spoofing} {
		s := serve(t)
		_, n := s.open()
		q := question(token(n), registration)
		first := s.appraise(q)
		var a answer
		s.read(first, &a)
		s.now = s.now.Add(attest.NonceLife - time.Second)
		other := s.twin()
		for name, again := range map[string]reply{
			"the same way": s.appraise(q), "as a check": s.check(q), "another node": other.check(q),
			"by its id": s.do("GET", "/v1/results/"+a.ID, nil), "by its id, another node": other.do("GET", "/v1/results/"+a.ID, nil),
		} {
			if again.status != http.StatusOK || !bytes.Equal(again.body, first.body) {
				t.Errorf("%s: %d %.200s\nfirst %.200s", name, again.status, again.body, first.body)
			}
		}
	}
}

// TestACheckThatIsAskedAgain gets the same bytes in each form, be they kept here or written anew by another node, and a new answer once
// the device has attested.
func TestACheckThatIsAskedAgain(t *testing.T) {
	s := serve(t)
	attests := func() {
		_, n := s.open()
		s.appraise(question(token(n), `{"imei":"490154203237518","impi":"alice@example"}`))
	}
	check := func(accept string) reply {
		const again = `{"registration":{"imei":"490154203237518","impi":"alice@example","initial":false}}`
		return s.do("POST", "/v1/registrations/check", strings.NewReader(again), "Content-Type", "application/json", "Accept", accept)
	}
	attests()
	var last answer
	for range 2 {
		first := last
		s.read(check("application/json"), &last)
		if last.ID == first.ID || !strings.HasPrefix(s.verdict(last.Result), good) {
			t.Errorf("%+v after %+v", last, first)
		}
		for _, form := range []string{"application/json", "application/eat+jwt", "application/eat+cwt"} {
			want := s.twin().do("GET", "/v1/results/"+last.ID, nil, "Accept", form)
			for range 2 {
				got := check(form)
				got.header.Set("Date", want.header.Get("Date")) // of each by itself
				if !reflect.DeepEqual(got.header, want.header) || !bytes.Equal(got.body, want.body) || got.status != http.StatusOK {
					t.Errorf("%s: %d %v %.100s, want %v %.100s", form, got.status, got.header, got.body, want.header, want.body)
				}
			}
		}
		attests()
	}
}

func TestACheckIsOfARegistration(t *testing.T) {
	s := serve(t)
	_, n := s.open()
	for _, c := range []struct{ body, want string }{
		{`{"registration":{"imei":"490154203237518"}}`, "none: not-endorsed"},
		{question(token(n), `{"imei":"490154203237518"}`), good + " imei-consistent"},
		{`{"registration":{"imei":"490154203237518"}}`, "warning: evidence-missing"}, // of a device that has attested
		{`{"evidence":null,"registration":{"emergency":true,"imei":"49015420323751"}}`, "none: emergency"},
	} {
		var got answer
		s.read(s.check(c.body), &got)
		if v := s.verdict(got.Result); v != c.want {
			t.Errorf("%s: %s, want %s", c.body, v, c.want)
		}
	}
	for body, remedy := range map[string]string{
		`{"evidence":"AAAA"}`:                                         "POST /v1/appraise",
		`{"evidence":"AAAA","registration":null}`:                     "POST /v1/appraise",
		`{"evidence":"AAAA","nonce":"AAAAAAAAAAA","registration":{}}`: "POST /v1/appraise",
		`{}`: "nothing to judge",
	} {
		s.wantProblem(s.check(body), http.StatusBadRequest, remedy)
	}
	s.wantProblem(s.do("POST", "/v1/registrations/check", strings.NewReader(`{}`)), http.StatusUnsupportedMediaType, "application/json")
}

// readResult reads a bare result of either carrier.
func (s *server) readResult(r reply) *ear.Result {
	s.t.Helper()
	read := func() (*ear.Result, error) { return ear.Verify(string(r.body), &resultKey.PublicKey, s.now) }
	switch r.header.Get("Content-Type") {
	case ear.MediaTypeCWT:
		read = func() (*ear.Result, error) { return ear.VerifyCWT(r.body, &resultKey.PublicKey, s.now) }
	case ear.MediaTypeJWT:
	default:
		s.t.Fatalf("%d %s %s", r.status, r.header.Get("Content-Type"), r.body)
	}
	result, err := read()
	if err != nil {
		s.t.Fatal(err)
	}
	return result
}

func TestAResultAloneIsAJWTOrACWT(t *testing.T) {
	s := serve(t)
	const body = `{"registration":{"imei":"490154203237518"}}`
	for accept, want := range map[string]string{
		"":                                "application/json",
		"*/*":                             "application/json",
		"application/*":                   "application/json",
		"application/json":                "application/json",
		"application/eat+jwt":             ear.MediaTypeJWT,
		"application/eat+cwt":             ear.MediaTypeCWT,
		"APPLICATION/EAT+CWT":             ear.MediaTypeCWT,
		ear.MediaTypeCWT:                  ear.MediaTypeCWT,
		strings.ToUpper(ear.MediaTypeCWT): ear.MediaTypeCWT,
		"application/eat+cwt, */*;q=0.1":  ear.MediaTypeCWT,
		"application/json;q=0.5, " + ear.MediaTypeJWT:           ear.MediaTypeJWT,
		"*/*, application/json;q=0":                             ear.MediaTypeJWT,
		"text/html, application/eat+cwt;q=0.2":                  ear.MediaTypeCWT,
		"nonsense, application/json":                            "application/json",
		"application/eat+jwt;q=0.3, application/eat+cwt;q=0.31": ear.MediaTypeCWT,
	} {
		for _, ask := range []func() reply{
			func() reply {
				return s.do("POST", "/v1/appraise", strings.NewReader(body), "Content-Type", "application/json", "Accept", accept)
			},
			func() reply {
				return s.do("POST", "/v1/registrations/check", strings.NewReader(body), "Content-Type", "application/json", "Accept", accept)
			},
		} {
			r := ask()
			if got := r.header.Get("Content-Type"); r.status != http.StatusOK || got != want {
				t.Errorf("Accept %q: %d %s, want %s", accept, r.status, got, want)
				continue
			}
			if want == "application/json" {
				continue
			}
			if got := s.readResult(r); got.Status != attest.StatusNone || got.Submods["registration"].Reasons[0] != attest.ReasonNotEndorsed {
				t.Errorf("Accept %q: %+v", accept, got)
			}
			again := s.do("GET", r.header.Get("Content-Location"), nil, "Accept", accept)
			if !bytes.Equal(again.body, r.body) {
				t.Errorf("Accept %q: Content-Location %s gives %d %s", accept, r.header.Get("Content-Location"), again.status, again.body)
			}
		}
	}
}

// TestWhatIsNotAcceptableIsRefusedBeforeItIsJudged: the evidence is not used up by it.
func TestWhatIsNotAcceptableIsRefusedBeforeItIsJudged(t *testing.T) {
	s := serve(t)
	path, n := s.open()
	q := question(token(n), `{"imei":"490154203237518"}`)
	for _, accept := range []string{
		"text/html", "application/eat+cwt;q=0", "application/cbor", "*/*;q=0", "application", ";", `application/eat+cwt; eat_profile="tag:example,2026:other"`,
		`application/eat+cwt; eat_profile="tag:github.com,2023:veraison/ear"`, "application/json;q=many",
	} {
		for _, address := range []string{"/v1/appraise", "/v1/registrations/check"} {
			s.wantProblem(s.do("POST", address, strings.NewReader(q), "Content-Type", "application/json", "Accept", accept), http.StatusNotAcceptable, "application/eat+cwt")
		}
		s.wantProblem(s.do("GET", "/v1/results/019ca945-0a00-7d9c-b2cb-84d42dae6fa3", nil, "Accept", accept), http.StatusNotAcceptable, "application/eat+cwt")
		s.wantProblem(s.do("POST", path, bytes.NewReader(token(n)), "Content-Type", attest.EvidenceMediaType, "Accept", accept), http.StatusNotAcceptable, typeSession)
		s.wantProblem(s.do("GET", path, nil, "Accept", accept), http.StatusNotAcceptable, typeSession)
	}
	if len(s.log.String()) > 0 {
		t.Errorf("something was judged: %s", s.log)
	}
}

func TestAResultIsThereWhileItHolds(t *testing.T) {
	s := serve(t)
	var a answer
	s.read(s.appraise(`{"registration":{"imei":"490154203237518"}}`), &a)
	path := "/v1/results/" + a.ID
	s.now = a.ValidUntil.Add(-time.Nanosecond)
	if r := s.do("GET", path, nil); r.status != http.StatusOK {
		t.Errorf("at its end: %d %s", r.status, r.body)
	}
	s.now = a.ValidUntil
	s.wantProblem(s.do("GET", path, nil), http.StatusGone, "ask again")
	for _, id := range []string{"019ca945-0a00-7d9c-b2cb-84d42dae6fa3", "nonsense", strings.ToUpper(a.ID), "490154203237518"} {
		s.wantProblem(s.do("GET", "/v1/results/"+id, nil), http.StatusNotFound, "an answer's id")
	}
}

// TestAnswersOfSessionsAreResultsToo: what a device was told is there for the network that asks by the id in the log.
func TestAnswersOfSessionsAreResultsToo(t *testing.T) {
	s := serve(t)
	path, n := s.open()
	s.submit(path, token(n))
	var event struct{ ID string }
	if err := json.Unmarshal(s.log.Bytes(), &event); err != nil {
		t.Fatalf("%s: %v", s.log, err)
	}
	got := s.readResult(s.do("GET", "/v1/results/"+event.ID, nil, "Accept", "application/eat+cwt"))
	if got.Nonce != n.String() || got.Status != attest.StatusWarning {
		t.Errorf("%+v", got)
	}
}
