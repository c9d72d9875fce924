package programs

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// manuals are the programs whose manual is checked here, with the commands that have flags. Imei-provision's is checked beside it.
var manuals = map[string][]string{
	"imei-agent":    {"identify", "attest"},
	"imei-lab":      {"demo", "registration", "emulate", "record", "intercept", "corpus"},
	"imei-verifier": {"serve", "appraise", "policy check", "policy try", "corim import", "corim export", "config print", "keys rotate"},
}

// Each manual lists the flags that its program has, each once, and no others.
func TestManualsListTheFlags(t *testing.T) {
	needPrograms(t)
	inHelp := regexp.MustCompile(`(?m)^ +(?:-h, )?--?([a-z0-9-]+)`)
	inManual := regexp.MustCompile("(?m)^\\| `--([a-z0-9-]+)`")
	for program, commands := range manuals {
		manual := readManual(t, program)
		for _, command := range commands {
			_, section, found := strings.Cut(manual, "## OPTIONS of "+command+"\n")
			if !found {
				t.Errorf("the manual of %s has no options of %s", program, command)
				continue
			}
			section, _, _ = strings.Cut(section, "\n## ")
			got, want := names(inManual, section), names(inHelp, help(t, program, append(strings.Fields(command), "-h")...))
			want = slices.DeleteFunc(want, func(flag string) bool { return flag == "help" })
			if len(want) == 0 || !slices.Equal(got, want) {
				t.Errorf("flags of %s %s: the manual has %q, the program %q", program, command, got, want)
			}
		}
	}
}

// Each manual lists the commands and the exit codes that the program's help tells.
func TestManualsListCommandsAndExitCodes(t *testing.T) {
	needPrograms(t)
	for program, commands := range manuals {
		manual, usage := readManual(t, program), help(t, program, "-h")
		for _, command := range commands {
			if !strings.Contains(usage, strings.Fields(command)[0]) || !strings.Contains(manual, "    "+program+" "+command+" ") {
				t.Errorf("%s %s is not in both the help and the manual's synopsis", program, command)
			}
		}
		_, codes, _ := strings.Cut(usage, "Exit codes: ")
		codes, _, _ = strings.Cut(codes, "\n")
		_, section, _ := strings.Cut(manual, "## EXIT STATUS\n")
		section, _, _ = strings.Cut(section, "\n## ")
		want := names(regexp.MustCompile(`(\d) `), codes)
		if got := names(regexp.MustCompile(`(?m)^\| (\d) \|`), section); len(want) == 0 || !slices.Equal(got, want) {
			t.Errorf("exit codes of %s: the manual has %q, the program %q", program, got, want)
		}
	}
}

// What a manual says of --json is what the program prints, member by member.
func TestManualsNameTheJSONMembers(t *testing.T) {
	needPrograms(t)
	port, vault, oem := startModem(t), filepath.Join(t.TempDir(), "vault"), filepath.Join(t.TempDir(), "oem")
	output(t, filepath.Join(bin, "imei-provision"), "oem-key", "--development", "--out", oem)
	output(t, filepath.Join(bin, "imei-provision"), "device", "--oem", oem, "--vault", "software:"+vault, "--imei", documentIMEI)
	for _, c := range []struct {
		program, command string
		without          []string // members of another run than this one
		args             []string
	}{
		{"imei-agent", "identify", nil, []string{"--port", port}},
		{"imei-agent", "attest", []string{"status", "reasons", "subscriber", "result"}, []string{"--port", port, "--vault", "software:" + vault, "--nonce", "0001020304050607", "--out", os.DevNull}},
		{"imei-verifier", "policy check", nil, []string{shippedPolicy(t)}},
		{"imei-lab", "demo", nil, []string{"--vault", "software", "--out", filepath.Join(t.TempDir(), "demo")}},
	} {
		_, section, _ := strings.Cut(readManual(t, c.program), "## OPTIONS of "+c.command+"\n")
		_, text, _ := strings.Cut(section, "JSON")
		_, text, _ = strings.Cut(text, ": ")
		text, _, _ = strings.Cut(text, "|")
		text, _, _ = strings.Cut(text, ".")
		var want []string
		for _, name := range strings.Split(strings.TrimSpace(text), ", ") {
			if !slices.Contains(c.without, name) {
				want = append(want, name)
			}
		}
		got := members(t, output(t, filepath.Join(bin, c.program), append(append(strings.Fields(c.command), "--json"), c.args...)...))
		if slices.Sort(want); !slices.Equal(got, want) {
			t.Errorf("%s %s --json: the manual names %q, the program prints %q", c.program, c.command, want, got)
		}
	}
}

// shippedPolicy is one in a file.
func shippedPolicy(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(path, output(t, filepath.Join(bin, "imei-verifier"), "policy", "show", "enforce"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// members are the names in an object, or in the first one of a list.
func members(t *testing.T, raw []byte) []string {
	t.Helper()
	var object map[string]any
	if list := []map[string]any{}; json.Unmarshal(raw, &list) == nil && len(list) > 0 {
		object = list[0]
	} else if err := json.Unmarshal(raw, &object); err != nil {
		t.Fatalf("%v in %s", err, raw)
	}
	return slices.Sorted(maps.Keys(object))
}

func readManual(t *testing.T, program string) string {
	t.Helper()
	return read(t, filepath.Join(mains[program], "README.md"))
}

func read(t *testing.T, name string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func help(t *testing.T, program string, args ...string) string {
	t.Helper()
	out, err := exec.Command(filepath.Join(bin, program), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", program, args, err, out)
	}
	return string(out)
}

func names(pattern *regexp.Regexp, text string) []string {
	var found []string
	for _, match := range pattern.FindAllStringSubmatch(text, -1) {
		found = append(found, match[1])
	}
	slices.Sort(found)
	return found
}
