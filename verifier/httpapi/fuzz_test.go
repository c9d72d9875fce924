package httpapi_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"
)

// serveForFuzzing answers without a network: a round trip over loopback costs more than the judgement.
func serveForFuzzing(f *testing.F) (s *server, call func(t *testing.T, r *http.Request) reply) {
	f.Helper()
	s = serve(f)
	s.client = having(choosing)
	return s, func(t *testing.T, r *http.Request) reply {
		t.Helper()
		s.log.Reset()
		w := httptest.NewRecorder()
		s.handler.ServeHTTP(w, r)
		got := reply{w.Code, w.Header(), w.Body.Bytes()}
		if err := contract.check(r, got); err != nil || w.Code >= http.StatusInternalServerError {
			t.Errorf("%s %s: %d %s: %v", r.Method, r.URL, got.status, got.body, err)
		}
		return got
	}
}

// FuzzEvidence: whatever is handed in to a session is answered as openapi.yaml says, by no fault of ours, and what the device
// did not sign for this session says nothing for it.
func FuzzEvidence(f *testing.F) {
	s, call := serveForFuzzing(f)
	n := attest.Nonce("a nonce of the fuzzer's own")
	good := token(n)
	inJSON, inCBOR := wrapped(attest.EvidenceMediaType, good, attest.CMWEvidence)
	kinds := []string{attest.EvidenceMediaType, "application/cmw+json", "application/cmw+cbor"}
	for i, body := range [][]byte{good, inJSON, inCBOR, attesttest.Token(claims(n), nil), {}} {
		f.Add(uint8(i), body, "urn:gsma:imei:49015420-323751-0")
	}
	f.Fuzz(func(t *testing.T, kind uint8, body []byte, signalled string) {
		opened := call(t, httptest.NewRequest("POST", newSession, nil))
		r := httptest.NewRequest("POST", "/challenge-response/v1/"+opened.header.Get("Location")+"?signalled="+url.QueryEscape(signalled), bytes.NewReader(body))
		r.Header.Set("Content-Type", kinds[int(kind)%len(kinds)])
		got := call(t, r)
		var object session
		if got.status == http.StatusOK && json.Unmarshal(got.body, &object) == nil {
			s := *s
			s.t = t
			if v := s.verdict(object.Result); strings.HasPrefix(v, "affirming") || strings.Contains(v, string(attest.ReasonIMEIConsistent)) {
				t.Errorf("evidence for another nonce: %s", v)
			}
		}
	})
}

// FuzzQuestion: the same of both ways to ask a question; what is judged once is judged again, to the same bytes if the evidence
// verified; and no name stands twice in what is judged.
func FuzzQuestion(f *testing.F) {
	_, call := serveForFuzzing(f)
	n := chosen(32)
	for _, body := range []string{
		fmt.Sprintf(`{"evidence":%q,"nonce":%q,"registration":{"imei":"490154203237518"}}`, base64.StdEncoding.EncodeToString(token(n)), n),
		`{"registration":{"instance_id":"<urn:gsma:imei:49015420-323751-0>","impi":"alice@example","initial":false,"expires":0,"cseq":1}}`,
		`{"evidence":"AAAA","registration":null}`, `[[[[[[[[`, `{"a":1,"A":2}`, `{"registration":{"imei":490154203237518}}`, `{"registration":{"front":"device"}}`,
		`{"registration":{"imei":"a\\"b","i\u006dei":""}}`, `{"registration" : {"impi":"\"imei\":"} , "evidence":null}`,
		messageQuestion(registered(contact+digest, token(attest.NonceFrom401(akaText))), `,"registration":`+vouched),
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, address := range []string{"/v1/appraise", "/v1/registrations/check"} {
			ask := func() reply {
				r := httptest.NewRequest("POST", address, bytes.NewReader(body))
				r.Header.Set("Content-Type", "application/json")
				return call(t, r)
			}
			first, again := ask(), ask()
			var verdict, repeated answer
			if first.status == http.StatusOK && hasTwice(json.NewDecoder(bytes.NewReader(body))) {
				t.Errorf("%s: a name stands twice in %s", address, body)
			}
			if first.status != again.status {
				t.Errorf("%s: %d, then %d", address, first.status, again.status)
			}
			if first.status == http.StatusOK && json.Unmarshal(first.body, &verdict) == nil && json.Unmarshal(again.body, &repeated) == nil &&
				verdict.ID == repeated.ID && !bytes.Equal(first.body, again.body) {
				t.Errorf("%s: one decision, two answers:\n%s\n%s", address, first.body, again.body)
			}
		}
	})
}

// FuzzBatch: each line has an answer in its place, by no fault of ours; what a form says is said by the same question in JSON, as another
// reader of forms understands it, and gets the same answer.
func FuzzBatch(f *testing.F) {
	_, call := serveForFuzzing(f)
	whole := asForm(registered(contact+digest, token(attest.NonceFrom401(akaText))), vouchedInForm)
	f.Add([]byte(whole))
	f.Add([]byte(whole + "\n" + asForm(registered(contact, nil), "&sender=a%20b+c&initial=false") + "\n\n"))
	f.Add([]byte(whole + "\r\n"))
	f.Add([]byte("message=AAAA&emergency=true&auth=%3D;&"))
	ask := func(t *testing.T, path, kind string, body []byte) reply {
		r := httptest.NewRequest("POST", path, bytes.NewReader(body))
		r.Header.Set("Content-Type", kind)
		return call(t, r)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		ask(t, batch, "text/plain", body) // one line may make known what another rests on: what is judged again is judged with all of it
		got := ask(t, batch, "text/plain", body)
		if got.status != http.StatusOK {
			return
		}
		forms := strings.Split(strings.TrimSuffix(string(body), "\n"), "\n")
		answers := strings.Split(strings.TrimSuffix(string(got.body), "\n"), "\n")
		if len(answers) != len(forms) {
			t.Fatalf("%d lines to %d", len(answers), len(forms))
		}
		for i, form := range forms {
			if field(answers[i], "id") == "" {
				continue
			}
			var verdict answer
			asked := ask(t, "/v1/registrations/check", "application/json", inJSON(t, strings.TrimSuffix(form, "\r")))
			if json.Unmarshal(asked.body, &verdict) != nil || !strings.HasSuffix(answers[i], strings.TrimPrefix(briefly(verdict), "id="+verdict.ID)) {
				t.Errorf("%q\n%s\nand in JSON %s", form, answers[i], asked.body)
			}
		}
	})
}

// inJSON is the question that another reader of forms understands.
func inJSON(t *testing.T, form string) []byte {
	t.Helper()
	said, err := url.ParseQuery(form)
	facts := map[string]any{}
	for name, values := range said {
		if len(values) != 1 {
			t.Fatalf("%s stands %d times in %q", name, len(values), form)
		}
		facts[name] = values[0]
		if slices.Contains([]string{"challenge_outstanding", "initial", "emergency"}, name) {
			facts[name] = values[0] == "true"
		}
	}
	message := facts["message"]
	delete(facts, "message")
	question, jsonErr := json.Marshal(map[string]any{"message": message, "registration": facts})
	if err != nil || jsonErr != nil {
		t.Fatalf("%q: %v, %v", form, err, jsonErr)
	}
	return question
}

// hasTwice reads the names of a JSON value token by token.
func hasTwice(d *json.Decoder) bool {
	token, err := d.Token()
	delim, nested := token.(json.Delim)
	if err != nil || !nested {
		return false
	}
	seen := make(map[string]bool)
	for d.More() {
		if delim == '{' {
			name, err := d.Token()
			if text, ok := name.(string); err != nil || !ok || seen[strings.ToLower(text)] {
				return true
			} else {
				seen[strings.ToLower(text)] = true
			}
		}
		if hasTwice(d) {
			return true
		}
	}
	_, err = d.Token() // the closing one
	return err != nil
}

// FuzzNonceAndSession: a chosen nonce opens a session that gives it back, and no session is found by a name that was not given out.
func FuzzNonceAndSession(f *testing.F) {
	_, call := serveForFuzzing(f)
	f.Add("3q2-7w==", "AAAA", "33", "application/json")
	f.Add(chosen(64).String(), chosen(64).String(), "64", typeSession+";q=0.5, */*")
	f.Fuzz(func(t *testing.T, nonce, id, size, accept string) {
		opened := call(t, httptest.NewRequest("POST", newSession+"?nonce="+url.QueryEscape(nonce), nil))
		var object session
		if opened.status == http.StatusCreated {
			want, err := base64.StdEncoding.DecodeString(mustRead(t, opened, &object).Nonce)
			found := call(t, httptest.NewRequest("GET", "/challenge-response/v1/"+opened.header.Get("Location"), nil))
			if err != nil || len(want) < attest.MinNonce || found.status != http.StatusOK || !bytes.Equal(found.body, opened.body) {
				t.Errorf("%q: %s, %v; found as %d %s", nonce, opened.body, err, found.status, found.body)
			}
		}
		r := httptest.NewRequest("POST", newSession+"?nonceSize="+url.QueryEscape(size), nil)
		r.Header.Set("Accept", accept)
		call(t, r)
		if id = url.PathEscape(id); id != "" && id != "." && id != ".." {
			for _, method := range []string{"GET", "POST", "DELETE"} {
				if got := call(t, httptest.NewRequest(method, "/challenge-response/v1/session/"+id, nil)); got.status != http.StatusNotFound {
					t.Errorf("%s of %q: %d", method, id, got.status)
				}
			}
		}
	})
}

func mustRead(t *testing.T, r reply, into *session) *session {
	t.Helper()
	if err := json.Unmarshal(r.body, into); err != nil {
		t.Fatal(err)
	}
	return into
}
