package diameterfront_test

import (
	"flag"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the generated parts of ../README.md again")

// compareREADME compares a region of the operators' page.
func compareREADME(t *testing.T, name, want string) {
	t.Helper()
	const page = "../README.md"
	text, err := os.ReadFile(page)
	must(t, err)
	begin, end := "<!-- "+name+" -->\n", "<!-- end of "+name+" -->"
	before, rest, begins := strings.Cut(string(text), begin)
	got, after, ends := strings.Cut(rest, end)
	switch {
	case !begins || !ends:
		t.Errorf("%s lacks the lines %s and %s; want\n%s", page, begin, end, want)
	case got == want:
	case *update && !t.Failed():
		must(t, os.WriteFile(page, []byte(before+begin+want+end+after), 0o644))
	default:
		t.Errorf("%s shows of %s\n%s\nwant\n%s\nRun go test ./verifier/diameterfront -update", page, name, got, want)
	}
}
