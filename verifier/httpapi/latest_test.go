package httpapi_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"imei-attest/verifier"
)

// registers tells the verifier of a registration as a front does.
func (s *server) registers(front verifier.Front, impu, instanceID string) verifier.Verdict {
	s.t.Helper()
	s.now = s.now.Add(time.Minute)
	v, err := s.verifier.Appraise(s.t.Context(), verifier.Input{Registration: &verifier.Registration{Front: front, IMPU: impu, InstanceID: instanceID}, Now: s.now})
	if err != nil {
		s.t.Fatal(err)
	}
	return v
}

// TestTheLatestAnswerIsFoundByThePublicIdentity, whichever way it is written, and long after its result has run out.
func TestTheLatestAnswerIsFoundByThePublicIdentity(t *testing.T) {
	s := serve(t)
	s.registers(verifier.FrontSIP, "sip:alice@ims.example", "<urn:gsma:imei:49015420-323751-0>")
	latest := s.registers(verifier.FrontSIP, "sip:alice@IMS.example;x=y", "<urn:uuid:0>")
	phone := s.registers(verifier.FrontSIP, "tel:+1-555-0100", "")
	s.registers(verifier.FrontHTTP, "sip:alice@ims.example", "<urn:gsma:imei:4>") // who asks before he registers may show whomever
	s.now = s.now.Add(time.Hour)
	for impu, want := range map[string]verifier.Verdict{
		"sip:alice@ims.example": latest, "SIP:alice@ims.EXAMPLE": latest, "sip:alice@ims.example;user=phone?x=y": latest, "tel:+15550100": phone, "TEL:+1(555)0100;isub=1": phone,
	} {
		r := s.do("GET", "/v1/results?impu="+url.QueryEscape(impu), nil)
		var got answer
		if s.read(r, &got); r.status != http.StatusOK || got.ID != want.ID.String() || !got.ValidUntil.Equal(want.ValidUntil) || r.header.Get("Content-Location") != "/v1/results/"+got.ID {
			t.Errorf("%s: %d %s, want %s", impu, r.status, r.body, want.ID)
		}
	}
	for _, accept := range []string{"application/eat+jwt", "application/eat+cwt"} {
		if r := s.do("GET", "/v1/results?impu=tel:%2b15550100", nil, "Accept", accept); r.status != http.StatusOK || !strings.HasPrefix(r.header.Get("Content-Type"), accept) {
			t.Errorf("%s: %d %s", accept, r.status, r.header.Get("Content-Type"))
		}
	}
	for _, impu := range []string{"sip:Alice@ims.example", "sips:alice@ims.example", "sip:alice@other.example", "alice@ims.example", "sip:bob@ims.example"} {
		s.wantProblem(s.do("GET", "/v1/results?impu="+url.QueryEscape(impu), nil), http.StatusNotFound, "no S-CSCF told")
	}
	s.wantProblem(s.do("GET", "/v1/results?impu=sip:alice@ims.example", nil, "Accept", "text/html"), http.StatusNotAcceptable, "application/eat+cwt")
	for _, query := range []string{"", "?impu=", "?impu=a&impu=b", "?impu=a&x=y", "?impi=a", "?impu=%zz", "?impu=" + strings.Repeat("a", 513)} {
		s.wantProblem(s.do("GET", "/v1/results"+query, nil), http.StatusBadRequest, "one impu=URI")
	}
	s.client = having(0)
	s.wantProblem(s.do("GET", "/v1/results?impu=sip:alice@ims.example", nil), http.StatusForbidden, "network")
}
