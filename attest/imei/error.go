package imei

import (
	"fmt"
	"strings"
)

// Word is the stable name of one way in which a text is not an IMEI. The words are shared by the reader, the
// evidence and the test corpus; new ones may be added, none changes its meaning.
type Word string

// When several apply, the first in this order is the one reported.
const (
	WordBlank     Word = "blank_imei"      // empty, or the pattern of memory that was never written
	WordZero      Word = "zero_imei"       // the 14 digits are 0, which passes Luhn
	WordRepeated  Word = "repeated_digits" // the 14 digits are all equal
	WordMalformed Word = "malformed"       // looks like an IMEI but has the wrong length or wrong characters
	WordNotIMEI   Word = "not_imei"        // another identifier: module serial, ESN, MEID, UUID
	WordIMEISV    Word = "is_imeisv"       // 16 digits: an IMEISV where an IMEI was asked for
	WordLuhn      Word = "luhn"            // 15 digits with a wrong check digit
)

// Error says why a text is not an IMEI. Text is the text as sent, for evidence and for files the user asked for;
// the message shows only a redacted form of it.
type Error struct {
	Word Word
	Text string
}

var wordSentences = map[Word]string{
	WordBlank:     "is blank: the equipment holds no IMEI",
	WordZero:      "is all zeros: the equipment holds no IMEI",
	WordRepeated:  "repeats one digit: a placeholder, not an IMEI",
	WordMalformed: "is not 15 decimal digits",
	WordNotIMEI:   "is some other identifier, not an IMEI",
	WordIMEISV:    "has 16 digits: an IMEISV, not an IMEI",
	WordLuhn:      "has a wrong check digit: see whether a digit was mistyped",
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s: %q %s", e.Word, Redact(e.Text), wordSentences[e.Word])
}

// Redact makes a text that may hold an IMEI fit for a log: of anything as long as the 14 digits that identify
// equipment, only the TAC and the last two characters stay.
func Redact(text string) string {
	if len(text) < bodyLen {
		return text
	}
	return redactDigits(text)
}

// RedactAll makes a message fit for a log that may quote what somebody typed: of every run of at least the 14 digits
// that identify equipment, written together or apart as on a label, only the TAC and the last two stay.
func RedactAll(text string) string {
	out := []byte(text)
	for start := 0; start < len(out); {
		end := start
		for end < len(out) && (isDigit(out[end]) || end > start && end+1 < len(out) && isSeparator(out[end]) && isDigit(out[end+1])) {
			end++
		}
		redactRun(out[start:end])
		start = max(end, start+1)
	}
	return string(out)
}

func isDigit(c byte) bool     { return c >= '0' && c <= '9' }
func isSeparator(c byte) bool { return strings.IndexByte(" -./_", c) >= 0 }

func redactRun(run []byte) {
	const kept = 2
	digits, seen := 0, 0
	for _, c := range run {
		if isDigit(c) {
			digits++
		}
	}
	for i, c := range run {
		if !isDigit(c) {
			continue
		}
		if seen++; digits >= bodyLen && seen > tacLen && seen <= digits-kept {
			run[i] = '*'
		}
	}
}

func redactDigits(s string) string {
	const kept = 2
	return s[:tacLen] + strings.Repeat("*", len(s)-tacLen-kept) + s[len(s)-kept:]
}

// classify returns why text is not 15 digits fit to be an IMEI, or "" if it is; the check digit is not looked at.
func classify(text string) Word {
	switch {
	case isBlank(text):
		return WordBlank
	case !allDigits(text):
		return classifyText(text)
	case len(text) < bodyLen || len(text) > imeisvLen:
		return classifyNumber(text)
	}
	if word := refusedDigits(text); word != "" {
		return word
	}
	switch len(text) {
	case imeiLen:
		return ""
	case imeisvLen:
		return WordIMEISV
	}
	return WordMalformed
}

// isBlank recognises memory that was never written: nothing at all, or only the erased nibble F.
func isBlank(text string) bool {
	const shortestErased = 8 // four erased bytes; a shorter run of F is no pattern
	text = strings.TrimSpace(text)
	return text == "" || len(text) >= shortestErased && strings.Trim(text, "Ff") == ""
}

// refusedDigits finds placeholders: the first 14 of digits, which identify equipment, are all alike.
func refusedDigits(digits string) Word {
	switch body := digits[:bodyLen]; {
	case strings.Trim(body, "0") == "":
		return WordZero
	case strings.Trim(body, body[:1]) == "":
		return WordRepeated
	}
	return ""
}

// classifyNumber tells the decimal CDMA identities (TIA: pESN 11 digits, MEID 18, and an ESN of 8 hex digits, or 7 without
// the first 0, that happen to be decimal) from an IMEI of the wrong length.
func classifyNumber(digits string) Word {
	switch len(digits) {
	case 7, 8, 11, 18:
		return WordNotIMEI
	}
	return WordMalformed
}

// classifyText tells another kind of identifier from a spoiled IMEI. Other identifiers are hex numbers marked 0x, the
// MEID:ESN pairs of CDMA parts, and plain words of letters and digits mixed. Masked digits, words without a digit,
// broken hex and foreign characters are spoiled.
func classifyText(text string) Word {
	if strings.HasPrefix(text, "0x") || strings.HasPrefix(text, "0X") || strings.Contains(text, ":") {
		for part := range strings.SplitSeq(text, ":") {
			if !isHexNumber(part) {
				return WordMalformed
			}
		}
		return WordNotIMEI
	}
	digits, letters := 0, 0
	for _, c := range []byte(text) {
		switch {
		case c >= '0' && c <= '9':
			digits++
		case c == 'x' || c == 'X' || c == '-' || c == '_' || c == '.' || c == '/':
			// x masks a digit more often than it means one; the others only separate
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
			letters++
		default:
			return WordMalformed
		}
	}
	if digits == 0 || letters == 0 {
		return WordMalformed
	}
	return WordNotIMEI
}

// isHexNumber accepts up to the 18 decimal or 14 hex digits of a MEID, with a mark and padding to 16.
func isHexNumber(s string) bool {
	const longest = 18
	s = strings.TrimPrefix(strings.TrimPrefix(s, "0x"), "0X")
	return s != "" && len(s) <= longest && strings.Trim(s, "0123456789abcdefABCDEF") == ""
}
