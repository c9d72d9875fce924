package diameterfront

import (
	"strings"
	"time"

	"imei-attest/verifier"
	"imei-attest/verifier/diameterfront/diameter"
)

// question is an ME-Identity-Check-Request (TS 29.272 clause 7.2.19), with room for the next one.
type question struct {
	begun   time.Time // when it came
	bytes   []byte
	message diameter.Message
	inside  []diameter.AVP // of the Terminal-Information

	imei     string // 14 digits, or 15
	software string // 2 digits; "" if it was not told
	imsi     string // "" if nobody is named
}

// questionGrammar is that of the request (TS 29.272 clause 7.2.19). What is known and means nothing here may be there, mandatory or not.
var questionGrammar = diameter.Grammar{
	{ID: diameter.SessionID, Min: 1, Max: 1},
	{ID: diameter.DiameterRequestPrior, Max: 1},
	{ID: diameter.VendorSpecificAppID, Max: 1},
	{ID: diameter.AuthSessionState, Min: 1, Max: 1, Example: "\x00\x00\x00\x01"},
	{ID: diameter.OriginHost, Min: 1, Max: 1},
	{ID: diameter.OriginRealm, Min: 1, Max: 1},
	{ID: diameter.DestinationHost, Max: 1},
	{ID: diameter.DestinationRealm, Min: 1, Max: 1},
	{ID: diameter.TerminalInformation, Min: 1, Max: 1},
	{ID: diameter.UserName, Max: 1},
	{ID: diameter.SupportedFeatures},
	{ID: diameter.OriginStateID, Max: 1},
	{ID: diameter.ProxyInfo},
	{ID: diameter.RouteRecord},
}

// terminalGrammar is that of the Terminal-Information on S13 (TS 29.272 clauses 6.2.1.1 and 7.3.3). The grammar of the group has every part
// optional, but without an IMEI there is no question.
var terminalGrammar = diameter.Grammar{
	{ID: diameter.IMEI, Min: 1, Max: 1, Example: "00000000000000"},
	{ID: diameter.SoftwareVersion, Max: 1},
	{ID: diameter.MEID, Max: 1},
}

// read takes the message apart. The error is a [*diameter.Error]; the message is there beside it as far as it could be read.
func (q *question) read(node Node) error {
	q.imei, q.software, q.imsi = "", "", ""
	m := &q.message
	if err := m.Decode(q.bytes); err != nil {
		return err
	}
	switch {
	case m.Application != diameter.ApplicationS13:
		return &diameter.Error{Code: diameter.ApplicationUnsupported, Problem: "S13 (16777252) is the one application here"}
	case m.Command != diameter.MEIdentityCheck:
		return &diameter.Error{Code: diameter.CommandUnsupported, Problem: "S13 has the one command ME-Identity-Check (324)"}
	case m.Flags&diameter.Proxiable == 0:
		return &diameter.Error{Code: diameter.InvalidHeaderBits, Problem: "an ME-Identity-Check-Request has the bit P (TS 29.272 clause 7.2.19)"}
	}
	if err := questionGrammar.Check(m.AVPs); err != nil {
		return err
	}
	if err := q.readRoute(node); err != nil {
		return err
	}
	return q.readParts()
}

// readRoute looks whether the question is for this node, which passes nothing on (RFC 6733 section 6.1.4).
func (q *question) readRoute(node Node) error {
	for i := range q.message.AVPs {
		a := &q.message.AVPs[i]
		switch a.ID {
		case diameter.OriginHost, diameter.OriginRealm:
			if _, err := a.Identity(); err != nil {
				return err
			}
		case diameter.DestinationHost:
			if !strings.EqualFold(string(a.Data), node.Host) {
				return &diameter.Error{Code: diameter.UnableToDeliver, Problem: "the Destination-Host is another, and nothing is passed on here"}
			}
		case diameter.DestinationRealm:
			if !strings.EqualFold(string(a.Data), node.Realm) {
				return &diameter.Error{Code: diameter.RealmNotServed, Problem: "the Destination-Realm is another"}
			}
		}
	}
	return nil
}

// readParts reads the values.
func (q *question) readParts() error {
	for i := range q.message.AVPs {
		var err error
		switch a := &q.message.AVPs[i]; a.ID {
		case diameter.AuthSessionState:
			err = readState(a)
		case diameter.UserName:
			q.imsi, err = digits(a, leastIMSI, mostIMSI, "the User-Name is no IMSI: 6 to 15 digits (TS 23.003 clause 2.2)")
		case diameter.TerminalInformation:
			err = q.readTerminal(a)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// readState: both states are known (RFC 6733 section 8.11), and none is kept whatever is asked for.
func readState(a *diameter.AVP) error {
	state, err := a.Uint32()
	if err == nil && state > diameter.NoStateMaintained {
		err = a.Invalid("the Auth-Session-State is none of RFC 6733 section 8.11")
	}
	return err
}

// Lengths in digits (TS 23.003 clauses 2.2 and 6.2, TS 29.272 clauses 7.3.4 and 7.3.5).
const (
	leastIMSI, mostIMSI = 6, 15
	leastIMEI, mostIMEI = 14, 15
	svnDigits           = 2
)

// readTerminal reads the IMEI: 14 digits, or 15. The fifteenth is a spare or a check digit, but it is not looked at: it comes from the
// device, and one that could have itself refused here by a wrong digit would not be judged at all.
func (q *question) readTerminal(group *diameter.AVP) error {
	inside, err := group.Group(q.inside[:0])
	q.inside = inside
	if err == nil {
		err = terminalGrammar.Check(inside)
	}
	for i := range inside {
		if err != nil {
			break
		}
		switch a := &inside[i]; a.ID {
		case diameter.IMEI:
			q.imei, err = digits(a, leastIMEI, mostIMEI, "the IMEI is not 14 or 15 digits (TS 29.272 clause 7.3.4)")
		case diameter.SoftwareVersion:
			q.software, err = digits(a, svnDigits, svnDigits, "the Software-Version is not 2 digits (TS 29.272 clause 7.3.5)")
		}
	}
	if bad, is := err.(*diameter.Error); is {
		return bad.In(diameter.TerminalInformation)
	}
	return err
}

// digits reads so many decimal digits.
func digits(a *diameter.AVP, least, most int, problem string) (string, error) {
	if len(a.Data) < least || len(a.Data) > most {
		return "", a.Invalid(problem)
	}
	for _, c := range a.Data {
		if c < '0' || c > '9' {
			return "", a.Invalid(problem)
		}
	}
	return string(a.Data), nil
}

// input is the question as the verifier takes it. An EIR is asked in the midst of an access, with a subscriber who was authenticated, and
// no evidence can come with it: so it counts as an access of whom an earlier result is of, and not as a first one.
func (q *question) input(c *Config) verifier.Input {
	again := false
	r := &verifier.Registration{IMEI: q.imei, Initial: &again, Front: verifier.FrontS13}
	if q.imsi != "" {
		r.SUPI = "imsi-" + q.imsi
	}
	return verifier.Input{Registration: r, Now: c.Now()}
}
