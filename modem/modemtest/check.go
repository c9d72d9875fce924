//go:build linux

package modemtest

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"imei-attest/attest/imei"
	"imei-attest/modem"
	"imei-attest/modem/serialport"
)

// CheckConfig sets how the corpus is replayed.
type CheckConfig struct {
	// CommandTimeout for each row; 0 means modem.DefaultCommandTimeout. Rows without a final result code wait that long.
	CommandTimeout time.Duration
}

// Result is what became of one row. Its answer holds identities in full.
type Result struct {
	Row    Row
	Answer modem.Answer
	Err    error    // the exchange could not take place
	Wrong  []string // how the answer differs from what the row expects; empty if it is right
}

// Right reports that the answer is what the row expects.
func (r Result) Right() bool { return r.Err == nil && len(r.Wrong) == 0 }

// String is one line for a person: the row and what is wrong with its answer.
func (r Result) String() string {
	verdict := "right"
	switch {
	case r.Err != nil:
		verdict = "failed: " + r.Err.Error()
	case len(r.Wrong) > 0:
		verdict = "wrong: " + strings.Join(r.Wrong, "; ")
	}
	return fmt.Sprintf("line %d: %s %s, %s: %s", r.Row.Line, r.Row.Vendor, r.Row.Model, r.Row.Command, verdict)
}

// MarshalJSON writes the row's place and the verdict, for programs.
func (r Result) MarshalJSON() ([]byte, error) {
	out := struct {
		Line    int      `json:"line"`
		Vendor  string   `json:"vendor"`
		Model   string   `json:"model"`
		Command string   `json:"command"`
		Right   bool     `json:"right"`
		Wrong   []string `json:"wrong,omitempty"`
		Error   string   `json:"error,omitempty"`
	}{r.Row.Line, r.Row.Vendor, r.Row.Model, r.Row.Command, r.Right(), r.Wrong, ""}
	if r.Err != nil {
		out.Error = r.Err.Error()
	}
	return json.Marshal(out)
}

// Summary counts results: `91 rows, 91 right, 0 wrong`.
func Summary(results []Result) string {
	right := 0
	for _, r := range results {
		if r.Right() {
			right++
		}
	}
	return fmt.Sprintf("%d rows, %d right, %d wrong", len(results), right, len(results)-right)
}

// Check replays each row on a terminal of its own, through serialport and the channel, and compares. Each row is one
// exchange. The error means that ctx ended or that this machine has no terminals to give.
func Check(ctx context.Context, rows []Row, config CheckConfig) ([]Result, error) {
	results := make([]Result, 0, len(rows))
	for _, row := range rows {
		answer, err := replay(ctx, row, config)
		if ctx.Err() != nil {
			return results, ctx.Err()
		}
		result := Result{Row: row, Answer: answer, Err: err}
		if err == nil {
			result.Wrong = differences(row, answer)
		}
		results = append(results, result)
	}
	return results, nil
}

func replay(ctx context.Context, row Row, config CheckConfig) (modem.Answer, error) {
	response, err := hex.DecodeString(row.ResponseHex)
	if err != nil {
		return modem.Answer{}, fmt.Errorf("response_hex: %w", err)
	}
	emulator, err := New(Config{Faults: []Fault{{
		Kind: FaultVerbatim, Command: strings.TrimPrefix(strings.ToUpper(row.Command), "AT"), Text: string(response),
	}}})
	if err != nil {
		return modem.Answer{}, err
	}
	line, err := OpenPTY("")
	if err != nil {
		return modem.Answer{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	served := make(chan error, 1)
	go func() { served <- emulator.Serve(ctx, line) }()
	defer func() { cancel(); <-served; line.Close() }()
	port, err := serialport.Open(ctx, line.Path, serialport.Config{})
	if err != nil {
		return modem.Answer{}, err
	}
	defer port.Close()
	return modem.NewChannel(port, modem.Config{CommandTimeout: config.CommandTimeout}).Ask(ctx, row.Command)
}

// differences applies the rules of the corpus's first line.
func differences(row Row, a modem.Answer) (wrong []string) {
	expect := func(what, got, want string) {
		if got != want {
			wrong = append(wrong, fmt.Sprintf("%s is %q, want %q", what, got, want))
		}
	}
	if row.expects() == "" { // the answer is something else, in whatever words
		expect("imei", a.IMEI.Digits()+a.IMEISV.Digits(), "")
		return wrong
	}
	expect("error", a.Word, wantedWord(row))
	if row.ExpectedDigits != "" {
		expect("digits in the error", a.Text, row.ExpectedDigits)
	}
	if row.ExpectedSVN != "" {
		expect("svn", string(a.SVN), row.ExpectedSVN)
	}
	switch {
	case row.ExpectedIMEI != "":
		expect("imei", a.IMEI.Digits(), row.ExpectedIMEI)
		expect("form", formName(a.Form), formName(imei.FormCheckDigit))
	case row.ExpectedIMEISV != "":
		expect("imeisv", a.IMEISV.Digits(), row.ExpectedIMEISV)
		expect("imei", a.IMEI.Digits(), "")
		if row.ExpectedIMEI14 != "" {
			expect("14 digits", a.IMEISV.IMEI.Body(), row.ExpectedIMEI14)
		}
	case row.ExpectedIMEI14 != "":
		expect("14 digits", a.IMEI.Body(), row.ExpectedIMEI14)
		expect("form", formName(a.Form), formName(imei.FormSpareDigit))
	case a.Word != string(imei.WordLuhn): // beside luhn the digits are a finding, not a result
		expect("imei", a.IMEI.Digits(), "")
	}
	return wrong
}

// wantedWord is the row's error word; an IMEISV is an error where the command asked for an IMEI.
func wantedWord(row Row) string {
	if row.ExpectedIMEISV != "" && row.ExpectedError == "" && !asksForIMEISV(row.Command) {
		return string(imei.WordIMEISV)
	}
	return row.ExpectedError
}

// asksForIMEISV is the corpus's own knowledge, kept apart from that of the program it judges: TS 27.007 clause 5.4
// for +CGSN=2 and Telit's #CGSN=2, Sierra's +KGSN, item 10 of +EGMR, and commands with the word in their name.
func asksForIMEISV(command string) bool {
	command = strings.ToUpper(command)
	switch command {
	case "AT+CGSN=2", "AT#CGSN=2", "AT+KGSN=1", "AT+KGSN=2", "AT+EGMR=0,10":
		return true
	}
	return strings.Contains(command, "IMEISV")
}

func formName(f imei.Form) string {
	switch f {
	case imei.FormCheckDigit:
		return "check_digit"
	case imei.FormSpareDigit:
		return "spare_digit"
	}
	return "wrong_check_digit"
}
