package modem

import (
	"errors"
	"strings"
)

// IMSI identifies a subscriber by the SIM: country, network and number, at most 15 digits of which the first two take 5 or 6 (TS 23.003
// clause 2.2). It is personal data, and its String shows nothing of it. The zero value is none.
type IMSI struct{ digits string }

const (
	minIMSI = 6
	maxIMSI = 15
)

var errIMSI = errors.New("an IMSI has 6 to 15 digits (TS 23.003 clause 2.2)")

// ParseIMSI reads the digits of an IMSI. The error does not tell them.
func ParseIMSI(digits string) (IMSI, error) {
	if len(digits) < minIMSI || len(digits) > maxIMSI || strings.Trim(digits, "0123456789") != "" {
		return IMSI{}, errIMSI
	}
	return IMSI{digits}, nil
}

// IsZero tells the zero value, which is no IMSI.
func (i IMSI) IsZero() bool { return i.digits == "" }

// Digits returns all digits. Personal data: never log it.
func (i IMSI) Digits() string { return i.digits }

// String tells whether there is one.
func (i IMSI) String() string {
	if i.IsZero() {
		return ""
	}
	return "IMSI"
}

// GoString is for %#v, which would show the digits.
func (i IMSI) GoString() string { return i.String() }

// judgeIMSI reads the answer to +CIMI (TS 27.007 clause 5.6): one line, or the same twice, and beside it nothing but words. Unlike
// other answers it keeps no text: what is no IMSI may be nearly one.
func (a *Answer) judgeIMSI(g grammar, lines []string) {
	for _, line := range lines {
		value, own := g.ownValue(line)
		if !own {
			value = line
		}
		found, err := ParseIMSI(decodeUCS2(unquote(value), minIMSI))
		switch {
		case err != nil && (own || !isWords(line)), err == nil && !a.IMSI.IsZero() && a.IMSI != found:
			a.IMSI, a.Word = IMSI{}, WordAmbiguous
			return
		case err == nil:
			a.IMSI = found
		}
	}
	if a.IMSI.IsZero() {
		a.Word = WordError // it said OK and nothing else
	}
}
