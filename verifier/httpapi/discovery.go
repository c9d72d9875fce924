package httpapi

import (
	"net/http"

	"imei-attest/attest"
	"imei-attest/verifier/ear"
)

type discovery struct {
	Key        ear.JWK           `json:"ear-verification-key"`
	MediaTypes []string          `json:"media-types"`
	Schemes    []string          `json:"attestation-schemes"`
	Version    string            `json:"version"`
	State      string            `json:"service-state"`
	Endpoints  map[string]string `json:"api-endpoints"`
}

func (a *api) discovery(w http.ResponseWriter, _ *http.Request) {
	key, err := a.Results.JWK()
	if err != nil {
		a.Log.Error("discovery", "error", err)
		refuse(w, http.StatusInternalServerError, "the result key is unusable")
		return
	}
	writeJSON(w, http.StatusOK, typeDiscovery, discovery{
		Key: key, MediaTypes: []string{attest.EvidenceMediaType}, Schemes: []string{attest.EvidenceProfile},
		Version: a.Version, State: "READY",
		Endpoints: map[string]string{
			"newChallengeResponseSession": "/challenge-response/v1/newSession",
			"appraise":                    "/v1/appraise",
			"checkRegistration":           "/v1/registrations/check",
			"checkRegistrations":          "/v1/registrations/batch",
			"results":                     "/v1/results/:id",
		},
	})
}
