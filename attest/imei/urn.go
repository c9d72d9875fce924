package imei

import (
	"errors"
	"strings"
)

// ErrNotIMEIURN means the text is no IMEI URN at all, for instance the UUID URN of a device without an IMEI.
var ErrNotIMEIURN = errors.New("not an IMEI URN, which begins with " + urnPrefix + " (RFC 7254)")

// ErrURNSyntax means the text begins as an IMEI URN but does not hold 8-6-1 decimal digits.
var ErrURNSyntax = errors.New("malformed IMEI URN: want " + urnPrefix + "TAC-SNR-0 with 8, 6 and 1 decimal digits (RFC 7254 clause 4.2)")

const urnPrefix = "urn:gsma:imei:"

// URN is an IMEI URN as received. The zero value names no equipment.
type URN struct {
	IMEI IMEI
	// CheckDigitForm: the third field holds the right check digit. RFC 7254 clause 4.2.3 wants the spare digit 0.
	CheckDigitForm bool
	// OtherDigit: the third field holds neither the spare digit 0 nor the check digit. The 14 digits count all the same.
	OtherDigit bool
	// SVN and Version hold the `svn` and `vers` parameters, empty when absent. TS 23.003 clause 13.8 wants neither
	// in an instance-id.
	SVN     SVN
	Version string
}

// URN writes the form of RFC 7254 clause 4.2.3: the third field is the spare digit 0, not the check digit.
// Personal data: never log it. The zero IMEI has no URN.
func (i IMEI) URN() string {
	if i.IsZero() {
		return ""
	}
	b := i.Body()
	return urnPrefix + b[:tacLen] + "-" + b[tacLen:] + "-0"
}

// ParseURN reads an IMEI URN; the scheme and namespace compare without case (RFC 8141 clause 3.1). Angle brackets,
// as SIP's +sip.instance carries them, are taken off. The error is [ErrNotIMEIURN], [ErrURNSyntax] or an [*Error]
// for a placeholder such as all zeros.
func ParseURN(text string) (URN, error) {
	text = strings.TrimSuffix(strings.TrimPrefix(text, "<"), ">")
	if len(text) < len(urnPrefix) || !strings.EqualFold(text[:len(urnPrefix)], urnPrefix) {
		return URN{}, ErrNotIMEIURN
	}
	value, params, hasParams := strings.Cut(text[len(urnPrefix):], ";")
	u, err := parseURNValue(value)
	if err != nil {
		return URN{}, err
	}
	if hasParams {
		if err := u.parseParams(params); err != nil {
			return URN{}, err
		}
	}
	return u, nil
}

func parseURNValue(value string) (URN, error) {
	f := strings.Split(value, "-")
	if len(f) != 3 || len(f[0]) != tacLen || len(f[1]) != snrLen || len(f[2]) != 1 || !allDigits(f[0]+f[1]+f[2]) {
		return URN{}, ErrURNSyntax
	}
	id, err := FromBody(f[0] + f[1])
	if err != nil {
		return URN{}, err
	}
	third := f[2][0]
	isCheckDigit := third != '0' && third == id.CheckDigit()
	return URN{IMEI: id, CheckDigitForm: isCheckDigit, OtherDigit: third != '0' && !isCheckDigit}, nil
}

// parseParams reads `svn=NN` and `vers=0`. Another version than 0 may give the digits another meaning
// (RFC 7254 clause 4.2.3), so it is refused.
func (u *URN) parseParams(params string) error {
	for param := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(param, "=")
		switch {
		case strings.EqualFold(name, "svn") && u.SVN == "" && len(value) == svnLen && allDigits(value):
			u.SVN = SVN(value)
		case strings.EqualFold(name, "vers") && u.Version == "" && value == "0":
			u.Version = value
		default:
			return ErrURNSyntax
		}
	}
	return nil
}
