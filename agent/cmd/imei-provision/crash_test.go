package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"imei-attest/agent"
	"imei-attest/agent/provision"
	"imei-attest/agent/tpmvault"
	"imei-attest/agent/tpmvault/tpmdev"
	"imei-attest/agent/tpmvault/tpmtest"
	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/attest/imei"
	"imei-attest/attest/tpmprofile"
	"imei-attest/testbench/peertest"
)

// Variables that turn this test binary into the program, which kills when it has printed some lines: itself, or the TPM
// engine in hand. install and lock print one for each step; with --steps, batch prints one after each line of the journal.
const (
	beVariable        = "IMEI_PROVISION_TEST_KILLS" // "tool", "engine" or "nothing"
	killAtVariable    = "IMEI_PROVISION_TEST_AT"
	killAfterVariable = "IMEI_PROVISION_TEST_AFTER"
)

func TestMain(m *testing.M) {
	victim := os.Getenv(beVariable)
	if victim == "" {
		os.Exit(m.Run())
	}
	at, _ := strconv.Atoi(os.Getenv(killAtVariable))
	after, _ := time.ParseDuration(os.Getenv(killAfterVariable))
	stderr := &killer{kill: kill{victim, at, after}}
	if i := slices.Index(os.Args, "--vault"); i > 0 {
		stderr.socket = strings.TrimPrefix(os.Args[i+1], socketPrefix)
	}
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, stderr))
}

const socketPrefix = "tpm:unix:"

// kill says who is killed and when.
type kill struct {
	victim string
	at     int           // after that line, or the next with a vault in hand
	after  time.Duration // and some time, each so many lines; 0 stops the program at the line until the victim is gone, once
}

type killer struct {
	kill
	lines  int
	done   bool
	socket string // of the vault in hand
}

func (k *killer) Write(p []byte) (int, error) {
	k.lines++
	n, err := os.Stderr.Write(p)
	if _, spec, begins := strings.Cut(string(p), socketPrefix); begins && strings.Contains(string(p), " begin ") {
		k.socket = strings.TrimSpace(spec)
	} else if strings.Contains(string(p), " done ") && k.after > 0 {
		k.socket = "" // nobody misses it any more
	}
	if k.victim == "nothing" || k.done || k.lines < k.at {
		return n, err
	}
	pid := os.Getpid()
	if k.victim == "engine" {
		if pid, err = enginePID(k.socket); err != nil {
			return n, nil // no vault is in hand
		}
	}
	if k.after > 0 {
		k.lines = 0
		time.AfterFunc(k.after, func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
		return n, nil
	}
	k.done = true
	err = syscall.Kill(pid, syscall.SIGKILL)
	for len(status(pid)) > 0 {
		time.Sleep(time.Millisecond)
	}
	return n, err
}

// status is what proc(5) has of a process behind its name; nil of one that is gone or waits to be reaped.
func status(pid int) []string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	if err != nil || len(fields) == 0 || strings.Contains("ZX", fields[0]) {
		return nil
	}
	return fields
}

// alive reports a process that runs and goes on running: nobody has killed it just now.
func alive(pid int) bool {
	const flags, pending = 6, 28 // places in status
	const exiting, killed = 0x4, 1 << (syscall.SIGKILL - 1)
	fields := status(pid)
	has := func(field int, bit uint64) bool {
		bits, err := strconv.ParseUint(fields[field], 10, 64)
		return err == nil && bits&bit != 0
	}
	return len(fields) > pending && !has(flags, exiting) && !has(pending, killed)
}

func enginePID(socket string) (int, error) {
	target, err := os.Readlink(socket)
	if err != nil {
		return 0, err
	}
	text, err := os.ReadFile(filepath.Join(filepath.Dir(target), "pid"))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

// factoryHall is a production line: a heap of blank vaults, swtpm engines in places that do not change, and a jig that takes
// the next of them each time it is asked. A pairing that is forgotten puts an IMEI into two of them.
type factoryHall struct {
	t       *testing.T
	dir     string
	oem     string
	engines []*tpmtest.Engine // the first is vault 1; nil once it was looked into
	ids     []imei.IMEI
	killed  []int             // the vaults that were in hand when a victim died
	holders map[imei.IMEI]int // how many vaults hold each
}

func newHall(t *testing.T) *factoryHall {
	t.Helper()
	dir, err := os.MkdirTemp("", "hall") // short: a socket's path has 107 bytes at most
	if err != nil {
		t.Fatal(err)
	}
	h := &factoryHall{t: t, dir: dir, oem: oem(t)}
	t.Cleanup(func() { h.close(); _ = os.RemoveAll(dir) })
	return h
}

func (h *factoryHall) close() { h.stop(len(h.engines)) }

// stop ends the first engines.
func (h *factoryHall) stop(vaults int) {
	for i, e := range h.engines[:vaults] {
		if e != nil {
			_ = e.Kill()
			h.engines[i] = nil
		}
	}
}

func (h *factoryHall) path(name string) string { return filepath.Join(h.dir, name) }
func (h *factoryHall) socket(vault int) string { return h.path(strconv.Itoa(vault)) }

// start starts the engine of a vault, with the state it had.
func (h *factoryHall) start(vault int) *tpmtest.Engine {
	h.t.Helper()
	e, err := tpmtest.Start(context.Background(), h.path(fmt.Sprint("tpm", vault)))
	if err == nil {
		_ = os.Remove(h.socket(vault))
		err = os.Symlink(e.Socket(), h.socket(vault))
	}
	if err != nil {
		h.t.Fatal(err)
	}
	return e
}

// jig takes the next vault from the heap.
const jig = `n=$(($(cat taken 2>/dev/null || echo 0) + 1)); echo $n >taken; echo tpm:unix:$PWD/$n`

// heap sees to it that the jig finds a vault for each unit that is not done, and one more.
func (h *factoryHall) heap() {
	h.t.Helper()
	for len(h.engines) <= h.taken()+len(h.ids)-h.done() {
		h.engines = append(h.engines, h.start(len(h.engines)+1))
	}
}

func (h *factoryHall) taken() int {
	text, _ := os.ReadFile(h.path("taken"))
	n, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return n
}

func (h *factoryHall) done() int {
	journal, _ := os.ReadFile(h.path("line.journal"))
	return bytes.Count(journal, []byte(`"step":"done"`))
}

// grow adds units to the list.
func (h *factoryHall) grow(units int) {
	h.t.Helper()
	for range units {
		id, err := imei.FromBody(fmt.Sprintf("49015420%06d", len(h.ids)))
		if err != nil {
			h.t.Fatal(err)
		}
		h.ids = append(h.ids, id)
	}
	list := "imei,imei2,serial,model\n"
	for _, id := range h.ids {
		list += id.Digits() + ",,1,bench\n"
	}
	if err := os.WriteFile(h.path("units.csv"), []byte(list), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// revive starts the engines again that were killed, and notes them.
func (h *factoryHall) revive() {
	h.t.Helper()
	for i, e := range h.engines {
		if e == nil {
			continue
		}
		// Asking it would take one of the two places in its queue.
		if pid, err := enginePID(h.socket(i + 1)); err == nil && alive(pid) {
			continue
		}
		if err := e.Kill(); err != nil {
			h.t.Fatal(err)
		}
		h.killed = append(h.killed, i+1)
		h.engines[i] = h.start(i + 1)
	}
}

// batch runs the list.
func (h *factoryHall) batch(k kill, more ...string) (code int) {
	h.t.Helper()
	h.revive()
	h.heap()
	return h.run(k, append([]string{"batch", "--oem", h.oem, "--units", h.path("units.csv"), "--steps",
		"--vault-command", jig, "--journal", h.path("line.journal"),
		"--manifest", h.path("manifest"), "--credentials", h.path("credentials"), "--approvals", h.path("approvals")}, more...)...)
}

// run runs the program in a process of its own.
func (h *factoryHall) run(k kill, args ...string) (code int) {
	h.t.Helper()
	c := exec.CommandContext(h.t.Context(), os.Args[0], args...)
	c.Env = append(os.Environ(), beVariable+"="+k.victim, killAtVariable+"="+strconv.Itoa(k.at), killAfterVariable+"="+k.after.String())
	c.Dir = h.dir
	// No pipe: a program that is killed may leave others behind that keep it open.
	stderr, err := os.Create(h.path("stderr"))
	if err != nil {
		h.t.Fatal(err)
	}
	defer stderr.Close()
	c.Stderr = stderr
	err = c.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
	case !errors.As(err, &exit):
		h.t.Fatal(err)
	case exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL:
		h.killed = append(h.killed, max(h.taken(), 1))
	}
	text, err := os.ReadFile(stderr.Name())
	if err != nil || bytes.Contains(text, []byte("panic")) || bytes.Contains(text, []byte("scrap")) {
		h.t.Errorf("%+v: %v\n%s", k, err, text)
	}
	return c.ProcessState.ExitCode()
}

var unharmed = kill{victim: "nothing"}

// finish runs the batch to its end and looks into everything.
func (h *factoryHall) finish(what string) {
	h.t.Helper()
	if code := h.batch(unharmed); code != exitYes {
		text, _ := os.ReadFile(h.path("stderr"))
		h.t.Fatalf("%s: the last run exits with %d:\n%s", what, code, text)
	}
	imeiProvision(h.t, "manifest", "verify", h.path("manifest"), "--anchor", filepath.Join(h.oem, provision.AnchorFile),
		"--journal", h.path("line.journal"), "--credentials", h.path("credentials")).
		want(h.t, exitYes, fmt.Sprintf("verified  %d credentials", len(h.ids)), "")
	raw, err := os.ReadFile(h.path("manifest"))
	if err != nil {
		h.t.Fatal(err)
	}
	m, err := attest.DecodeManifest(raw)
	if err != nil {
		h.t.Fatal(err)
	}
	listed := make(map[attest.CredentialDigest]bool)
	for _, d := range m.Digests {
		listed[d] = true
	}
	h.look(what, listed)
	h.onceDone(what)
}

// look demands that each vault holds nothing or a Credential of the manifest, and that no IMEI is in two.
func (h *factoryHall) look(what string, listed map[attest.CredentialDigest]bool) {
	h.t.Helper()
	if h.holders == nil {
		h.holders = make(map[imei.IMEI]int)
	}
	h.revive()
	for i, e := range h.engines {
		if e == nil {
			continue // looked into in an earlier round
		}
		c := h.credential(i + 1)
		if c == nil {
			continue
		}
		h.holders[c.Slots[0]]++
		if len(c.Slots) != 1 || !listed[attest.DigestOf(c.Raw)] {
			h.t.Errorf("%s: vault %d holds %s, which is not in the manifest", what, i+1, c.Slots)
		}
	}
	for i, id := range h.ids {
		if h.holders[id] != 1 {
			h.t.Errorf("%s: the IMEI of row %d is in %d vaults", what, i+1, h.holders[id])
		}
	}
	if len(h.holders) != len(h.ids) {
		h.t.Errorf("%s: %d IMEIs are in vaults, want %d", what, len(h.holders), len(h.ids))
	}
}

// onceDone demands that the journal calls each row done once.
func (h *factoryHall) onceDone(what string) {
	h.t.Helper()
	journal, err := os.ReadFile(h.path("line.journal"))
	if err != nil {
		h.t.Fatal(err)
	}
	for row := range h.ids {
		if n := bytes.Count(journal, fmt.Appendf(nil, `"step":"done","row":%d,`, row+1)); n != 1 {
			h.t.Errorf("%s: row %d is done %d times", what, row+1, n)
		}
	}
}

// credential is what a vault holds, nil if it is blank.
func (h *factoryHall) credential(vault int) *attest.SignedCredential {
	h.t.Helper()
	approvals, err := tpmprofile.LoadApprovals(os.DirFS(h.path("approvals")))
	if err != nil {
		h.t.Fatal(err)
	}
	conn, err := tpmdev.Open(h.t.Context(), "tpm:unix:"+h.socket(vault))
	if err != nil {
		h.t.Fatal(err)
	}
	defer conn.Close()
	v, err := tpmvault.Open(h.t.Context(), conn, tpmvault.Config{Approvals: approvals})
	if errors.Is(err, agent.ErrNotProvisioned) {
		return nil
	}
	if err != nil {
		h.t.Fatal(err)
	}
	raw, err := v.Credential(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	c, err := attest.DecodeCredential(raw)
	if err != nil {
		h.t.Fatal(err)
	}
	return c
}

func needSwtpm(t *testing.T, asserted string) *peertest.Row {
	t.Helper()
	return peertest.Use(t, peertest.Peer{Name: "swtpm"}, asserted)
}

// The tool, or the TPM engine of the unit, is killed after each line of the journal in turn.
func TestKilledAtEachStep(t *testing.T) {
	if testing.Short() {
		t.Skip("starts some 200 TPM engines: not in short tests")
	}
	t.Parallel()
	row := needSwtpm(t, "")
	const units = 3
	for _, victim := range []string{"tool", "engine"} {
		t.Run(victim, func(t *testing.T) {
			t.Parallel()
			for at := 1; ; at++ {
				h := newHall(t)
				h.grow(units)
				h.batch(kill{victim: victim, at: at})
				h.finish(fmt.Sprintf("%s killed at line %d", victim, at))
				h.close()
				if len(h.killed) == 0 {
					if at < 12*units {
						t.Errorf("the %s ends before line %d, and each unit has 12 steps", victim, at)
					}
					return
				}
				if at > 20*units {
					t.Fatal("there is no end")
				}
			}
		})
	}
	row.Asserted = "keeps one IMEI each, whenever line or TPM is killed"
}

// Over many units, tool and engines are killed at random moments, between lines too.
func TestKilledAtRandom(t *testing.T) {
	units, rounds := 100, 1
	switch {
	case testing.Short():
		units = 4
	case os.Getenv("IMEI_ATTEST_SOAK") == "1":
		rounds = 10
	}
	t.Parallel()
	row := needSwtpm(t, fmt.Sprintf("%d TPMs hold one IMEI each, line and TPMs killed at random", units*rounds))
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 1))
	h := newHall(t)
	for range rounds {
		h.stop(h.taken())
		h.grow(units)
		h.killAtRandom(r, units)
		h.finish(fmt.Sprintf("seed %d", seed))
	}
	quarters := make([]int, 4)
	for _, vault := range h.killed {
		quarters[len(quarters)*(vault-1)/h.taken()]++
	}
	if floor := units * rounds / 5; len(h.killed) < floor || floor > 0 && slices.Min(quarters) == 0 {
		t.Errorf("seed %d: %d kills, %v in the quarters of the line, want at least %d and some in each", seed, len(h.killed), quarters, floor)
	}
	row.Asserted += fmt.Sprintf(", %d times", len(h.killed))
}

// killAtRandom runs the list until it is finished, and kills within each four units' time. Without the engine of its unit, a run stops.
func (h *factoryHall) killAtRandom(r *rand.Rand, units int) {
	h.t.Helper()
	const linesOfUnit, between = 13, 4 * time.Millisecond
	for code, runs := -1, 0; code != exitYes; runs++ {
		if runs > 2*units {
			text, _ := os.ReadFile(h.path("stderr"))
			h.t.Fatalf("there is no end:\n%s", text)
		}
		k := kill{[]string{"tool", "engine"}[r.IntN(2)], 1 + r.IntN(4*linesOfUnit), 1 + time.Duration(r.Int64N(int64(between)))}
		code = h.batch(k, "--stop-after", "1")
	}
}

// The two steps that change a TPM on a line without keys are killed after each of theirs, and resume.
func TestInstallAndLockKilledAtEachStep(t *testing.T) {
	t.Parallel()
	row := needSwtpm(t, "")
	for _, victim := range []string{"tool", "engine"} {
		for _, command := range []string{"install", "lock"} {
			t.Run(victim+" in "+command, func(t *testing.T) {
				t.Parallel()
				const steps = 4 // plan, counters, define, write; plan, lock, persist, read back
				for at := 1; ; at++ {
					h := newHall(t)
					h.installAndLock(command, kill{victim: victim, at: at})
					h.close()
					if len(h.killed) == 0 && at > steps {
						return
					}
					if len(h.killed) != 1 {
						t.Fatalf("at line %d: %d kills, want 1", at, len(h.killed))
					}
				}
			})
		}
	}
	row.Asserted = "one record of the package, whenever install, lock or TPM is killed"
}

// installAndLock has a unit go through the line, one command of which is killed and run again. In the end it holds the package's record.
func (h *factoryHall) installAndLock(killed string, k kill) {
	h.t.Helper()
	h.engines = append(h.engines, h.start(1))
	anchor, spec, pack := filepath.Join(h.oem, provision.AnchorFile), socketPrefix+h.socket(1), h.path("package")
	imeiProvision(h.t, "request", "--anchor", anchor, "--vault", spec, "--imei", attesttest.IMEI1, "--out", h.path("request")).want(h.t, exitYes, "", "")
	imeiProvision(h.t, "sign", "--oem", h.oem, "--request", h.path("request"), "--out", pack).want(h.t, exitYes, "", "")
	for _, command := range []string{"install", "lock"} {
		args := []string{command, "--anchor", anchor, "--vault", spec, "--package", pack}
		if command == killed {
			h.run(k, args...)
			h.revive()
		}
		if code := h.run(unharmed, args...); code != exitYes {
			h.t.Fatalf("%s after %+v exits with %d", command, k, code)
		}
	}
	imeiProvision(h.t, "install", "--anchor", anchor, "--vault", spec, "--package", pack).want(h.t, exitYes, "installed and locked already", "")
	imeiProvision(h.t, "approve-boot", "--oem", h.oem, "--from-device", spec, "--approvals", h.path("approvals")).want(h.t, exitYes, "", "")
	imeiProvision(h.t, "verify", "--anchor", anchor, "--vault", spec, "--approvals", h.path("approvals")).want(h.t, exitYes, "self-test", "")
	raw, err := os.ReadFile(pack)
	if err != nil {
		h.t.Fatal(err)
	}
	signed, err := provision.DecodePackage(raw)
	if err != nil {
		h.t.Fatal(err)
	}
	if held := h.credential(1); !bytes.Equal(held.Raw, signed.Credential) {
		h.t.Errorf("%+v: the vault holds another credential than the package", k)
	}
}
