package httpapi

import (
	"net/http"
	"net/url"
	"time"

	"imei-attest/attest"
	"imei-attest/verifier"
	"imei-attest/verifier/ear"
)

// answer is a verdict with all that was found.
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

// negotiateAnswer chooses the form of an answer: all that was found, or the signed result alone, as a JWT or a CWT.
func negotiateAnswer(w http.ResponseWriter, r *http.Request) (string, bool) {
	return negotiate(w, r, typeJSON, ear.MediaTypeJWT, ear.MediaTypeCWT)
}

// tell answers with a verdict. The same verdict is the same bytes, whenever it is told and by which node.
func (a *api) tell(w http.ResponseWriter, form string, v verifier.Verdict) {
	body := a.retold.find(&v, form)
	if body == nil {
		var err error
		if body, err = a.body(form, v); err != nil {
			a.unsigned(w, err)
			return
		}
		a.retold.keep(&v, form, body)
	}
	w.Header().Set("Content-Location", "/v1/results/"+v.ID.String())
	write(w, http.StatusOK, form, body)
}

// body is a verdict in a form.
func (a *api) body(form string, v verifier.Verdict) ([]byte, error) {
	if form == ear.MediaTypeCWT {
		return a.Results.CWT(v.Result)
	}
	token, err := a.Results.JWT(v.Result, ear.IETF)
	if err != nil || form == ear.MediaTypeJWT {
		return []byte(token), err
	}
	return encodeJSON(newAnswer(v, token)), nil
}

func (a *api) unsigned(w http.ResponseWriter, err error) {
	a.Log.Error("signing a result", "error", err)
	refuse(w, http.StatusInternalServerError, "the result could not be signed")
}

func newAnswer(v verifier.Verdict, token string) answer {
	a := answer{ID: v.ID, Status: v.Status().String(), Tier: v.Tier.String(), Answer: v.Answer,
		Reasons: []reason{}, ValidUntil: v.ValidUntil, Result: token}
	for _, code := range v.Reasons() {
		info := code.Info()
		a.Reasons = append(a.Reasons, reason{code, info.Sentence, info.Clause})
	}
	return a
}

// result tells again what was decided, while it holds.
func (a *api) result(w http.ResponseWriter, r *http.Request) {
	form, ok := negotiateAnswer(w, r)
	if !ok {
		return
	}
	id, err := verifier.ParseDecisionID(r.PathValue("id"))
	if err != nil {
		refuse(w, http.StatusNotFound, noResult)
		return
	}
	record, found, err := a.Verifier.Record(r.Context(), id)
	switch {
	case err != nil:
		a.unavailable(r.Context(), w, "reading a result", err)
	case !found:
		refuse(w, http.StatusNotFound, noResult)
	case !a.Now().Before(record.Verdict.ValidUntil):
		refuse(w, http.StatusGone, "the result ran out at %s: ask again", record.Verdict.ValidUntil.Format(time.RFC3339))
	default:
		a.tell(w, form, record.Verdict)
	}
}

// latest tells the latest decision on a public identity that an S-CSCF registered, also when its result has run out: the registration lasts
// longer than a result.
func (a *api) latest(w http.ResponseWriter, r *http.Request) {
	form, ok := negotiateAnswer(w, r)
	if !ok {
		return
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if given := query["impu"]; err != nil || len(query) != 1 || len(given) != 1 || given[0] == "" || len(given[0]) > maxTextBytes {
		refuse(w, http.StatusBadRequest, "the query is not one impu=URI of at most %d bytes: escape what is in the URI", maxTextBytes)
		return
	}
	record, found, err := a.Verifier.Latest(r.Context(), query.Get("impu"))
	switch {
	case err != nil:
		a.unavailable(r.Context(), w, "reading a result", err)
	case !found:
		refuse(w, http.StatusNotFound, "no S-CSCF told of a registration of this public identity, or not lately")
	default:
		a.tell(w, form, record.Verdict)
	}
}

const noResult = "no result with this identifier is kept: an answer's id names it"
