package sip

import "strings"

// scanner reads the value of a header field from left to right.
type scanner struct{ where, rest string }

func (s *scanner) fault(problem string) error { return &Error{s.where, problem} }

func (s *scanner) space() { s.rest = trimLeft(s.rest) }

func isSpace(c byte) bool { return c == ' ' || c == '\t' }

func trimLeft(s string) string {
	for s != "" && isSpace(s[0]) {
		s = s[1:]
	}
	return s
}

func trimRight(s string) string {
	for s != "" && isSpace(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}

func trim(s string) string { return trimRight(trimLeft(s)) }

// take takes a separator, with the space around it.
func (s *scanner) take(separator byte) bool {
	s.space()
	if s.rest == "" || s.rest[0] != separator {
		return false
	}
	s.rest = s.rest[1:]
	s.space()
	return true
}

// until takes what stands before the first of the stops.
func (s *scanner) until(stops string) string {
	end := strings.IndexAny(s.rest, stops)
	if end < 0 {
		end = len(s.rest)
	}
	taken := s.rest[:end]
	s.rest = s.rest[end:]
	return taken
}

// token takes a token, empty where there is none.
func (s *scanner) token() string {
	end := 0
	for end < len(s.rest) && isTokenByte(s.rest[end]) {
		end++
	}
	taken := s.rest[:end]
	s.rest = s.rest[end:]
	return taken
}

func isToken(s string) bool {
	for i := 0; i < len(s); i++ {
		if !isTokenByte(s[i]) {
			return false
		}
	}
	return s != ""
}

// isTokenByte: RFC 3261 section 25.1.
func isTokenByte(c byte) bool {
	return isLetter(c) || isDigit(c) || strings.IndexByte("-.!%*_+`'~", c) >= 0
}

// quoted takes a quoted string and returns what it says.
func (s *scanner) quoted() (string, error) {
	if end := strings.IndexAny(s.rest[1:], `"\`) + 1; end > 0 && s.rest[end] == '"' { // nothing is escaped
		text := s.rest[1:end]
		s.rest = s.rest[end+1:]
		return text, nil
	}
	var text strings.Builder
	for i := 1; i < len(s.rest); i++ {
		switch c := s.rest[i]; c {
		case '"':
			s.rest = s.rest[i+1:]
			return text.String(), nil
		case '\\':
			if i++; i == len(s.rest) {
				return "", s.fault("a quoted string does not end")
			}
			text.WriteByte(s.rest[i])
		default:
			text.WriteByte(c)
		}
	}
	return "", s.fault("a quoted string does not end")
}

// params gives parameters, each after a separator; names come in lower case. A value without quotes is taken as it stands: what it must be
// is the affair of who reads it.
func (s *scanner) params(separator byte, each func(name, value string) error) error {
	for n := 0; s.take(separator); n++ {
		if n == maxParams {
			return s.fault("more than 64 parameters")
		}
		if err := s.param(each); err != nil {
			return err
		}
	}
	return nil
}

func (s *scanner) param(each func(name, value string) error) (err error) {
	name, value := strings.ToLower(s.token()), ""
	if name == "" {
		return s.fault("a parameter has no name")
	}
	if s.take('=') {
		if value, err = s.value(); err != nil {
			return err
		}
	}
	s.space()
	if s.rest != "" && s.rest[0] != ';' && s.rest[0] != ',' {
		return s.fault("something follows a parameter")
	}
	return each(name, value)
}

func (s *scanner) value() (string, error) {
	if strings.HasPrefix(s.rest, `"`) {
		return s.quoted()
	}
	value := strings.TrimRight(s.until(`;,"`), " \t")
	switch {
	case value == "" || strings.HasPrefix(s.rest, `"`):
		return "", s.fault("a parameter has no value, or a quote in the midst of it")
	case value[0] == '\'':
		return "", s.fault("a parameter begins with a single quote, which some readers take for a quoted string")
	}
	return value, nil
}

// address takes a name-addr or an addr-spec and leaves the parameters (RFC 3261 section 20.10: a URI with a question mark needs
// brackets).
func (s *scanner) address() (uri string, err error) {
	s.space()
	begin := s.rest
	if strings.HasPrefix(s.rest, `"`) {
		if _, err = s.quoted(); err != nil {
			return "", err
		}
	} else {
		for s.token() != "" { // of the display name
			s.space()
		}
	}
	if s.take('<') {
		uri = s.until(">")
		if !strings.HasPrefix(s.rest, ">") || !isURI(uri) {
			return "", s.fault("no URI stands between the brackets")
		}
		s.rest = s.rest[1:]
		return uri, nil
	}
	s.rest = begin
	if uri = s.until(";, \t"); !isURI(uri) || strings.Contains(uri, "?") {
		return "", s.fault("it holds no address")
	}
	return uri, nil
}

// isURI: a scheme, and something of visible ASCII (RFC 3261 section 25.1). What the scheme asks for is not checked.
func isURI(s string) bool {
	scheme, rest, _ := strings.Cut(s, ":")
	if rest == "" || scheme == "" || !isLetter(scheme[0]) {
		return false
	}
	for i := 0; i < len(scheme); i++ {
		if c := scheme[i]; !isLetter(c) && !isDigit(c) && c != '+' && c != '-' && c != '.' {
			return false
		}
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '<' || c == '>' || c == '"' {
			return false
		}
	}
	return true
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }
