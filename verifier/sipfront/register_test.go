package sipfront_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"imei-attest/verifier/sipfront"
)

// TestAnSCSCFTellsOfARegistration: what of a third-party REGISTER is judged, and what the S-CSCF is answered under enforce.yaml.
func TestAnSCSCFTellsOfARegistration(t *testing.T) {
	token := answering(aka401)
	whole := registered(contact+digest, token)
	mixed := func(parts ...string) string {
		return "--b\r\n" + strings.Join(parts, "\r\n--b\r\n") + "\r\n--b--\r\n"
	}
	const part, info = "Content-Type: message/sip\r\n\r\n", "Content-Type: application/3gpp-ims+xml\r\n\r\n<ims-3gpp version=\"1\"/>"
	const response = part + "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.7\r\n\r\n"
	read := func(code int) sipfront.Outcome {
		return sipfront.Outcome{Method: "REGISTER", Original: "read", Code: code}
	}
	other := func(original string, code int) sipfront.Outcome {
		return sipfront.Outcome{Method: "REGISTER", Original: original, Code: code}
	}
	for name, c := range map[string]struct {
		message    string
		want, tier string
		outcome    sipfront.Outcome
	}{
		"the device's own IMEI": {including(whole), good + " subscriber-bound", "T3", read(200)},
		"another device's IMEI": {including(registered(stolen+digest, token)),
			"contraindicated: imei-consistent software-vault rollback-unknown registration-spoofed subscriber-bound", "T3", read(403)},
		"no token":                              {including(registered(contact+digest, nil)), "none: not-endorsed", "none", read(200)},
		"no instance-id":                        {including(registered("Contact: <sip:a@h>\r\n", nil)), "none: unbound", "none", read(200)},
		"beside service information":            {told("", "multipart/mixed;boundary=b", mixed(info, part+whole)), good + " subscriber-bound", "T3", read(200)},
		"beside the S-CSCF's answer":            {told("", "multipart/mixed;boundary=b", mixed(response, part+whole)), good + " subscriber-bound", "T3", read(200)},
		"compact names":                         {strings.Replace(strings.Replace(including(whole), "To:", "t:", 1), "Content-Type: message", "c: message", 1), good + " subscriber-bound", "T3", read(200)},
		"nobody vouches for the algorithm":      {including(registered(contact+strings.Replace(digest, `"yes"`, `"no"`, 1), token)), good + " subscriber-unbound client-unverified", "T1", read(200)},
		"Digest over TLS that calls itself AKA": {including(registered(contact+strings.Replace(digest, `"yes"`, `"tls-yes"`, 1), token)), good + " subscriber-unbound client-unverified", "T1", read(200)},
		"AKAv2 over TLS": {including(registered(contact+strings.NewReplacer(`"yes"`, `"tls-connected"`, "AKAv1-MD5", "AKAv2-SHA-256").Replace(digest), token)),
			good + " subscriber-bound", "T3", read(200)},
		"service information alone":                        {told("", "application/3gpp-ims+xml", "<ims-3gpp/>"), "none: unbound", "none", other("missing", 200)},
		"no body":                                          {told("", "", ""), "none: unbound", "none", other("missing", 200)},
		"the S-CSCF's answer alone":                        {told("", "message/sip", "SIP/2.0 200 OK\r\n\r\n"), "none: unbound", "none", other("missing", 200)},
		"an original that nobody can read":                 {including("REGISTER garbage"), "none: unbound", "none", other("unreadable", 200)},
		"an original with two devices":                     {including(registered(contact+stolen, nil)), "none: unbound", "none", other("unreadable", 200)},
		"two originals":                                    {told("", "multipart/mixed;boundary=b", mixed(part+whole, part+whole)), "none: unbound", "none", other("unreadable", 200)},
		"parts that do not end":                            {told("", "multipart/mixed;boundary=b", "--b\r\n"+part+whole), "none: unbound", "none", other("unreadable", 200)},
		"the end of a registration":                        {told("Expires: 0\r\n", "message/sip", registered(stolen+digest, token)), "none:", "none", read(200)},
		"an end that only the UE says":                     {including(registered(stolen+digest+"Expires: 0\r\n", token)), "contraindicated: imei-consistent software-vault rollback-unknown registration-spoofed subscriber-bound", "T3", read(403)},
		"a call for help that ends, beside what registers": {including(registered("Contact: <sip:b@192.0.2.7;sos>;expires=0\r\n"+stolen+digest, token)), "contraindicated: imei-consistent software-vault rollback-unknown registration-spoofed subscriber-bound", "T3", read(403)},
		"a call for help, on the UE's word":                {including(registered(strings.Replace(stolen, "192.0.2.7", "192.0.2.7;sos", 1)+digest, token)), "contraindicated: imei-consistent software-vault rollback-unknown registration-spoofed subscriber-bound", "T3", read(200)},
	} {
		for _, network := range []string{"udp", "tcp"} {
			t.Run(name+" over "+network, func(t *testing.T) {
				f := begin(t, nil)
				answer := f.over(network, c.message)[0]
				if err := f.stop(); err != nil {
					t.Fatal(err)
				}
				summary, tier, _ := f.last()
				if code(answer) != c.outcome.Code || summary != c.want || tier != c.tier || fmt.Sprint(f.outcomes) != fmt.Sprint([]sipfront.Outcome{c.outcome}) {
					t.Errorf("answer %.30q, found %s %s, counted %v;\nwant %d, %s %s, %v\n%s", answer, summary, tier, f.outcomes, c.outcome.Code, c.want, c.tier, c.outcome, f.log)
				}
			})
		}
	}
}

// TestAChallengeThatMayBeTheUEsOwnCountsForNothing: an S-CSCF that does not authenticate re-registrations looks at no nonce in them.
func TestAChallengeThatMayBeTheUEsOwnCountsForNothing(t *testing.T) {
	f := begin(t, func(c *sipfront.Config) { c.Reauthenticates = false })
	answer := f.over("udp", including(registered(contact+digest, answering(aka401))))[0]
	if summary, _, _ := f.last(); code(answer) != 200 || summary != "none: nonce-expired" {
		t.Errorf("%.20q, %s", answer, summary)
	}
}

// TestAnAnswerIsForTheRequest: the S-CSCF finds its transaction by the answer (RFC 3261 section 8.2.6), and what it registered for how long.
func TestAnAnswerIsForTheRequest(t *testing.T) {
	f := begin(t, nil)
	answer := f.over("udp", strings.Replace(including(registered(contact, nil)), "PORT;", "1;rport;", 1))[0]
	for _, want := range []string{"SIP/2.0 200 OK\r\n", "branch=z9hG4bK", ";rport=", ";received=127.0.0.1", "From: <sip:scscf.ims.example>;tag=s", "To: <sip:alice@ims.example>;tag=",
		"@scscf.ims.example\r\n", "CSeq: 7 REGISTER\r\n", "Expires: 600120\r\n", "Content-Length: 0\r\n"} {
		if !strings.Contains(answer, want) {
			t.Errorf("no %q in\n%s", want, answer)
		}
	}
}

// TestTheVerdictStandsUnderThePublicIdentity that the S-CSCF registered, not that which the UE asked for: of an implicit registration set it names
// one that it may (TS 24.229 clause 5.4.1.7).
func TestTheVerdictStandsUnderThePublicIdentity(t *testing.T) {
	f := begin(t, nil)
	f.over("udp", strings.Replace(including(registered(contact+digest, answering(aka401))), "To: <sip:alice@ims.example>", "To: <tel:+1-555-0100>", 1))
	r, found, err := f.config.Verifier.Latest(t.Context(), "tel:+15550100")
	if err != nil || !found || r.Verdict.Tier.String() != "T3" {
		t.Errorf("%+v, %v, %v", r, found, err)
	}
	if _, found, err := f.config.Verifier.Latest(t.Context(), "sip:alice@ims.example"); found || err != nil {
		t.Errorf("of what the UE wrote: %v, %v", found, err)
	}
	text, err := json.Marshal(r)
	if err != nil || strings.Contains(string(text), "5550100") || strings.Contains(string(text), "alice") {
		t.Errorf("%s, %v", text, err)
	}
}
