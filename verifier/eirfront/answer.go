package eirfront

import (
	"net/http"
	"strings"

	"imei-attest/attest"
)

// results are the outcomes, as they are counted.
var results = map[string]string{
	attest.AnswerPermit.EIR: ResultPermitted, attest.AnswerTrack.EIR: ResultTracked,
	attest.AnswerProhibit.EIR: ResultProhibited, attest.AnswerUnknown.EIR: ResultUnknown,
}

// bodies are what a status is answered with: EirResponseData (TS 29.511 clause 6.1.6.2). It names no features: there are none to
// negotiate (TS 29.500 clause 6.6).
var bodies = map[string][]byte{
	attest.AnswerPermit.EIR:   []byte(`{"status":"` + attest.AnswerPermit.EIR + `"}`),
	attest.AnswerTrack.EIR:    []byte(`{"status":"` + attest.AnswerTrack.EIR + `"}`),
	attest.AnswerProhibit.EIR: []byte(`{"status":"` + attest.AnswerProhibit.EIR + `"}`),
}

// Values of header fields, made once.
var (
	typeJSON    = []string{"application/json"}
	typeProblem = []string{"application/problem+json"}
	noStore     = []string{"no-store"} // the answer to the same question may be another one a second later
)

// tell answers with a status.
func tell(w http.ResponseWriter, status string) {
	body, known := bodies[status]
	if !known {
		unknownEquipment.write(w)
		return
	}
	header := w.Header()
	header["Content-Type"], header["Cache-Control"] = typeJSON, noStore
	_, _ = w.Write(body) // the peer may be gone: there is nobody left to tell
}

// acceptsJSON reads Accept (RFC 9110 section 12.5.1). Without one everything is welcome.
func acceptsJSON(accept []string) bool {
	if len(accept) == 0 {
		return true
	}
	for _, line := range accept {
		for item := range strings.SplitSeq(line, ",") {
			kind, parameters, _ := strings.Cut(item, ";")
			switch strings.ToLower(strings.TrimSpace(kind)) {
			case "application/json", "application/*", "*/*":
				if !unwanted(parameters) {
					return true
				}
			}
		}
	}
	return false
}

// unwanted: a weight of nothing.
func unwanted(parameters string) bool {
	for parameter := range strings.SplitSeq(parameters, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(parameter), "=")
		if strings.EqualFold(name, "q") && strings.Trim(value, "0.") == "" {
			return true
		}
	}
	return false
}
