// Package sip reads SIP REGISTER requests (RFC 3261) as strangers wrote them, for what a judgement needs of them. Start with
// [ParseRegister].
//
// It is strict where two readers could see two things: line ends, quoted strings, header fields and parameters that stand twice, lengths. What
// a UE says of itself is handed on as it was said: an instance-id that is no IMEI URN is a finding of the judgement, not an error here. An
// error names a place and a fault and repeats nothing of the message.
package sip

import (
	"bytes"
	"strings"
)

// Limits of what is read.
const (
	// MaxMessage bounds a message, in bytes: what a UDP datagram may hold (RFC 3261 section 18.1.1).
	MaxMessage  = 65535
	maxText     = 512 // of each text of a Register, in bytes
	maxLines    = 256 // of a header
	maxContacts = 8
	maxParams   = 64
	maxParts    = 8
)

// Error is why a message is not read: where, as the name of a header field or a part of the message, and what is wrong there.
type Error struct{ Where, Problem string }

// Error implements error.
func (e *Error) Error() string { return e.Where + ": " + e.Problem }

// Register is a REGISTER request, as far as a judgement reads it. All of it is the sender's own word.
type Register struct {
	InstanceID string // +sip.instance of the Contact, with its angle brackets (RFC 5626 section 4.1); empty without one
	IMPU       string // the URI of To (TS 24.229 clause 5.1.1.2)
	CallID     string
	CSeq       uint32
	// Expires is for how many seconds the binding is asked for, nil where the request leaves it to the registrar: the Contact's parameter
	// counts before the header field (RFC 3261 section 10.2.1.1). 0 is a deregistration.
	Expires *int
	// SOS: the URI of each Contact that is registered asks for an emergency registration (TS 24.229 clause 5.1.6.2). A hint, since anybody can
	// write it.
	SOS bool
	Credentials
	// Evidence is the token in the body, nil without one.
	Evidence []byte
}

// Credentials are those of Digest in Authorization (RFC 3261 section 22.4, RFC 3310), empty where the request has none.
type Credentials struct {
	IMPI      string // username
	Nonce     string // of the 401 that the request answers
	Algorithm string
	// IntegrityProtected is what the P-CSCF says of how the request came (TS 24.229 clause 5.2.2), where no UE can put it in.
	IntegrityProtected string
}

// ParseRegister reads a REGISTER request. The error is an [*Error].
func ParseRegister(raw []byte) (*Register, error) {
	if len(raw) > MaxMessage {
		return nil, &Error{"message", "longer than 65535 bytes"}
	}
	for bytes.HasPrefix(raw, []byte("\r\n")) { // RFC 3261 section 7.5
		raw = raw[2:]
	}
	head, body, err := split("message", raw)
	if err != nil {
		return nil, err
	}
	line, rest, _ := strings.Cut(head, "\r\n")
	if err := checkRequestLine(line); err != nil {
		return nil, err
	}
	fields, err := readFields(rest)
	if err != nil {
		return nil, err
	}
	r := new(Register)
	if err := r.readHeader(fields); err != nil {
		return nil, err
	}
	if body, err = fields.bound(body); err != nil {
		return nil, err
	}
	if r.Evidence, err = fields.evidence(body); err != nil {
		return nil, err
	}
	return r, nil
}

// checkRequestLine: the method is told by case, the version is not (RFC 3261 section 7.1).
func checkRequestLine(line string) error {
	method, rest, _ := strings.Cut(line, " ")
	uri, version, _ := strings.Cut(rest, " ")
	switch {
	case method != methodRegister:
		return &Error{"request line", "the method is not REGISTER"}
	case !isURI(uri) || strings.Contains(uri, "?"): // RFC 3261 section 19.1.1: no header fields
		return &Error{"request line", "no URI stands between the method and the version, with one space on each side"}
	case !strings.EqualFold(version, "SIP/2.0"):
		return &Error{"request line", "it does not end in SIP/2.0"}
	}
	return nil
}

const methodRegister = "REGISTER"

func (r *Register) readHeader(f fields) error {
	for _, name := range []string{"To", "From", "Call-ID", "CSeq", "Via"} {
		if !f.has(name) {
			return &Error{name, "the header field is missing"}
		}
	}
	var err error
	if r.IMPU, err = f.party("To"); err != nil {
		return err
	}
	if _, err = f.party("From"); err != nil {
		return err
	}
	if r.CallID, err = f.callID(); err != nil {
		return err
	}
	if r.CSeq, err = f.cseq(); err != nil {
		return err
	}
	if r.Credentials, err = f.credentials(); err != nil {
		return err
	}
	if err := r.readContacts(f); err != nil {
		return err
	}
	return r.checkTexts()
}

func (r *Register) checkTexts() error {
	for _, t := range []struct{ where, text string }{{"Contact", r.InstanceID}, {"To", r.IMPU}, {"Call-ID", r.CallID}, {"Authorization", r.IMPI},
		{"Authorization", r.Nonce}, {"Authorization", r.Algorithm}, {"Authorization", r.IntegrityProtected}} {
		if err := checkText(t.where, t.text); err != nil {
			return err
		}
	}
	return nil
}

func checkText(where, text string) error {
	if len(text) > maxText {
		return &Error{where, "a text of more than 512 bytes"}
	}
	return nil
}
