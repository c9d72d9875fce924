package httpapi

import (
	"mime"

	"imei-attest/attest"
)

// isEvidence accepts the media type of Evidence, whose profile parameter may be left out (RFC 9782 section 3).
func isEvidence(contentType string) bool {
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil || kind != "application/eat+cwt" {
		return false
	}
	profile, stated := params["eat_profile"]
	return !stated || profile == attest.EvidenceProfile
}
