package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"imei-attest/agent/provision"
	"imei-attest/attest/attesttest"
)

// softwareBatch writes a list of two units and returns the arguments that provision them into folders.
func softwareBatch(t *testing.T) (args []string, folder string) {
	folder = t.TempDir()
	list := "imei,imei2,serial,model\n" + attesttest.IMEI1 + ",,1,m\n" + attesttest.IMEI2 + ",,1,m\n"
	if err := os.WriteFile(filepath.Join(folder, "units.csv"), []byte(list), 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{"batch", "--oem", oem(t), "--units", filepath.Join(folder, "units.csv"), "--journal", filepath.Join(folder, "line.journal"),
		"--manifest", filepath.Join(folder, "manifest"), "--vault-command", "echo software:" + folder + "/$IMEI_ATTEST_UNIT"}, folder
}

// What the manual says of --json is what is printed.
func TestManualNamesTheJSONMembers(t *testing.T) {
	manual, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	args, folder := softwareBatch(t)
	anchor := filepath.Join(args[2], provision.AnchorFile)
	first := imeiProvision(t, append(args, "--json")...)
	first.want(t, exitYes, `"finished": 2`, "")
	imeiProvision(t, append(args, "--json")...).want(t, exitYes, `"finished_before": 2`, "")
	verify := imeiProvision(t, "manifest", "verify", filepath.Join(folder, "manifest"), "--anchor", anchor, "--json")
	verify.want(t, exitYes, `"verified": true`, "")
	for command, out := range map[string]string{"batch": first.stdout, "manifest verify": verify.stdout} {
		_, section, _ := strings.Cut(string(manual), "## OPTIONS of "+command+"\n")
		section, _, _ = strings.Cut(section, "\n## ")
		line := regexp.MustCompile("(?m)^\\| `--json` \\| (.*) \\|$").FindString(section)
		var members map[string]any
		if err := json.Unmarshal([]byte(out), &members); err != nil {
			t.Fatal(err)
		}
		for name := range members {
			if !regexp.MustCompile(`\b` + name + `\b`).MatchString(line) {
				t.Errorf("%q is printed by %s, and the manual does not name it: %s", name, command, line)
			}
		}
	}
}

func TestMistakesOfBatch(t *testing.T) {
	args, folder := softwareBatch(t)
	for _, c := range []struct {
		name string
		more []string
		says string
	}{
		{"class", []string{"--class", "4"}, "--class"},
		{"registers", []string{"--pcrs", "sha256:16"}, "PCR 16"},
		{"variant", []string{"--nv", "none"}, "--nv"},
		{"name", []string{"--name", "a\nb"}, "--name"},
		{"rows", []string{"--scrap", "one"}, "--scrap"},
		{"row without vault", []string{"--scrap", "1"}, "nothing to scrap"},
		{"row beyond the list", []string{"--scrap", "9"}, "nothing to scrap"},
		{"timeout", []string{"--vault-timeout", "0s"}, "--vault-timeout"},
		{"failures", []string{"--stop-after", "-1"}, "--stop-after"},
		{"list", []string{"--units", folder}, "--units"},
	} {
		t.Run(c.name, func(t *testing.T) { imeiProvision(t, append(args, c.more...)...).want(t, exitUsage, "", c.says) })
	}
	if _, err := os.Stat(filepath.Join(folder, "1")); err == nil {
		t.Error("a unit was begun")
	}
}

func TestBar(t *testing.T) {
	p := progress{total: 4}
	if got := p.bar(0); got != "["+strings.Repeat("-", 30)+"] 0 of 4" {
		t.Errorf("at the start: %q", got)
	}
	p.seen, p.worked = 3, 2 // one was finished before
	if got, want := p.bar(time.Minute), "["+strings.Repeat("#", 22)+strings.Repeat("-", 8)+"] 3 of 4, 120 units/h, 30s left"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
