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
)

// challenge is what a session asks. The session's name says it all, proved by the nonce keys, so that any node answers for it:
// it is the nonce, or encloses one that the caller chose.
type challenge struct {
	name   []byte
	nonce  attest.Nonce
	expiry time.Time
	expect verifier.Expectation
}

func (c *challenge) id() string { return base64.RawURLEncoding.EncodeToString(c.name) }

// text is the nonce as clients of Veraison read it, of whatever generation: in padded base64, though newer ones write base64url.
// A nonce of ours has no letter in which the two differ.
func (c *challenge) text() string { return base64.StdEncoding.EncodeToString(c.nonce) }

// newChallenge reads the query of newSession, or refuses.
func (a *api) newChallenge(w http.ResponseWriter, r *http.Request) (*challenge, bool) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	switch {
	case err != nil || len(query["nonce"]) > 1 || len(query["nonceSize"]) > 1:
		refuse(w, http.StatusBadRequest, "the query is not one nonceSize=BYTES, or one nonce=BASE64 with its letters escaped")
	case query.Has("nonce") && query.Has("nonceSize"):
		refuse(w, http.StatusBadRequest, "nonce and nonceSize exclude each other: leave nonce out")
	case query.Has("nonce"):
		return a.chosenChallenge(w, r, query.Get("nonce"))
	default:
		return a.mintedChallenge(w, r, query.Get("nonceSize"))
	}
	return nil, false
}

func (a *api) mintedChallenge(w http.ResponseWriter, r *http.Request, asked string) (*challenge, bool) {
	size, err := nonceSize(asked)
	if err != nil {
		refuse(w, http.StatusBadRequest, "%v", err)
		return nil, false
	}
	n, expiry, err := a.Verifier.MintNonce(a.Rand, a.Now(), size)
	if err != nil {
		a.unavailable(r.Context(), w, "no nonce", err)
		return nil, false
	}
	return &challenge{n, n, expiry, verifier.Expectation{Session: n}}, true
}

func nonceSize(asked string) (int, error) {
	if asked == "" {
		return attest.DefaultNonceBytes, nil
	}
	size, err := strconv.Atoi(asked)
	if err != nil || size < attest.MinMintedNonce || size > attest.MaxMintedNonce {
		return 0, fmt.Errorf("nonceSize must be %d to %d bytes, because a nonce carries its own proof", attest.MinMintedNonce, attest.MaxMintedNonce)
	}
	return size, nil
}

// chosenChallenge is on a nonce of the caller's. One that was answered for already is not taken: its session would be complete at
// its beginning.
func (a *api) chosenChallenge(w http.ResponseWriter, r *http.Request, text string) (*challenge, bool) {
	n, err := decodeBase64(text)
	if err != nil {
		n = nil // of no size that is taken
	}
	if !a.mayChoose(w, r, n) {
		return nil, false
	}
	if _, err := a.Verifier.CheckNonce(n, a.Now()); !errors.Is(err, attest.ErrNonceForeign) {
		refuse(w, http.StatusBadRequest, "this nonce is of this server's making: leave nonce out to open a session")
		return nil, false
	}
	if _, used, err := a.Verifier.Presented(r.Context(), n); err != nil {
		a.unavailable(r.Context(), w, "session", err)
		return nil, false
	} else if used {
		refuse(w, http.StatusConflict, "evidence was judged for this nonce already: choose a new one")
		return nil, false
	}
	name, expiry, err := a.Verifier.EncloseNonce(n, a.Now())
	if err != nil {
		a.unavailable(r.Context(), w, "session", err)
		return nil, false
	}
	return &challenge{name, n, expiry, verifier.Expectation{Exact: n}}, true
}

const noSession = "no such session here: open one with POST /challenge-response/v1/newSession"

// findChallenge finds the challenge of a session, or refuses: 404 for one that is not ours, 410 for one that has expired.
func (a *api) findChallenge(w http.ResponseWriter, r *http.Request) (*challenge, bool) {
	name, err := base64.RawURLEncoding.Strict().DecodeString(r.PathValue("id"))
	if err != nil {
		refuse(w, http.StatusNotFound, noSession)
		return nil, false
	}
	c := challenge{name: name, nonce: name, expect: verifier.Expectation{Session: name}}
	if c.expiry, err = a.Verifier.CheckNonce(name, a.Now()); errors.Is(err, attest.ErrNonceForeign) {
		c.nonce, c.expiry, err = a.Verifier.DiscloseNonce(name, a.Now())
		c.expect = verifier.Expectation{Exact: c.nonce}
	}
	switch {
	case errors.Is(err, attest.ErrNonceExpired):
		refuse(w, http.StatusGone, "the session expired at %s: open a new one", c.expiry.Format(time.RFC3339))
	case err != nil:
		refuse(w, http.StatusNotFound, noSession)
	default:
		return &c, true
	}
	return nil, false
}
