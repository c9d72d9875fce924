package registrar

import (
	"bytes"
	"encoding/xml"
	"fmt"
)

// answerCx answers a request about a subscriber, whom it names by private and public identity.
func (h *HSS) answerCx(m *diameterMessage, about func(*diameterMessage, Subscriber) []avp) []byte {
	common := []avp{octets(avpSessionID, find(m.avps, avpSessionID)), vendorApplication(), number(avpAuthState, 1)}
	impi, impu := string(find(m.avps, avpUserName)), string(find(m.avps, avpPublicIdentity))
	for _, s := range h.subscribers {
		if s.IMPI == impi && s.IMPU == impu {
			return answerTo(m, append(append(common, origin(resultSuccess)...), about(m, s)...)...)
		}
	}
	return answerTo(m, append(common, userUnknown()...)...)
}

// authenticate makes one authentication vector (TS 29.228 clause 6.3).
func (h *HSS) authenticate(m *diameterMessage, s Subscriber) []avp {
	challenge := newChallenge()
	h.mutex.Lock()
	h.sqn++
	v := s.keys.vector(challenge, h.sqn)
	h.mutex.Unlock()
	item := []avp{
		cx(avpItemNumber, number(0, 1).data), cx(avpScheme, []byte("Digest-AKAv1-MD5")),
		cx(avpAuthenticate, append(v.rand[:], v.autn[:]...)), cx(avpAuthorization, v.res[:]),
		cx(avpCK, v.ck[:]), cx(avpIK, v.ik[:]),
	}
	answer := "MAA: RAND, AUTN, XRES, CK, IK"
	if s.ByPassword { // by the scheme that Kamailio's ims_auth takes: TS 29.229 clause 6.3.36 has SIP Digest with a hash of the password
		item = []avp{cx(avpItemNumber, number(0, 1).data), cx(avpScheme, []byte("Digest-MD5")),
			cx(avpAuthenticate, challenge[:]), cx(avpAuthorization, []byte(Password))}
		answer = "MAA: nonce and password"
	}
	h.see(s, "MAR: an authentication vector for "+s.IMPI, answer)
	return []avp{
		text(avpUserName, s.IMPI), cx(avpPublicIdentity, []byte(s.IMPU)), cx(avpAuthItems, number(0, 1).data),
		cx(avpAuthItem, encodeAVPs(item)),
	}
}

// assignments are the values of Server-Assignment-Type that come of registrations (TS 29.229 clause 6.3.15).
var assignments = map[uint32]string{1: "registration", 2: "re-registration", 4: "expired", 5: "deregistration"}

// assign keeps no state: this HSS has one S-CSCF.
func (h *HSS) assign(m *diameterMessage, s Subscriber) []avp {
	kind := "assignment"
	if raw := find(m.avps, avpAssignment); len(raw) == 4 {
		if name, known := assignments[uint32(raw[3])]; known {
			kind = name
		}
	}
	answer := "SAA: user data"
	if h.as != "" {
		answer += " with an iFC: REGISTER goes to the AS, with the request in it (IncludeRegisterRequest)"
	}
	h.see(s, "SAR: "+kind+" of "+s.IMPU, answer)
	return []avp{text(avpUserName, s.IMPI), cx(avpUserData, []byte(s.userData(h.as)))}
}

// userData is the subscriber's profile (TS 29.228 annex E), with one initial filter criterion where there is an application server.
func (s Subscriber) userData(as string) string {
	criterion := ""
	if as != "" {
		criterion = fmt.Sprintf(everyREGISTER, escaped(as))
	}
	return fmt.Sprintf(`<?xml version="1.0" encoding="UTF-8"?>
<IMSSubscription><PrivateID>%s</PrivateID><ServiceProfile><PublicIdentity><Identity>%s</Identity></PublicIdentity>%s</ServiceProfile></IMSSubscription>`,
		escaped(s.IMPI), escaped(s.IMPU), criterion)
}

// everyREGISTER goes to the application server, with the request in it. DefaultHandling 0: the session goes on when that fails. There is no
// ServiceInfo: Kamailio would send that in the place of the request.
const everyREGISTER = `<InitialFilterCriteria><Priority>0</Priority>
<TriggerPoint><ConditionTypeCNF>0</ConditionTypeCNF><SPT><ConditionNegated>0</ConditionNegated><Group>0</Group><Method>REGISTER</Method></SPT></TriggerPoint>
<ApplicationServer><ServerName>%s</ServerName><DefaultHandling>0</DefaultHandling><Extension><IncludeRegisterRequest/></Extension></ApplicationServer>
</InitialFilterCriteria>`

func (h *HSS) see(s Subscriber, asked, answered string) {
	if s.IMPI != probe.IMPI {
		h.observe.See("S-CSCF", "HSS", asked)
		h.observe.See("HSS", "S-CSCF", answered)
	}
}

func escaped(s string) string {
	var b bytes.Buffer
	if err := xml.EscapeText(&b, []byte(s)); err != nil {
		panic(err) // a buffer takes everything
	}
	return b.String()
}
