package sip

import (
	"strings"
	"unicode/utf8"
)

// credentials reads Authorization. Schemes other than Digest are not for us; two of Digest would be two subscribers.
func (f fields) credentials() (c Credentials, err error) {
	found := false
	for value := range f.values("Authorization") {
		s := scanner{"Authorization", value}
		if !strings.EqualFold(s.token(), "Digest") {
			continue
		}
		if found {
			return c, s.fault("several Digest credentials: it is not clear who asks")
		}
		found = true
		if err := c.read(&s); err != nil {
			return c, err
		}
	}
	return c, nil
}

func (c *Credentials) read(s *scanner) error {
	if s.rest == "" || s.rest[0] != ' ' && s.rest[0] != '\t' {
		return s.fault("nothing follows the scheme")
	}
	if strings.Contains(s.rest, `\`) { // no IMPI or nonce needs one (TS 23.003 clause 13.3, RFC 3310 section 3.2)
		return s.fault("a backslash, which some readers take for an escape and others do not")
	}
	s.rest = "," + s.rest // so that a separator stands before each
	var seen uint
	err := s.params(',', func(name, value string) error {
		number, into := c.param(name)
		switch bit := uint(1) << number; {
		case into == nil:
			return nil
		case seen&bit != 0:
			return s.fault("a parameter stands twice")
		case !utf8.ValidString(value):
			return s.fault("a parameter is not UTF-8")
		default:
			seen |= bit
		}
		*into = value
		return nil
	})
	if err == nil && s.rest != "" {
		return s.fault("something follows the parameters")
	}
	return err
}

// param numbers the parameters that are read.
func (c *Credentials) param(name string) (number int, into *string) {
	switch name {
	case "username":
		return 0, &c.IMPI
	case "nonce":
		return 1, &c.Nonce
	case "algorithm":
		return 2, &c.Algorithm
	case "integrity-protected":
		return 3, &c.IntegrityProtected
	}
	return 0, nil
}
