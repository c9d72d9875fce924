package sip

import (
	"strings"
	"unicode/utf8"
)

// credentials reads Authorization. Schemes other than Digest are not for us; two of Digest would be two subscribers.
func (f fields) credentials() (c Credentials, err error) {
	found := false
	for _, value := range f.values("Authorization") {
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
	s.rest = "," + s.rest // so that a separator stands before each
	seen := make(map[string]bool)
	err := s.params(',', func(name, value string) error {
		if into := c.param(name); into != nil {
			*into = value
		}
		switch {
		case seen[name]:
			return s.fault("a parameter stands twice")
		case !utf8.ValidString(value):
			return s.fault("a parameter is not UTF-8")
		}
		seen[name] = true
		return nil
	})
	if err == nil && s.rest != "" {
		return s.fault("something follows the parameters")
	}
	return err
}

func (c *Credentials) param(name string) *string {
	switch name {
	case "username":
		return &c.IMPI
	case "nonce":
		return &c.Nonce
	case "algorithm":
		return &c.Algorithm
	case "integrity-protected":
		return &c.IntegrityProtected
	}
	return nil
}
