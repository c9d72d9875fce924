//go:build linux

package modemtest_test

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"imei-attest/modem"
	"imei-attest/modem/modemtest"
)

// corpusRows is how many rows the corpus had when this was written; it may only grow.
const corpusRows = 91

// patience is a time-out that only a modem that never answers meets.
const patience = time.Minute

func check(t *testing.T, rows []modemtest.Row, timeout time.Duration) []modemtest.Result {
	t.Helper()
	results, err := modemtest.Check(t.Context(), rows, modemtest.CheckConfig{CommandTimeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	return results
}

func TestEveryRowOfTheCorpusIsRight(t *testing.T) {
	rows, err := modemtest.Load("../testdata/modem-corpus.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) < corpusRows {
		t.Fatalf("the corpus has %d rows, want at least %d", len(rows), corpusRows)
	}
	// Only rows that say so wait for a time-out. The others must not meet one, however busy the machine is.
	silent := func(r modemtest.Row) bool { return r.ExpectedError == modem.WordTimeout }
	results := check(t, slices.DeleteFunc(slices.Clone(rows), silent), patience)
	results = append(results, check(t, slices.DeleteFunc(rows, func(r modemtest.Row) bool { return !silent(r) }), 300*time.Millisecond)...)
	for _, r := range results {
		if !r.Right() {
			t.Error(r)
		}
		if restart := r.Row.ExpectedOther == "restart_seen"; r.Answer.Restart != restart {
			t.Errorf("%v: restart seen is %v, want %v", r, r.Answer.Restart, restart)
		}
	}
	t.Log(modemtest.Summary(results))
}

func TestABrokenCorpusIsRefused(t *testing.T) {
	const meta = `{"meta": true}` + "\n"
	const row = `{"command":"AT+CGSN","response_hex":"4f4b","expected_error":"blank_imei"}` + "\n"
	tests := map[string]string{ // content -> what the error says; "" for none
		meta + row:             "",
		meta + "\n" + row:      "",
		"":                     "no rows",
		meta:                   "no rows",
		row + row:              "line 1",
		meta + "{":             "line 2",
		meta + row + `{"a":1}`: "line 3: it has no command",
		meta + `{"command":"AT","response_hex":"4","expected_error":"error"}`: "response_hex",
		meta + `{"command":"AT","response_hex":"","expected_error":"error"}`:  "no response_hex",
		meta + `{"command":"AT","response_hex":"41"}`:                         "expects nothing",
	}
	for content, says := range tests {
		file := filepath.Join(t.TempDir(), "corpus.jsonl")
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		rows, err := modemtest.Load(file)
		if says == "" && (err != nil || len(rows) != 1) || says != "" && (err == nil || !strings.Contains(err.Error(), says)) {
			t.Errorf("%q: %d rows, %v; want an error with %q", content, len(rows), err, says)
		}
	}
	if _, err := modemtest.Load("/nowhere"); err == nil {
		t.Error("a missing file gave no error")
	}
}

// TestWrongRowsAreFound plants a wrong expectation of each kind.
func TestWrongRowsAreFound(t *testing.T) {
	answer := func(command, response string, row modemtest.Row) modemtest.Row {
		row.Command, row.ResponseHex = command, hex.EncodeToString([]byte(response))
		return row
	}
	const good, spare, sv = "490154203237518\r\nOK\r\n", "490154203237510\r\nOK\r\n", "4901542032375101\r\nOK\r\n"
	rows := []modemtest.Row{
		answer("AT+CGSN", good, modemtest.Row{ExpectedIMEI: "352656105937836"}),
		answer("AT+CGSN", good, modemtest.Row{ExpectedError: "luhn"}),
		answer("AT+CGSN", good, modemtest.Row{ExpectedIMEI14: "49015420323751"}),
		answer("AT+CGSN", spare, modemtest.Row{ExpectedIMEI: "490154203237518"}),
		answer("AT+CGSN", sv, modemtest.Row{ExpectedIMEISV: "4901542032375102", ExpectedSVN: "02"}),
		answer("AT+CGSN", sv, modemtest.Row{ExpectedIMEI: "490154203237518"}),
		answer("AT+CGSN", "490154203237519\r\nOK\r\n", modemtest.Row{ExpectedError: "luhn", ExpectedDigits: "490154203237518"}),
		answer("AT+CGSN=3", "02\r\nOK\r\n", modemtest.Row{ExpectedSVN: "03"}),
		answer("ATZ", "OK\r\n", modemtest.Row{ExpectedError: "error"}),
	}
	results := check(t, rows, patience)
	for _, r := range results {
		if r.Right() {
			t.Errorf("not found: %+v", r.Row)
		}
	}
	asJSON, err := json.Marshal(results[1])
	if want := `{"line":0,"vendor":"","model":"","command":"AT+CGSN","right":false,"wrong":["error is \"\", want \"luhn\"","imei is \"490154203237518\", want \"\""]}`; err != nil || string(asJSON) != want {
		t.Errorf("as JSON %s, %v; want %s", asJSON, err, want)
	}
	if got, want := modemtest.Summary(results), "9 rows, 0 right, 9 wrong"; got != want {
		t.Errorf("Summary = %q, want %q", got, want)
	}
}
