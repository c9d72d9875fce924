package testbench

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"

	"imei-attest/attest"
	"imei-attest/verifier"
)

// Row is one line of the demonstration.
type Row struct {
	Scenario       string          `json:"scenario"`
	ExpectedStatus string          `json:"expected_status"`
	Status         string          `json:"status"`
	Reasons        []attest.Reason `json:"reasons"`
	TokenBytes     int             `json:"token_bytes"`
	ElapsedMillis  int64           `json:"elapsed_ms"`
	Skipped        string          `json:"skipped"`     // why it was not played, empty if it was
	VaultError     string          `json:"vault_error"` // why the vault did not sign, empty if it did
	// Problem says what is not as it should be, empty if all is.
	Problem string `json:"problem,omitempty"`
	// Decision identifies what the verifier recorded in [DecisionsFile], empty if it was not asked.
	Decision string `json:"decision,omitempty"`
}

// DecisionsFile is the verifier's recorded decisions, one JSON object a line: imei-verifier explain reads it.
const DecisionsFile = "decisions.jsonl"

// Right reports that the scenario came out as it must.
func (r *Row) Right() bool { return r.Problem == "" }

// RunDemo plays all scenarios in a new World in dir and hands each row to show as it comes. Tokens, results and
// transcripts stay in dir.
func RunDemo(ctx context.Context, dir string, kind VaultKind, show func(Row)) ([]Row, error) {
	w, err := NewWorld(ctx, dir, kind)
	if err != nil {
		return nil, err
	}
	defer w.Close()
	var rows []Row
	for i, s := range Scenarios(kind) {
		row, err := w.play(ctx, i+1, s)
		if err != nil {
			return rows, fmt.Errorf("scenario %q: %w", s.Name, err)
		}
		if row.Decision, err = w.lastDecision(ctx, rows); err != nil {
			return rows, err
		}
		rows = append(rows, row)
		show(row)
	}
	return rows, w.KeepDecisions(ctx)
}

// lastDecision is the newest, unless it is that of an earlier row.
func (w *World) lastDecision(ctx context.Context, earlier []Row) (id string, err error) {
	err = w.judge.Records(ctx, time.Time{}, func(r *verifier.Record) bool {
		id = r.Verdict.ID.String()
		return true
	})
	if slices.ContainsFunc(earlier, func(r Row) bool { return r.Decision == id }) {
		id = ""
	}
	return id, err
}

// KeepDecisions writes what the verifier decided so far into [DecisionsFile].
func (w *World) KeepDecisions(ctx context.Context) error {
	f, err := os.OpenFile(filepath.Join(w.Dir, DecisionsFile), os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	encoder := json.NewEncoder(f)
	var failed error
	err = w.judge.Records(ctx, time.Time{}, func(r *verifier.Record) bool {
		failed = encoder.Encode(r)
		return failed == nil
	})
	return errors.Join(err, failed, f.Close())
}

func (w *World) play(ctx context.Context, number int, s Scenario) (Row, error) {
	row := Row{Scenario: s.Name, ExpectedStatus: s.Status.String(), Reasons: []attest.Reason{}}
	if s.NeedsTPM && w.Kind != VaultTPM {
		row.Skipped = "no TPM engine"
		return row, nil
	}
	act, err := s.Play(ctx, w)
	if err != nil {
		return row, err
	}
	row.ElapsedMillis = time.Since(act.Start).Milliseconds()
	row.TokenBytes, row.Status = len(act.Token), attest.StatusNone.String()
	if act.VaultError != nil {
		row.VaultError = act.VaultError.Error()
	}
	if act.Verdict != nil {
		row.Status, row.Reasons = act.Verdict.Status.String(), act.Verdict.Reasons
	}
	if err := s.Judge(act); err != nil {
		row.Problem = err.Error()
	}
	return row, w.keep(number, act)
}

// keep writes what the act left behind: the token as hex and in diagnostic notation (RFC 8949 section 8), and the result.
func (w *World) keep(number int, act *Act) error {
	base := filepath.Join(w.Dir, fmt.Sprintf("%02d", number))
	files := make(map[string]string)
	if act.Token != nil {
		files[".token.hex"] = hex.EncodeToString(act.Token)
		diagnostic, err := diagnose(act.Token)
		if err != nil {
			return err
		}
		files[".token.diag"] = diagnostic
	}
	if act.Verdict != nil {
		files[".result.jwt"] = act.Verdict.Result
	}
	for suffix, text := range files {
		if err := os.WriteFile(base+suffix, []byte(text+"\n"), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// diagnose shows claims and headers inside their byte strings.
func diagnose(token []byte) (string, error) {
	mode, err := cbor.DiagOptions{ByteStringEmbeddedCBOR: true}.DiagMode()
	if err != nil {
		return "", err
	}
	return mode.Diagnose(token)
}

// String is the row for people.
func (r *Row) String() string {
	outcome := r.Status
	var details []string
	for _, reason := range r.Reasons {
		details = append(details, string(reason))
	}
	switch {
	case r.Skipped != "":
		outcome = "skipped: " + r.Skipped
	case r.VaultError != "":
		details = append(details, "no token: "+r.VaultError)
	}
	mark := "ok  "
	if !r.Right() {
		mark = "FAIL"
		details = append(details, "PROBLEM: "+r.Problem)
	}
	return fmt.Sprintf("%s %-53s %-24s %5d bytes %5d ms  %s", mark, r.Scenario, outcome, r.TokenBytes, r.ElapsedMillis, strings.Join(details, ", "))
}
