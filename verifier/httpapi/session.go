package httpapi

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"time"

	"imei-attest/attest"
	"imei-attest/verifier"
	"imei-attest/verifier/ear"
)

// session is the challenge-response session object.
type session struct {
	Status   string        `json:"status"` // waiting or complete
	Nonce    string        `json:"nonce"`
	Expiry   time.Time     `json:"expiry"`
	Accept   []string      `json:"accept"`
	Evidence *evidenceBlob `json:"evidence,omitempty"`
	Result   string        `json:"result,omitempty"` // EAR, a JWT
}

type evidenceBlob struct {
	Type  string `json:"type"`
	Value []byte `json:"value"` // base64
}

func newSessionObject(status string, c *challenge) session {
	return session{Status: status, Nonce: c.text(), Expiry: c.expiry.UTC(), Accept: []string{attest.EvidenceMediaType}}
}

func (a *api) newSession(w http.ResponseWriter, r *http.Request) {
	if _, ok := negotiate(w, r, typeSession); !ok {
		return
	}
	if c, ok := a.newChallenge(w, r); ok {
		w.Header().Set("Location", "session/"+c.id())
		writeJSON(w, http.StatusCreated, typeSession, newSessionObject("waiting", c))
	}
}

const closedSession = "the session was closed: open a new one"

// submitEvidence judges the evidence of a session. The device may add, as the query parameter signalled, the IMEI URN that
// it shows to the network: its own word, which can only make the result worse.
func (a *api) submitEvidence(w http.ResponseWriter, r *http.Request) {
	c, ok := a.findChallenge(w, r)
	if !ok {
		return
	}
	if _, ok := negotiate(w, r, typeSession); !ok {
		return
	}
	shown, ok := shownByDevice(w, r)
	if !ok {
		return
	}
	token, ok := readEvidence(w, r)
	if !ok {
		return
	}
	verdict, ok := a.judge(r, w, verifier.Input{Evidence: token, Nonce: c.expect, Registration: shown, Now: a.Now()})
	if !ok {
		return
	}
	if given, err := a.givenUp(r.Context(), c, &verdict); err != nil {
		a.unavailable(r.Context(), w, "session", err)
		return
	} else if given {
		refuse(w, http.StatusGone, closedSession)
		return
	}
	s := newSessionObject("complete", c)
	s.Evidence = &evidenceBlob{Type: attest.EvidenceMediaType, Value: token}
	a.writeSession(w, s, verdict.Result)
}

// givenUp reports that the nonce was used up by DELETE. Whoever gave the session up accused nobody: evidence that comes all the same is
// turned away. Only evidence that the verifier calls too late can be that, so that nobody else waits for another look into the store.
func (a *api) givenUp(ctx context.Context, c *challenge, v *verifier.Verdict) (bool, error) {
	if !slices.Contains(v.Reasons(), attest.ReasonNonceExpired) {
		return false, nil
	}
	given, found, err := a.Verifier.Presented(ctx, c.nonce)
	return found && len(given.Submods) == 0, err
}

// shownByDevice reads what the device says that it shows to the network, nil if it says nothing.
func shownByDevice(w http.ResponseWriter, r *http.Request) (*verifier.Registration, bool) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	signalled := query["signalled"]
	switch {
	case err != nil || len(signalled) > 1 || len(query.Get("signalled")) > maxTextBytes:
		refuse(w, http.StatusBadRequest, "the query is not one signalled=URN of at most %d bytes: escape what is in the URN", maxTextBytes)
		return nil, false
	case len(signalled) == 0:
		return nil, true
	}
	return &verifier.Registration{InstanceID: signalled[0], Front: verifier.FrontDevice}, true
}

func (a *api) getSession(w http.ResponseWriter, r *http.Request) {
	c, ok := a.findChallenge(w, r)
	if !ok {
		return
	}
	if _, ok := negotiate(w, r, typeSession); !ok {
		return
	}
	verdict, found, err := a.Verifier.Presented(r.Context(), c.nonce)
	switch {
	case err != nil:
		a.unavailable(r.Context(), w, "session", err)
	case !found:
		writeJSON(w, http.StatusOK, typeSession, newSessionObject("waiting", c))
	case len(verdict.Submods) == 0: // used up by DELETE, and nothing was judged
		refuse(w, http.StatusGone, closedSession)
	default:
		a.writeSession(w, newSessionObject("complete", c), verdict.Result)
	}
}

func (a *api) writeSession(w http.ResponseWriter, s session, result attest.Result) {
	token, err := a.Results.JWT(result, ear.Veraison)
	if err != nil {
		a.unsigned(w, err)
		return
	}
	s.Result = token
	writeJSON(w, http.StatusOK, typeSession, s)
}

// deleteSession uses the nonce up, so that no evidence is accepted for it any more.
func (a *api) deleteSession(w http.ResponseWriter, r *http.Request) {
	c, ok := a.findChallenge(w, r)
	if !ok {
		return
	}
	if err := a.Verifier.Revoke(r.Context(), c.expect, a.Now()); err != nil {
		a.unavailable(r.Context(), w, "session", err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
