// Package gate tries the Kamailio gate of verifier/kamailio as operators run it: Kamailio, the verifier's program with its store on disk, and
// sipp as the UEs.
package gate

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"imei-attest/testbench/peertest"
)

// root is the module's folder, seen from this package.
const root = "../../.."

// bin holds imei-verifier as it is shipped.
var bin string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if testing.Short() {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "gate")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	bin = dir
	build := exec.Command("go", "build", "-trimpath", "-o", bin, "./verifier/cmd/imei-verifier")
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building imei-verifier: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

var (
	kamailioPeer = peertest.Peer{Name: "Kamailio", Program: "kamailio", Package: "kamailio", Version: []string{"-v"}}
	sippPeer     = peertest.Peer{Name: "sipp", Package: "sip-tester", Version: []string{"-v"}}
)

// modules are those of Kamailio that its own package lacks.
var modules = []struct{ file, debian string }{
	{"http_client.so", "kamailio-utils-modules"},
}

// use adds a row to the table of peers, and skips the test where one is missing.
func use(t *testing.T, asserted string) *peertest.Row {
	t.Helper()
	if testing.Short() {
		t.Skip("runs Kamailio, sipp and the verifier: not in short tests")
	}
	row := peertest.Use(t, kamailioPeer, asserted, sippPeer)
	for _, m := range modules {
		if found, _ := filepath.Glob("/usr/lib/*/kamailio/modules/" + m.file); len(found) == 0 {
			peertest.Unavailable(t, peertest.Peer{Name: m.debian}, "Kamailio's module "+m.file+" is not installed")
		}
	}
	return row
}

// endsWithUs leaves no program behind, however a test ends.
var endsWithUs = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}

// many is how many registrations a test makes: all that are asked for in the long form.
func many(short, long int) int {
	if os.Getenv("IMEI_ATTEST_SOAK") == "1" {
		return long
	}
	return short
}
