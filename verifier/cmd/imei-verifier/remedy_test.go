package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"imei-attest/attest/imei"
)

// asNobody runs a function as a user who owns nothing, where the tests run as root; for another user the folders are closed.
func asNobody(t *testing.T, run func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		run()
		return
	}
	const nobody = 65534
	runtime.LockOSThread() // it counts for the files of this thread alone
	defer runtime.UnlockOSThread()
	if err := unix.Setfsuid(nobody); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Setfsuid(0) }()
	run()
}

func TestAFolderWithoutPermissionIsToldWithItsOwnerAndMode(t *testing.T) {
	trusted, state := trustFolder(t), t.TempDir()
	for _, dir := range []string{trusted, state} {
		if err := os.Chmod(dir, 0o100); err != nil {
			t.Fatal(err)
		}
		defer os.Chmod(dir, 0o700)
	}
	readable, open := trustFolder(t), t.TempDir()
	for _, dir := range []string{trusted, state, readable, open} {
		if err := os.Chmod(filepath.Dir(dir), 0o711); err != nil { // the tests' own, on the way
			t.Fatal(err)
		}
	}
	if err := os.Chmod(readable, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(readable, "oem.yaml"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ what, trust, state, closed string }{{"trust", trusted, open, trusted}, {"state", readable, state, state}} {
		var got outcome
		asNobody(t, func() { got = execute("", "serve", "--listen", anyPort, "--trust", c.trust, "--state", c.state) })
		want := fmt.Sprintf("%s belongs to user %d, group %d, with mode 0100, and this program runs as user", c.closed, os.Geteuid(), os.Getegid())
		if got.code != exitUsage || !strings.Contains(got.stderr, want) || strings.Contains(got.stderr, "oem-anchor.yaml") {
			t.Errorf("%s: %+v, want %q", c.what, got, want)
		}
	}
}

func TestAnAddressInUseIsToldWithTheRemedy(t *testing.T) {
	taken, err := net.Listen("tcp", anyPort)
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	address := taken.Addr().String()
	for name, args := range map[string][]string{"listen": {"--listen", address}, "admin": {"--listen", anyPort, "--admin", address}} {
		got := execute("", append([]string{"serve", "--trust", trustFolder(t), "--state", t.TempDir()}, args...)...)
		if got.code != exitUsage || !strings.Contains(got.stderr, name+" (flag --"+name+"): ") || !strings.Contains(got.stderr, "ss -ltnup") {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// TestAVersionIsNoIMEI: who has the store is told with the whole version.
func TestAVersionIsNoIMEI(t *testing.T) {
	for version, want := range map[string]string{
		"v0.0.0-20261130165312-8f86ff0a1b2c":         "imei-verifier v0.0.0-20261130T165312-8f86ff0a1b2c",
		"v1.2.4-0.20261130165312-8f86ff0a1b2c+dirty": "imei-verifier v1.2.4-0.20261130T165312-8f86ff0a1b2c+dirty",
		"v1.2.3": "imei-verifier v1.2.3", "(devel)": "imei-verifier (devel)",
	} {
		if got := imei.RedactAll("process 18080, " + programText(version)); got != "process 18080, "+want {
			t.Errorf("%s: got %q", version, got)
		}
	}
}

// TestConfigCheckLooksAtTheFilesOfTLS, and warns of an operator's address for nobody.
func TestConfigCheckLooksAtTheFilesOfTLS(t *testing.T) {
	ca, caPEM, _ := issue(t, nil, "")
	_, certificate, key := issue(t, &ca, "")
	dir := t.TempDir()
	path := filepath.Join(dir, "verifier.yaml")
	replaceFile(t, path, "listen: 0.0.0.0:0\nadmin: 0.0.0.0:8444\ntrust: "+trustFolder(t)+"\nstate: state\ntls: {certificate: server.pem, key: server.key, client_ca: ca.pem}\n")
	for _, step := range []struct {
		file    string // written before
		content []byte
		code    int
		want    string
	}{
		{"", nil, exitUsage, "tls.key: open " + dir + "/server.key: no such file or directory: put the PEM file of the server's private key there"},
		{"server.key", key, exitUsage, "tls.certificate: open " + dir + "/server.pem: no such file or directory: put the PEM file of the server's certificate"},
		{"server.pem", certificate, exitUsage, "tls.client_ca: open " + dir + "/ca.pem: no such file or directory: put the PEM file of who signs"},
		{"ca.pem", caPEM, exitYes, "imei-verifier: warning: admin: nobody may ask"},
	} {
		if step.file != "" {
			replaceFile(t, filepath.Join(dir, step.file), string(step.content))
		}
		if got := execute("", "config", "check", path); got.code != step.code || !strings.Contains(got.stderr, step.want) {
			t.Errorf("after %q: %+v, want %d %q", step.file, got, step.code, step.want)
		}
	}
}
