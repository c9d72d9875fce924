package sip

import (
	"bytes"
	"cmp"
	"iter"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// fields are the header fields, in their order.
type fields []field

type field struct{ name, value string } // by its long name, the value without its folds

// compact are the short names of the header fields that are read (RFC 3261 section 7.3.3).
var compact = map[string]string{"t": "To", "f": "From", "i": "Call-ID", "v": "Via", "m": "Contact", "c": "Content-Type", "l": "Content-Length",
	"e": "Content-Encoding"}

// split takes head and body apart, of a message or of a part of one.
func split(where string, raw []byte) (head string, body []byte, err error) {
	before, body, found := bytes.Cut(raw, []byte("\r\n\r\n"))
	if !found {
		return "", nil, &Error{where, "no empty line ends the header"}
	}
	head = string(before)
	for i := 0; i < len(head); i++ {
		switch c := head[i]; {
		case c == '\r' && i+1 < len(head) && head[i+1] == '\n':
			i++
		case c == '\r' || c == '\n':
			return "", nil, &Error{where, "a line of the header does not end in CR LF"}
		case c < ' ' && c != '\t' || c == 0x7f:
			return "", nil, &Error{where, "a control character stands in the header"}
		}
	}
	return head, body, nil
}

// readFields reads the lines of a header.
func readFields(head string) (fields, error) {
	const usual = 24
	f := make(fields, 0, usual)
	for n := 0; head != ""; n++ {
		var line string
		line, head, _ = strings.Cut(head, "\r\n")
		folded := line != "" && isSpace(line[0])
		name, value, found := strings.Cut(line, ":")
		name = trimRight(name)
		switch {
		case n == maxLines:
			return nil, &Error{"header", "more than 256 lines"}
		case folded && len(f) == 0:
			return nil, &Error{"header", "its first line continues nothing"}
		case folded:
			f[len(f)-1].value += " " + trim(line) // RFC 3261 section 7.3.1
			continue
		case !found || !isToken(name):
			return nil, &Error{"header", "a line is no header field"}
		}
		if len(name) == 1 {
			name = cmp.Or(compact[strings.ToLower(name)], name)
		}
		f = append(f, field{name, trim(value)})
	}
	return f, nil
}

// values gives those of a header field.
func (f fields) values(name string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range f {
			if len(f[i].name) == len(name) && strings.EqualFold(f[i].name, name) && !yield(f[i].value) {
				return
			}
		}
	}
}

func (f fields) has(name string) bool {
	for range f.values(name) {
		return true
	}
	return false
}

// one returns the value of a header field that may stand once.
func (f fields) one(name string) (value string, found bool, err error) {
	for value = range f.values(name) {
		if found {
			return "", false, &Error{name, "the header field stands twice"}
		}
		found = true
	}
	if !utf8.ValidString(value) {
		return "", false, &Error{name, "it is not UTF-8"}
	}
	return value, found, nil
}

// party is the URI of To or From.
func (f fields) party(name string) (uri string, err error) {
	value, found, err := f.one(name)
	switch {
	case err != nil:
		return "", err
	case !found:
		return "", &Error{name, "the header field is missing"}
	}
	s := scanner{name, value}
	if uri, err = s.address(); err == nil {
		err = s.params(';', func(string, string) error { return nil })
	}
	if err == nil && s.rest != "" {
		err = s.fault("something follows the address")
	}
	return uri, err
}

func (f fields) callID() (string, error) {
	value, _, err := f.one("Call-ID")
	if err == nil && (value == "" || strings.ContainsAny(value, " \t")) {
		err = &Error{"Call-ID", "it is not one word"}
	}
	return value, err
}

// cseq is below 2^31 (RFC 3261 section 8.1.1.5).
func (f fields) cseq() (uint32, error) {
	value, _, err := f.one("CSeq")
	if err != nil {
		return 0, err
	}
	digits, method := value, ""
	if end := strings.IndexAny(value, " \t"); end > 0 {
		digits, method = value[:end], trim(value[end:])
	}
	n, ok := number(digits, math.MaxInt32)
	switch {
	case !ok:
		return 0, &Error{"CSeq", "it does not begin with a whole number below 2^31"}
	case method != methodRegister:
		return 0, &Error{"CSeq", "its method is not that of the request"}
	}
	return uint32(n), nil
}

// whole is a header field that holds a number, nil where it is missing.
func (f fields) whole(name string) (*int, error) {
	value, found, err := f.one(name)
	if err != nil || !found {
		return nil, err
	}
	n, ok := number(value, math.MaxUint32) // RFC 3261 section 20.19
	if !ok {
		return nil, &Error{name, "it is no whole number below 2^32"}
	}
	return &n, nil
}

// bound cuts the body at its Content-Length: what follows is not of the message (RFC 3261 section 18.3).
func (f fields) bound(body []byte) ([]byte, error) {
	length, err := f.whole("Content-Length")
	switch {
	case err != nil:
		return nil, err
	case length == nil:
		return body, nil
	case *length > len(body):
		return nil, &Error{"body", "shorter than Content-Length says"}
	}
	return body[:*length], nil
}

// number reads decimal digits, and nothing else.
func number(digits string, most int) (int, bool) {
	for i := 0; i < len(digits); i++ {
		if !isDigit(digits[i]) {
			return 0, false
		}
	}
	n, err := strconv.Atoi(digits)
	return n, err == nil && n <= most
}
