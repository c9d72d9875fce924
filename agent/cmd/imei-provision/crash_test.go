package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
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
	"imei-attest/attest/imei"
	"imei-attest/attest/tpmprofile"
	"imei-attest/testbench/peertest"
)

// Variables that turn this test binary into the program, which kills at the n-th line it prints: itself, or the TPM
// engine in hand. With --steps each line of the journal is followed by one.
const (
	beVariable     = "IMEI_PROVISION_TEST_KILLS" // "tool", "engine" or "nothing"
	killAtVariable = "IMEI_PROVISION_TEST_AT"
)

func TestMain(m *testing.M) {
	victim := os.Getenv(beVariable)
	if victim == "" {
		os.Exit(m.Run())
	}
	at, _ := strconv.Atoi(os.Getenv(killAtVariable))
	stderr := &killer{victim: victim, at: at}
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, stderr))
}

type killer struct {
	victim string
	at     int
	lines  int
	socket string // of the vault in hand
}

func (k *killer) Write(p []byte) (int, error) {
	k.lines++
	n, err := os.Stderr.Write(p)
	if _, spec, begins := strings.Cut(string(p), "tpm:unix:"); begins && strings.Contains(string(p), " begin ") {
		k.socket = strings.TrimSpace(spec)
	}
	if k.lines != k.at {
		return n, err
	}
	pid := os.Getpid()
	if k.victim == "engine" {
		if pid, err = enginePID(k.socket); err != nil {
			return n, nil // no vault is in hand
		}
	}
	err = syscall.Kill(pid, syscall.SIGKILL)
	for alive(pid) {
		time.Sleep(time.Millisecond)
	}
	return n, err
}

// alive reports a process that is neither gone nor waits to be reaped.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, state, _ := bytes.Cut(stat, []byte(") "))
	return err == nil && !bytes.HasPrefix(state, []byte("Z")) && !bytes.HasPrefix(state, []byte("X"))
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

// revive starts the engines again that were killed.
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
		h.engines[i] = h.start(i + 1)
	}
}

// batch runs the program in a process of its own, and kills it after a time unless that is 0.
func (h *factoryHall) batch(victim string, at int, after time.Duration) (code int, lines int) {
	h.t.Helper()
	h.revive()
	h.heap()
	ctx := h.t.Context()
	if after > 0 {
		timed, cancel := context.WithTimeout(ctx, after)
		defer cancel()
		ctx = timed
	}
	c := exec.CommandContext(ctx, os.Args[0], "batch", "--oem", h.oem, "--units", h.path("units.csv"), "--steps",
		"--vault-command", jig, "--journal", h.path("line.journal"),
		"--manifest", h.path("manifest"), "--credentials", h.path("credentials"), "--approvals", h.path("approvals"))
	c.Env = append(os.Environ(), beVariable+"="+victim, killAtVariable+"="+strconv.Itoa(at))
	c.Dir = h.dir
	var stderr bytes.Buffer
	c.Stdout, c.Stderr = io.Discard, &stderr
	c.WaitDelay = time.Second
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) && ctx.Err() == nil {
		h.t.Fatal(err)
	}
	if text := stderr.String(); strings.Contains(text, "panic") || strings.Contains(text, "scrap") {
		h.t.Errorf("killing %s at %d, after %s:\n%s", victim, at, after, text)
	}
	return c.ProcessState.ExitCode(), strings.Count(stderr.String(), "\n")
}

// finish runs the batch to its end and looks into everything.
func (h *factoryHall) finish(what string) {
	h.t.Helper()
	if code, _ := h.batch("nothing", 0, 0); code != exitYes {
		h.t.Fatalf("%s: the last run exits with %d", what, code)
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
	row := needSwtpm(t, "")
	const units = 3
	for _, victim := range []string{"tool", "engine"} {
		t.Run(victim, func(t *testing.T) {
			t.Parallel()
			for at, lines := 1, 1; at <= lines; at++ {
				h := newHall(t)
				h.grow(units)
				_, n := h.batch(victim, at, 0)
				lines = max(lines, n+1)
				h.finish(fmt.Sprintf("%s killed at line %d", victim, at))
				h.close()
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
	row := needSwtpm(t, fmt.Sprintf("%d TPMs hold one IMEI each, line and TPMs killed at random", units*rounds))
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 1))
	h := newHall(t)
	kills := 0
	for range rounds {
		h.stop(h.taken())
		h.grow(units)
		for code := -1; code != exitYes; kills++ {
			switch r.IntN(3) {
			case 0:
				code, _ = h.batch("engine", 1+r.IntN(30*units/4), 0)
			case 1:
				code, _ = h.batch("tool", 1+r.IntN(30*units/4), 0)
			default:
				code, _ = h.batch("nothing", 0, time.Duration(50+r.IntN(20*units))*time.Millisecond)
			}
		}
		h.finish(fmt.Sprintf("seed %d", seed))
	}
	row.Asserted += fmt.Sprintf(", %d runs", kills)
}
