package verifier_test

import (
	"cmp"
	"fmt"
	"os"
	"strings"
	"testing"
	"text/tabwriter"

	"imei-attest/attest"
	"imei-attest/testbench/peertest"
	"imei-attest/verifier"
)

// story is something that happens to phones, step by step, before one verifier. Its row tells the last answer.
type story struct {
	title string
	tell  func(*scene)
	want  string // the last result, whole
	limit string // why it is not caught
}

// tables are the stories: at least as many as the floor, with what must hold of each.
var tables = []struct {
	name    string
	heading []string
	stories []story
	floor   int
	holds   func(testing.TB, *scene)
}{
	{"Honest people", []string{"what happens", "status", "reasons", "enforce does"}, honest, 25, staysIn},
	{"Attacks", []string{"what is tried", "status", "reasons", "enforce does"}, attacks, 25, isNotAffirmed},
	{"Not caught", []string{"what is done", "status", "reasons", "enforce does", "why"}, uncaught, 5, func(testing.TB, *scene) {}},
}

// TestStories tells each story twice, to a verifier that observes and to one that enforces: what is found is the same. Then
// it compares the tables with those of the README.
func TestStories(t *testing.T) {
	var text strings.Builder
	for _, table := range tables {
		rows := [][]string{table.heading}
		for _, c := range table.stories {
			t.Run(table.name+"/"+c.title, func(t *testing.T) { rows = append(rows, c.run(t, table.holds)) })
		}
		told := len(rows) - 1
		if told < len(table.stories) {
			continue // not all were asked for
		}
		if told < table.floor {
			t.Errorf("%s: %d stories, want at least %d", table.name, told, table.floor)
		}
		compareREADME(t, "stories: "+strings.ToLower(table.name), markdown(rows))
		fmt.Fprintf(&text, "\n%s, before the verifier: %d stories\n", table.name, len(table.stories))
		align(&text, rows)
	}
	peertest.Show(t, text.String())
}

// run tells a story and returns its row.
func (c story) run(t *testing.T, holds func(testing.TB, *scene)) (row []string) {
	for _, p := range []*verifier.Policy{verifier.ObservePolicy(), enforced()} {
		s := newScene(t, p)
		c.tell(s)
		holds(t, s)
		v := s.last()
		if got := summary(v.Result); got != c.want {
			t.Errorf("under %s:\n got %s\nwant %s", p.Name, got, c.want)
		}
		row = []string{c.title, v.Status().String(), cmp.Or(reasonsOf(v), "-"), v.Answer.Action}
		if c.limit != "" {
			row = append(row, c.limit)
		}
	}
	if t.Failed() {
		row[1] = "FAILED: " + row[1]
	}
	return row
}

// staysIn: no honest person is contraindicated or refused, at no step.
func staysIn(t testing.TB, s *scene) {
	for _, v := range s.told {
		if v.toStranger {
			continue
		}
		if v.Status() == attest.StatusContraindicated || v.Answer.Action == verifier.ActionDeny.String() ||
			v.Answer.SIPCode == attest.AnswerProhibit.SIP || v.Answer.EIRStatus == attest.AnswerProhibit.EIR {
			t.Errorf("an honest person was told %s, %+v", summary(v.Result), v.Answer)
		}
	}
}

// isNotAffirmed: an attack gets less than an honest device.
func isNotAffirmed(t testing.TB, s *scene) {
	v := s.last()
	if v.Status() == attest.StatusAffirming || v.Answer.Action == verifier.ActionAccept.String() || v.Answer.EIRStatus == attest.AnswerPermit.EIR {
		t.Errorf("the attack got %s, %+v", summary(v.Result), v.Answer)
	}
}

// reasonsOf lists the reasons of a verdict, without those of storage in order.
func reasonsOf(v verifier.Verdict) string {
	var found []string
	for _, r := range v.Reasons() {
		if r != attest.ReasonHardwareVault && r != attest.ReasonBootApproved {
			found = append(found, string(r))
		}
	}
	return strings.Join(found, " ")
}

// markdown is a table for a README.
func markdown(rows [][]string) string {
	var b strings.Builder
	for i, cells := range rows {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | "))
		if i == 0 {
			b.WriteString(strings.Repeat("|---", len(cells)) + "|\n")
		}
	}
	return b.String()
}

// align is a table for a terminal.
func align(b *strings.Builder, rows [][]string) {
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	for _, cells := range rows {
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	w.Flush()
}

// compareREADME compares a generated part of README.md, or writes it with -update.
func compareREADME(t *testing.T, name, want string) {
	t.Helper()
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	begin, end := "<!-- "+name+" -->\n", "<!-- end of "+name+" -->"
	before, rest, begins := strings.Cut(string(readme), begin)
	got, after, ends := strings.Cut(rest, end)
	switch {
	case !begins || !ends:
		t.Errorf("README.md lacks the lines %s and %s", begin, end)
	case got == want:
	case *update && !t.Failed():
		if err := os.WriteFile("README.md", []byte(before+begin+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("README.md shows of %s\n%s\nwant\n%s\nRun go test ./verifier -update", name, got, want)
	}
}
