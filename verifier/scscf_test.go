package verifier_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"imei-attest/attest"
	"imei-attest/testbench/peertest"
	"imei-attest/testbench/registrar"
)

// carried is a REGISTER on its way through Kamailio as S-CSCF to the SIP application server.
type carried struct {
	title   string
	network string
	token   func(*phone, *registrar.Challenge) []byte
	body    func(token []byte) registrar.Body
	lies    bool
	as      int // what the application server answers
	want    string
	tier    attest.Tier
}

const (
	spoofedBoth   = device + spoofedReg + " subscriber-bound"
	signatureBoth = "slot1 contraindicated: signature-invalid | registration none:"
)

var carriers = []carried{
	{title: "a token as the body", network: "udp", token: inBand, as: 200, want: bound, tier: attest.T3},
	{title: "a token as the body", network: "tcp", token: inBand, as: 200, want: bound, tier: attest.T3},
	{title: "a token with its Credential", network: "tcp", token: fromTheUE, as: 200, want: bound, tier: attest.T3},
	{title: "multipart/mixed, the token in binary", network: "udp", token: inBand, body: multipart("binary"), as: 200, want: bound, tier: attest.T3},
	{title: "multipart/mixed, the token in base64", network: "tcp", token: inBand, body: multipart("base64"), as: 200, want: bound, tier: attest.T3},
	{title: "another IMEI in the instance-id", network: "udp", token: inBand, lies: true, as: 403, want: spoofedBoth, tier: attest.T3},
	{title: "the same, multipart/mixed", network: "tcp", token: inBand, body: multipart("binary"), lies: true, as: 403, want: spoofedBoth, tier: attest.T3},
	{title: "a token of which one bit was changed", network: "udp", token: func(p *phone, c *registrar.Challenge) []byte {
		token := inBand(p, c)
		token[len(token)-1] ^= 1
		return token
	}, as: 403, want: signatureBoth},
	{title: "a token that was cut off at its first NUL", network: "udp", token: func(p *phone, c *registrar.Challenge) []byte {
		token, _, _ := bytes.Cut(inBand(p, c), []byte{0})
		return token
	}, as: 200, want: "slot1 none: unexpected-evidence | registration warning: evidence-missing"},
	{title: "no token", network: "udp", as: 200, want: "registration warning: evidence-missing"},
}

// inBand is a token without its Credential: the verifier has that from before.
func inBand(p *phone, c *registrar.Challenge) []byte {
	bare := *p
	bare.carried = nil
	return fromTheUE(&bare, c)
}

// multipart puts the token behind a part of another kind (RFC 2046 section 5.1).
func multipart(encoding string) func([]byte) registrar.Body {
	return func(token []byte) registrar.Body {
		if encoding == "base64" {
			token = base64.StdEncoding.AppendEncode(nil, token)
		}
		var b bytes.Buffer
		fmt.Fprintf(&b, "--part\r\nContent-Type: application/3gpp-ims+xml\r\n\r\n<ims-3gpp version=\"1\"/>\r\n--part\r\nContent-Type: %s\r\n"+
			"Content-Transfer-Encoding: %s\r\n\r\n%s\r\n--part--\r\n", attest.EvidenceMediaType, encoding, token)
		return registrar.Body{Type: "multipart/mixed;boundary=part", Content: b.Bytes()}
	}
}

// TestA2 tries that Kamailio as S-CSCF (ims_registrar_scscf, ims_isc) hands instance-id and token on as they are, and that the application server
// judges them.
func TestA2(t *testing.T) {
	row := peertest.Use(t, kamailio, "A2, S-CSCF: third-party REGISTER with the original in it, to the SIP application server")
	open := newSCSCF(t)
	rows := [][]string{{"A2: what the UE sends", "over", "token", "NULs", "UE gets", "AS says", "status", "tier", "reasons"}}
	for _, c := range carriers {
		t.Run(c.title+" over "+c.network, func(t *testing.T) {
			s := newScene(t, enforced())
			p := s.phone()
			p.attests()
			h := open(s)
			h.network = c.network
			got := s.registers(h, ueOf{phone: p, lies: c.lies, token: c.token, body: c.body})
			if result := summary(got.verdict.Result); result != c.want || got.verdict.Tier != c.tier || got.ue != 200 || got.as != c.as {
				t.Errorf("\n got %s, tier %s, UE %d, AS %d\nwant %s, tier %s, UE 200, AS %d", result, got.verdict.Tier, got.ue, got.as, c.want, c.tier, c.as)
			}
			shown := p.shows
			if c.lies {
				shown = bobs
			}
			if who, what := s.names.Subscriber(string(alice)), s.names.Device(shown); !who.Is(got.record.Subscriber) || !what.Is(got.record.Device) {
				t.Errorf("the decision is about %s and %s, not about the subscriber and the IMEI that registered", got.record.Subscriber, got.record.Device)
			}
			rows = append(rows, []string{c.title, c.network, fmt.Sprint(len(got.token), " bytes"), fmt.Sprint(bytes.Count(got.token, []byte{0})), fmt.Sprint(got.ue),
				fmt.Sprint(got.as), got.verdict.Status().String(), got.verdict.Tier.String(), reasonsOf(got.verdict)})
		})
	}
	var text strings.Builder
	fmt.Fprintf(&text, "\nA2, behind Kamailio %s as S-CSCF: %d registrations\n", row.Version, len(rows)-1)
	align(&text, rows)
	peertest.Show(t, text.String())
}
