package httpapi

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"imei-attest/attest"
)

// Media types of the interface, beside those of evidence and of results.
const (
	typeSession   = "application/vnd.veraison.challenge-response-session+json"
	typeDiscovery = "application/vnd.veraison.discovery+json"
	typeProblem   = "application/problem+json" // RFC 9457
	typeJSON      = "application/json"
	typeText      = "text/plain"
	typeRecords   = "application/jsonl" // one JSON object a line
)

// negotiate returns what the request likes best of the offers, the first where it does not care (RFC 9110 section 12.5.1),
// or refuses.
func negotiate(w http.ResponseWriter, r *http.Request, offers ...string) (string, bool) {
	accept := strings.Join(r.Header.Values("Accept"), ",")
	best, weight := "", 0.0
	for _, offer := range offers {
		if q := weigh(accept, offer); q > weight {
			best, weight = offer, q
		}
	}
	if best == "" {
		refuse(w, http.StatusNotAcceptable, "this answers with %s", strings.Join(offers, " or "))
		return "", false
	}
	return best, true
}

// weigh is the weight that a list of media ranges gives to an offer: that of the most specific range. No list takes all.
func weigh(accept, offer string) float64 {
	if strings.TrimSpace(accept) == "" {
		return 1
	}
	weight, closest := 0.0, 0
	for part := range list(accept) {
		kind, params, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		q := 1.0
		if text, stated := params["q"]; stated {
			if q, err = strconv.ParseFloat(text, 64); err != nil {
				continue
			}
			delete(params, "q")
		}
		if fit := fits(kind, params, offer); fit > closest {
			weight, closest = q, fit
		}
	}
	return weight
}

// fits says how closely a media range describes an offer; 0 is not at all.
func fits(kind string, params map[string]string, offer string) int {
	offered, of, err := mime.ParseMediaType(offer)
	if err != nil {
		return 0
	}
	for name, value := range params {
		if !strings.EqualFold(of[name], value) { // the profile's case does not matter (RFC 9782 section 3)
			return 0
		}
	}
	group, _, _ := strings.Cut(offered, "/")
	switch kind {
	case offered:
		return 3 + len(params)
	case group + "/*":
		return 2
	case "*/*":
		return 1
	}
	return 0
}

// list gives the elements of a list field (RFC 9110 section 5.6.1). A comma in a quoted string is none of the list.
func list(field string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		begin, quoted := 0, false
		for i := 0; i < len(field); i++ {
			switch c := field[i]; {
			case c == '"':
				quoted = !quoted
			case c == '\\' && quoted:
				i++
			case c == ',' && !quoted:
				if !yield(field[begin:i]) {
					return
				}
				begin = i + 1
			}
		}
		yield(field[begin:])
	}
}

// takes refuses a body of another type.
func takes(w http.ResponseWriter, r *http.Request, accepted ...string) bool {
	if slices.ContainsFunc(accepted, func(kind string) bool { return isOfType(r, kind) }) {
		return true
	}
	w.Header().Set("Accept", strings.Join(accepted, ", "))
	refuse(w, http.StatusUnsupportedMediaType, "this takes %s", strings.Join(accepted, " or "))
	return false
}

func isOfType(r *http.Request, wanted string) bool {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && kind == wanted
}

// readBody reads the whole body or refuses. A body that is longer than it may be is the caller's fault, not ours.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, bool) {
	body, err := io.ReadAll(r.Body)
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		refuse(w, http.StatusRequestEntityTooLarge, "the body is longer than %d bytes; a token has at most %d", maxBodyBytes, attest.MaxTokenBytes)
	case err != nil:
		refuse(w, http.StatusBadRequest, "the body could not be read: send it again")
	case len(body) == 0:
		refuse(w, http.StatusBadRequest, "the body is empty: send the evidence, or the question, as the body")
	default:
		return body, true
	}
	return nil, false
}
