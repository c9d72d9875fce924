package modemtest_test

import (
	"os"
	"strings"
	"testing"
)

const readme = "../README.md"

// region is a part of modem/README.md that tests write and check, between the two comments.
type region struct{ begin, end string }

func (r region) read(t *testing.T) (before, content, after string) {
	t.Helper()
	raw, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(raw), r.begin)
	content, after, ended := strings.Cut(rest, r.end)
	if !found || !ended {
		t.Fatalf("%s has no place for %s", readme, r.begin)
	}
	return before + r.begin, content, r.end + after
}

func (r region) write(t *testing.T, content string) {
	t.Helper()
	before, _, after := r.read(t)
	if err := os.WriteFile(readme, []byte(before+content+after), 0o644); err != nil {
		t.Fatal(err)
	}
}
