package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"imei-attest/attest"
	"imei-attest/verifier/httpapi"
)

// taker takes the body "good", refuses "bad" and fails at all else. It counts what it took for good.
type taker struct{ taken int }

func (k *taker) Submit(_ context.Context, corim []byte, dryRun bool) (added any, refusal, err error) {
	switch string(corim) {
	case "good":
		if !dryRun {
			k.taken++
		}
		return map[string]int{"n": 1}, nil, nil
	case "bad":
		return nil, errors.New("entry 3 is wrong"), nil
	}
	return nil, nil, errors.New("the disk is full")
}

const submit = "/endorsement-provisioning/v1/submit"

func TestEndorsements(t *testing.T) {
	for _, c := range []struct {
		name, method, path, kind, body string
		status, taken                  int
		answer                         string
	}{
		{"a good one is taken", "POST", submit, "application/rim+cose", "good", 200, 1, `{"dry_run":false,"added":{"n":1}}`},
		{"a profile may be named", "POST", submit, `application/rim+cose; profile="tag:x"`, "good", 200, 1, `"n":1`},
		{"a dry run takes nothing", "POST", submit + "?dry-run=true", "application/rim+cose", "good", 200, 0, `{"dry_run":true,"added":{"n":1}}`},
		{"no dry run, in words", "POST", submit + "?dry-run=false", "application/rim+cose", "good", 200, 1, `"dry_run":false`},
		{"a misspelt dry run is refused", "POST", submit + "?dryrun=true", "application/rim+cose", "good", 400, 0, "dry-run=true"},
		{"a dry run that is no yes or no", "POST", submit + "?dry-run=1", "application/rim+cose", "good", 400, 0, "dry-run=true"},
		{"a dry run twice", "POST", submit + "?dry-run=true&dry-run=false", "application/rim+cose", "good", 400, 0, "dry-run=true"},
		{"a bad query", "POST", submit + "?%zz", "application/rim+cose", "good", 400, 0, "dry-run=true"},
		{"a bad one is refused with the reason", "POST", submit, "application/rim+cose", "bad", 422, 0, "entry 3 is wrong"},
		{"our failure is ours, and kept to ourselves", "POST", submit, "application/rim+cose", "ugly", 503, 0, "nothing was changed"},
		{"an unsigned CoRIM", "POST", submit, "application/rim+cbor", "good", 415, 0, "application/rim+cose"},
		{"evidence", "POST", submit, attest.EvidenceMediaType, "good", 415, 0, "application/rim+cose"},
		{"no media type", "POST", submit, "", "good", 415, 0, "application/rim+cose"},
		{"an empty body", "POST", submit, "application/rim+cose", "", 400, 0, "empty"},
		{"a body that is too long", "POST", submit, "application/rim+cose", strings.Repeat("x", attest.MaxCoRIMBytes+1), 413, 0, "longer than"},
		{"another method", "GET", submit, "application/rim+cose", "good", 405, 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var log bytes.Buffer
			k := new(taker)
			handler := httpapi.NewEndorsements(k, httpapi.Anybody(httpapi.RoleEndorser), slog.New(slog.NewJSONHandler(&log, nil)))
			request := httptest.NewRequest(c.method, c.path, strings.NewReader(c.body))
			request.Header.Set("Content-Type", c.kind)
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, request)
			if err := contract.check(request, reply{w.Code, w.Header(), w.Body.Bytes()}); err != nil {
				t.Error(err)
			}
			if w.Code != c.status || k.taken != c.taken || !strings.Contains(w.Body.String(), c.answer) {
				t.Errorf("%d %s, %d taken, want %d %s, %d", w.Code, w.Body, k.taken, c.status, c.answer, c.taken)
			}
			var problem struct{ Status int }
			isProblem := w.Header().Get("Content-Type") == typeProblem && json.Unmarshal(w.Body.Bytes(), &problem) == nil && problem.Status == c.status
			if c.status != 200 && !isProblem {
				t.Errorf("no problem document: %v %s", w.Header(), w.Body)
			}
			if accept := w.Header().Get("Accept"); (accept == attest.CoRIMMediaType) != (c.status == 415) {
				t.Errorf("Accept %q", accept)
			}
			if strings.Contains(w.Body.String(), "disk") || c.status == 503 && !strings.Contains(log.String(), "the disk is full") {
				t.Errorf("answered %s, logged %s", w.Body, log.String())
			}
		})
	}
}
