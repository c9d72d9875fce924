package modemtest_test

import (
	"os"
	"strings"
	"testing"
)

// region is a part of a document that tests write and check, between two comments.
type region struct{ page, begin, end string }

const readme = "../README.md"

// tableRegion is one that -update writes.
func tableRegion(page, name string) region {
	return region{page, "<!-- " + name + ", written by go test ./modem/modemtest -run Table -update -->\n", "<!-- end of " + name + " -->\n"}
}

func (r region) read(t *testing.T) (before, content, after string) {
	t.Helper()
	raw, err := os.ReadFile(r.page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(raw), r.begin)
	content, after, ended := strings.Cut(rest, r.end)
	if !found || !ended {
		t.Fatalf("%s has no place for %s", r.page, r.begin)
	}
	return before + r.begin, content, r.end + after
}

func (r region) write(t *testing.T, content string) {
	t.Helper()
	before, _, after := r.read(t)
	if err := os.WriteFile(r.page, []byte(before+content+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// check compares the content with what it must be, or writes it anew.
func (r region) check(t *testing.T, want string) {
	t.Helper()
	switch _, old, _ := r.read(t); {
	case old == want:
	case *update:
		r.write(t, want)
	default:
		t.Errorf("%s has\n%swant\n%s(-update writes it)", r.page, old, want)
	}
}
