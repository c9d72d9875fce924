package modemtest

import (
	"crypto/rand"
	"fmt"
	"io"
	"regexp"
	"strings"

	"imei-attest/attest/imei"
)

// A number of 14 digits or more is taken for an identity: TAC and serial number are 14 (TS 23.003 clause 6.2), and one
// that is no IMEI - an IMSI, an ICCID - is personal data too.
const (
	tacDigits    = 8
	serialDigits = 6
	bodyDigits   = tacDigits + serialDigits
	imeiDigits   = bodyDigits + 1
)

// identityForms find identities as modems write them: UCS2 and plain hex of the digits (TS 27.007 clause 5.5), and digits
// with at most one hyphen or blank between any two. The first that fits counts.
var identityForms = regexp.MustCompile(`(?:003[0-9]){14,}|(?:3[0-9]){14,}|[0-9](?:[- ]?[0-9]){13,}`)

// shortIMSI is one that has less than 14 digits, behind the command that asks for it or its name (TS 27.007 clause 5.6).
var shortIMSI = regexp.MustCompile(`(?i)(\+CIMI(?:: *"?|[\r\n]+))([0-9]{6,13})\b`)

// networkDigits of an IMSI are its network's, in most countries; the others are the subscriber's (TS 23.003 clause 2.2).
const networkDigits = 5

// Redactor replaces the serial digits of identities by made-up ones, the same identity always by the same, so that a
// recording can be shown to others and still be replayed. The first 8 digits stay, of an IMSI its network and two or three more; the
// check digit is made to fit, or not to fit, as before; software versions stay. One digit repeated is no identity and stays.
type Redactor struct {
	random io.Reader
	known  map[string]string // 14 digits -> 14 digits
	given  map[string]bool   // the made-up ones
}

// NewRedactor returns a Redactor that makes digits up from random, or from the system's if that is nil.
func NewRedactor(random io.Reader) *Redactor {
	if random == nil {
		random = rand.Reader
	}
	return &Redactor{random: random, known: make(map[string]string), given: make(map[string]bool)}
}

// Redact returns text with other serial digits. Its length is that of text.
func (r *Redactor) Redact(text string) (string, error) {
	var failed error
	text = shortIMSI.ReplaceAllStringFunc(text, func(found string) string {
		parts := shortIMSI.FindStringSubmatch(found)
		digits, err := r.subscriber(parts[2])
		if err != nil {
			failed = err
		}
		return parts[1] + digits
	})
	out := identityForms.ReplaceAllStringFunc(text, func(found string) string {
		digits, width := digitsOf(found)
		replaced, err := r.replace(digits)
		if err != nil {
			failed = err
			return strings.Repeat("*", len(found))
		}
		return putDigits(found, replaced, width)
	})
	return out, failed
}

// digitsOf returns the digits in one form of identity; width is how many characters each takes, 0 for marks between them.
func digitsOf(found string) (digits string, width int) {
	for _, prefix := range []string{"003", "3"} {
		if all := lastOfGroups(found, prefix); all != "" {
			return all, len(prefix) + 1
		}
	}
	return strings.Map(func(c rune) rune {
		if c >= '0' && c <= '9' {
			return c
		}
		return -1
	}, found), 0
}

// lastOfGroups returns the characters behind prefix, if s is nothing but groups of prefix and one more.
func lastOfGroups(s, prefix string) string {
	width := len(prefix) + 1
	if len(s)%width != 0 || len(s) < bodyDigits*width {
		return ""
	}
	var out []byte
	for ; s != ""; s = s[width:] {
		if !strings.HasPrefix(s, prefix) {
			return ""
		}
		out = append(out, s[width-1])
	}
	return string(out)
}

// putDigits writes digits back into the form they were found in.
func putDigits(found, digits string, width int) string {
	out := []byte(found)
	if width > 0 {
		for i := range digits {
			out[(i+1)*width-1] = digits[i]
		}
		return string(out)
	}
	next := 0
	for i, c := range out {
		if c >= '0' && c <= '9' {
			out[i] = digits[next]
			next++
		}
	}
	return string(out)
}

// replace makes up other digits for 14 or more.
func (r *Redactor) replace(digits string) (string, error) {
	if strings.Trim(digits, digits[:1]) == "" {
		return digits, nil
	}
	body, err := r.body(digits[:bodyDigits])
	if err != nil {
		return "", err
	}
	switch n := len(digits); {
	case n == bodyDigits:
		return body, nil
	case n == bodyDigits+2: // an IMEISV
		return body + digits[bodyDigits:], nil
	case n <= imeiDigits+2: // an IMEI, or one with a software version behind it (u-blox)
		return body + checkLike(digits, body) + digits[imeiDigits:], nil
	}
	rest, err := r.digits(len(digits) - bodyDigits) // an ICCID, or what not
	return body + rest, err
}

// checkLike returns a 15th digit that is to body what the one of digits is to them: right, the spare 0 (TS 23.003 clause
// 6.2.1), or wrong. Redactor.body sees to it that a spare 0 is not right by chance.
func checkLike(digits, body string) string {
	before, after := checkDigit(digits[:bodyDigits]), checkDigit(body)
	had := int(digits[bodyDigits] - '0')
	switch {
	case had == before:
		return fmt.Sprint(after)
	case had == 0:
		return "0"
	}
	for wrong := after + had - before + 10; ; wrong++ {
		if wrong %= 10; wrong != 0 && wrong != after { // 0 would be the spare digit
			return fmt.Sprint(wrong)
		}
	}
}

func checkDigit(body string) int {
	id, err := imei.FromBody(body)
	if err != nil {
		return 0 // a placeholder has none
	}
	return int(id.CheckDigit() - '0')
}

// body keeps the TAC and makes up the serial number: another one than it was, and than any other of this recording.
func (r *Redactor) body(body string) (string, error) {
	if known, ok := r.known[body]; ok {
		return known, nil
	}
	for range 100 {
		serial, err := r.digits(serialDigits)
		if err != nil {
			return "", err
		}
		made := body[:tacDigits] + serial
		if _, isReal := r.known[made]; isReal || made == body || r.given[made] || checkDigit(made) == 0 && checkDigit(body) != 0 {
			continue
		}
		r.known[body], r.given[made] = made, true
		return made, nil
	}
	return "", fmt.Errorf("no serial number is left to make up for a TAC")
}

// subscriber keeps the network of an IMSI and makes up the rest.
func (r *Redactor) subscriber(imsi string) (string, error) {
	if known, ok := r.known[imsi]; ok {
		return known, nil
	}
	made, err := r.digits(len(imsi) - networkDigits)
	if err != nil {
		return strings.Repeat("*", len(imsi)), err
	}
	r.known[imsi] = imsi[:networkDigits] + made
	return r.known[imsi], nil
}

// digits makes up n digits.
func (r *Redactor) digits(n int) (string, error) {
	out := make([]byte, 0, n)
	for len(out) < n {
		var b [1]byte
		if _, err := io.ReadFull(r.random, b[:]); err != nil {
			return "", fmt.Errorf("making up digits: %w", err)
		}
		if b[0] < 250 { // 250 is a multiple of 10: each digit is as likely
			out = append(out, '0'+b[0]%10)
		}
	}
	return string(out), nil
}
