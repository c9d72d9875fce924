package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestBenchOverS13 measures a little, and says what is wrong with its command line.
func TestBenchOverS13(t *testing.T) {
	t.Setenv(asProgram, "1") // for the clients, too, which are this program
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(self, "bench", "--s13", "--devices", "20", "--asked", "1000", "--clients", "2", "--seconds", "1", "--json").Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var r benchReport
	if err := json.Unmarshal(out, &r); err != nil || !r.S13 || r.Answers < 20 || r.Devices != 20 {
		t.Errorf("%v: %s", err, out)
	}
	for args, want := range map[string]string{"--s13 --check": "want --check or --s13, not both", "--asked 0": "are at least 1"} {
		if got := execute("", append([]string{"bench"}, strings.Fields(args)...)...); got.code != exitUsage || !strings.Contains(got.stderr, want) {
			t.Errorf("%s: %+v", args, got)
		}
	}
}
