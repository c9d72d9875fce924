package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"imei-attest/agent/provision"
	"imei-attest/agent/tpmvault/tpmtest"
	"imei-attest/attest/attesttest"
)

// result is what one run left behind.
type result struct {
	code           int
	stdout, stderr string
}

func imeiProvision(t *testing.T, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), args, strings.NewReader(""), &stdout, &stderr)
	r := result{code, stdout.String(), stderr.String()}
	for _, imei := range []string{attesttest.IMEI1, attesttest.IMEI2, attesttest.OtherIMEI} {
		if strings.Contains(r.stdout+r.stderr, imei[:14]) {
			t.Errorf("imei-provision %v shows a whole IMEI:\n%s%s", args, r.stdout, r.stderr)
		}
	}
	return r
}

func (r result) want(t *testing.T, code int, stdout, stderr string) {
	t.Helper()
	if r.code != code || !strings.Contains(r.stdout, stdout) || !strings.Contains(r.stderr, stderr) {
		t.Errorf("exit %d, want %d with %q on stdout and %q on stderr\nstdout:\n%s\nstderr:\n%s", r.code, code, stdout, stderr, r.stdout, r.stderr)
	}
}

// oem makes development keys.
func oem(t *testing.T) string {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "oem")
	imeiProvision(t, "oem-key", "--development", "--out", folder).want(t, exitYes, "oem-anchor.yaml", "")
	return folder
}

// manufacturer makes keys for production whose anchor lists emulators, so that the rules outside a laboratory can be tried on one.
func manufacturer(t *testing.T) string {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "oem")
	imeiProvision(t, "oem-key", "--issuer", "tag:example,2026:oem", "--oemid", "pen:32473", "--tacs", "*", "--out", folder).want(t, exitYes, "oem-anchor.yaml", "")
	anchor := filepath.Join(folder, provision.AnchorFile)
	text, err := os.ReadFile(anchor)
	if err != nil {
		t.Fatal(err)
	}
	const kinds = "storage_kinds:\n"
	listed := strings.Replace(string(text), kinds, kinds+"- tpm-emulated\n", 1)
	if err := os.WriteFile(anchor, []byte(listed), 0o644); err != nil || listed == string(text) {
		t.Fatalf("%v in\n%s", err, text)
	}
	return folder
}

func TestDeviceOnATPM(t *testing.T) {
	engine := tpmtest.New(t)
	keys, approvals := oem(t), filepath.Join(t.TempDir(), "approvals")
	provision := func(digits string, more ...string) result {
		return imeiProvision(t, append([]string{"device", "--oem", keys, "--vault", engine.Spec(), "--imei", digits, "--approvals", approvals}, more...)...)
	}
	first := provision(attesttest.IMEI1, "--slot2", attesttest.IMEI2, "--serial", "7", "--model", "bench", "--tpm-kind", "discrete")
	first.want(t, exitYes, "tpm-emulated", "self-test")
	for _, step := range []string{"plan", "create key", "sign credential", "define", "write", "lock", "persist", "approve boot", "read back", "self-test"} {
		if !strings.Contains(first.stderr, step) {
			t.Errorf("no line for step %q:\n%s", step, first.stderr)
		}
	}
	if files, err := filepath.Glob(filepath.Join(approvals, "boot-*-primary.approval.cbor")); err != nil || len(files) != 1 {
		t.Errorf("approvals: %v, %v; want one", files, err)
	}
	provision(attesttest.IMEI1, "--slot2", attesttest.IMEI2, "--serial", "7", "--model", "bench").want(t, exitYes, "resumed", "kept")
	for _, other := range [][]string{{"--serial", "8", "--model", "bench"}, {"--serial", "7"}, {"--serial", "7", "--model", "bench", "--class", "1"}} {
		r := provision(attesttest.IMEI1, append([]string{"--slot2", attesttest.IMEI2}, other...)...)
		r.want(t, exitRefused, "", `it holds the record of IMEI 49015420*****18 and `)
		r.want(t, exitRefused, "", `serial 7, model "bench", class 3, asked for was`)
		r.want(t, exitRefused, "", "needs serial 8 or higher")
	}
	provision(attesttest.IMEI1).want(t, exitRefused, "", "take another unit")
	provision(attesttest.OtherIMEI).want(t, exitRefused, "", "take another unit")
}

func TestDeviceWithUnmeasuredBoot(t *testing.T) {
	engine := tpmtest.New(t)
	imeiProvision(t, "device", "--oem", oem(t), "--vault", engine.Spec(), "--imei", attesttest.IMEI1, "--pcrs", "",
		"--approvals", t.TempDir()).want(t, exitYes, "UNMEASURED", "UNMEASURED")
}

func TestDeviceInSoftware(t *testing.T) {
	keys, vault := oem(t), filepath.Join(t.TempDir(), "vault")
	args := []string{"device", "--oem", keys, "--vault", "software:" + vault, "--imei"}
	imeiProvision(t, append(args, attesttest.IMEI1)...).want(t, exitYes, "(software)", "self-test")
	imeiProvision(t, append(args, attesttest.IMEI1)...).want(t, exitYes, "resumed", "")
	imeiProvision(t, append(args, attesttest.IMEI1, "--serial", "2")...).want(t, exitRefused, "", "needs serial 2 or higher")
	imeiProvision(t, append(args, attesttest.IMEI2)...).want(t, exitRefused, "", "refused")
}

func TestOEMKeyOverwritesNothing(t *testing.T) {
	folder := oem(t)
	before, err := os.ReadFile(filepath.Join(folder, "credential.key"))
	if err != nil {
		t.Fatal(err)
	}
	imeiProvision(t, "oem-key", "--development", "--out", folder).want(t, exitUsage, "", "never overwritten")
	if after, err := os.ReadFile(filepath.Join(folder, "credential.key")); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the key was changed, %v", err)
	}
}

func TestMistakesOnTheCommandLine(t *testing.T) {
	keys := oem(t)
	device := func(more ...string) []string {
		return append([]string{"device", "--oem", keys, "--vault", "tpm:/dev/tpmrm0", "--approvals", t.TempDir(), "--imei", attesttest.IMEI1}, more...)
	}
	for _, c := range []struct {
		name string
		args []string
		code int
		says string
	}{
		{"nothing", nil, exitUsage, "want a command, such as device or batch; see imei-provision help\n"},
		{"unknown command", []string{"devise"}, exitUsage, "imei-provision: there is no command \"devise\"; see imei-provision help\n"},
		{"help of an unknown command", []string{"help", "devise"}, exitUsage, "there is no command \"devise\"; see imei-provision help\n"},
		{"unknown command of a group", []string{"enroll", "nosuch"}, exitUsage, "there is no command \"enroll nosuch\"; see imei-provision help\n"},
		{"unknown flag", []string{"device", "--no-such-flag"}, exitUsage, "-no-such-flag; see imei-provision help device\n"},
		{"unknown flag of a group", []string{"enroll", "begin", "--no-such-flag"}, exitUsage, "-no-such-flag; see imei-provision help enroll begin\n"},
		{"stray argument", device("stray"), exitUsage, "unexpected argument"},
		{"oem-key without folder", []string{"oem-key", "--development"}, exitUsage, "--out"},
		{"oem-key without issuer", []string{"oem-key", "--out", t.TempDir()}, exitUsage, "--issuer"},
		{"oem-key with a wrong id", []string{"oem-key", "--out", t.TempDir(), "--issuer", "x", "--oemid", "x", "--tacs", "*"}, exitUsage, "pen:NUMBER"},
		{"oem-key without TACs", []string{"oem-key", "--out", t.TempDir(), "--issuer", "x", "--oemid", "pen:1"}, exitUsage, "--tacs"},
		{"oem-key with a wrong TAC", []string{"oem-key", "--out", t.TempDir(), "--development", "--tacs", "1"}, exitUsage, "8 digits"},
		{"device without anything", []string{"device"}, exitUsage, "needed"},
		{"wrong check digit", device("--slot2", "490154203237519"), exitUsage, "check digit"},
		{"one IMEI twice", device("--slot2", attesttest.IMEI1), exitUsage, "repeats"},
		{"forbidden PCR", device("--pcrs", "sha256:16"), exitUsage, "PCR 16"},
		{"nonsense PCR", device("--pcrs", "0"), exitUsage, "sha256:"},
		{"wrong variant", device("--nv", "none"), exitUsage, "--nv"},
		{"wrong kind", device("--tpm-kind", "tpm-discrete"), exitUsage, "--tpm-kind"},
		{"wrong class", device("--class", "4"), exitUsage, "class is 4"},
		{"a class that does not fit", device("--class", "257"), exitUsage, "--class"},
		{"no serial", device("--serial", "0"), exitUsage, "the first is 1"},
		{"a model that is no text", device("--model", "a\x1b[2J"), exitUsage, "cannot be printed"},
		{"a request without IMEI", []string{"request"}, exitUsage, "--imei is missing"},
		{"a request with a model that is no text", []string{"request", "--imei", attesttest.IMEI1, "--model", "a\nb"}, exitUsage, "cannot be printed"},
		{"wrong vault", device("--vault", "tpm2"), exitUsage, "software:DIR"},
		{"no keys", device("--oem", t.TempDir()), exitUsage, "oem-key"},
		{"no approvals", device("--approvals", ""), exitUsage, "--approvals"},
		{"an epoch that never ends", []string{"approve-boot", "--oem", keys, "--pcrs", "", "--epoch", "18446744073709551615", "--approvals", t.TempDir()}, exitUsage, "leave --epoch out"},
		{"no TPM", device("--vault", "tpm:/dev/no-such-tpm"), exitCannot, "no TPM"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := imeiProvision(t, c.args...)
			r.want(t, c.code, "", c.says)
			if strings.Contains(r.stderr, "Usage") || strings.Contains(r.stderr, "Exit codes") {
				t.Errorf("a page of help, not one line:\n%s", r.stderr)
			}
		})
	}
}

func TestHelpAndVersion(t *testing.T) {
	imeiProvision(t, "--help").want(t, exitYes, "Exit codes", "")
	imeiProvision(t, "--version").want(t, exitYes, "imei-provision ", "")
	imeiProvision(t, "device", "-h").want(t, exitYes, "Example:", "")
	imeiProvision(t, "oem-key", "-h").want(t, exitYes, "Example:", "")
	imeiProvision(t, "help").want(t, exitYes, "Exit codes", "")
	imeiProvision(t, "help", "device").want(t, exitYes, "Usage of imei-provision device:", "")
	imeiProvision(t, "help", "enroll").want(t, exitYes, "enroll challenge [flags]", "")
	imeiProvision(t, "help", "enroll", "begin").want(t, exitYes, "Usage of imei-provision enroll begin:", "")
}

func TestHelpOfAGroup(t *testing.T) {
	for group, command := range map[string]string{"enroll": "enroll challenge [flags]", "manifest": "manifest verify FILE"} {
		for _, help := range []string{"-h", "--help", "help"} {
			imeiProvision(t, group, help).want(t, exitYes, command, "")
		}
		r := imeiProvision(t, group)
		r.want(t, exitUsage, "", command)
		if strings.Contains(r.stderr, "oem-key") {
			t.Errorf("%s tells of other commands:\n%s", group, r.stderr)
		}
		imeiProvision(t, group, "--json").want(t, exitUsage, "", "there is no command")
	}
}

// The manual lists the flags that the program has, each once, and no others.
func TestManualListsTheFlags(t *testing.T) {
	manual, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	inHelp, inManual := regexp.MustCompile(`(?m)^  -([a-z0-9-]+)`), regexp.MustCompile("(?m)^\\| `--([a-z0-9-]+)`")
	for name := range commands {
		_, section, found := strings.Cut(string(manual), "## OPTIONS of "+name+"\n")
		if !found {
			t.Fatalf("the manual has no options of %s", name)
		}
		section, _, _ = strings.Cut(section, "\n## ")
		got, want := names(inManual, section), names(inHelp, imeiProvision(t, append(strings.Fields(name), "-h")...).stdout)
		if !slices.Equal(got, want) {
			t.Errorf("flags of %s: the manual has %q, the program %q", name, got, want)
		}
	}
}

func names(pattern *regexp.Regexp, text string) []string {
	var found []string
	for _, match := range pattern.FindAllStringSubmatch(text, -1) {
		found = append(found, match[1])
	}
	slices.Sort(found)
	return found
}

// A pipe may never end, and one that nobody writes to cannot even be opened: each input is a regular file.
func TestPipesAreNotRead(t *testing.T) {
	keys, pipe := oem(t), filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	anchor := filepath.Join(keys, provision.AnchorFile)
	for _, args := range [][]string{
		{"plan", "--anchor", pipe},
		{"plan", "--anchor", anchor, "--package", pipe},
		{"sign", "--oem", keys, "--request", pipe, "--out", filepath.Join(t.TempDir(), "package")},
		{"install", "--anchor", anchor, "--vault", "tpm:/dev/no-such-tpm", "--package", pipe},
		{"enroll", "challenge", "--anchor", anchor, "--imei", attesttest.IMEI1, "--request", pipe, "--ek-names", "x", "--register", "x", "--pending", "x", "--out", filepath.Join(t.TempDir(), "challenge")},
		{"manifest", "verify", pipe, "--anchor", anchor},
		{"oem-key", "--development", "--passphrase-file", pipe, "--out", filepath.Join(t.TempDir(), "oem")},
	} {
		ended := make(chan result, 1)
		go func() { ended <- imeiProvision(t, args...) }()
		select {
		case r := <-ended:
			if r.code != exitUsage || !strings.Contains(r.stderr, "no regular file") {
				t.Errorf("%q: exit %d, want %d: %s", args, r.code, exitUsage, r.stderr)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%q waits for a pipe", args)
		}
	}
}
