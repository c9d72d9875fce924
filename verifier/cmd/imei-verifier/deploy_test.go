package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"imei-attest/testbench/peertest"
)

// TestTheUnitIsHardened: each line stays, because who drops one should say why.
func TestTheUnitIsHardened(t *testing.T) {
	unit, err := os.ReadFile("imei-verifier.service")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"NoNewPrivileges=yes", "CapabilityBoundingSet=", "ProtectSystem=strict", "ProtectHome=yes", "PrivateTmp=yes", "PrivateDevices=yes",
		"ProtectKernelTunables=yes", "ProtectKernelModules=yes", "ProtectControlGroups=yes", "RestrictNamespaces=yes", "MemoryDenyWriteExecute=yes",
		"RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX", "SystemCallFilter=@system-service", "UMask=0077", "StateDirectoryMode=0700", "LimitNOFILE=65536", "User=imei-attest"} {
		if !strings.Contains(string(unit), "\n"+line+"\n") {
			t.Errorf("the unit has no %s", line)
		}
	}
}

func TestSystemdAcceptsTheUnit(t *testing.T) {
	peertest.Use(t, peertest.Peer{Name: "systemd-analyze", Package: "systemd"}, "the unit is valid and its exposure is low")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	unit, err := os.ReadFile("imei-verifier.service")
	if err != nil {
		t.Fatal(err)
	}
	path := write(t, "imei-verifier.service", []byte(strings.ReplaceAll(string(unit), "/usr/local/bin/imei-verifier", self)))
	if out, err := exec.Command("systemd-analyze", "verify", path).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("verify: %v\n%s", err, out)
	}
	out, err := exec.Command("systemd-analyze", "security", "--offline=true", "--threshold=20", path).CombinedOutput() // 2.0 of 10
	if err != nil {
		t.Errorf("security: %v\n%s", err, out)
	}
}

// TestTheDashboardAsksForWhatThereIs: every metric and every label of its queries is one that a server tells.
func TestTheDashboardAsksForWhatThereIs(t *testing.T) {
	raw, err := os.ReadFile("dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr, LegendFormat string }
		}
	}
	if err := json.Unmarshal(raw, &dashboard); err != nil {
		t.Fatal(err)
	}
	told := servedMetrics(t)
	name := regexp.MustCompile(`\b(?:imeiatt|process|go)_[a-z0-9_]+`)
	label := regexp.MustCompile(`by \(([a-z, ]+)\)|\{\{([a-z]+)\}\}`)
	queries := 0
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			queries++
			names := name.FindAllString(target.Expr, -1)
			if len(names) == 0 {
				t.Errorf("%s: %q asks for nothing", p.Title, target.Expr)
			}
			for _, n := range names {
				if !regexp.MustCompile(`(?m)^` + n + `(\{| )`).MatchString(told) {
					t.Errorf("%s: there is no %s", p.Title, n)
				}
			}
			for _, m := range label.FindAllStringSubmatch(target.Expr+target.LegendFormat, -1) {
				for _, l := range strings.Split(m[1]+m[2], ", ") {
					if !regexp.MustCompile(`(?m)^` + names[0] + `\{.*\b` + l + `="`).MatchString(told) {
						t.Errorf("%s: %s has no label %s", p.Title, names[0], l)
					}
				}
			}
		}
	}
	if queries < 20 {
		t.Errorf("only %d queries were found", queries)
	}
}

// servedMetrics are those of a server that judged something and read a file again.
func servedMetrics(t *testing.T) string {
	t.Helper()
	state := t.TempDir()
	s := start(t, trustFolder(t), state, "--admin", "127.0.0.1:0")
	defer s.stop()
	if got := s.judge(); got != "affirming" {
		t.Fatalf("judged %s", got)
	}
	if got := execute("", "keys", "rotate", "--state", state); got.code != exitYes {
		t.Fatalf("%+v", got)
	}
	s.until("the key of nonces was read again")
	for {
		if _, text := fetched(s.admin, "/metrics"); strings.Contains(text, `part="nonces"`) {
			return text
		}
	}
}

// TestTheOperatorsPageListsTheMetrics: each, and no others.
func TestTheOperatorsPageListsTheMetrics(t *testing.T) {
	raw, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	want := matches(`(?m)^# TYPE (imeiatt_[a-z0-9_]+) `, servedMetrics(t))
	got := matches("(?m)^\\| `(imeiatt_[a-z0-9_]+)", string(raw))
	if len(want) < 15 || strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("the page has  %q\nthe server has %q", got, want)
	}
}

// mounted is a small disk.
func mounted(t *testing.T, flags uintptr) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", flags, "size=2m"); err != nil {
		t.Skipf("only root can mount a small disk: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

// TestADiskWithoutRoom recovers once there is some.
func TestADiskWithoutRoom(t *testing.T) {
	disk := mounted(t, 0)
	p := launch(t, nil, "--trust", trustFolder(t), "--state", filepath.Join(disk, "state"), "--listen", anyPort, "--admin", anyPort)
	if code, _, _ := attestTo(t, p.address); code != 200 {
		t.Fatalf("before: %d", code)
	}
	filler := filepath.Join(disk, "filler")
	_ = os.WriteFile(filler, make([]byte, 4<<20), 0o600) // as much as there is room for
	code := 200
	for range 200 { // pages that the journal has already hold some more
		if code, _, _ = attestTo(t, p.address); code != 200 {
			break
		}
	}
	if e := p.until("the store fails: nothing is decided until it works again"); code != 503 || !strings.Contains(e.Error, "make room") {
		t.Errorf("%d %+v", code, e)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	p.until("the store works again")
	if code, _, _ := attestTo(t, p.address); code != 200 {
		t.Errorf("after: %d", code)
	}
}

func TestAReadOnlyDiskIsRefusedAtTheStart(t *testing.T) {
	disk := mounted(t, unix.MS_RDONLY)
	args := []string{"serve", "--trust", trustFolder(t), "--listen", anyPort, "--state", filepath.Join(disk, "state")}
	if got := execute("", args...); got.code != exitUsage || !strings.Contains(got.stderr, "read-only file system") {
		t.Errorf("%+v", got)
	}
}
