// Package imei reads and writes the identities of mobile equipment: IMEI, IMEISV and their parts
// (TS 23.003 clause 6 and Annex B), the IMEI URN (RFC 7254) and the UEID form used in evidence (RFC 9711).
//
// Start with [Parse] for what a person typed and [ParseSent] for what a modem answered. An [IMEI] that a
// parser returned is 14 decimal digits that are neither blank, all zero nor all equal. Its String never
// shows the serial number; [IMEI.Digits] does, and says so by its name.
package imei

import "strings"

// Lengths in decimal digits (TS 23.003 clause 6.2).
const (
	tacLen    = 8
	snrLen    = 6
	bodyLen   = tacLen + snrLen // what identifies the equipment: TAC and SNR
	imeiLen   = bodyLen + 1     // plus check digit, or spare digit over the air
	imeisvLen = bodyLen + svnLen
	svnLen    = 2
)

// TAC is a Type Allocation Code, 8 decimal digits: the model, not the unit (TS 23.003 clause 6.2.1).
type TAC string

// SVN is a Software Version Number, 2 decimal digits; 99 is reserved (TS 23.003 clause 6.2.2). Empty means not known.
type SVN string

// IMEI is the identity of one piece of equipment: TAC and serial number, 14 decimal digits. The check digit is
// computed, never kept: the network compares 14 digits (TS 22.016 clause 3), so == is the comparison that counts.
// The zero value is no IMEI; see [IMEI.IsZero].
type IMEI struct{ body [bodyLen]byte }

// IMEISV is an IMEI with the software version the modem reported (TS 23.003 clause 6.2.2).
type IMEISV struct {
	IMEI IMEI
	SVN  SVN
}

// Form says what stood in the 15th place of a modem's answer.
type Form uint8

const (
	// FormCheckDigit: the right check digit.
	FormCheckDigit Form = iota
	// FormSpareDigit: a 0 where the check digit is another digit: the over-the-air form (TS 23.003 clause 6.2.1).
	FormSpareDigit
	// FormWrongCheckDigit: neither; the 14 digits before it may still be the right ones.
	FormWrongCheckDigit
)

// Parse reads the 15 digits of an IMEI as a person writes them; the check digit must be right.
// The error is an [*Error].
func Parse(text string) (IMEI, error) {
	id, form, err := ParseSent(text)
	if err == nil && form != FormCheckDigit {
		err = &Error{Word: WordLuhn, Text: text}
	}
	if err != nil {
		return IMEI{}, err
	}
	return id, nil
}

// ParseSent reads an IMEI as equipment sends it: 15 digits, the last of which may be the spare 0. The error is an
// [*Error]; for [WordLuhn] the IMEI is returned beside the error, because its 14 digits are still a finding.
func ParseSent(text string) (IMEI, Form, error) {
	if word := classify(text); word != "" {
		return IMEI{}, FormCheckDigit, &Error{Word: word, Text: text}
	}
	id := fromBody(text[:bodyLen])
	switch last := text[bodyLen]; {
	case last == id.CheckDigit():
		return id, FormCheckDigit, nil
	case last == '0':
		return id, FormSpareDigit, nil
	}
	return id, FormWrongCheckDigit, &Error{Word: WordLuhn, Text: text}
}

// FromBody takes the 14 digits of TAC and serial number, as signed evidence carries them.
func FromBody(digits string) (IMEI, error) {
	if len(digits) != bodyLen || !allDigits(digits) {
		return IMEI{}, refused(WordMalformed, digits)
	}
	if word := refusedDigits(digits); word != "" {
		return IMEI{}, refused(word, digits)
	}
	return fromBody(digits), nil
}

// refused clones the digits, so that those of a caller who has them as bytes need no memory of their own while they are good.
func refused(word Word, digits string) error { return &Error{Word: word, Text: strings.Clone(digits)} }

func fromBody(digits string) (id IMEI) {
	copy(id.body[:], digits)
	return id
}

// ParseIMEISV reads the 16 digits of an IMEISV: 14 digits and the software version, no check digit. The error is an [*Error].
func ParseIMEISV(text string) (IMEISV, error) {
	switch word := classify(text); word {
	case WordIMEISV:
		return IMEISV{IMEI: fromBody(text[:bodyLen]), SVN: SVN(text[bodyLen:])}, nil
	case "":
		return IMEISV{}, &Error{Word: WordMalformed, Text: text}
	default:
		return IMEISV{}, &Error{Word: word, Text: text}
	}
}

// ParseSVN reads the two digits of a software version number. The error is an [*Error].
func ParseSVN(text string) (SVN, error) {
	if len(text) != svnLen || !allDigits(text) {
		return "", &Error{Word: WordMalformed, Text: text}
	}
	return SVN(text), nil
}

// IsZero tells the zero value, which is no IMEI, from a parsed one.
func (i IMEI) IsZero() bool { return i == IMEI{} }

// TAC returns the Type Allocation Code, the first 8 digits.
func (i IMEI) TAC() TAC {
	if i.IsZero() {
		return ""
	}
	return TAC(i.body[:tacLen])
}

// Body returns the 14 digits that identify the equipment. Personal data: never log it.
func (i IMEI) Body() string {
	if i.IsZero() {
		return ""
	}
	return string(i.body[:])
}

// Digits returns all 15 digits, check digit included. Personal data: never log it.
func (i IMEI) Digits() string {
	if i.IsZero() {
		return ""
	}
	return string(append(i.body[:], i.CheckDigit()))
}

// CheckDigit computes the 15th digit, '0'..'9': Luhn over the other 14 (TS 23.003 Annex B.1).
func (i IMEI) CheckDigit() byte { return luhn(i.body[:]) }

// String shows the TAC and the last two digits of the IMEI, enough to recognise a device one already
// knows and too little to find one.
func (i IMEI) String() string {
	if i.IsZero() {
		return "no IMEI"
	}
	return redactDigits(i.Digits())
}

// IsTestRange reports an IMEI of the test allocation: reporting body 00 (GSMA TS.06). No production device has one.
func (i IMEI) IsTestRange() bool { return !i.IsZero() && i.body[0] == '0' && i.body[1] == '0' }

// Digits returns the 16 digits. Personal data: never log it.
func (v IMEISV) Digits() string { return v.IMEI.Body() + string(v.SVN) }

// String redacts as [IMEI.String] does; the software version identifies nobody and is shown.
func (v IMEISV) String() string { return v.IMEI.String() + " svn " + string(v.SVN) }

// luhn returns the check digit '0'..'9' over decimal digits; the last digit counts double (ISO/IEC 7812-1).
func luhn(digits []byte) byte {
	sum := 0
	for i, d := range digits {
		n := int(d - '0')
		if (len(digits)-i)%2 == 1 {
			n *= 2
		}
		sum += n/10 + n%10
	}
	return byte('0' + (10-sum%10)%10)
}

func allDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}
