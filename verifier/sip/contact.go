package sip

import (
	"math"
	"slices"
	"strings"
)

// contact is one value of Contact.
type contact struct {
	uri      string
	instance string
	expires  *int // the parameter's, or else the header field's
}

func (c *contact) ends() bool { return c.expires != nil && *c.expires == 0 }

// readContacts reads what is registered. Contacts whose binding ends say nothing about what is registered beside them; of those that are
// registered all must show the same instance-id, or it would not be clear which device asks.
func (r *Register) readContacts(f fields) error {
	expires, err := f.whole("Expires")
	if err != nil {
		return err
	}
	contacts, all, err := f.contacts(expires)
	if err != nil {
		return err
	}
	if all && (len(contacts) > 0 || expires == nil || *expires != 0) {
		return &Error{"Contact", "an asterisk stands alone, with an Expires of 0 (RFC 3261 section 10.2.2)"}
	}
	r.Expires = expires
	var first *contact
	for i := range contacts {
		c := &contacts[i]
		switch {
		case first == nil || first.ends() && !c.ends():
			first = c
		case !c.ends() && first.instance != c.instance:
			return &Error{"Contact", "several contacts with different instance-ids: it is not clear which device asks"}
		}
	}
	if first != nil {
		r.InstanceID, r.Expires = first.instance, first.expires
		r.SOS = !first.ends() && !slices.ContainsFunc(contacts, contact.isOrdinary)
	}
	return nil
}

// isOrdinary: it is registered, and for more than an emergency.
func (c contact) isOrdinary() bool { return !c.ends() && !asksForEmergency(c.uri) }

// contacts reads all values of Contact; all reports an asterisk.
func (f fields) contacts(expires *int) (contacts []contact, all bool, err error) {
	for value := range f.values("Contact") {
		s := scanner{"Contact", value}
		for more := true; more; more = s.take(',') {
			if !all && s.take('*') {
				all = true
				continue
			}
			if len(contacts) == maxContacts {
				return nil, false, s.fault("more than 8 contacts")
			}
			c := contact{expires: expires}
			if err := c.read(&s); err != nil {
				return nil, false, err
			}
			contacts = append(contacts, c)
		}
		if s.rest != "" {
			return nil, false, s.fault("something follows a contact")
		}
	}
	return contacts, all, nil
}

func (c *contact) read(s *scanner) (err error) {
	if c.uri, err = s.address(); err != nil {
		return err
	}
	instances, lifetimes := 0, 0
	return s.params(';', func(name, value string) error {
		switch name {
		case "+sip.instance":
			c.instance = value
			instances++
		case "expires":
			lifetimes++
			n, ok := number(value, math.MaxUint32)
			if !ok {
				return s.fault("expires is no whole number below 2^32")
			}
			c.expires = &n
		}
		if instances > 1 || lifetimes > 1 {
			return s.fault("+sip.instance or expires stands twice")
		}
		return nil
	})
}

// asksForEmergency looks for sos among the parameters of a URI, which follow its host (RFC 3261 section 19.1.1).
func asksForEmergency(uri string) bool {
	uri, _, _ = strings.Cut(uri, "?")
	params := strings.Split(uri[strings.LastIndexByte(uri, '@')+1:], ";")
	for _, p := range params[1:] {
		if name, _, _ := strings.Cut(p, "="); strings.EqualFold(name, "sos") {
			return true
		}
	}
	return false
}
