package httpapi

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"unicode/utf8"

	"imei-attest/verifier"
)

// maxTextBytes bounds each text of a registration, some of which are kept.
const maxTextBytes = 512

// question is the body of POST /v1/appraise and of POST /v1/registrations/check.
type question struct {
	Evidence     *base64Bytes           `json:"evidence"`
	Message      *base64Bytes           `json:"message"` // the REGISTER as a proxy received it; of registrations/check only
	Nonce        *base64Bytes           `json:"nonce"`   // that the evidence must answer; nil for one of this verifier's
	Registration *verifier.Registration `json:"registration"`
}

// base64Bytes takes base64 and base64url, padded or not (RFC 4648): people paste what they have.
type base64Bytes []byte

var errNoBase64 = errors.New("evidence, message and nonce are texts in base64 or base64url")

// UnmarshalJSON implements json.Unmarshaler.
func (b *base64Bytes) UnmarshalJSON(raw []byte) error {
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return errNoBase64
	}
	decoded, err := decodeBase64(text)
	*b = decoded
	return err
}

func decodeBase64(text string) ([]byte, error) {
	encoding := base64.RawURLEncoding
	if strings.ContainsAny(text, "+/") {
		encoding = base64.RawStdEncoding
	}
	decoded, err := encoding.DecodeString(strings.TrimRight(text, "="))
	if err != nil {
		return nil, errNoBase64
	}
	return decoded, nil
}

// readQuestion is strict: a misspelt field would silently weaken the question.
func readQuestion(body []byte) (question, error) {
	var q question
	if !utf8.Valid(body) {
		return q, errors.New("the body is not UTF-8")
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&q); err != nil {
		return q, misread(err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return q, errors.New("something follows the JSON object")
	}
	if err := checkNames(body); err != nil {
		return q, err
	}
	if err := q.readMessage(); err != nil {
		return q, err
	}
	switch {
	case q.Evidence == nil && q.Registration == nil:
		return q, errors.New("there is nothing to judge: give evidence, a registration, or both")
	case q.Nonce != nil && q.Evidence == nil:
		return q, errors.New("a nonce is what evidence must answer: give the evidence too, or leave the nonce out")
	}
	return q, checkRegistration(q.Registration)
}

func checkRegistration(r *verifier.Registration) error {
	if r == nil {
		return nil
	}
	if n := r.LongestText(); n > maxTextBytes {
		return fmt.Errorf("a text of the registration has %d bytes: at most %d are taken", n, maxTextBytes)
	}
	switch r.Front {
	case "":
		r.Front = verifier.FrontHTTP
	case verifier.FrontHTTP, verifier.FrontDevice:
	default:
		return fmt.Errorf("front must be %q or %q here", verifier.FrontHTTP, verifier.FrontDevice)
	}
	return nil
}

// misread says what is wrong in the words of JSON, not of Go.
func misread(err error) error {
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.Is(err, errNoBase64):
		return err
	case errors.As(err, &wrong) && wrong.Field != "":
		given, _, _ := strings.Cut(wrong.Value, " ") // a number, without its digits
		return fmt.Errorf("%s must be %s, not a JSON %s", wrong.Field, wanted(wrong.Type), given)
	case errors.As(err, &wrong):
		return errNoJSON
	}
	return fmt.Errorf("%w: %s", errNoJSON, strings.TrimPrefix(err.Error(), "json: "))
}

// wanted is the JSON that a field takes.
func wanted(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a text"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Uint32:
		return "a whole number"
	}
	return "an object"
}
