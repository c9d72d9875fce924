package sip

import (
	"bytes"
	"encoding/base64"
	"strings"
)

const (
	typeToken     = "application/eat+cwt" // RFC 9782
	typeMultipart = "multipart/mixed"     // RFC 2046 section 5.1.3
)

// evidence is the token in a body, or in a part of one.
func (f fields) evidence(body []byte) (token []byte, err error) {
	err = f.eachPart(body, func(mediaType string, part []byte) error {
		switch {
		case mediaType != typeToken:
			return nil
		case token != nil:
			return &Error{"body", "two tokens: it is not clear which one counts"}
		}
		token = append([]byte{}, part...)
		return nil
	})
	return token, err
}

// eachPart gives the body with its media type, or the parts of a multipart one. Parts have no parts.
func (f fields) eachPart(body []byte, each func(mediaType string, part []byte) error) error {
	mediaType, boundary, err := f.contentType()
	if err == nil {
		body, err = f.decoded(mediaType, body)
	}
	switch {
	case err != nil:
		return err
	case mediaType != typeMultipart:
		return each(mediaType, body)
	}
	return eachMember(body, boundary, func(part []byte) error {
		head, content, err := split("body", append([]byte("\r\n"), part...)) // a part's header may be empty
		if err != nil {
			return err
		}
		inner, err := readFields(strings.TrimPrefix(head, "\r\n"))
		if err != nil {
			return err
		}
		mediaType, _, err := inner.contentType()
		if err == nil {
			content, err = inner.decoded(mediaType, content)
		}
		if err != nil {
			return err
		}
		return each(mediaType, content)
	})
}

// contentType is the media type in lower case, empty where none is said.
func (f fields) contentType() (mediaType, boundary string, err error) {
	value, found, err := f.one("Content-Type")
	if err != nil || !found {
		return "", "", err
	}
	s := scanner{"Content-Type", value}
	group := s.token()
	if !s.take('/') || group == "" {
		return "", "", s.fault("it is no media type")
	}
	kind := s.token()
	err = s.params(';', func(name, value string) error {
		if name != "boundary" {
			return nil
		}
		if boundary != "" {
			return s.fault("two boundaries")
		}
		boundary = value
		return nil
	})
	if err == nil && (kind == "" || s.rest != "") {
		err = s.fault("it is no media type")
	}
	return strings.ToLower(group + "/" + kind), boundary, err
}

// decoded undoes the transfer encoding of a body that is read (RFC 2045 section 6). A compressed one is not.
func (f fields) decoded(mediaType string, body []byte) ([]byte, error) {
	if mediaType != typeToken && mediaType != typeMultipart && mediaType != typeMessage {
		return body, nil
	}
	if _, found, err := f.one("Content-Encoding"); err != nil || found {
		return nil, &Error{"Content-Encoding", "a body with one is not read: send it without"}
	}
	encoding, _, err := f.one("Content-Transfer-Encoding")
	switch encoding = strings.ToLower(encoding); {
	case err != nil:
		return nil, err
	case encoding == "" || encoding == "binary" || encoding == "8bit" || encoding == "7bit":
		return body, nil
	case encoding != "base64" || mediaType == typeMultipart:
		return nil, &Error{"Content-Transfer-Encoding", "only binary and base64 are read"}
	}
	decoded, err := base64.StdEncoding.Strict().DecodeString(string(bytes.TrimSpace(body))) // which passes over line ends
	if err != nil {
		return nil, &Error{"body", "it is not the base64 that Content-Transfer-Encoding says"}
	}
	return decoded, nil
}

// eachMember takes a multipart body apart (RFC 2046 section 5.1.1). Its parts may hold any bytes.
func eachMember(body []byte, boundary string, each func(part []byte) error) error {
	const longest = 70
	if boundary == "" || len(boundary) > longest {
		return &Error{"Content-Type", "a multipart body needs a boundary of 1 to 70 characters"}
	}
	delimiter := []byte("\r\n--" + boundary)
	_, rest, found := bytes.Cut(append([]byte("\r\n"), body...), delimiter)
	for n := 0; found; n++ {
		if bytes.HasPrefix(rest, []byte("--")) {
			return nil
		}
		if n == maxParts {
			return &Error{"body", "more than 8 parts"}
		}
		padding, after, ended := bytes.Cut(rest, []byte("\r\n"))
		if !ended || len(bytes.Trim(padding, " \t")) > 0 {
			return &Error{"body", "something follows a boundary in its line"}
		}
		var part []byte
		if part, rest, found = bytes.Cut(after, delimiter); found {
			if err := each(part); err != nil {
				return err
			}
		}
	}
	return &Error{"body", "the last boundary is missing"}
}
