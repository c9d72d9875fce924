package httpapi_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/verifier/ear"
	"imei-attest/verifier/httpapi"
)

// answer is what POST /v1/appraise replies.
type answer struct {
	ID         string    `json:"id"`
	S13Status  uint32    `json:"s13_status"`
	Status     string    `json:"status"`
	Tier       string    `json:"tier"`
	Action     string    `json:"action"`
	SIPCode    int       `json:"sip_code"`
	EIRStatus  string    `json:"eir_status"`
	Label      string    `json:"label"`
	Reasons    []finding `json:"reasons"`
	ValidUntil time.Time `json:"valid_until"`
	Result     string    `json:"result"`
}

type finding struct{ Code, Text, Clause string }

func question(token []byte, registration string) string {
	return fmt.Sprintf(`{"evidence":%q,"registration":%s}`, base64.StdEncoding.EncodeToString(token), registration)
}

func (s *server) appraise(body string) reply {
	s.t.Helper()
	return s.do("POST", "/v1/appraise", strings.NewReader(body), "Content-Type", "application/json")
}

func TestAppraiseAnswersInFull(t *testing.T) {
	s := serve(t)
	_, n := s.open()
	r := s.appraise(question(token(n), `{"instance_id":"<urn:gsma:imei:49015420-323751-0>","initial":true}`))
	var got answer
	s.read(r, &got)
	want := answer{ID: got.ID, S13Status: 2, Status: "warning", Tier: "none", Action: "observe", SIPCode: 200, EIRStatus: "GREYLISTED", Label: "warning:software-vault",
		ValidUntil: attesttest.Now.Add(5 * time.Minute), Result: got.Result}
	for _, code := range []attest.Reason{attest.ReasonIMEIConsistent, attest.ReasonSoftwareVault, attest.ReasonRollbackUnknown} {
		want.Reasons = append(want.Reasons, finding{string(code), code.Info().Sentence, code.Info().Clause})
	}
	if r.status != http.StatusOK || !reflect.DeepEqual(got, want) {
		t.Errorf("%d\n got %+v\nwant %+v", r.status, got, want)
	}
	if v := s.verdict(got.Result); v != good+" imei-consistent" {
		t.Errorf("the signed result says %s", v)
	}
}

func TestAppraiseTakesEvidenceInAnyBase64(t *testing.T) {
	s := serve(t)
	for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
		_, n := s.open()
		var got answer
		s.read(s.appraise(fmt.Sprintf(`{"evidence":%q}`, encoding.EncodeToString(token(n)))), &got)
		if got.Status != "warning" {
			t.Errorf("%+v", got)
		}
	}
}

func TestAppraiseWithoutEvidence(t *testing.T) {
	s := serve(t)
	for body, want := range map[string]string{
		`{"registration":{"imei":"490154203237518"}}`:                  "none: not-endorsed",
		`{"registration":{"imei":"490154203237518","front":"device"}}`: "none: not-endorsed",
		`{"registration":{}}`: "none: unbound",
		`{"evidence":null,"registration":{"emergency":true}}`:                                   "none: emergency",
		`{"registration":{"emergency":true,"front":"device"}}`:                                  "none: unbound",
		`{"evidence":"","registration":null}`:                                                   "none: unexpected-evidence",
		`{"evidence":"","registration":{"imei":"490154203237518"}}`:                             "none: unexpected-evidence",
		`{"registration":{"expires":0,"imei":"490154203237518","impi":"alice@example"}}` + "\n": "none:",
	} {
		var got answer
		s.read(s.appraise(body), &got)
		if v := s.verdict(got.Result); v != want {
			t.Errorf("%s: %s, want %s", body, v, want)
		}
	}
}

func TestAppraiseIsStrict(t *testing.T) {
	s := serve(t)
	for name, c := range map[string]struct{ body, remedy string }{
		"an unknown field":                     {`{"evidense":"AAAA"}`, "{evidence, nonce, message, registration}"},
		"an unknown field of the registration": {`{"registration":{"impl":"alice"}}`, "{evidence, nonce, message, registration}"},
		"trailing data":                        {`{"registration":{}} {}`, "follows"},
		"trailing garbage":                     {`{"registration":{}}]`, "follows"},
		"evidence of the wrong type":           {`{"evidence":1}`, "in base64"},
		"a registration of the wrong type":     {`{"registration":[]}`, "registration must be an object, not a JSON array"},
		"a field of the wrong type":            {`{"registration":{"imei":490154203237518}}`, "registration.imei must be a text, not a JSON number"},
		"evidence that is not base64":          {`{"evidence":"%%%"}`, "base64"},
		"a truth in text":                      {`{"registration":{"initial":"yes"}}`, "registration.initial must be true or false, not a JSON string"},
		"a fraction":                           {`{"registration":{"cseq":1.5}}`, "registration.cseq must be a whole number, not a JSON number"},
		"a number too large":                   {`{"registration":{"cseq":490154203237518}}`, "registration.cseq must be a whole number"},
		"a nonce that is not base64":           {`{"evidence":"AAAA","nonce":"%%%"}`, "base64"},
		"a nonce for no evidence":              {`{"nonce":"AAAA","registration":{}}`, "give the evidence too"},
		"a text that is too long":              {`{"registration":{"impi":"` + strings.Repeat("a", 513) + `"}}`, "at most 512"},
		"no question":                          {`{}`, "give evidence, a registration, or both"},
		"null":                                 {`null`, "give evidence, a registration, or both"},
		"an array":                             {`[]`, "{evidence, nonce, message, registration}"},
		"no JSON":                              {`evidence`, "{evidence, nonce, message, registration}"},
		"JSON that ends early":                 {`{"registration":{`, "{evidence, nonce, message, registration}"},
		"a front of the operator":              {`{"registration":{"front":"sip"}}`, `"http" or "device"`},
		"a name that stands twice":             {`{"registration":{"imei":"490154203237518","imei":"356938035643809"}}`, "twice"},
		"a name twice in two cases":            {`{"registration":{"imei":"490154203237518","IMEI":"356938035643809"}}`, "twice"},
		"a name twice by a letter that folds":  {`{"registration":{"emergency":false},"regiſtration":{"emergency":true}}`, "ASCII"},
		"two registrations":                    {`{"registration":{},"registration":{}}`, "twice"},
		"text that is not UTF-8":               {"{\"registration\":{\"impi\":\"\xff\"}}", "UTF-8"},
		"an unknown front":                     {`{"registration":{"front":"back"}}`, `"http" or "device"`},
	} {
		t.Run(name, func(t *testing.T) {
			s := *s
			s.t = t
			r := s.appraise(c.body)
			s.wantProblem(r, http.StatusBadRequest, c.remedy)
			if words := regexp.MustCompile(`Go |struct|\[\]|490154203237518|uint|question`).FindString(string(r.body)); words != "" {
				t.Errorf("%q in %s", words, r.body)
			}
		})
	}
	r := s.do("POST", "/v1/appraise", strings.NewReader(`{}`), "Content-Type", "text/plain")
	s.wantProblem(r, http.StatusUnsupportedMediaType, "application/json")
	if r.header.Get("Accept") != "application/json" {
		t.Errorf("Accept %q", r.header.Get("Accept"))
	}
}

// TestBadEvidenceIsAnAnswer: 200, complete, with a result that verifies.
func TestBadEvidenceIsAnAnswer(t *testing.T) {
	s := serve(t)
	const unexpected = "none: unexpected-evidence"
	judge := func(name string, token []byte, want string) {
		t.Helper()
		path, _ := s.open()
		r := s.submit(path, token)
		var got session
		s.read(r, &got)
		if v := s.verdict(got.Result); r.status != http.StatusOK || got.Status != "complete" || v != want {
			t.Errorf("%s: %d %s %s, want %s", name, r.status, got.Status, v, want)
		}
	}
	_, n := s.open()
	whole := token(n)
	for i := 1; i < len(whole); i++ {
		judge(fmt.Sprintf("cut after %d bytes", i), whole[:i], unexpected)
	}
	judge("oversized", make([]byte, attest.MaxTokenBytes+1), unexpected)
	judge("trailing byte", append(bytes.Clone(whole), 0), unexpected)
	judge("foreign key", signedBy("stranger", n), "warning: key-unknown")
	judge("foreign nonce", token(attesttest.Nonce()), "none: nonce-expired")

	vectors, _, err := attesttest.Load()
	if err != nil {
		t.Fatal(err)
	}
	classes := map[string]bool{}
	for _, v := range vectors {
		if v.Kind == "evidence" && v.Expected != "ok" && v.Expected != "signature" && len(v.Bytes()) > 0 { // an empty body is no evidence at all
			classes[v.Expected] = true
			judge(v.ID, v.Bytes(), unexpected)
		}
	}
	for _, class := range []attest.Class{attest.ClassTruncated, attest.ClassTrailing, attest.ClassDuplicate, attest.ClassProfile, attest.ClassClaim} {
		if !classes[string(class)] {
			t.Errorf("no vector of class %s", class)
		}
	}
	if !slices.ContainsFunc(vectors, func(v attesttest.Vector) bool { return strings.Contains(v.Title, "float") }) {
		t.Error("no vector of a float")
	}
}

func signedBy(name string, n attest.Nonce) []byte {
	key := attesttest.Key(name)
	raw, err := attest.SignEvidence(nil, claims(n), attesttest.Signer(key), attest.KeyIDOf(&key.PublicKey), attest.Enclosure{})
	if err != nil {
		panic(err)
	}
	return raw
}

func TestDiscoveryGivesTheKeyThatVerifiesResults(t *testing.T) {
	s := serve(t)
	var d struct {
		Key        ear.JWK           `json:"ear-verification-key"`
		MediaTypes []string          `json:"media-types"`
		Schemes    []string          `json:"attestation-schemes"`
		Version    string            `json:"version"`
		State      string            `json:"service-state"`
		Endpoints  map[string]string `json:"api-endpoints"`
	}
	r := s.do("GET", "/.well-known/veraison/verification", nil)
	s.read(r, &d)
	got := d
	got.Key = ear.JWK{}
	want := d
	want.Key, want.MediaTypes, want.Schemes, want.Version, want.State = ear.JWK{}, []string{attest.EvidenceMediaType}, []string{attest.EvidenceProfile}, "test", "READY"
	want.Endpoints = map[string]string{"newChallengeResponseSession": newSession, "appraise": "/v1/appraise", "checkRegistration": "/v1/registrations/check", "checkRegistrations": "/v1/registrations/batch",
		"results": "/v1/results/:id"}
	if r.status != http.StatusOK || r.header.Get("Content-Type") != "application/vnd.veraison.discovery+json" || !reflect.DeepEqual(got, want) {
		t.Errorf("%d %s", r.status, r.body)
	}
	var point [65]byte
	point[0] = 4
	copy(point[1:], nonceOf(t, d.Key.X))
	copy(point[33:], nonceOf(t, d.Key.Y))
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point[:])
	if err != nil {
		t.Fatal(err)
	}
	path, n := s.open()
	var object session
	s.read(s.submit(path, token(n)), &object)
	if _, err := ear.Verify(object.Result, key, s.now); err != nil {
		t.Errorf("the discovered key: %v", err)
	}
}

// TestTheLogNamesNobody: no IMEI, no IMSI, no token, no nonce.
func TestTheLogNamesNobody(t *testing.T) {
	s := serve(t)
	const imsi = "001010123456789"
	path, n := s.open()
	c := claims(n)
	c.Observed[0].Subscriber = attest.SubscriberHash(n, imsi)
	evidence := attesttest.Token(c, attesttest.SignedCredential(attesttest.Credential()))
	registration := `{"instance_id":"<urn:gsma:imei:86871907-660344-0>","impi":"` + imsi + `@ims.mnc001.mcc001.3gppnetwork.org","supi":"imsi-` + imsi + `"}`
	s.submit(path, evidence)
	s.submit(path, evidence[:40])
	s.appraise(question(evidence, registration))
	s.appraise(`{"registration":` + registration + `}`)
	s.appraise(`{"registration":{"imei":490154203237518}}`)
	s.appraise(`{"` + imsi + `":1}`)
	s.store.broken = true
	s.submit(path, evidence)
	s.appraise(question(evidence, registration))
	s.do("DELETE", path, nil)

	log := s.log.String()
	events := strings.Count(log, "\n")
	if events != 7 {
		t.Errorf("%d events, want one for each of 4 judgements and 3 failures:\n%s", events, log)
	}
	for line := range strings.Lines(log) {
		var event map[string]any
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			t.Errorf("%q: %v", line, err)
		}
		delete(event, "time")
		delete(event, "id") // of the decision
		rest := fmt.Sprint(event)
		if digits := regexp.MustCompile(`\d{6,}`).FindString(rest); digits != "" {
			t.Errorf("digits %s in %s", digits, line)
		}
		for _, secret := range []string{n.String(), base64.StdEncoding.EncodeToString(evidence)[:40], "alice", "urn:gsma", "3gppnetwork"} {
			if strings.Contains(rest, secret) {
				t.Errorf("%q in %s", secret, line)
			}
		}
	}
}

func TestTheInterfaceLacksNothing(t *testing.T) {
	if h, err := httpapi.New(httpapi.Config{}); err == nil {
		t.Errorf("New without anything: %v", h)
	}
}
