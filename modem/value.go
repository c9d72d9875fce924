package modem

import (
	"slices"
	"strconv"
	"strings"
)

// label is what stands before the colon in the lines of a report.
type label uint8

const (
	labelNone label = iota
	labelIMEI
	labelIMEISV
	labelSVN
	labelOther // names an identifier that is no IMEI
)

// otherLabels name other identifiers: of CDMA parts, of the SIM card, of the module.
var otherLabels = []string{"ESN", "PESN", "MEID", "IMSI", "ICCID", "CCID", "UUID", "SN", "S/N", "FSN", "PSN", "SERIAL", "SERIALNO", "SERIALNUMBER"}

// cutLabel takes `IMEI: value` apart, also `IMEI1:`, `IMEI =`, `IMEI SV:` (Huawei, ZTE, Sierra, Novatel ATI), `IMEI,value`
// (HiSilicon ^PHYNUM) and `IMEI(value)` (Samsung +DEVCONINFO).
func cutLabel(line string) (label, string) {
	at := strings.IndexAny(line, ":=,(")
	if at < 0 {
		return labelNone, line
	}
	value := strings.Trim(line[at+1:], " \t")
	if line[at] == '(' {
		inner, after, closed := strings.Cut(value, ")")
		if !closed || after != "" {
			return labelNone, line
		}
		value = inner
	}
	name := strings.Map(dropBlanks, strings.ToUpper(line[:at]))
	switch {
	case slices.Contains(otherLabels, name):
		return labelOther, value
	case name == "IMEISV" && len(value) <= 2, name == "IMEISVN", name == "SVN":
		return labelSVN, value
	case name == "IMEISV":
		return labelIMEISV, value
	case strings.HasPrefix(name, "IMEI") && strings.Trim(name[len("IMEI"):], "0123456789") == "":
		return labelIMEI, value
	}
	return labelNone, line
}

func dropBlanks(r rune) rune {
	if strings.ContainsRune(" \t_-\"", r) {
		return -1
	}
	return r
}

// bareValue takes a value out of its wrapping: quotes, the letters IMEI glued before the digits (Motorola), a serial
// number after a comma (Option), small numbers before one, or, where the line has the command's own name, any fields; the
// hex of a left-on UCS2 character set. Two identities on one line are ambiguous, and the value is all fields: which slot is which is not
// for us to guess.
func bareValue(text string, own bool) (value string, ambiguous bool) {
	parts := fieldsOf(text)
	if holdsTwo(parts) {
		return strings.Join(parts, ","), true
	}
	found := slices.IndexFunc(parts, isIdentityNumber)
	if len(parts) == 1 || found < 0 {
		return parts[0], false
	}
	for _, before := range parts[:found] {
		if !own && (len(before) > 2 || strings.Trim(before, "0123456789") != "") {
			return text, false
		}
	}
	return parts[found], false
}

// fieldsOf returns the fields of a value, bare. Hex is decoded before, as the wrapping may be within.
func fieldsOf(text string) (fields []string) {
	for _, p := range splitQuoted(text) {
		p = cutGlued(p)
		decoded := decodeUCS2(p, minIdentityUCS2)
		if decoded == p {
			fields = append(fields, decodeHexDigits(p))
			continue
		}
		for _, p := range splitQuoted(decoded) {
			fields = append(fields, cutGlued(p))
		}
	}
	return fields
}

// holdsTwo finds two identities, also within one field.
func holdsTwo(fields []string) bool {
	first := ""
	for _, f := range fields {
		for number := range strings.FieldsFuncSeq(f, func(r rune) bool { return strings.ContainsRune(" \t/|", r) }) {
			switch {
			case !isIdentityNumber(number):
			case first == "":
				first = number
			case first != number:
				return true
			}
		}
	}
	return false
}

// identityDigits are what identifies equipment: TAC and serial number (TS 23.003 clause 6.2).
const identityDigits = 14

// isIdentityNumber: as many digits as an identity or more, which a serial number behind an IMEI does not have.
func isIdentityNumber(s string) bool {
	return len(s) >= identityDigits && strings.Trim(s, "0123456789") == ""
}

// cutGlued removes the letters of `IMEI353113001844087` or `IMEI: 3531...`.
func cutGlued(s string) string {
	if l, value := cutLabel(s); l == labelIMEI || l == labelIMEISV {
		return strings.Trim(value, `"`)
	}
	if rest := strings.TrimLeft(s[min(len(s), len("IMEI")):], " "); hasPrefixFold(s, "IMEI") && rest != "" && rest[0] >= '0' && rest[0] <= '9' {
		return rest
	}
	return s
}

// splitQuoted splits at commas and semicolons outside quotes and takes each field's quotes off (TS 27.007 clause 5.4: a string value).
// A quote without its pair stays and spoils the value.
func splitQuoted(s string) []string {
	var parts []string
	quoted, start := false, 0
	for i := 0; i <= len(s); i++ {
		switch {
		case i == len(s), (s[i] == ',' || s[i] == ';') && !quoted:
			parts = append(parts, unquote(strings.Trim(s[start:i], " \t")))
			start = i + 1
		case s[i] == '"':
			quoted = !quoted
		}
	}
	return parts
}

func unquote(s string) string {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		return strings.Trim(s[1:len(s)-1], " \t\x00") // NUL fills what a C string leaves of its field
	}
	return s
}

// Shortest texts, in characters, for which hex digits are taken for UCS2: an identity must be long enough not to be
// a number that happens to read so.
const (
	minIdentityUCS2 = 8
	minTextUCS2     = 2
)

// decodeUCS2 undoes the character set another client left on (TS 27.007 clause 5.5: +CSCS="UCS2", 4 hex digits a
// character). Only printable ASCII is decoded; anything else stays as sent.
func decodeUCS2(s string, shortest int) string {
	if len(s)%4 != 0 || len(s) < 4*shortest {
		return s
	}
	out := make([]byte, 0, len(s)/4)
	for i := 0; i < len(s); i += 4 {
		n, err := strconv.ParseUint(s[i:i+4], 16, 16)
		if err != nil || n < ' ' || n > '~' {
			return s
		}
		out = append(out, byte(n))
	}
	return string(out)
}

// decodeHexDigits undoes +CSCS="HEX" (TS 27.007 clause 5.5: 2 hex digits a character) where nothing but the digits of an
// identity comes out; no identity has so many digits itself.
func decodeHexDigits(s string) string {
	if len(s)%2 != 0 || len(s) < 2*identityDigits || len(s) > 2*(identityDigits+3) {
		return s
	}
	out := make([]byte, 0, len(s)/2)
	for i := 0; i < len(s); i += 2 {
		if s[i] != '3' || s[i+1] < '0' || s[i+1] > '9' {
			return s
		}
		out = append(out, s[i+1])
	}
	return string(out)
}
