package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"imei-attest/agent/provision"
	"imei-attest/agent/tpmvault/tpmdev"
	"imei-attest/agent/tpmvault/tpmtest"
	"imei-attest/attest/attesttest"
	"imei-attest/attest/imei"
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

// measuredBoards are TPMs that measured a boot of their own each, and a list and a jig for them. The registers that count are 0, 2, 4 and 7.
func measuredBoards(t *testing.T, folder string, states ...byte) {
	t.Helper()
	list := "imei,imei2,serial,model\n"
	for i, state := range states {
		engine := tpmtest.New(t)
		conn, err := tpmdev.Open(t.Context(), engine.Spec())
		if err != nil {
			t.Fatal(err)
		}
		err = errors.Join(tpmtest.PCRExtend(conn, 4, [32]byte{state}), conn.Close(), os.Symlink(engine.Socket(), filepath.Join(folder, strconv.Itoa(i+1))))
		if err != nil {
			t.Fatal(err)
		}
		id, err := imei.FromBody(fmt.Sprintf("49015420%06d", i))
		if err != nil {
			t.Fatal(err)
		}
		list += id.Digits() + ",,1,bench\n"
	}
	if err := os.WriteFile(filepath.Join(folder, "units.csv"), []byte(list), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A line approves no boot state of its own accord: what booted on it would be approved on the whole fleet, for ever.
func TestBatchApprovesNothing(t *testing.T) {
	folder, err := os.MkdirTemp("", "boards") // short: a socket's path has 107 bytes at most
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	measuredBoards(t, folder, 1, 2, 3)
	approvals := filepath.Join(folder, "approvals")
	batch := func(oem, journal string) result {
		return imeiProvision(t, "batch", "--oem", oem, "--units", filepath.Join(folder, "units.csv"), "--json", "--approvals", approvals,
			"--journal", filepath.Join(folder, journal), "--vault-command", "echo tpm:unix:"+folder+"/$IMEI_ATTEST_UNIT")
	}
	wantApprovals := func(want int) {
		t.Helper()
		if files, err := filepath.Glob(filepath.Join(approvals, "*")); err != nil || len(files) != want {
			t.Errorf("approvals %q, %v; want %d", files, err, want)
		}
	}
	oem := manufacturer(t)
	approve := func(source ...string) {
		t.Helper()
		args := append([]string{"approve-boot", "--oem", oem, "--epoch", "1", "--approvals", approvals}, source...)
		imeiProvision(t, args...).want(t, exitYes, "above 1", "")
	}
	approve("--from-device", "tpm:unix:"+folder+"/1")
	key := filepath.Join(oem, "boot.key")
	if err := os.Rename(key, key+".away"); err != nil {
		t.Fatal(err)
	}
	first := batch(oem, "line.journal") // without the boot key
	first.want(t, exitNo, `"finished": 1`, "row 2")
	first.want(t, exitNo, `"new_approvals": 0`, "row 3")
	wantApprovals(1)
	if err := os.Rename(key+".away", key); err != nil {
		t.Fatal(err)
	}
	said := regexp.MustCompile(`row 2 .* run imei-provision approve-boot --pcrs (\S+) --digest ([0-9a-f]{64}) --epoch N first`).FindStringSubmatch(first.stderr)
	if said == nil {
		t.Fatalf("the failure names no remedy:\n%s", first.stderr)
	}
	approve("--pcrs", said[1], "--digest", said[2])
	batch(oem, "line.journal").want(t, exitNo, `"finished": 1`, "row 3")
	wantApprovals(2)
}

// A laboratory's line approves what boots on it, and says how often.
func TestBatchCountsNewApprovals(t *testing.T) {
	folder, err := os.MkdirTemp("", "boards")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	measuredBoards(t, folder, 1, 2, 2)
	imeiProvision(t, "batch", "--oem", oem(t), "--units", filepath.Join(folder, "units.csv"), "--json", "--approvals", filepath.Join(folder, "approvals"),
		"--journal", filepath.Join(folder, "line.journal"), "--vault-command", "echo tpm:unix:"+folder+"/$IMEI_ATTEST_UNIT").want(t, exitYes, `"new_approvals": 2`, "")
}
