package httpapi

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"imei-attest/verifier"
)

// A proxy's script can neither read nor safely write JSON. It asks and is answered with a form (WHATWG URL, application/x-www-form-urlencoded):
// the REGISTER as it was received, and what the network itself knows of it.

var (
	errNoForm     = errors.New("the body is not the form this takes, message=BASE64URL&auth=MD5&initial=true and so on")
	errNoSuchFact = errors.New("a form has message, auth, integrity_protected, challenge_outstanding, initial, emergency and sender, and nothing else")
)

func (a *api) answerForm(w http.ResponseWriter, r *http.Request) {
	body, ok := readBody(w, r)
	if !ok {
		return
	}
	q, err := readForm(body)
	if err != nil {
		refuse(w, http.StatusBadRequest, "%v", err)
		return
	}
	if verdict, ok := a.judge(r, w, a.input(&q)); ok {
		tellBriefly(w, &verdict)
	}
}

// readForm is as strict as [readQuestion].
func readForm(body []byte) (question, error) {
	q := question{Registration: new(verifier.Registration)}
	var given []string
	for field := range strings.SplitSeq(string(body), "&") {
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

// tellBriefly is what a proxy needs to act. Nothing is signed: who wants the whole answer asks for it by its identifier.
func tellBriefly(w http.ResponseWriter, v *verifier.Verdict) {
	id := v.ID.String()
	w.Header().Set("Content-Location", "/v1/results/"+id)
	write(w, http.StatusOK, typeForm, []byte("id="+id+"&sip_code="+strconv.Itoa(v.Answer.SIPCode)+"&label="+url.QueryEscape(v.Answer.Label)))
}
