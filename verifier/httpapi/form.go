package httpapi

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"imei-attest/verifier"
)

var (
	errNoForm     = errors.New("this is not the form that is taken, message=BASE64URL&auth=MD5&initial=true and so on")
	errNoSuchFact = errors.New("a form has message, auth, integrity_protected, challenge_outstanding, initial, emergency and sender, and nothing else")
)

// readForm is as strict as [readQuestion].
func readForm(form string) (question, error) {
	q := question{Registration: new(verifier.Registration)}
	var given []string
	for field := range strings.SplitSeq(form, "&") {
		name, value, found := strings.Cut(field, "=")
		text, err := unescape(value)
		if !found || err != nil || !utf8.ValidString(text) || strings.Contains(field, ";") { // some readers take that for an &
			return q, errNoForm
		}
		if err := q.take(name, text); err != nil {
			return q, err
		}
		if slices.Contains(given, name) {
			return q, fmt.Errorf("%s stands twice in the form", name)
		}
		given = append(given, name)
	}
	if q.Message == nil {
		return q, errNoForm
	}
	if err := q.readMessage(); err != nil {
		return q, err
	}
	return q, checkRegistration(q.Registration)
}

// unescape leaves alone what needs nothing, as a long text in base64url.
func unescape(value string) (string, error) {
	if !strings.ContainsAny(value, "%+") {
		return value, nil
	}
	return url.QueryUnescape(value)
}

// take sets what a field of a form says.
func (q *question) take(name, text string) (err error) {
	r := q.Registration
	switch name {
	case "message":
		var message base64Bytes
		message, err = decodeBase64(text)
		q.Message = &message
	case "auth":
		r.Auth = text
	case "integrity_protected":
		r.IntegrityProtected = text
	case "sender":
		r.Sender = text
	case "challenge_outstanding":
		r.ChallengeOutstanding, err = isTrue(name, text)
	case "initial":
		var initial bool
		initial, err = isTrue(name, text)
		r.Initial = &initial
	case "emergency":
		r.Emergency, err = isTrue(name, text)
	default:
		err = errNoSuchFact
	}
	return err
}

func isTrue(name, text string) (bool, error) {
	if text != "true" && text != "false" {
		return false, fmt.Errorf("%s must be true or false", name)
	}
	return text == "true", nil
}
