package httpapi

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"imei-attest/attest"
	"imei-attest/verifier"
	"imei-attest/verifier/ear"
)

// maxTextBytes bounds each text of a registration, some of which are kept.
const maxTextBytes = 512

// question is the body of POST /v1/appraise.
type question struct {
	Evidence     *base64Bytes           `json:"evidence"`
	Registration *verifier.Registration `json:"registration"`
}

// base64Bytes takes base64 and base64url, padded or not (RFC 4648): people paste what they have.
type base64Bytes []byte

// UnmarshalJSON implements json.Unmarshaler.
func (b *base64Bytes) UnmarshalJSON(raw []byte) error {
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return err
	}
	text = strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimRight(text, "="))
	decoded, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return fmt.Errorf("evidence is not base64")
	}
	*b = decoded
	return nil
}

// answer is the body of the reply.
type answer struct {
	ID     verifier.DecisionID `json:"id"`
	Status string              `json:"status"`
	Tier   string              `json:"tier"`
	verifier.Answer
	Reasons    []reason  `json:"reasons"`
	ValidUntil time.Time `json:"valid_until"`
	Result     string    `json:"result"` // EAR, a JWT
}

type reason struct {
	Code   attest.Reason `json:"code"`
	Text   string        `json:"text"`
	Clause string        `json:"clause"`
}

func (a *api) appraise(w http.ResponseWriter, r *http.Request) {
	if !takes(w, r, typeJSON) {
		return
	}
	body, ok := readBody(w, r)
	if !ok {
		return
	}
	q, err := readQuestion(body)
	if err != nil {
		refuse(w, http.StatusBadRequest, "%v", err)
		return
	}
	in := verifier.Input{Registration: q.Registration, Now: a.Now()}
	if q.Evidence != nil {
		in.Evidence = *q.Evidence
	}
	result, ok := a.judge(r, w, in)
	if !ok {
		return
	}
	token, err := a.Results.JWT(result.Result, ear.IETF)
	if err != nil {
		a.Log.Error("signing a result", "error", err)
		refuse(w, http.StatusInternalServerError, "the result could not be signed")
		return
	}
	writeJSON(w, http.StatusOK, typeJSON, newAnswer(result, token))
}

// readQuestion is strict: a misspelt field would silently weaken the question.
func readQuestion(body []byte) (question, error) {
	var q question
	if err := checkJSON(body); err != nil {
		return q, err
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&q); err != nil {
		return q, fmt.Errorf("the body is not the JSON this takes, {evidence, registration}: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, err := decoder.Token(); err != io.EOF {
		return q, fmt.Errorf("something follows the JSON object")
	}
	if q.Evidence == nil && q.Registration == nil {
		return q, fmt.Errorf("there is nothing to judge: give evidence, a registration, or both")
	}
	if q.Registration != nil {
		if n := q.Registration.LongestText(); n > maxTextBytes {
			return q, fmt.Errorf("a text of the registration has %d bytes: at most %d are taken", n, maxTextBytes)
		}
		switch q.Registration.Front {
		case "":
			q.Registration.Front = verifier.FrontHTTP
		case verifier.FrontHTTP, verifier.FrontDevice:
		default:
			return q, fmt.Errorf("front must be %q or %q here", verifier.FrontHTTP, verifier.FrontDevice)
		}
	}
	return q, nil
}

func newAnswer(result verifier.Verdict, token string) answer {
	a := answer{ID: result.ID, Status: result.Status().String(), Tier: result.Tier.String(), Answer: result.Answer,
		Reasons: []reason{}, ValidUntil: result.ValidUntil, Result: token}
	for _, code := range result.Reasons() {
		info := code.Info()
		a.Reasons = append(a.Reasons, reason{code, info.Sentence, info.Clause})
	}
	return a
}
