package sipfront_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
)

// asked is one REGISTER of a UE, to a proxy and to an S-CSCF.
type asked struct {
	original string
	ends     bool   // the S-CSCF tells of the end of the registration
	beside   string // what the network says beside the message; "" for vouched
}

const vouched = `{"auth":"AKAv1-MD5","integrity_protected":"yes","challenge_outstanding":true,"initial":true,"emergency":false,"sender":"pcscf1"}`

// corpus are registrations that are wrong, odd or none, and what is found under enforce.yaml: by a check of the message, and behind the S-CSCF
// where that is other. Unless it is said otherwise, each carries the honest device's token over its own challenge.
func corpus() []struct {
	name          string
	asked         []asked // the last one counts
	check, behind string
} {
	token := answering(aka401)
	withContact := func(c string) []asked { return []asked{{original: registered(c+digest, token)}} }
	instance := func(id string) []asked {
		return withContact("Contact: <sip:alice@192.0.2.7>;+sip.instance=\"<" + id + ">\"\r\n")
	}
	whole := registered(contact+digest, token)
	const bound, spoofed = good + " subscriber-bound", "contraindicated: imei-consistent software-vault rollback-unknown registration-spoofed subscriber-bound"
	const none = "warning: imei-consistent software-vault rollback-unknown "
	return []struct {
		name          string
		asked         []asked
		check, behind string
	}{
		{"in order", []asked{{original: whole}}, "200 " + bound, ""},
		{"no instance-id", withContact("Contact: <sip:alice@192.0.2.7>\r\n"), "200 " + none + "unbound subscriber-bound", ""},
		{"a UUID", instance("urn:uuid:00000000-0000-1000-8000-000A95A0E128"), "200 " + none + "unbound subscriber-bound", ""},
		{"an IMEI with svn", instance("urn:gsma:imei:49015420-323751-0;svn=42"), "200 " + none + "urn-nonconformant imei-consistent subscriber-bound", ""},
		{"the check digit", instance("urn:gsma:imei:49015420-323751-8"), "200 " + none + "urn-nonconformant imei-consistent subscriber-bound", ""},
		{"a wrong check digit", instance("urn:gsma:imei:49015420-323751-7"), "200 " + none + "urn-nonconformant imei-consistent subscriber-bound", ""},
		{"13 digits", instance("urn:gsma:imei:49015420-32375-0"), "200 " + none + "urn-malformed subscriber-bound", ""},
		{"16 digits", instance("urn:gsma:imei:49015420-3237510-0"), "200 " + none + "urn-malformed subscriber-bound", ""},
		{"15 digits without hyphens", instance("urn:gsma:imei:490154203237518"), "200 " + none + "urn-malformed subscriber-bound", ""},
		{"another device's IMEI", withContact(stolen), "403 " + spoofed, ""},
		{"no token", []asked{{original: registered(contact+digest, nil)}}, "200 none: not-endorsed", ""},
		{"no token, of a device that has attested", []asked{{original: whole}, {original: strings.ReplaceAll(registered(contact+digest, nil), "alice", "mallory")}},
			"401 warning: evidence-missing duplicate-subscriber", "200 warning: evidence-missing duplicate-subscriber"},
		{"a token that somebody changed", []asked{{original: registered(contact+digest, append(token[:len(token)-1:len(token)-1], token[len(token)-1]^1))}}, "403 contraindicated: signature-invalid", ""},
		{"two Contacts of one device", withContact(contact[:len(contact)-2] + ", " + contact[len("Contact: "):]), "200 " + bound, ""},
		{"two Contacts of two devices", withContact(contact + stolen), "400 Contact", "200 none: unbound"},
		{"Contact: *", []asked{{original: registered("Contact: *\r\nExpires: 0\r\n"+digest, token), ends: true}}, "200 none:", ""},
		{"Contact: * that ends nothing", withContact("Contact: *\r\n"), "400 Contact", "200 none: unbound"},
		{"expires=0, another device's IMEI", []asked{{original: registered(stolen[:len(stolen)-2]+";expires=0\r\n"+digest, token), ends: true}}, "200 none:", ""},
		{"sos, another device's IMEI", withContact(strings.Replace(stolen, "192.0.2.7", "192.0.2.7;sos", 1)), "403 " + spoofed, "200 " + spoofed},
		{"an emergency for the network", []asked{{original: registered(stolen+digest, token), beside: strings.Replace(vouched, `"emergency":false`, `"emergency":true`, 1)}},
			"200 none: emergency", "403 " + spoofed},
		{"retransmission", []asked{{original: whole}, {original: whole}}, "200 " + bound, ""},
		{"re-registration with the same token", []asked{{original: whole}, {original: strings.Replace(whole, "CSeq: 2", "CSeq: 3", 1)}}, "200 " + bound, ""},
		{"re-registration without a token", []asked{{original: whole}, {original: strings.Replace(registered(contact+digest, nil), "CSeq: 2", "CSeq: 3", 1)}}, "401 " + bound + " client-unverified stale", "200 " + bound + " client-unverified stale"},
		{"the same subscriber, another public identity", []asked{{original: whole}, {original: strings.Replace(whole, "To: <sip:alice@ims.example>", "To: <tel:+15550100>", 1)}}, "200 " + bound, ""},
		{"replay on another subscriber", []asked{{original: whole}, {original: strings.ReplaceAll(whole, "alice", "mallory")}}, "403 contraindicated: nonce-reused", ""},
		{"replay on another challenge", []asked{{original: strings.Replace(whole, aka401, "QW5vdGhlciBub25jZQ==", 1)}}, "401 none: nonce-expired", "200 none: nonce-expired"},
	}
}

// TestTheNegativeCorpus tells each through the check of a message and through the application server.
func TestTheNegativeCorpus(t *testing.T) {
	rows := [][]string{{"registration", "check of the message", "behind the S-CSCF, where that is other"}}
	for _, c := range corpus() {
		t.Run(c.name, func(t *testing.T) {
			var check, behind string
			f, g := begin(t, nil), begin(t, nil)
			for _, a := range c.asked {
				check, behind = f.check(a), g.behind(a)
			}
			want := c.behind
			if want == "" {
				want = c.check
			}
			if check != c.check || behind != want {
				t.Errorf("\n got %s\nwant %s\n got %s\nwant %s", check, c.check, behind, want)
			}
			if behind == check {
				behind = ""
			}
			rows = append(rows, []string{c.name, check, behind})
		})
	}
	print(t, fmt.Sprintf("Registrations that are wrong, odd or none, under enforce.yaml: %d", len(rows)-1), rows)
}

// check hands the REGISTER in as a proxy does.
func (f *front) check(a asked) string {
	f.t.Helper()
	beside := a.beside
	if beside == "" {
		beside = vouched
	}
	w := httptest.NewRecorder()
	r := httptest.NewRequest("POST", "/v1/registrations/check",
		strings.NewReader(fmt.Sprintf(`{"message":%q,"registration":%s}`, base64.StdEncoding.EncodeToString([]byte(a.original)), beside)))
	r.Header.Set("Content-Type", "application/json")
	f.api().ServeHTTP(w, r)
	var got struct {
		Detail  string
		SIPCode int `json:"sip_code"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		f.t.Fatal(err)
	}
	if w.Code == 400 {
		_, where, _ := strings.Cut(got.Detail, "judged: ")
		where, _, _ = strings.Cut(where, ":")
		return "400 " + where
	}
	summary, _, _ := f.last()
	return fmt.Sprint(got.SIPCode, " ", summary)
}

// behind tells of it as an S-CSCF does.
func (f *front) behind(a asked) string {
	f.t.Helper()
	more := ""
	if a.ends {
		more = "Expires: 0\r\n"
	}
	answer := f.over("udp", told(more, "message/sip", a.original))[0]
	summary, _, _ := f.last()
	return fmt.Sprint(code(answer), " ", summary)
}
