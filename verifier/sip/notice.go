package sip

import "strings"

// Header gives the values of a header field by its long name, without folds: of a message that something else took apart.
type Header func(name string) []string

func (h Header) fields(names ...string) (f fields) {
	for _, name := range names {
		for _, value := range h(name) {
			f = append(f, field{name, value})
		}
	}
	return f
}

// Notice is what the S-CSCF itself says in a third-party REGISTER (TS 24.229 clause 5.4.1.7).
type Notice struct {
	IMPU    string // the URI of To: whom it registered
	Expires *int   // for how many seconds; 0 where the registration has ended, nil where it is not said
}

// ParseNotice reads a third-party REGISTER. The error is an [*Error].
func ParseNotice(h Header) (n Notice, err error) {
	f := h.fields("To", "Expires")
	if n.IMPU, err = f.party("To"); err != nil {
		return n, err
	}
	if n.Expires, err = f.whole("Expires"); err != nil {
		return n, err
	}
	return n, checkText("To", n.IMPU)
}

const typeMessage = "message/sip" // RFC 3261 section 27.5

// Original finds the REGISTER of the UE in the body of a third-party REGISTER, nil where it is not included: the S-CSCF's filter criteria decide
// that (TS 29.228 annex B.2.2). The error is an [*Error].
func Original(h Header, body []byte) (request []byte, err error) {
	f := h.fields("Content-Type", "Content-Encoding", "Content-Transfer-Encoding")
	err = f.eachPart(body, func(mediaType string, part []byte) error {
		switch {
		case mediaType != typeMessage || isResponse(part):
			return nil
		case request != nil:
			return &Error{"body", "two requests: it is not clear which one was registered"}
		}
		request = part
		return nil
	})
	if err != nil {
		return nil, err
	}
	return request, nil
}

// isResponse: filter criteria may include the 200 beside the request, or instead of it.
func isResponse(message []byte) bool {
	const version = "SIP/"
	return len(message) >= len(version) && strings.EqualFold(string(message[:len(version)]), version)
}
