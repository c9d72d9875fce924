package httpapi_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"imei-attest/attest"
)

// TestManyAreJudgedAtOnce, each by itself: what is wrong with one changes nothing for its neighbours.
func TestManyAreJudgedAtOnce(t *testing.T) {
	s := serve(t)
	good := asForm(registered(contact+digest, token(attest.NonceFrom401(akaText))), vouchedInForm)
	bad := asForm(registered(stolen+digest, nil), "&emergancy=true")
	stranger := asForm(registered(strings.Replace(contact, "49015420-323751-0", "86871907-660344-0", 1), nil), "")
	forms, want := []string{good}, []string{"sip_code=200&label=warning%3Asoftware-vault"}
	const most = 64
	good += "\r" // lines may end as those of a text do (RFC 2046 section 4.1.1)
	forms = append(forms, good)
	want = append(want, want[0])
	for len(forms) < most {
		i := len(forms) % 3
		forms = append(forms, []string{stranger, bad, ""}[i])
		want = append(want, []string{"sip_code=200&label=none%3Anot-endorsed", "status=400&detail=a%20form%20has", "status=400&detail=this%20is%20not%20the%20form"}[i])
	}
	for i, said := range s.checkForms(forms...) {
		if !strings.Contains(said, want[i]) {
			t.Errorf("line %d: %s, want %s", i, said, want[i])
		}
	}
	if !slices.Equal(s.batches, []int{most}) {
		t.Errorf("counted are %v", s.batches)
	}
}

func TestABatchIsRefusedAsAWhole(t *testing.T) {
	s := serve(t)
	form := asForm(registered(contact, nil), "")
	for name, c := range map[string]struct {
		body, kind string
		status     int
		remedy     string
	}{
		"more than are judged at once": {strings.Repeat(form+"\n", 65), "text/plain", http.StatusBadRequest, "at most 64"},
		"nothing":                      {"", "text/plain", http.StatusBadRequest, "the body is empty"},
		"too many bytes":               {strings.Repeat("a", 1<<16) + "\n", "text/plain", http.StatusRequestEntityTooLarge, "longer than 65536 bytes"},
		"JSON":                         {messageQuestion(registered(contact, nil), ""), "application/json", http.StatusUnsupportedMediaType, "this takes text/plain"},
		"what curl -d sends":           {form, "application/x-www-form-urlencoded", http.StatusUnsupportedMediaType, "this takes text/plain"},
	} {
		t.Run(name, func(t *testing.T) {
			s := *s
			s.t = t
			s.wantProblem(s.do(http.MethodPost, batch, strings.NewReader(c.body), "Content-Type", c.kind), c.status, c.remedy)
		})
	}
	if len(s.batches) != 0 {
		t.Errorf("counted are %v", s.batches)
	}
}

// TestOurFailureStaysWithItsLine: the store fails, or panics, for those that need it.
func TestOurFailureStaysWithItsLine(t *testing.T) {
	s := serve(t)
	forms := []string{asForm(registered(contact+digest, token(attest.NonceFrom401(akaText))), vouchedInForm), "auth=MD5"}
	s.store.broken = true
	if said := s.checkForms(forms...); field(said[0], "status") != "503" || field(said[0], "detail") != "nothing was decided: try again" || field(said[1], "status") != "400" {
		t.Errorf("the store fails: %q", said)
	}
	s.store.broken = false
	s.store.Memory = nil // whoever reads it panics
	said := s.checkForms(forms...)
	if field(said[0], "status") != "500" || !strings.Contains(field(said[0], "detail"), "log") || field(said[1], "status") != "400" {
		t.Errorf("the store panics: %q", said)
	}
	if log := s.log.String(); strings.Count(log, "a fault of this program") != 1 || !strings.Contains(log, "store.(*Memory)") || strings.Contains(log, "49015420") {
		t.Errorf("the log says\n%s", log)
	}
}
