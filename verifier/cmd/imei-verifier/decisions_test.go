package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"imei-attest/attest"
	"imei-attest/verifier"
	"imei-attest/verifier/httpapi"
	"imei-attest/verifier/trust"

	"log/slog"
)

// judgedOnce returns a verifier that has judged a reprogrammed device, and the decision.
func judgedOnce(t *testing.T) (*verifier.Verifier, verifier.Verdict) {
	t.Helper()
	anchors, _, err := trust.Load(trustFolder(t))
	if err != nil {
		t.Fatal(err)
	}
	v, err := newOfflineVerifier(anchors)
	if err != nil {
		t.Fatal(err)
	}
	n, err := hex.DecodeString(nonce)
	if err != nil {
		t.Fatal(err)
	}
	verdict, err := v.Appraise(context.Background(), verifier.Input{Evidence: token(t, attest.StorageTPMDiscrete, n, reprogrammed),
		Nonce: verifier.Expectation{Exact: n}, Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	return v, verdict
}

func TestDecisionsAreExportedExplainedAndReplayed(t *testing.T) {
	v, verdict := judgedOnce(t)
	server := httptest.NewServer(httpapi.NewAdmin(v, httpapi.Anybody(httpapi.RoleAdmin), slog.New(slog.DiscardHandler)))
	defer server.Close()
	exported := execute("", "decisions", "--admin", server.URL)
	if exported.code != exitYes || exported.stderr != "" || strings.Count(exported.stdout, "\n") != 1 {
		t.Fatalf("decisions: %+v", exported)
	}
	file := write(t, "decisions.jsonl", []byte(exported.stdout))
	for _, from := range [][]string{{"--admin", server.URL}, {"--decisions", file}} {
		got := execute("", append([]string{"explain", verdict.ID.String()}, from...)...)
		if got.code != exitYes || !strings.Contains(got.stdout, "  imei-tampered\n") || !strings.Contains(got.stdout, "modem reports ") {
			t.Errorf("explain %v: %+v", from, got)
		}
		if got := execute("", append([]string{"replay"}, from...)...); got != (outcome{exitYes, "1 decisions, 1 the same, 0 otherwise\n", ""}) {
			t.Errorf("replay %v: %+v", from, got)
		}
	}
	got := execute(exported.stdout, "explain", verdict.ID.String(), "--decisions", "-", "--json")
	var object struct {
		Verdict  struct{ ID string }
		Findings []struct{ Reason, Input string }
	}
	if err := json.Unmarshal([]byte(got.stdout), &object); err != nil || object.Verdict.ID != verdict.ID.String() || len(object.Findings) == 0 {
		t.Errorf("explain --json: %v, %+v", err, got)
	}
	if got := execute("", "decisions", "--admin", server.URL, "--since", time.Now().Add(time.Hour).Format(time.RFC3339)); got != (outcome{}) {
		t.Errorf("decisions of the future: %+v", got)
	}
	altered := strings.Replace(exported.stdout, `"imei-tampered"`, `"imei-blank"`, 1)
	if got := execute(altered, "replay", "--decisions", "-"); got.code != exitNo || !strings.Contains(got.stdout, "0 the same, 1 otherwise") {
		t.Errorf("replay of an altered decision: %+v", got)
	}
	if got := execute(altered, "replay", "--decisions", "-"); !strings.Contains(got.stderr, "Submods[1].Reasons[1]: recorded imei-blank, made again imei-tampered\n") || strings.Contains(got.stderr, "{") {
		t.Errorf("replay does not say what differs: %q", got.stderr)
	}
	answered := strings.Replace(exported.stdout, `"action":"observe"`, `"action":"deny"`, 1)
	if got := execute(answered, "replay", "--decisions", "-"); got.code != exitNo || !strings.Contains(got.stderr, "answer.sip_code: recorded 200, made again 403") {
		t.Errorf("replay of an altered answer: %+v", got)
	}
	if got := execute(altered, "explain", verdict.ID.String(), "--decisions", "-"); got.code != exitFailed || got.stdout != "" {
		t.Errorf("an altered decision is explained: %+v", got)
	}
}

func TestDecisionsRefuseWhatTheyCannotUse(t *testing.T) {
	v, _ := judgedOnce(t)
	server := httptest.NewServer(httpapi.NewAdmin(v, httpapi.Anybody(httpapi.RoleAdmin), slog.New(slog.DiscardHandler)))
	defer server.Close()
	const absent = "019ca945-0a00-7d9c-b2cb-84d42dae6fa3"
	garbage := write(t, "garbage", []byte("{}\n[]\n"))
	for _, c := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"no source", []string{"explain", absent}, exitUsage, "want --decisions FILE or --admin URL"},
		{"two sources", []string{"replay", "--admin", server.URL, "--decisions", garbage}, exitUsage, "want --decisions FILE or --admin URL"},
		{"no identifier", []string{"explain", "42", "--decisions", garbage}, exitUsage, "want a UUID"},
		{"a decision that is not kept", []string{"explain", absent, "--admin", server.URL}, exitUsage, "no decision with this identifier"},
		{"a file of something else", []string{"replay", "--decisions", garbage}, exitUsage, "line 2 is no recorded decision"},
		{"a missing file", []string{"replay", "--decisions", filepath.Join(t.TempDir(), "absent")}, exitUsage, "no such file"},
		{"no server", []string{"replay", "--admin", "http://127.0.0.1:1"}, exitUsage, "serve --admin"},
		{"no URL", []string{"replay", "--admin", "://"}, exitUsage, "want http://HOST:PORT"},
		{"an address without a scheme", []string{"replay", "--admin", "127.0.0.1:18081"}, exitUsage, "want http://HOST:PORT"},
		{"a name without a scheme", []string{"replay", "--admin", "localhost:18081"}, exitUsage, "want http://HOST:PORT"},
		{"a certificate without TLS", []string{"replay", "--admin", server.URL, "--ca", garbage}, exitUsage, "begins with https://"},
		{"no authority", []string{"replay", "--admin", "https://127.0.0.1:1", "--ca", garbage}, exitUsage, "holds no certificate"},
		{"an authority that is missing", []string{"replay", "--admin", "https://127.0.0.1:1", "--ca", garbage + ".missing"}, exitUsage, "--ca: open"},
		{"a certificate without its key", []string{"replay", "--admin", "https://127.0.0.1:1", "--cert", garbage}, exitUsage, "want --cert and --key together"},
		{"no time", []string{"decisions", "--admin", server.URL, "--since", "yesterday"}, exitUsage, "2026-11-22T08:00:00Z"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := execute("", c.args...); got.code != c.code || !strings.Contains(got.stderr, c.want) || got.stdout != "" {
				t.Errorf("got %+v, want %d and %q", got, c.code, c.want)
			}
		})
	}
	if _, err := os.Stat(garbage); err != nil {
		t.Error(err)
	}
}
