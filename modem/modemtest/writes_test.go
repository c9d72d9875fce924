package modemtest

import (
	"os"
	"strings"
	"testing"
)

// testbench/README.md gives the commands that write an identity, of every profile that has one and of no other.
func TestDocumentGivesTheWriteCommands(t *testing.T) {
	raw, err := os.ReadFile("../../testbench/README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(raw), "| profile | the command, with 15 digits | of slot 2 |\n")
	table, _, _ = strings.Cut(table, "\n\n")
	for _, name := range Profiles() {
		want := ""
		for _, form := range profiles()[name].Write {
			want += " | " + "`AT" + strings.Replace(form, "{text}", "356938035643809", 1) + "`"
		}
		if len(profiles()[name].Write) == 1 {
			want += " |"
		}
		got := ""
		for line := range strings.Lines(table) {
			if names, commands, _ := strings.Cut(strings.TrimPrefix(line, "| "), " | "); strings.Contains(names, "`"+name+"`") {
				got = " | " + strings.TrimSuffix(strings.TrimRight(commands, "\n"), " |")
			}
		}
		if got != want {
			t.Errorf("%s: the document has %q, the profile %q", name, got, want)
		}
	}
}
