package eirfront

import (
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"
)

// Bounds of a question. The longest that is meant, with a SUPI and a GPSI in the form of a network access identifier, has some 700 bytes.
const (
	maxURIBytes  = 2048
	maxTextBytes = 255 // of a SUPI, and of a GPSI: a network access identifier (RFC 7542 section 2.2: 253 and more are not passed on)
)

// query is the question (TS 29.511 table 6.1.3.2.3.1-1). Texts that are empty were not given.
type query struct {
	pei      string // what the AMF was told by the device
	supi     string // whom the AMF has authenticated
	gpsi     string // for the operator's EIR: the verifier keeps results by SUPI
	features string
	raw      string // as it came, for the operator's EIR
}

// parameters of the query, and what they must look like.
var parameters = []struct {
	name      string
	mandatory bool
	fits      func(string) bool
	want      string
	place     func(*query) *string
}{
	{"pei", true, isPEI, "want imei- and 15 digits, imeisv- and 16, mac- or eui- (TS 29.571 clause 5.3.2)", func(q *query) *string { return &q.pei }},
	{"supi", false, isSUPI, "want imsi- and 5 to 15 digits, or nai-, gci- or gli- (TS 29.571 clause 5.3.2)", func(q *query) *string { return &q.supi }},
	{"gpsi", false, isGPSI, "want msisdn- and 5 to 15 digits, or extid- and an external identifier (TS 29.571 clause 5.3.2)", func(q *query) *string { return &q.gpsi }},
	{"supported-features", false, isFeatures, "want hexadecimal digits (TS 29.571 clause 5.2.2)", func(q *query) *string { return &q.features }},
}

// readQuery is strict with the parameters that there are: one that stands twice, or is empty, is none. Others are left alone: an AMF of a
// later release may have more to say.
func readQuery(raw string) (q query, refused *problem) {
	q.raw = raw
	for rest := raw; rest != ""; {
		var pair string
		pair, rest, _ = strings.Cut(rest, "&")
		name, value, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(name)
		if err == nil {
			value, err = url.QueryUnescape(value)
		}
		if err != nil || strings.Contains(pair, ";") { // which some take for an ampersand: the operator's EIR would read another question
			return q, refusal(http.StatusBadRequest, "INVALID_MSG_FORMAT", "the query is not encoded as a URI is (RFC 3986 section 2.1), or has a semicolon in the place of &")
		}
		if refused = q.take(name, value); refused != nil {
			return q, refused
		}
	}
	if q.pei == "" {
		return q, invalid("MANDATORY_QUERY_PARAM_MISSING", "pei", "is missing: the permanent equipment identifier is what is asked about")
	}
	return q, nil
}

func (q *query) take(name, value string) *problem {
	for i := range parameters {
		p := &parameters[i]
		if p.name != name {
			continue
		}
		cause := "OPTIONAL_QUERY_PARAM_INCORRECT"
		if p.mandatory {
			cause = "MANDATORY_QUERY_PARAM_INCORRECT"
		}
		place := p.place(q)
		switch {
		case *place != "":
			return invalid(cause, name, "stands twice: give one")
		case !p.fits(value):
			return invalid(cause, name, p.want)
		}
		*place = value
	}
	return nil
}

// holdsIMEI: a device of wireline access has another identifier (TS 23.003 clause 6.4).
func (q *query) holdsIMEI() bool { return strings.HasPrefix(q.pei, "imei") }

// isPEI is the pattern of TS 29.571 clause 5.3.2, without its last branch, which leaves room for forms to come.
func isPEI(text string) bool {
	kind, value, _ := strings.Cut(text, "-")
	switch kind {
	case "imei":
		return isDigits(value, 15, 15)
	case "imeisv":
		return isDigits(value, 16, 16)
	case "mac":
		const octets = 6
		return isOctets(strings.TrimSuffix(value, "-untrusted"), octets)
	case "eui":
		const octets = 8
		return isOctets(value, octets)
	}
	return false
}

func isSUPI(text string) bool {
	kind, value, _ := strings.Cut(text, "-")
	switch kind {
	case "imsi":
		return isDigits(value, 5, 15)
	case "nai", "gci", "gli":
		return isText(value)
	}
	return false
}

func isGPSI(text string) bool {
	kind, value, _ := strings.Cut(text, "-")
	switch kind {
	case "msisdn":
		return isDigits(value, 5, 15)
	case "extid":
		local, domain, found := strings.Cut(value, "@")
		return found && local != "" && domain != "" && !strings.Contains(domain, "@") && isText(value)
	}
	return false
}

// isFeatures: a bit for each feature (TS 29.571 clause 5.2.2). None has more than a few.
func isFeatures(text string) bool {
	const most = 64
	return text != "" && len(text) <= most && strings.Trim(text, "0123456789abcdefABCDEF") == ""
}

func isDigits(text string, least, most int) bool {
	return len(text) >= least && len(text) <= most && strings.Trim(text, "0123456789") == ""
}

// isOctets: so many pairs of hexadecimal digits, with hyphens between them.
func isOctets(text string, count int) bool {
	const pair = 3 // with its hyphen
	if len(text) != count*pair-1 {
		return false
	}
	for i := range len(text) {
		isHyphen := text[i] == '-'
		if isHyphen != (i%pair == pair-1) || !isHyphen && !strings.ContainsRune("0123456789abcdefABCDEF", rune(text[i])) {
			return false
		}
	}
	return true
}

// isText: what a network access identifier may hold: no space and no control character (RFC 7542 section 2.2).
func isText(text string) bool {
	const del = 0x7f
	for i := range len(text) {
		if text[i] <= ' ' || text[i] == del {
			return false
		}
	}
	return text != "" && len(text) <= maxTextBytes && utf8.ValidString(text)
}
