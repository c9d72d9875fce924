package httpapi_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"imei-attest/attest"
)

// registered is a REGISTER as a proxy received it, with more header fields, and a token if there is one.
func registered(more string, token []byte) string {
	head := "REGISTER sip:ims.example SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.7;branch=z9hG4bKa\r\nFrom: <sip:alice@ims.example>;tag=1\r\n" +
		"To: <sip:alice@ims.example>\r\nCall-ID: c1\r\nCSeq: 2 REGISTER\r\n" + more
	if token == nil {
		return head + "\r\n"
	}
	return head + fmt.Sprintf("Content-Type: application/eat+cwt\r\nContent-Length: %d\r\n\r\n%s", len(token), token)
}

const (
	contact = "Contact: <sip:alice@192.0.2.7>;+sip.instance=\"<urn:gsma:imei:49015420-323751-0>\"\r\n"
	stolen  = "Contact: <sip:alice@192.0.2.7>;+sip.instance=\"<urn:gsma:imei:35693803-564380-0>\"\r\n"
	akaText = "Tm9uY2Ugb2YgdGhlIDQwMQ=="
	digest  = "Authorization: Digest username=\"alice@ims.example\",nonce=\"" + akaText + "\",algorithm=AKAv1-MD5,integrity-protected=\"yes\"\r\n"
	vouched = `{"auth":"AKAv1-MD5","integrity_protected":"yes","challenge_outstanding":true,"initial":true,"emergency":false,"sender":"pcscf1"}`
)

func messageQuestion(message, rest string) string {
	return fmt.Sprintf(`{"message":%q%s}`, base64.StdEncoding.EncodeToString([]byte(message)), rest)
}

// TestACheckReadsTheMessage: what the UE wrote is taken from the message, what the network knows from beside it.
func TestACheckReadsTheMessage(t *testing.T) {
	answering := token(attest.NonceFrom401(akaText))
	for name, c := range map[string]struct{ message, rest, want, tier string }{
		"a token over the challenge":     {registered(contact+digest, answering), `,"registration":` + vouched, good + " imei-consistent subscriber-bound", "T3"},
		"nobody vouches for how it came": {registered(contact+digest, answering), `,"registration":{"challenge_outstanding":true}`, good + " imei-consistent subscriber-unbound client-unverified", "T1"},
		"no challenge is outstanding":    {registered(contact+digest, answering), `,"registration":{"auth":"AKAv1-MD5"}`, "none: nonce-expired", "none"},
		"another device's IMEI":          {registered(stolen+digest, answering), `,"registration":` + vouched, "contraindicated: imei-consistent software-vault rollback-unknown registration-spoofed subscriber-bound", "T3"},
		"no token":                       {registered(contact, nil), "", "none: not-endorsed", "none"},
		"no instance-id":                 {registered("Contact: <sip:a@h>\r\n", nil), "", "none: unbound", "none"},
		"a malformed instance-id":        {registered(strings.Replace(contact, "49015420-323751-0", "490154203237518", 1), nil), "", "none: urn-malformed", "none"},
		"an emergency that the UE says":  {registered(strings.Replace(contact, "@192.0.2.7", "@192.0.2.7;sos", 1), nil), "", "none: not-endorsed", "none"},
		"one that the network says":      {registered(contact, nil), `,"registration":{"emergency":true}`, "none: emergency", "none"},
		"a deregistration":               {registered("Contact: *\r\nExpires: 0\r\n", nil), `,"registration":null`, "none:", "none"},
		"evidence beside it":             {registered(contact, nil), `,"evidence":"AAAA"`, "none: unexpected-evidence", "none"},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t)
			var got answer
			s.read(s.check(messageQuestion(c.message, c.rest)), &got)
			if v := s.verdict(got.Result); v != c.want || got.Tier != c.tier {
				t.Errorf("%s %s, want %s %s", v, got.Tier, c.want, c.tier)
			}
		})
	}
}

func TestAMessageIsNotBent(t *testing.T) {
	s := serve(t)
	whole := registered(contact+digest+"Expires: 60\r\n", token(attest.NonceFrom401(akaText)))
	for name, c := range map[string]struct{ body, remedy string }{
		"instance_id beside it":         {messageQuestion(whole, `,"registration":{"instance_id":"<urn:gsma:imei:35693803-564380-0>"}`), "instance_id stands"},
		"impu beside it":                {messageQuestion(whole, `,"registration":{"impu":"sip:bob@ims.example"}`), "impu stands"},
		"impi beside it":                {messageQuestion(whole, `,"registration":{"impi":"bob@ims.example"}`), "impi stands"},
		"challenge_401 beside it":       {messageQuestion(whole, `,"registration":{"challenge_401":"x"}`), "challenge_401 stands"},
		"call_id beside it":             {messageQuestion(whole, `,"registration":{"call_id":"c1"}`), "call_id stands"},
		"cseq beside it":                {messageQuestion(whole, `,"registration":{"cseq":2}`), "cseq stands"},
		"expires beside it":             {messageQuestion(whole, `,"registration":{"expires":0}`), "expires stands"},
		"evidence beside it":            {messageQuestion(whole, `,"evidence":"AAAA"`), "evidence stands"},
		"a nonce beside it":             {messageQuestion(whole, `,"nonce":"AAAAAAAAAAA"`), "POST /v1/appraise"},
		"the device's front beside it":  {messageQuestion(whole, `,"registration":{"front":"device"}`), "leave the front out"},
		"a message of the wrong type":   {`{"message":{}}`, "in base64"},
		"a message that is not base64":  {`{"message":"REGISTER sip:h"}`, "in base64"},
		"an empty message":              {`{"message":""}`, "message: no empty line"},
		"another method":                {messageQuestion("INVITE"+whole[8:], ""), "request line: the method is not REGISTER"},
		"a message that is cut off":     {messageQuestion(whole[:len(whole)-1], ""), "body: shorter than Content-Length says"},
		"two devices":                   {messageQuestion(registered(contact+stolen, nil), ""), "Contact: several contacts"},
		"a text that is too long":       {messageQuestion(registered("Contact: <sip:a@h>;+sip.instance=\""+strings.Repeat("490154203237518", 40)+"\"\r\n", nil), ""), "more than 512 bytes"},
		"two messages":                  {`{"message":"AAAA","message":"AAAA"}`, "twice"},
		"a message and a misspelt name": {messageQuestion(whole, `,"registration":{"emergancy":true}`), "{evidence, nonce, message, registration}"},
	} {
		t.Run(name, func(t *testing.T) {
			s := *s
			s.t = t
			r := s.check(c.body)
			s.wantProblem(r, http.StatusBadRequest, c.remedy)
			if strings.Contains(string(r.body), "49015420") || strings.Contains(string(r.body), "alice") {
				t.Errorf("an identity in %s", r.body)
			}
		})
	}
	s.wantProblem(s.appraise(messageQuestion(whole, "")), http.StatusBadRequest, "POST /v1/registrations/check")
	var got answer
	if s.read(s.check(messageQuestion(whole, `,"registration":`+vouched)), &got); got.Status != "warning" {
		t.Errorf("after the refusals, which use nothing up: %+v", got)
	}
}
