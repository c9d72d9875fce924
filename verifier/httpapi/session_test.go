package httpapi_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/verifier/httpapi"
)

func nonceOf(t testing.TB, text string) attest.Nonce {
	t.Helper()
	n, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(text, "="))
	if err != nil {
		t.Fatalf("nonce %q: %v", text, err)
	}
	return n
}

func TestNewSessionGivesASessionThatWaits(t *testing.T) {
	s := serve(t)
	s.now = s.now.Add(300 * time.Millisecond)
	r := s.do("POST", newSession, nil, "Accept", typeSession)
	var got session
	s.read(r, &got)
	want := session{Status: "waiting", Nonce: got.Nonce, Expiry: attesttest.Now.Add(attest.NonceLife), Accept: []string{attest.EvidenceMediaType}}
	if r.status != http.StatusCreated || r.header.Get("Content-Type") != typeSession || r.header.Get("Cache-Control") != "no-store" || !reflect.DeepEqual(got, want) {
		t.Errorf("got %d %v\n%+v, want\n%+v", r.status, r.header, got, want)
	}
	if location := r.header.Get("Location"); location != "session/"+got.Nonce {
		t.Errorf("Location %q", location)
	}
	again := s.do("GET", "/challenge-response/v1/session/"+got.Nonce, nil)
	var waiting session
	s.read(again, &waiting)
	if again.status != http.StatusOK || !reflect.DeepEqual(waiting, want) {
		t.Errorf("GET: %d %+v, want %+v", again.status, waiting, want)
	}
}

func TestNonceSizeAndAccept(t *testing.T) {
	s := serve(t)
	for _, c := range []struct {
		query, accept string
		size          int // of the nonce, 0 for a refusal
		status        int
		remedy        string
	}{
		{"", "", 33, 201, ""},
		{"", "*/*", 33, 201, ""},
		{"nonceSize=29", typeSession, 29, 201, ""},
		{"nonceSize=64", typeSession, 64, 201, ""},
		{"nonceSize=28", "", 0, 400, "29 to 64"},
		{"nonceSize=65", "", 0, 400, "29 to 64"},
		{"nonceSize=29&nonceSize=64", "", 0, 400, "one nonceSize"},
		{"nonceSize=%zz", "", 0, 400, "one nonceSize"},
		{"nonceSize=-1", "", 0, 400, "29 to 64"},
		{"nonceSize=many", "", 0, 400, "29 to 64"},
		{"nonceSize=99999999999999999999", "", 0, 400, "29 to 64"},
		{"nonce=AAAA&nonceSize=32", "", 0, 400, "leave nonce out"},
		{"nonce=AAAA", "", 0, 403, "leave it out"},
		{"nonce=", "", 0, 403, "leave it out"},
		{"", "application/json", 0, 406, typeSession},
		{"", "text/html", 0, 406, typeSession},
	} {
		t.Run(fmt.Sprintf("%s Accept %s is %d", c.query, c.accept, c.status), func(t *testing.T) {
			s := *s
			s.t = t
			var headers []string
			if c.accept != "" {
				headers = []string{"Accept", c.accept}
			}
			r := s.do("POST", newSession+"?"+c.query, nil, headers...)
			if c.size == 0 {
				s.wantProblem(r, c.status, c.remedy)
				return
			}
			var object session
			s.read(r, &object)
			if n := nonceOf(t, object.Nonce); r.status != c.status || len(n) != c.size {
				t.Errorf("%d with a nonce of %d bytes", r.status, len(n))
			}
		})
	}
}

func TestASessionIsCompletedByEvidence(t *testing.T) {
	s := serve(t)
	path, n := s.open()
	var got session
	r := s.submit(path, token(n))
	s.read(r, &got)
	if r.status != http.StatusOK || r.header.Get("Content-Type") != typeSession || got.Status != "complete" || got.Nonce != n.String() ||
		got.Evidence == nil || !bytes.Equal(got.Evidence.Value, token(n)) || got.Evidence.Type != attest.EvidenceMediaType {
		t.Errorf("POST: %d %s", r.status, r.body)
	}
	if v := s.verdict(got.Result); v != good {
		t.Errorf("POST: %s, want %s", v, good)
	}
	var later session
	s.read(s.do("GET", path, nil), &later)
	if v := s.verdict(later.Result); later.Status != "complete" || v != good {
		t.Errorf("GET: %s, %s; want complete, %s", later.Status, v, good)
	}
}

func TestTheSameTokenGetsTheSameAnswerAndAnotherNeedsANewSession(t *testing.T) {
	s := serve(t)
	path, n := s.open()
	var answers [2]session
	for i := range answers {
		s.read(s.submit(path, token(n)), &answers[i])
		if v := s.verdict(answers[i].Result); v != good {
			t.Errorf("POST %d: %s, want %s", i+1, v, good)
		}
	}
	var other session
	s.read(s.submit(path, attesttest.Token(claims(n), nil)), &other)
	if v := s.verdict(other.Result); v != "none: nonce-expired" {
		t.Errorf("another token of the device: %s", v)
	}
	s.read(s.submit(path+"?signalled=urn:gsma:imei:49015420-323751-0", token(n)), &other)
	if v := s.verdict(other.Result); v != "contraindicated: nonce-reused" {
		t.Errorf("the token for another question: %s", v)
	}
	var kept session
	s.read(s.do("GET", path, nil), &kept)
	if v := s.verdict(kept.Result); v != good {
		t.Errorf("GET after the replays: %s, want %s", v, good)
	}
}

func claims(n attest.Nonce) attest.Claims {
	c := attesttest.Claims()
	c.Nonce = n
	return c
}

func TestEvidenceForAnotherSessionIsNotTaken(t *testing.T) {
	s := serve(t)
	_, n := s.open()
	elsewhere, _ := s.open()
	var got session
	s.read(s.submit(elsewhere, token(n)), &got)
	if v := s.verdict(got.Result); v != "none: nonce-expired" {
		t.Errorf("got %s, want nonce-expired", v)
	}
}

func TestADeletedSessionIsUsedUp(t *testing.T) {
	s := serve(t)
	path, n := s.open()
	for range 2 {
		if r := s.do("DELETE", path, nil); r.status != http.StatusNoContent || len(r.body) != 0 {
			t.Errorf("DELETE: %d %s", r.status, r.body)
		}
	}
	s.wantProblem(s.do("GET", path, nil), http.StatusGone, "open a new one")
	s.wantProblem(s.submit(path, token(n)), http.StatusGone, "open a new one")
}

func TestASessionThatIsNotOursOrExpired(t *testing.T) {
	s := serve(t)
	path, n := s.open()
	n[5] ^= 1
	for _, unknown := range []string{n.String(), "AAAA", "no-base64!", attesttest.Nonce().String()} {
		for _, method := range []string{"GET", "POST", "DELETE"} {
			s.wantProblem(s.do(method, "/challenge-response/v1/session/"+unknown, strings.NewReader("x")), http.StatusNotFound, "newSession")
		}
	}
	s.now = s.now.Add(attest.NonceLife)
	for _, method := range []string{"GET", "POST", "DELETE"} {
		s.wantProblem(s.do(method, path, strings.NewReader("x")), http.StatusGone, "open a new one")
	}
}

func TestMediaTypesOfEvidence(t *testing.T) {
	s := serve(t)
	for contentType, taken := range map[string]bool{
		attest.EvidenceMediaType:               true,
		"application/eat+cwt":                  true,
		`APPLICATION/EAT+CWT`:                  true,
		`application/eat+cwt; eat_profile="x"`: false,
		"application/cbor":                     false,
		"application/octet-stream":             false,
		";":                                    false,
		"":                                     false,
	} {
		path, n := s.open()
		r := s.do("POST", path, bytes.NewReader(token(n)), "Content-Type", contentType)
		if taken {
			if r.status != http.StatusOK {
				t.Errorf("%q: %d %s", contentType, r.status, r.body)
			}
			continue
		}
		s.wantProblem(r, http.StatusUnsupportedMediaType, attest.EvidenceMediaType)
		if accept := r.header.Get("Accept"); accept != attest.EvidenceMediaType+", application/cmw+json, application/cmw+cbor" {
			t.Errorf("%q: Accept %q", contentType, accept)
		}
	}
}

// endless is a body whose end the server does not know beforehand.
type endless struct{ left int }

func (e *endless) Read(p []byte) (int, error) {
	n := min(len(p), e.left)
	if n == 0 {
		return 0, io.EOF
	}
	e.left -= n
	return n, nil
}

func TestABodyIsNeitherEmptyNorHuge(t *testing.T) {
	s := serve(t)
	path, _ := s.open()
	for address, contentType := range map[string]string{path: attest.EvidenceMediaType, "/v1/appraise": "application/json", "/v1/registrations/check": "application/json"} {
		s.wantProblem(s.do("POST", address, nil, "Content-Type", contentType), http.StatusBadRequest, "as the body")
		const tenMiB = 10 << 20
		s.wantProblem(s.do("POST", address, &endless{left: tenMiB}, "Content-Type", contentType), http.StatusRequestEntityTooLarge, "8192")
		s.wantProblem(s.do("POST", address, bytes.NewReader(make([]byte, tenMiB)), "Content-Type", contentType), http.StatusRequestEntityTooLarge, "8192")
	}
	var waiting session
	s.read(s.do("GET", path, nil), &waiting)
	if waiting.Status != "waiting" {
		t.Errorf("after refused bodies the session is %s", waiting.Status)
	}
}

func TestOurFailuresDecideNothing(t *testing.T) {
	s := serve(t)
	s.client = having(^httpapi.Role(0))
	path, n := s.open()
	question := question(token(n), `{"imei":"490154203237518"}`)
	asking := func() map[string]reply {
		return map[string]reply{
			"submitting": s.submit(path, token(n)), "polling": s.do("GET", path, nil), "deleting": s.do("DELETE", path, nil),
			"appraising": s.do("POST", "/v1/appraise", strings.NewReader(question), "Content-Type", "application/json"),
			"opening":    s.do("POST", newSession, nil),
			"checking":   s.check(`{"registration":{"imei":"490154203237518"}}`),
			"asking":     s.do("GET", "/v1/results/019ca945-0a00-7d9c-b2cb-84d42dae6fa3", nil),
			"looking up": s.do("GET", "/v1/results?impu=sip:alice@ims.example", nil),
			"explaining": s.do("GET", "/admin/v1/decisions/019ca945-0a00-7d9c-b2cb-84d42dae6fa3", nil),
			"choosing":   s.choose("AAAAAAAAAAA"),
		}
	}
	s.store.broken, s.random.broken = true, true
	for what, r := range asking() {
		t.Run(what+" is 503", func(t *testing.T) {
			s := *s
			s.t = t
			s.wantProblem(r, http.StatusServiceUnavailable, "try again")
			if r.header.Get("Retry-After") != "1" || bytes.Contains(r.body, []byte(errBroken.Error())) {
				t.Errorf("Retry-After %q, body %s", r.header.Get("Retry-After"), r.body)
			}
			var told problem
			s.read(r, &told)
			if asks := what == "appraising" || what == "checking"; (told.Answer.Label == "none:not-judged" && told.Answer.SIPCode == 200) != asks {
				t.Errorf("what the policy does meanwhile: %+v", told.Answer)
			}
		})
	}
	if !strings.Contains(s.log.String(), errBroken.Error()) {
		t.Error("the log does not say what failed")
	}
	s.store.broken, s.random.broken = false, false
	var got session
	s.read(s.submit(path, token(n)), &got)
	if v := s.verdict(got.Result); v != good {
		t.Errorf("after the repair: %s, want %s", v, good)
	}
}
