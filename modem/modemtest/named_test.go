//go:build linux

package modemtest_test

import (
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"imei-attest/modem"
	"imei-attest/modem/modemtest"
)

var update = flag.Bool("update", false, "write the tables of faults and policies into the documents anew")

// faultRow reads a modem with the fault, by the limits of a shipped reader, and says what came of it.
func faultRow(t *testing.T, f modemtest.NamedFault) string {
	t.Helper()
	var row string
	synctest.Test(t, func(t *testing.T) {
		emulator, err := modemtest.New(modemtest.Config{Faults: f.Faults})
		if err != nil {
			t.Fatal(err)
		}
		port := emulator.Pipe()
		defer port.Close()
		reader := modem.NewReader(port, modem.Config{})
		start := time.Now()
		r, err := reader.Read(t.Context())
		if f.Later {
			if err != nil || r.Agreement != modem.AgreementFull || r.Slots[0].IMEI.Digits() != genericIMEI {
				t.Errorf("%s: the first reading is %v, %v, want a good one", f.Name, r.Agreement, err)
			}
			start = time.Now()
			r, err = reader.Read(t.Context())
		}
		// A row that depends on which time-out comes first would be another on a busy machine.
		if took, most := time.Since(start), modem.DefaultTotalTimeout*3/4; took > most {
			t.Errorf("%s takes %v, want at most %v", f.Name, took, most)
		}
		row = fmt.Sprintf("| `%s` | %s | %s |", f.Name, f.Does, outcome(t, r, err))
	})
	return row
}

const genericIMEI = "490154203237518" // of the profile generic

// outcome says what `imei-agent identify` shows of a reading, by the same rules; package programs runs the program itself.
func outcome(t *testing.T, r modem.Reading, err error) string {
	t.Helper()
	if err != nil {
		if !errors.Is(err, modem.ErrHangup) {
			t.Errorf("the port failed with %v", err)
		}
		return "- | port hung up | - | - | 5"
	}
	slot, told, restart, code := r.Slots[0], "none", "no", 0
	switch {
	case slot.IMEI.Digits() == genericIMEI:
		told = "right"
	case !slot.IMEI.IsZero():
		told = "another"
	}
	if slot.Word != "" || r.Agreement == modem.AgreementConflict {
		code = 2
	}
	if r.RestartSeen {
		restart = "yes"
	}
	word := "-"
	if slot.Word != "" {
		word = "`" + slot.Word + "`"
	}
	return fmt.Sprintf("%s | %s | %v | %s | %d", told, word, r.Agreement, restart, code)
}

// profileRow reads a modem of the profile and says what came of it.
func profileRow(t *testing.T, name string) string {
	t.Helper()
	emulator, err := modemtest.New(modemtest.Config{Profile: name, IMEI: genericIMEI})
	if err != nil {
		t.Fatal(err)
	}
	port := emulator.Pipe()
	defer port.Close()
	r, err := modem.NewReader(port, modem.Config{}).Read(t.Context())
	told := strings.Split(outcome(t, r, err), " | ")
	knows := "no"
	if err == nil && slices.ContainsFunc(r.Answers, func(a modem.Answer) bool { return a.Method == modem.MethodSNT1 && a.Word == "" }) {
		knows = "yes"
	}
	return fmt.Sprintf("| `%s` | %s | %s | %s | %s | %s |", name, modemtest.About(name), knows, told[0], told[2], told[4])
}

// TestTableOfProfiles: modem/README.md says how the modem of each profile is read, as it really is.
func TestTableOfProfiles(t *testing.T) {
	table := "| profile | answers as | `AT+CGSN=1` | IMEI read | agreement | exit status |\n|---|---|---|---|---|---|\n"
	for _, name := range modemtest.Profiles() {
		row := profileRow(t, name)
		if modemtest.About(name) == "" || !strings.Contains(row, "| right |") || !strings.HasSuffix(row, "| 0 |") {
			t.Errorf("read another IMEI, or not described: %s", row)
		}
		table += row + "\n"
	}
	tableRegion(readme, "profiles").check(t, table)
}

// TestTableOfFaults: modem/README.md says what a reader makes of each fault, as it really does.
func TestTableOfFaults(t *testing.T) {
	table := "| fault | the modem | IMEI read | error | agreement | restart seen | exit status |\n|---|---|---|---|---|---|---|\n"
	for _, f := range modemtest.NamedFaults() {
		row := faultRow(t, f)
		if strings.Contains(row, "| another |") && !f.Later {
			t.Errorf("a wrong IMEI was read: %s", row)
		}
		table += row + "\n"
	}
	tableRegion(readme, "faults").check(t, table)
}

func TestFaultNamed(t *testing.T) {
	seen := make(map[string]bool)
	for _, f := range modemtest.NamedFaults() {
		got, err := modemtest.FaultNamed(f.Name)
		if err != nil || got.Name != f.Name || seen[f.Name] || f.Does == "" || len(f.Faults) == 0 {
			t.Errorf("fault %+v, found as %q, %v", f, got.Name, err)
		}
		seen[f.Name] = true
	}
	if _, err := modemtest.FaultNamed("nosuch"); err == nil || !strings.Contains(err.Error(), "drop-ok") {
		t.Errorf("an unknown fault gave %v, want the list of names", err)
	}
}
