package httpapi_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"imei-attest/attest"
	"imei-attest/verifier"
)

// asForm is a question as a proxy's script asks it.
func asForm(message, rest string) string {
	return "message=" + base64.RawURLEncoding.EncodeToString([]byte(message)) + rest
}

const vouchedInForm = "&auth=AKAv1-MD5&integrity_protected=yes&challenge_outstanding=true&initial=true&emergency=false&sender=pcscf1"

// checkForms asks about as many registrations as there are forms, and returns what is said to each.
func (s *server) checkForms(forms ...string) []string {
	s.t.Helper()
	r := s.do(http.MethodPost, batch, strings.NewReader(strings.Join(forms, "\n")+"\n"), "Content-Type", "text/plain")
	said, whole := strings.CutSuffix(string(r.body), "\n")
	lines := strings.Split(said, "\n")
	if r.status != http.StatusOK || !whole || len(lines) != len(forms) {
		s.t.Fatalf("%d registrations are answered with %d %s", len(forms), r.status, r.body)
	}
	return lines
}

func (s *server) checkForm(form string) string {
	s.t.Helper()
	return s.checkForms(form)[0]
}

const batch = "/v1/registrations/batch"

// field is one of an answer.
func field(answer, name string) string {
	said, _ := url.ParseQuery(answer) // what cannot be read has no field
	return said.Get(name)
}

// briefly is what an answer and a form that answers have in common.
func briefly(a answer) string {
	return "id=" + a.ID + "&sip_code=" + strconv.Itoa(a.SIPCode) + "&label=" + url.QueryEscape(a.Label)
}

// TestAFormIsAnsweredWithAForm: it is the same verdict as to the same question in JSON, and the whole of it is there under its identifier.
func TestAFormIsAnsweredWithAForm(t *testing.T) {
	answering := token(attest.NonceFrom401(akaText))
	ims := verifier.Shown{Front: verifier.FrontHTTP, Initial: true, Subscribed: true, IMS: true}
	for name, c := range map[string]struct {
		message, rest, label string
		shown                func(*verifier.Shown)
	}{
		"all that a network knows": {registered(contact+digest, answering), vouchedInForm, "warning:software-vault", func(s *verifier.Shown) {
			s.Auth, s.Protected, s.Sender, s.AKA, s.Tie = "AKAv1-MD5", "yes", "pcscf1", true, attest.ReasonSubscriberBound
		}},
		"another device's IMEI": {registered(stolen+digest, answering), vouchedInForm, "contraindicated:registration-spoofed", func(s *verifier.Shown) {
			s.Auth, s.Protected, s.Sender, s.AKA, s.Tie = "AKAv1-MD5", "yes", "pcscf1", true, attest.ReasonSubscriberBound
		}},
		"no challenge is outstanding": {registered(contact+digest, answering), "&auth=AKAv1-MD5&challenge_outstanding=false", "none:nonce-expired", func(s *verifier.Shown) {
			s.Auth, s.AKA = "AKAv1-MD5", true
		}},
		"nothing beside the message": {registered(contact+digest, nil), "", "none:not-endorsed", func(*verifier.Shown) {}},
		"a re-registration":          {registered(contact+digest, nil), "&initial=false", "none:not-endorsed", func(s *verifier.Shown) { s.Initial = false }},
		"a first registration":       {registered(contact+digest, nil), "&initial=true", "none:not-endorsed", func(*verifier.Shown) {}},
		"an emergency":               {registered(contact+digest, nil), "&emergency=true", "none:emergency", func(s *verifier.Shown) { s.Emergency = true }},
		"a text with escaped characters": {registered(contact+digest, nil), "&sender=p%20cscf+1%26initial%3dfalse&integrity_protected=tls-connected&auth=AKAv2-MD5",
			"none:not-endorsed", func(s *verifier.Shown) {
				s.Sender, s.Protected, s.Auth, s.AKA = "p cscf 1&initial=false", "tls-connected", "AKAv2-MD5", true
			}},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t)
			r := s.checkForm(asForm(c.message, c.rest))
			var whole answer
			s.read(s.do(http.MethodGet, "/v1/results/"+field(r, "id"), nil), &whole)
			if r != briefly(whole) || whole.Label != c.label {
				t.Errorf("%s\nof %+v, want label %s", r, whole, c.label)
			}
			id, err := verifier.ParseDecisionID(whole.ID)
			if err != nil {
				t.Fatal(err)
			}
			record, found, err := s.verifier.Record(t.Context(), id)
			if err != nil || !found {
				t.Fatalf("%v, %v", found, err)
			}
			want := ims
			c.shown(&want)
			want.IMEI, want.Remarks = record.Facts.Shown.IMEI, record.Facts.Shown.Remarks
			if !reflect.DeepEqual(*record.Facts.Shown, want) {
				t.Errorf("judged was\n%+v, want\n%+v", *record.Facts.Shown, want)
			}
		})
	}
}

// TestAFormTakesAnyBase64: in base64 as it is, a plus would be a space.
func TestAFormTakesAnyBase64(t *testing.T) {
	s := serve(t)
	message := registered(contact+"X-Odd: \xfb\xff\xbe\r\n", nil)
	for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
		if r := s.checkForm(url.Values{"message": {encoding.EncodeToString([]byte(message))}}.Encode()); field(r, "id") == "" {
			t.Error(r)
		}
	}
}

func TestAFormIsNotBent(t *testing.T) {
	s := serve(t)
	whole := asForm(registered(contact+digest, token(attest.NonceFrom401(akaText))), "")
	for name, c := range map[string]struct{ body, remedy string }{
		"no message":                    {"auth=MD5", "the form that is taken, message=BASE64URL&auth="},
		"an empty message":              {"message=", "message: no empty line"},
		"a message twice":               {whole + "&" + whole, "message stands twice"},
		"a fact twice":                  {whole + "&initial=true&initial=false", "initial stands twice"},
		"a misspelt fact":               {whole + "&emergancy=true", "and nothing else"},
		"a fact that the message has":   {whole + "&impi=bob@ims.example", "and nothing else"},
		"evidence beside it":            {whole + "&evidence=AAAA", "and nothing else"},
		"an escaped name":               {whole + "&in%69tial=true", "and nothing else"},
		"a name in capitals":            {whole + "&Initial=true", "and nothing else"},
		"a fact without a value":        {whole + "&initial", "that is taken"},
		"an empty fact":                 {whole + "&initial=", "initial must be true or false"},
		"a fact that is 1":              {whole + "&challenge_outstanding=1", "challenge_outstanding must be true or false"},
		"a fact in capitals":            {whole + "&emergency=TRUE", "emergency must be true or false"},
		"an empty field":                {whole + "&", "that is taken"},
		"nothing escaped":               {whole + "&sender=%", "that is taken"},
		"a text that is no UTF-8":       {whole + "&sender=%ff", "that is taken"},
		"a semicolon between two":       {whole + "&sender=a;initial=false", "that is taken"},
		"a message that is not base64":  {"message=REGISTER%20sip:h", "in base64"},
		"base64 whose plus is a space":  {"message=AA+A", "in base64"},
		"base64 of two alphabets":       {"message=AA_A%2BAAA", "in base64"},
		"JSON":                          {`{"message":"AAAA"}`, "that is taken"},
		"a message that is cut off":     {asForm(strings.TrimSuffix(registered(contact, []byte("AAAA")), "A"), ""), "body: shorter than Content-Length says"},
		"another method":                {asForm("INVITE"+registered(contact, nil)[8:], ""), "the method is not REGISTER"},
		"a sender that is too long":     {whole + "&sender=" + strings.Repeat("a", 513), "at most 512 are taken"},
		"an algorithm that is too long": {whole + "&auth=" + strings.Repeat("a", 513), "at most 512 are taken"},
		"an IMEI as a name":             {whole + "&490154203237518=1", "and nothing else"},
	} {
		t.Run(name, func(t *testing.T) {
			s := *s
			s.t = t
			r := s.checkForm(c.body)
			if field(r, "status") != "400" || !strings.Contains(field(r, "detail"), c.remedy) {
				t.Errorf("%s, want 400 and %q", r, c.remedy)
			}
			if strings.Contains(r, "49015420") || strings.Contains(r, "alice") {
				t.Errorf("an identity in %s", r)
			}
		})
	}
	if r := s.checkForm(whole + vouchedInForm); !strings.HasSuffix(r, "&sip_code=200&label=warning%3Asoftware-vault") {
		t.Errorf("after the refusals, which use nothing up: %s", r)
	}
}

// TestADecisionIsLoggedWhenItIsMade, and at level debug when it is told again.
func TestADecisionIsLoggedWhenItIsMade(t *testing.T) {
	s := serve(t)
	question := asForm(registered(contact+digest, token(attest.NonceFrom401(akaText))), vouchedInForm)
	count := func(level string) int { return strings.Count(s.log.String(), `"level":"`+level+`","msg":"judged"`) }
	first := s.checkForm(question)
	if info, debug := count("INFO"), count("DEBUG"); info != 1 || debug != 0 {
		t.Errorf("made: %d at info, %d at debug", info, debug)
	}
	s.now = s.now.Add(time.Second)
	if again := s.checkForm(question); again != first {
		t.Errorf("%s, then %s", first, again)
	}
	if info, debug := count("INFO"), count("DEBUG"); info != 1 || debug != 1 {
		t.Errorf("told again: %d at info, %d at debug", info, debug)
	}
}
