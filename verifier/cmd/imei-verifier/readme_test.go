package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"imei-attest/verifier/config"
)

// section is a part of the man page, from its heading to the next.
func section(t *testing.T, heading string) string {
	t.Helper()
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(readme), "\n## "+heading+"\n")
	if !found {
		t.Fatalf("README.md has no section %s", heading)
	}
	text, _, _ := strings.Cut(rest, "\n## ")
	return text
}

func matches(pattern, text string) (found []string) {
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		found = append(found, m[1])
	}
	slices.Sort(found)
	return found
}

// TestTheManPageListsTheFlags: each once, and no others.
func TestTheManPageListsTheFlags(t *testing.T) {
	for _, command := range []string{"serve", "appraise", "explain", "replay", "decisions", "policy check", "policy try", "store check", "store stats", "store backup",
		"store restore", "store sweep", "store export", "store rotate", "audit verify", "audit checkpoint", "config print", "keys rotate", "bench", "corim import", "corim export"} {
		want := matches(`(?m)^ +(?:-h, )?--([a-z0-9-]+)`, execute("", append(strings.Fields(command), "-h")...).stdout)
		want = slices.DeleteFunc(want, func(flag string) bool { return flag == "help" })
		got := matches("(?m)^\\| `--([a-z0-9-]+)`", section(t, "OPTIONS of "+command))
		if len(want) == 0 || !slices.Equal(got, want) {
			t.Errorf("%s: the man page has %q, -h has %q", command, got, want)
		}
		if use := "    imei-verifier " + command + " "; !strings.Contains(section(t, "SYNOPSIS"), use) {
			t.Errorf("the synopsis has no %q", use)
		}
	}
}

func TestTheManPageListsTheExitCodes(t *testing.T) {
	_, codes, _ := strings.Cut(execute("", "--help").stdout, "Exit codes: ")
	codes, _, _ = strings.Cut(codes, "\n")
	want := matches(`(\d) `, codes)
	if got := matches(`(?m)^\| (\d) \|`, section(t, "EXIT STATUS")); len(want) != exitFailed+1 || !slices.Equal(got, want) {
		t.Errorf("the man page has %q, --help has %q", got, want)
	}
}

// TestTheManPageListsTheKeysOfAPolicy: each once, and no others, as a file with none of them tells.
func TestTheManPageListsTheKeysOfAPolicy(t *testing.T) {
	_, list, _ := strings.Cut(execute("", "policy", "check", write(t, "p.yaml", []byte("zzzzzzzzzzzz: 1\n"))).stderr, "want ")
	list, _, _ = strings.Cut(list, "\n")
	want := strings.Split(strings.Replace(list, " or ", ", ", 1), ", ")
	if got := matches("(?m)^\\| `([a-z_]+)` \\|", section(t, "POLICY FILE")); len(want) < 2 || !slices.Equal(got, want) {
		t.Errorf("the man page has %q, the program %q", got, want)
	}
}

// TestTheManPageListsTheFiles of the state folder.
func TestTheManPageListsTheFiles(t *testing.T) {
	for _, name := range []string{resultKeyFile, nonceKeyFile, deviceKeyFile, subscriberKeyFile, storeFile} {
		if !strings.Contains(section(t, "FILES"), "`STATE/"+name+"`") {
			t.Errorf("the man page has no %s", name)
		}
	}
}

// TestTheManPageListsTheSettings: each with its default, and no others.
func TestTheManPageListsTheSettings(t *testing.T) {
	table := section(t, "CONFIGURATION")
	for key, initial := range config.Keys() {
		row := regexp.MustCompile("(?m)^\\| .*`" + regexp.QuoteMeta(key) + "`.* \\| (.*?) ?\\| ").FindStringSubmatch(table)
		if row == nil || strings.Trim(row[1], "`") != initial {
			t.Errorf("%s, by default %q: the man page has %q", key, initial, row)
		}
	}
	settings, _, _ := strings.Cut(table, "Three keys")
	if got := len(regexp.MustCompile("(?m)^\\| `").FindAllString(settings, -1)); got != len(config.Keys())-1 { // the certificate and its key share a row
		t.Errorf("the table has %d rows for %d settings", got, len(config.Keys()))
	}
}
