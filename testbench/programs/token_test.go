package programs

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"imei-attest/agent/tpmvault/tpmtest"
	"imei-attest/attest/attesttest"
	"imei-attest/testbench/peertest"
)

// softHSM is a token with the manufacturer's keys, and imei-provision built for tokens.
type softHSM struct {
	t        *testing.T
	folder   string
	program  string
	module   string
	settings []string
}

func newSoftHSM(t *testing.T) *softHSM {
	t.Helper()
	hsm := peertest.Peer{Name: "SoftHSM", Program: "softhsm2-util", Package: "softhsm2"}
	compiler := peertest.Peer{Name: "gcc"}
	peertest.Use(t, hsm, "keeps the manufacturer's keys and signs with them", compiler)
	modules, err := filepath.Glob("/usr/lib/*/softhsm/libsofthsm2.so")
	if len(modules) == 0 || err != nil {
		if modules, _ = filepath.Glob("/usr/lib/softhsm/libsofthsm2.so"); len(modules) == 0 {
			peertest.Unavailable(t, hsm, "its PKCS #11 module is not installed")
		}
	}
	h := &softHSM{t: t, folder: t.TempDir(), module: modules[0]}
	h.program = filepath.Join(h.folder, "imei-provision")
	config := filepath.Join(h.folder, "softhsm2.conf")
	h.settings = append(os.Environ(), "SOFTHSM2_CONF="+config)
	h.write("softhsm2.conf", "directories.tokendir = "+h.folder+"\nobjectstore.backend = file\nlog.level = ERROR\n")
	h.write("pin", "1234\n")
	h.write("wrong", "4321\n")
	build := exec.Command("go", "build", "-trimpath", "-tags", "pkcs11", "-o", h.program, "./"+mains["imei-provision"])
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=1")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building with PKCS #11: %v\n%s", err, out)
	}
	h.run(0, "softhsm2-util", "--init-token", "--free", "--label", "oem", "--so-pin", "5678", "--pin", "1234")
	return h
}

func (h *softHSM) write(name, text string) string {
	h.t.Helper()
	path := filepath.Join(h.folder, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
	return path
}

// run runs a program beside the token and returns what it said.
func (h *softHSM) run(code int, name string, args ...string) string {
	h.t.Helper()
	c := exec.CommandContext(h.t.Context(), name, args...)
	c.Dir, c.Env = h.folder, h.settings
	out, err := c.CombinedOutput()
	if c.ProcessState == nil || c.ProcessState.ExitCode() != code {
		h.t.Fatalf("%s %v: %v, want exit code %d\n%s", name, args, err, code, out)
	}
	return string(out)
}

// key puts a key into the token and returns its URI.
func (h *softHSM) key(label, id string) string {
	h.t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(attesttest.Key("token " + label))
	if err != nil {
		h.t.Fatal(err)
	}
	path := h.write(label+".pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
	h.run(0, "softhsm2-util", "--import", path, "--token", "oem", "--label", label, "--id", id, "--pin", "1234")
	return "pkcs11:token=oem;object=" + label + "?module-path=" + h.module
}

// A manufacturer with all four keys in a token provisions a device in both ways.
func TestKeysInAToken(t *testing.T) {
	needPrograms(t)
	h := newSoftHSM(t)
	engine := tpmtest.New(t)
	args := []string{"oem-key", "--development", "--pin-file", "pin", "--out", "oem"}
	for i, label := range []string{"credential", "nv", "boot", "boot-standby"} {
		args = append(args, "--"+label+"-key", h.key(label, "0"+string(rune('1'+i))))
	}
	h.run(0, h.program, args...)
	file, err := os.ReadFile(filepath.Join(h.folder, "oem", "nv.key"))
	if err != nil || !strings.HasPrefix(string(file), "pkcs11:token=oem;object=nv") {
		t.Errorf("nv.key holds %q, %v; want the URI", file, err)
	}
	h.run(0, h.program, "request", "--anchor", "oem/oem-anchor.yaml", "--vault", engine.Spec(), "--imei", documentIMEI, "--out", "request")
	if said := h.run(3, h.program, "sign", "--oem", "oem", "--pin-file", "wrong", "--request", "request", "--out", "package"); !strings.Contains(said, "PIN is wrong") {
		t.Errorf("with a wrong PIN: %s", said)
	}
	h.run(0, h.program, "sign", "--oem", "oem", "--pin-file", "pin", "--request", "request", "--out", "package")
	h.run(0, h.program, "install", "--anchor", "oem/oem-anchor.yaml", "--vault", engine.Spec(), "--package", "package")
	h.run(0, h.program, "lock", "--anchor", "oem/oem-anchor.yaml", "--vault", engine.Spec(), "--package", "package")
	h.run(0, h.program, "device", "--oem", "oem", "--pin-file", "pin", "--vault", engine.Spec(), "--imei", documentIMEI, "--approvals", "approvals")
	h.run(0, h.program, "verify", "--anchor", "oem/oem-anchor.yaml", "--vault", engine.Spec(), "--approvals", "approvals")
	h.run(0, h.program, "retire", "--oem", "oem", "--pin-file", "pin", "--vault", engine.Spec(), "--yes")

	// the static build says what it lacks
	if said := h.run(3, filepath.Join(bin, "imei-provision"), "sign", "--oem", "oem", "--pin-file", "pin", "--request", "request", "--out", "other"); !strings.Contains(said, "-tags pkcs11") {
		t.Errorf("without PKCS #11: %s", said)
	}
}
