package httpapi_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"imei-attest/attest/attesttest"
	"imei-attest/verifier"
	"imei-attest/verifier/httpapi"
)

func TestTheOperatorsAddressNamesItsOwnPaths(t *testing.T) {
	answered := httptest.NewRecorder()
	httpapi.NewAdmin(nil, httpapi.Anybody(httpapi.RoleAdmin), slog.New(slog.DiscardHandler)).ServeHTTP(answered, httptest.NewRequest("GET", "/openapi.yaml", nil))
	if text := answered.Body.String(); answered.Code != http.StatusNotFound || !strings.Contains(text, "/admin/v1/decisions") || strings.Contains(text, "openapi") {
		t.Errorf("%d %s", answered.Code, text)
	}
}

func TestRecordedDecisionsAreForTheOperator(t *testing.T) {
	s := serve(t)
	var ids []string
	for range 3 {
		path, n := s.open()
		s.submit(path, token(n))
		var a answer
		s.read(s.appraise(`{"registration":{"imei":"490154203237518","impi":"alice@example"}}`), &a)
		ids = append(ids, a.ID)
		s.now = s.now.Add(time.Minute)
	}
	s.client = having(httpapi.RoleAdmin)
	for since, want := range map[string]int{
		"": 6, attesttest.Now.Format(time.RFC3339): 6, attesttest.Now.Add(time.Minute).Format(time.RFC3339): 4, "2027-01-01T00:00:00+01:00": 0,
	} {
		r := s.do("GET", "/admin/v1/decisions?since="+url.QueryEscape(since), nil)
		lines := strings.Count(string(r.body), "\n")
		for line := range strings.Lines(string(r.body)) {
			var record verifier.Record
			if err := json.Unmarshal([]byte(line), &record); err != nil || record.Replay() != nil {
				t.Errorf("%s: %v", line, err)
			}
		}
		if r.status != http.StatusOK || lines != want || strings.Contains(string(r.body), "alice") {
			t.Errorf("since %s: %d with %d lines, want %d", since, r.status, lines, want)
		}
	}
	for _, id := range ids {
		var record verifier.Record
		s.read(s.do("GET", "/admin/v1/decisions/"+id, nil), &record)
		if record.Verdict.ID.String() != id {
			t.Errorf("got %s, want %s", record.Verdict.ID, id)
		}
	}
	s.wantProblem(s.do("GET", "/admin/v1/decisions?since=yesterday", nil), http.StatusBadRequest, "2026-11-22T08:00:00Z")
	s.wantProblem(s.do("GET", "/admin/v1/decisions/nonsense", nil), http.StatusBadRequest, "want a UUID")
	s.wantProblem(s.do("GET", "/admin/v1/decisions/019ca945-0a00-7d9c-b2cb-84d42dae6fa3", nil), http.StatusNotFound, "too old")
	s.wantProblem(s.do("DELETE", "/admin/v1/decisions", nil), http.StatusMethodNotAllowed, "GET")
}
