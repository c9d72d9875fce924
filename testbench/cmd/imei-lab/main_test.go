package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"imei-attest/modem"
)

// What is wrong with a command line is said in one sentence, in the program's own words, with what to do.
func TestWrongCommandLines(t *testing.T) {
	for _, tt := range []struct {
		line, says string
	}{
		{"", `want a command: demo, registration, emulate, record, intercept or corpus; --help tells more`},
		{"nosuch", `there is no command "nosuch": want demo, registration, emulate, record, intercept or corpus; imei-lab -h tells more`},
		{"emulat", `there is no command "emulat": want demo, registration, emulate, record, intercept or corpus; imei-lab -h tells more`},
		{"emulate", `flags are missing, give them too: "link"; imei-lab emulate -h tells more`},
		{"record", `flags are missing, give them too: "link", "out", "port"; imei-lab record -h tells more`},
		{"emulate --link x extra", `"extra" is one word too many: what it is about is said with flags; imei-lab emulate -h tells more`},
		{"corpus", `want the name of one file; imei-lab corpus -h tells more`},
		{"corpus one two", `want the name of one file; imei-lab corpus -h tells more`},
		{"emulate --link x --pin 1234 --no-sim", `--no-sim and --pin exclude each other: leave one out; imei-lab emulate -h tells more`},
		{"emulate --link x --replay y --imei z", `--imei and --replay exclude each other: leave one out; imei-lab emulate -h tells more`},
		{"intercept --port x --link y", `it needs at least one of the flags rewrite delay replay-after; imei-lab intercept -h tells more`},
		{"registration --front nosuch", `--front: there is no front "nosuch": want one of 5geir, http, kamailio, s13, scscf`},
		{"registration --lie nosuch", `--lie: there is no lie "nosuch": want one of spoofed, reprogrammed, blank, unreadable, missing, replayed, copied`},
		{"registration --class 4", `--class 4: want 1, 2 or 3`},
		{"registration --class 256", `--class does not take "256"; imei-lab registration -h tells more`},
		{"registration --vault nosuch", `--vault "nosuch": want tpm or software`},
		{"registration --out .", `--out: . is not empty: name a new folder`},
		{"registration spoofed", `"spoofed" is one word too many: what it is about is said with flags; imei-lab registration -h tells more`},
		{"demo --nosuch", `there is no flag --nosuch; imei-lab demo -h tells more`},
		{"demo -x", `there is no flag -x; imei-lab demo -h tells more`},
		{"demo --out", `--out wants a value behind it; imei-lab demo -h tells more`},
		{"emulate --link x --fault-seed y", `--fault-seed does not take "y"; imei-lab emulate -h tells more`},
		{"emulate --link x --replay README.md", `reading the recording README.md: line 1: it is not one line of JSON (invalid character '#' looking for beginning of value); want a file that imei-lab record wrote`},
		{"corpus README.md", `reading the corpus README.md: line 1: it is not one line of JSON (invalid character '#' looking for beginning of value); want recorded answers as modem/testdata/modem-corpus.jsonl has them`},
		{"corpus nosuch", `open nosuch: no such file or directory; want recorded answers as modem/testdata/modem-corpus.jsonl has them`},
		{"emulate --link x --pin 123", `the PIN of a SIM card has 4 to 8 digits`},
		{"emulate --link x --pin 12345678901", `the PIN of a SIM card has 4 to 8 digits`},
		{"emulate --link x --pin=", `--pin is empty: give 4 to 8 digits, or leave the flag out for a SIM card that wants no PIN`},
		{"emulate --link x --imei2=", `the modem of this profile tells no second IMEI; those of mt6261, rg650v do`},
	} {
		var stdout, stderr strings.Builder
		code := run(t.Context(), strings.Fields(tt.line), &stdout, &stderr)
		if want := "imei-lab: " + tt.says + "\n"; code != exitUsage || stdout.String() != "" || stderr.String() != want {
			t.Errorf("imei-lab %s: exit code %d, %q%q, want %d and %q", tt.line, code, stdout.String(), stderr.String(), exitUsage, want)
		}
	}
}

// The usage line names each flag, so the library's [flags] has no place in it.
func TestUsageLines(t *testing.T) {
	for _, command := range []string{"", "demo", "registration", "emulate", "record", "intercept", "corpus"} {
		var stdout, stderr strings.Builder
		code := run(t.Context(), append(strings.Fields(command), "-h"), &stdout, &stderr)
		if code != exitPass || strings.Contains(stdout.String(), "[flags]") || !strings.Contains(stdout.String(), "imei-lab "+command) {
			t.Errorf("imei-lab %s -h: exit code %d, %s%s", command, code, stdout.String(), stderr.String())
		}
	}
}

// A slot that is given as empty holds nothing; one that is not given holds what the profile has.
func TestEmptyIdentities(t *testing.T) {
	for _, tt := range []struct {
		flags         emulate
		first, second string
	}{
		{emulate{}, "869955062718387", "869955062718460"},
		{emulate{given: true}, "", "869955062718460"},
		{emulate{given2: true}, "869955062718387", ""},
		{emulate{given: true, imei: "1", given2: true, imei2: "2"}, "1", "2"},
	} {
		tt.flags.profile = "rg650v"
		emulator, _, err := tt.flags.modem()
		if err != nil {
			t.Fatal(err)
		}
		port := emulator.Pipe()
		got := ask(t, port, "ATE0;+EGMR=0,7;+EGMR=0,11\r")
		port.Close()
		if want := "\r\n+EGMR: \"" + tt.first + "\"\r\n\r\n+EGMR: \"" + tt.second + "\"\r\n\r\nOK\r\n"; !strings.HasSuffix(got, want) {
			t.Errorf("%+v: the modem says %q, want %q", tt.flags, got, want)
		}
	}
}

// ask sends a line and returns what comes up to OK.
func ask(t *testing.T, port modem.Port, line string) (said string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := port.Write(ctx, []byte(line)); err != nil {
		t.Fatal(err)
	}
	for chunk := make([]byte, 256); !strings.HasSuffix(said, "OK\r\n"); {
		n, err := port.Read(ctx, chunk)
		if err != nil {
			t.Fatalf("after %q: %v", said, err)
		}
		said += string(chunk[:n])
	}
	return said
}
