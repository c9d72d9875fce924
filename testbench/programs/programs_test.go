// Package programs tests the four programs as their users run them: each from the command line, against each other.
package programs

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"imei-attest/agent/tpmvault/tpmtest"
)

// mains are the programs and where they live.
var mains = map[string]string{
	"imei-agent":     "agent/cmd/imei-agent",
	"imei-provision": "agent/cmd/imei-provision",
	"imei-verifier":  "verifier/cmd/imei-verifier",
	"imei-lab":       "testbench/cmd/imei-lab",
}

// root is the module's folder, seen from this package.
const root = "../.."

// bin holds the programs as they are shipped, for all tests of this package.
var bin string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

// run builds the programs first, unless the tests are to be short: then they skip.
func run(m *testing.M) int {
	if testing.Short() {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "programs")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	bin = dir
	for name, path := range mains {
		if err := build(name, path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	if err := build("imei-agent-minimal", mains["imei-agent"], "-tags", "minimal"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

func build(name, path string, flags ...string) error {
	args := append([]string{"build", "-trimpath", "-o", filepath.Join(bin, name)}, flags...)
	c := exec.Command("go", append(args, "./"+path)...)
	c.Dir = root
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s: %w\n%s", name, err, out)
	}
	return nil
}

// needPrograms skips a test that runs the programs where there was no time to build them.
func needPrograms(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("builds all programs: not in short tests")
	}
}

func TestScripts(t *testing.T) {
	needPrograms(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", bin+string(filepath.ListSeparator)+e.Getenv("PATH"))
			e.Setenv("HOME", e.WorkDir)
			return nil
		},
		Condition: hasPeer,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"tpm":      startTPM,
			"await":    await,
			"exits":    exits,
			"freeaddr": freeAddress,
		},
	})
}

// hasPeer tells a script whether a program it needs is installed, so that it can skip with the reason. Where peers are
// required, one that is missing is a failure.
func hasPeer(name string) (bool, error) {
	_, err := exec.LookPath(name)
	if err != nil && os.Getenv(tpmtest.RequireVariable) == "1" {
		return false, fmt.Errorf("%s is required and not installed", name)
	}
	return err == nil, nil
}

// startTPM NAME: run a TPM engine until the script ends; $NAME names it for --vault. Its state is in the folder NAME, so
// that a second one of another name is another TPM.
func startTPM(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: tpm NAME")
	}
	engine, err := tpmtest.Start(context.Background(), ts.MkAbs(args[0]))
	ts.Check(err)
	ts.Defer(func() { _ = engine.Stop() })
	ts.Setenv(args[0], engine.Spec())
}

// await FILE [TEXT]: wait until the file is there and holds the text.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: await FILE [TEXT]")
	}
	const patience = 20 * time.Second
	path := ts.MkAbs(args[0])
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		info, err := os.Stat(path)
		if err != nil {
			continue
		}
		if len(args) == 1 {
			return
		}
		if !info.Mode().IsRegular() {
			continue
		}
		if content, err := os.ReadFile(path); err == nil && strings.Contains(string(content), args[1]) {
			return
		}
	}
	ts.Fatalf("%v did not come", args)
}

// exits CODE PROGRAM ARGS...: run a program and compare its exit code; its output is there for stdout and stderr.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARGS...")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if fmt.Sprint(got) != args[0] {
		ts.Fatalf("exit code %d, want %s", got, args[0])
	}
}

// freeAddress NAME: set $NAME to an address on loopback that nobody listens on.
func freeAddress(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: freeaddr NAME")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Setenv(args[0], l.Addr().String())
	ts.Check(l.Close())
}
