package eirfront

import (
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"imei-attest/attest"
)

// problem is a refusal: ProblemDetails (TS 29.571 clause 5.2.4.1), with a cause of TS 29.500 table 5.2.7.2-1 where that has one.
type problem struct {
	Title         string         `json:"title"`
	Status        int            `json:"status"`
	Detail        string         `json:"detail"`
	Cause         string         `json:"cause,omitempty"`
	InvalidParams []invalidParam `json:"invalidParams,omitempty"`

	result string      // as it is counted
	header [][2]string // what goes with it
}

// invalidParam names a parameter of the query, and never its value.
type invalidParam struct {
	Param  string `json:"param"`
	Reason string `json:"reason"`
}

func refusal(status int, cause, detail string) *problem {
	return &problem{Title: http.StatusText(status), Status: status, Detail: detail, Cause: cause, result: ResultRefused}
}

// with adds a header field.
func (p *problem) with(name, value string) *problem {
	p.header = append(p.header, [2]string{name, value})
	return p
}

func (p *problem) counted(result string) *problem {
	p.result = result
	return p
}

// retryTime is how long a caller waits that found no place.
const retryTime = "1" // seconds

// The refusals that are always the same.
var (
	unknownEquipment = refusal(http.StatusNotFound, attest.EIRUnknown, "nobody endorsed this equipment").counted(ResultUnknown)
	notAllowed       = refusal(http.StatusMethodNotAllowed, "", "the equipment status can only be read: send GET").with("Allow", http.MethodGet)
	notAcceptable    = refusal(http.StatusNotAcceptable, "", "the answer is application/json: let Accept have it, or leave it out")
	uriTooLong       = refusal(http.StatusRequestURITooLong, "", "the URI is longer than "+strconv.Itoa(maxURIBytes)+" bytes")
	congestion       = refusal(http.StatusServiceUnavailable, "NF_CONGESTION", "as many requests are judged as can be: try again").
				counted(ResultLimited).with("Retry-After", retryTime)
	failure = refusal(http.StatusInternalServerError, "SYSTEM_FAILURE", "a fault of this program, which its log describes").counted(ResultFailed)
)

// congestionRisk tells a caller who asks too much when he may ask again.
func congestionRisk(wait time.Duration) *problem {
	const longest = time.Hour
	seconds := math.Ceil(min(wait, longest).Seconds())
	return refusal(http.StatusTooManyRequests, "NF_CONGESTION_RISK", "more requests than are taken from one caller: wait as long as Retry-After says").
		counted(ResultLimited).with("Retry-After", strconv.Itoa(int(seconds)))
}

// noResource tells an unknown resource of this API from another API, or another version of it (TS 29.501 clause 4.4.1).
func noResource(path string) *problem {
	if strings.HasPrefix(path, "/n5g-eir-eic/v1/") {
		return refusal(http.StatusNotFound, "RESOURCE_URI_STRUCTURE_NOT_FOUND", "the one resource is "+Path)
	}
	return refusal(http.StatusBadRequest, "INVALID_API", "the one API is n5g-eir-eic, version v1: ask for "+Path)
}

// invalid is about one parameter of the query.
func invalid(cause, param, reason string) *problem {
	p := refusal(http.StatusBadRequest, cause, param+": "+reason)
	p.InvalidParams = []invalidParam{{"query " + param, reason}}
	return p
}

func (p *problem) write(w http.ResponseWriter) {
	body, err := json.Marshal(p)
	if err != nil {
		panic(err) // only texts and numbers come here
	}
	header := w.Header()
	header["Content-Type"], header["Cache-Control"] = typeProblem, noStore
	for _, field := range p.header {
		header.Set(field[0], field[1])
	}
	w.WriteHeader(p.Status)
	_, _ = w.Write(body) // the peer may be gone: there is nobody left to tell
}
