package httpapi

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"imei-attest/attest"
	"imei-attest/verifier"
	"imei-attest/verifier/ear"
)

// session is the challenge-response session object. A session is its nonce: the server keeps nothing until evidence
// comes, so any node of a cluster answers for it.
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

func newSessionObject(status string, n attest.Nonce, expiry time.Time) session {
	return session{Status: status, Nonce: n.String(), Expiry: expiry.UTC(), Accept: []string{attest.EvidenceMediaType}}
}

func (a *api) newSession(w http.ResponseWriter, r *http.Request) {
	if _, ok := negotiate(w, r, typeSession); !ok {
		return
	}
	size, status, detail := nonceSize(r.URL.Query())
	if detail != "" {
		refuse(w, status, "%s", detail)
		return
	}
	n, expiry, err := a.Verifier.MintNonce(a.Rand, a.Now(), size)
	if err != nil {
		a.unavailable(r.Context(), w, "no nonce", err)
		return
	}
	w.Header().Set("Location", "session/"+n.String())
	writeJSON(w, http.StatusCreated, typeSession, newSessionObject("waiting", n, expiry))
}

// nonceSize reads the query of newSession. A nonce of the caller's own choosing would let old evidence pass for fresh.
func nonceSize(query url.Values) (size, status int, detail string) {
	switch asked := query.Get("nonceSize"); {
	case query.Has("nonce") && query.Has("nonceSize"):
		return 0, http.StatusBadRequest, "nonce and nonceSize exclude each other: leave nonce out"
	case query.Has("nonce"):
		return 0, http.StatusForbidden, "this server chooses the nonce: leave it out, or ask for a nonceSize"
	case asked == "":
		return attest.DefaultNonceBytes, 0, ""
	default:
		size, err := strconv.Atoi(asked)
		if err != nil || size < attest.MinMintedNonce || size > attest.MaxMintedNonce {
			return 0, http.StatusBadRequest, fmt.Sprintf("nonceSize must be %d to %d bytes, because a nonce carries its own proof",
				attest.MinMintedNonce, attest.MaxMintedNonce)
		}
		return size, 0, ""
	}
}

const closedSession = "the session was closed: open a new one"

const noSession = "no such session here: open one with POST /challenge-response/v1/newSession"

// openSession finds the nonce of a session, or refuses: 404 for one that is not ours, 410 for one that has expired.
func (a *api) openSession(w http.ResponseWriter, r *http.Request) (attest.Nonce, time.Time, bool) {
	n, err := base64.RawURLEncoding.DecodeString(r.PathValue("id"))
	if err != nil {
		refuse(w, http.StatusNotFound, noSession)
		return nil, time.Time{}, false
	}
	expiry, err := a.Verifier.CheckNonce(n, a.Now())
	switch {
	case errors.Is(err, attest.ErrNonceExpired):
		refuse(w, http.StatusGone, "the session expired at %s: open a new one", expiry.Format(time.RFC3339))
	case err != nil:
		refuse(w, http.StatusNotFound, noSession)
	default:
		return n, expiry, true
	}
	return nil, time.Time{}, false
}

// submitEvidence judges the evidence of a session. The device may add, as the query parameter signalled, the IMEI URN that
// it shows to the network: its own word, which can only make the result worse.
func (a *api) submitEvidence(w http.ResponseWriter, r *http.Request) {
	n, expiry, ok := a.openSession(w, r)
	if !ok {
		return
	}
	if !isEvidence(r.Header.Get("Content-Type")) {
		w.Header().Set("Accept", attest.EvidenceMediaType)
		refuse(w, http.StatusUnsupportedMediaType, "this takes %s", attest.EvidenceMediaType)
		return
	}
	body, ok := readBody(w, r)
	if !ok {
		return
	}
	// Whoever gave the session up accused nobody: evidence that comes all the same is turned away, not called a replay.
	if given, found, err := a.Verifier.Presented(r.Context(), n); err != nil {
		a.unavailable(r.Context(), w, "session", err)
		return
	} else if found && len(given.Submods) == 0 {
		refuse(w, http.StatusGone, closedSession)
		return
	}
	in := verifier.Input{Evidence: body, Nonce: verifier.Expectation{Session: n}, Now: a.Now()}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil || len(query["signalled"]) > 1 {
		refuse(w, http.StatusBadRequest, "the query is not one signalled=URN: escape what is in the URN")
		return
	}
	if query.Has("signalled") {
		in.Registration = &verifier.Registration{InstanceID: query.Get("signalled"), Front: verifier.FrontDevice}
	}
	result, ok := a.judge(r, w, in)
	if !ok {
		return
	}
	s := newSessionObject("complete", n, expiry)
	s.Evidence = &evidenceBlob{Type: attest.EvidenceMediaType, Value: body}
	a.writeSession(w, s, result.Result)
}

func (a *api) getSession(w http.ResponseWriter, r *http.Request) {
	n, expiry, ok := a.openSession(w, r)
	if !ok {
		return
	}
	result, found, err := a.Verifier.Presented(r.Context(), n)
	switch {
	case err != nil:
		a.unavailable(r.Context(), w, "session", err)
	case !found:
		writeJSON(w, http.StatusOK, typeSession, newSessionObject("waiting", n, expiry))
	case len(result.Submods) == 0: // used up by DELETE, and nothing was judged
		refuse(w, http.StatusGone, closedSession)
	default:
		a.writeSession(w, newSessionObject("complete", n, expiry), result.Result)
	}
}

func (a *api) writeSession(w http.ResponseWriter, s session, result attest.Result) {
	token, err := a.Results.JWT(result, ear.Veraison)
	if err != nil {
		a.Log.Error("signing a result", "error", err)
		refuse(w, http.StatusInternalServerError, "the result could not be signed")
		return
	}
	s.Result = token
	writeJSON(w, http.StatusOK, typeSession, s)
}

// deleteSession uses the nonce up, so that no evidence is accepted for it any more.
func (a *api) deleteSession(w http.ResponseWriter, r *http.Request) {
	n, _, ok := a.openSession(w, r)
	if !ok {
		return
	}
	if err := a.Verifier.Revoke(r.Context(), n, a.Now()); err != nil {
		a.unavailable(r.Context(), w, "session", err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
