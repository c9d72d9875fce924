package httpapi

import (
	"mime"
	"net/http"
	"strings"

	"imei-attest/attest"
)

// Media types of wrapped evidence: as registered (draft-ietf-rats-msg-wrap section 9.8), and as Veraison's clients say it.
const (
	typeCMWJSON    = "application/cmw+json"
	typeCMWCBOR    = "application/cmw+cbor"
	typeOldCMWJSON = "application/vnd.veraison.cmw+json"
	typeOldCMWCBOR = "application/vnd.veraison.cmw+cbor"
)

// readEvidence returns the token in the body, taken out of its wrapper if it has one, or refuses.
func readEvidence(w http.ResponseWriter, r *http.Request) ([]byte, bool) {
	kind := r.Header.Get("Content-Type")
	if kind == attest.EvidenceMediaType { // as nearly all say it
		return readBody(w, r)
	}
	unwrap := unwrapper(kind)
	if unwrap == nil && !isEvidence(kind) {
		refuseType(w)
		return nil, false
	}
	body, ok := readBody(w, r)
	if !ok || unwrap == nil {
		return body, ok
	}
	record, err := unwrap(body)
	switch {
	case err != nil:
		refuse(w, http.StatusBadRequest, "%v", err)
	case !isEvidence(record.MediaType):
		refuseType(w)
	case record.Indicator != 0 && record.Indicator != attest.CMWEvidence:
		refuse(w, http.StatusBadRequest, "the wrapper's indicator says that it holds something else than evidence (%d)", attest.CMWEvidence)
	default:
		return record.Value, true
	}
	return nil, false
}

func unwrapper(contentType string) func([]byte) (attest.CMW, error) {
	kind, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return nil
	}
	switch kind {
	case typeCMWJSON, typeOldCMWJSON:
		return attest.DecodeCMWJSON
	case typeCMWCBOR, typeOldCMWCBOR:
		return attest.DecodeCMWCBOR
	}
	return nil
}

func refuseType(w http.ResponseWriter) {
	w.Header().Set("Accept", strings.Join([]string{attest.EvidenceMediaType, typeCMWJSON, typeCMWCBOR}, ", "))
	refuse(w, http.StatusUnsupportedMediaType, "this takes %s, or that as a record of %s or %s", attest.EvidenceMediaType, typeCMWJSON, typeCMWCBOR)
}

// isEvidence accepts the media type of Evidence, whose profile parameter may be left out (RFC 9782 section 3).
func isEvidence(contentType string) bool {
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil || kind != "application/eat+cwt" {
		return false
	}
	profile, stated := params["eat_profile"]
	return !stated || profile == attest.EvidenceProfile
}
