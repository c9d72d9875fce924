package httpapi

import (
	"errors"
	"net/http"

	"imei-attest/attest"
	"imei-attest/verifier"
)

// appraise judges evidence, a registration, or both.
func (a *api) appraise(w http.ResponseWriter, r *http.Request) {
	a.answerQuestion(w, r, func(q question) error {
		if q.Message != nil {
			return errMessageHere
		}
		return nil
	})
}

var (
	errMessageHere    = errors.New("a message is not taken here: ask POST /v1/registrations/check")
	errNoRegistration = errors.New("there is no registration to check: give one, or its message, or ask POST /v1/appraise about evidence alone")
	errNonceHere      = errors.New("a nonce is not taken here: ask POST /v1/appraise")
)

// checkRegistration judges a registration, which must be there.
func (a *api) checkRegistration(w http.ResponseWriter, r *http.Request) {
	a.answerQuestion(w, r, func(q question) error {
		switch {
		case q.Registration == nil:
			return errNoRegistration
		case q.Nonce != nil:
			return errNonceHere
		}
		return nil
	})
}

// answerQuestion answers a question in JSON that is fit. What would be refused is refused before anything is judged: a judgement uses
// the evidence up.
func (a *api) answerQuestion(w http.ResponseWriter, r *http.Request, fit func(question) error) {
	form, ok := negotiateAnswer(w, r)
	if !ok || !takes(w, r, typeJSON) {
		return
	}
	body, ok := readBody(w, r)
	if !ok {
		return
	}
	q, err := readQuestion(body)
	if err == nil {
		err = fit(q)
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, "%v", err)
		return
	}
	in := a.input(&q)
	if q.Nonce != nil {
		if in.Nonce, ok = a.expectation(w, r, attest.Nonce(*q.Nonce)); !ok {
			return
		}
	}
	if verdict, ok := a.judge(r, w, in); ok {
		a.tell(w, form, verdict)
	}
}

func (a *api) input(q *question) verifier.Input {
	in := verifier.Input{Registration: q.Registration, Now: a.Now()}
	if q.Evidence != nil {
		in.Evidence = *q.Evidence
	}
	return in
}

// expectation is what evidence must answer whose nonce the caller names: one of this verifier's, under the rules for those, or
// one that he chose. He then answers for its being new, so he must be one whom the operator trusts with that.
func (a *api) expectation(w http.ResponseWriter, r *http.Request, n attest.Nonce) (verifier.Expectation, bool) {
	if _, err := a.Verifier.CheckNonce(n, a.Now()); !errors.Is(err, attest.ErrNonceForeign) {
		return verifier.Expectation{Session: n}, true
	}
	return verifier.Expectation{Exact: n}, a.mayChoose(w, r, n)
}

// mayChoose refuses a nonce of the caller's own choosing: from who may not, and of a size that no evidence carries.
func (a *api) mayChoose(w http.ResponseWriter, r *http.Request, n attest.Nonce) bool {
	switch {
	case a.Identify(r).Roles&RoleChooseNonce == 0:
		refuse(w, http.StatusForbidden, "this server chooses the nonce: leave it out, or ask for a nonceSize; a nonce of your own needs the role %s", RoleChooseNonce)
	case len(n) < attest.MinNonce || len(n) > attest.MaxNonce:
		refuse(w, http.StatusBadRequest, "a nonce has %d to %d bytes (RFC 9711 section 4.1)", attest.MinNonce, attest.MaxNonce)
	default:
		return true
	}
	return false
}
