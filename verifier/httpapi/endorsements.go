package httpapi

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"

	"imei-attest/attest"
)

// Endorsements puts into force what a manufacturer publishes.
type Endorsements interface {
	// Submit takes a signed CoRIM, all of it or nothing, or only says what it would add. What it adds goes out as JSON. A refusal says what
	// is wrong with the document; err is a failure of ours.
	Submit(ctx context.Context, corim []byte, dryRun bool) (added any, refusal, err error)
}

type endorsements struct {
	Endorsements
	log *slog.Logger
}

// endorsed is the answer to a document that was taken.
type endorsed struct {
	DryRun bool `json:"dry_run"`
	Added  any  `json:"added"`
}

// NewEndorsements returns the handler that takes CoRIMs, of manufacturers or of the operator who passes them on. Their signature decides,
// not who sends them; yet only who has [RoleEndorser] may, as identify says.
func NewEndorsements(e Endorsements, identify func(*http.Request) Client, log *slog.Logger) http.Handler {
	d := newDoor(identify, log, published)
	d.handle(RoleEndorser, "POST /endorsement-provisioning/v1/submit", (&endorsements{e, log}).submit)
	return bounded(d, attest.MaxCoRIMBytes)
}

func (e *endorsements) submit(w http.ResponseWriter, r *http.Request) {
	if !takes(w, r, attest.CoRIMMediaType) {
		return
	}
	dryRun, err := dryRunOf(r.URL.RawQuery)
	if err != nil {
		refuse(w, http.StatusBadRequest, "%v", err)
		return
	}
	body, err := io.ReadAll(r.Body)
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		refuse(w, http.StatusRequestEntityTooLarge, "the body is longer than %d bytes: split the document", tooLong.Limit)
		return
	case err != nil || len(body) == 0:
		refuse(w, http.StatusBadRequest, "the body is empty or could not be read: send the signed CoRIM as the body")
		return
	}
	e.take(w, r, body, dryRun)
}

func (e *endorsements) take(w http.ResponseWriter, r *http.Request, body []byte, dryRun bool) {
	added, refusal, err := e.Submit(r.Context(), body, dryRun)
	switch {
	case err != nil:
		e.log.ErrorContext(r.Context(), "a CoRIM could not be taken", "error", err)
		w.Header().Set("Retry-After", "1") // seconds
		refuse(w, http.StatusServiceUnavailable, "nothing was changed: the log says why")
	case refusal != nil:
		e.log.WarnContext(r.Context(), "a CoRIM was refused", "reason", refusal.Error(), "bytes", len(body))
		refuse(w, http.StatusUnprocessableEntity, "%v", refusal)
	default:
		e.log.InfoContext(r.Context(), "a CoRIM was taken", "dry_run", dryRun, "bytes", len(body))
		writeJSON(w, http.StatusOK, typeJSON, endorsed{dryRun, added})
	}
}

// dryRunOf is strict: a misspelt wish to change nothing must not change something.
func dryRunOf(query string) (bool, error) {
	values, err := url.ParseQuery(query)
	if err == nil && len(values) == 0 {
		return false, nil
	}
	if asked := values["dry-run"]; err == nil && len(values) == 1 && len(asked) == 1 && (asked[0] == "true" || asked[0] == "false") {
		return asked[0] == "true", nil
	}
	return false, errors.New("the query may be dry-run=true or dry-run=false, and nothing else")
}
