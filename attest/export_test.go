package attest

import "errors"

// A Usual is a kind of bytes that is read without the library if it is of usual form.
type Usual struct {
	Name string
	// Read gives what is read, or says that it is not of usual form; Decode is the library's way.
	Read   func(raw []byte) (v any, isUsual bool)
	Decode func(raw []byte) (v any, err error)
}

// UsualKinds are all that are read so. What is not of usual form is decoded by the same functions as before, so that equal values here
// are equal judgements, and equal errors, of whole messages.
var UsualKinds = []Usual{
	{"message", anyOf(usualSign1), func(raw []byte) (any, error) {
		var m message
		err := decodeStrict("token", decMode, raw, &m.sign1)
		if err == nil {
			err = m.checkUnprotected()
		}
		if len(m.Unprotected) == 0 {
			m.Unprotected = nil
		}
		return m.sign1, err
	}},
	{"protected header", anyOf(usualHeader), decoded[protectedHeader]},
	{"claims", anyOf(func(raw []byte) (wireClaims, bool) { return usualClaims(raw, new(claimsRoom)) }), decoded[wireClaims]},
	{"credential", anyOf(usualCredential), decoded[wireCredential]},
}

func anyOf[T any](read func([]byte) (T, bool)) func([]byte) (any, bool) {
	return func(raw []byte) (any, bool) { return read(raw) }
}

func decoded[T any](raw []byte) (any, error) {
	var v T
	err := decodeStrict("test", decMode, raw, &v)
	return v, err
}

// PartsOf are the parts of a message that are read by themselves: it without its tag, its header, its payload, and those of a Credential that it carries.
func PartsOf(raw []byte) (parts [][]byte, err error) {
	var m message
	if len(raw) == 0 {
		return nil, errors.New("empty")
	}
	if err := m.decode(raw); err != nil {
		return nil, err
	}
	parts = [][]byte{raw[len(sign1Head):], m.Protected, m.Payload}
	if carried, found := m.Unprotected[uint64(headerKCWT)]; found {
		of, err := PartsOf(append([]byte(sign1Head), carried...))
		return append(parts, of...), err
	}
	return parts, nil
}
