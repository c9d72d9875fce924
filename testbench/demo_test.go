package testbench_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"imei-attest/agent/tpmvault/tpmtest"
	"imei-attest/testbench"
)

// The demonstration is also the test of the whole path: terminal, TPM engine, HTTP.

func TestDemoOnTPM(t *testing.T) {
	tpmtest.New(t) // skips or fails where there is no engine
	rows, dir := runDemo(t, testbench.VaultTPM)
	for _, r := range rows {
		if r.Skipped != "" {
			t.Errorf("%s: skipped: %s", r.Scenario, r.Skipped)
		}
	}
	for _, name := range []string{"01.token.hex", "01.token.diag", "01.result.jwt", "genuine.at.jsonl", testbench.DecisionsFile} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() == 0 {
			t.Errorf("%s is not kept: %v", name, err)
		}
	}
}

func TestDemoOnSoftware(t *testing.T) {
	rows, _ := runDemo(t, testbench.VaultSoftware)
	skipped := 0
	for _, r := range rows {
		if r.Skipped != "" {
			skipped++
		}
		if r.Status == "affirming" {
			t.Errorf("%s: affirmed on a software vault", r.Scenario)
		}
	}
	if skipped != 2 {
		t.Errorf("%d scenarios skipped, want the 2 that need a TPM", skipped)
	}
}

func runDemo(t *testing.T, kind testbench.VaultKind) ([]testbench.Row, string) {
	t.Helper()
	dir := t.TempDir()
	shown := 0
	rows, err := testbench.RunDemo(context.Background(), dir, kind, func(testbench.Row) { shown++ })
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 10 || shown != len(rows) {
		t.Errorf("%d rows, %d shown, want 10", len(rows), shown)
	}
	for _, r := range rows {
		if !r.Right() {
			t.Errorf("%s: %s", r.Scenario, r.Problem)
		}
	}
	return rows, dir
}

// A check that cannot fail is worth nothing: each scenario refuses the outcome of another.
func TestScenariosRefuseOtherOutcomes(t *testing.T) {
	for _, kind := range []testbench.VaultKind{testbench.VaultTPM, testbench.VaultSoftware} {
		for _, s := range testbench.Scenarios(kind) {
			if err := s.Judge(&testbench.Act{Verdict: &testbench.Verdict{}}); err == nil {
				t.Errorf("%s on %s: a verdict without status and reasons passes", s.Name, kind)
			}
			if err := s.Judge(&testbench.Act{VaultError: os.ErrClosed}); err == nil {
				t.Errorf("%s on %s: a vault that fails passes", s.Name, kind)
			}
		}
	}
}
