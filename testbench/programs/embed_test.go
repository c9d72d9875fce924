package programs

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"imei-attest/agent/tpmvault/tpmtest"
	"imei-attest/attest"
)

// The programs of agent/README.md and testbench/README.md are run, not only compiled.

func TestEmbeddedAgentAttests(t *testing.T) {
	needPrograms(t)
	spec, port := tpmtest.New(t).Spec(), startModem(t)
	dir := t.TempDir()
	oem, approvals := filepath.Join(dir, "oem"), filepath.Join(dir, "approvals")
	output(t, filepath.Join(bin, "imei-provision"), "oem-key", "--development", "--out", oem)
	output(t, filepath.Join(bin, "imei-provision"), "device", "--oem", oem, "--vault", spec, "--imei", documentIMEI, "--approvals", approvals)

	embed := buildExample(t, "embed")
	token := output(t, embed, "-port", port, "-tpm", spec, "-approvals", approvals, "3031323334353637")
	evidence, err := attest.DecodeEvidence(token)
	if err != nil {
		t.Fatal(err)
	}
	claims := evidence.Claims
	if string(claims.Nonce) != "01234567" || len(claims.Measurements) != 1 || claims.Measurements[0] != attest.MeasuredEqual {
		t.Errorf("nonce %x, measurements %v; want the one given, and one that is equal", claims.Nonce, claims.Measurements)
	}

	token = output(t, embed, "-port", port, "-tpm", spec, "-approvals", approvals, "-401", "dcd98b7102dd2f0e")
	if evidence, err = attest.DecodeEvidence(token); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(evidence.Claims.Nonce, attest.NonceFrom401("dcd98b7102dd2f0e")) || !evidence.Claims.Registration || evidence.Credential != nil || len(token) > 300 {
		t.Errorf("for a 401: %d bytes, %+v", len(token), evidence.Claims)
	}
}

func TestDeviceOfAWorldIsReprogrammed(t *testing.T) {
	needPrograms(t)
	tpmtest.New(t) // skips, or fails where peers are required
	got := string(output(t, buildExample(t, "world"), t.TempDir()))
	if !strings.HasPrefix(got, "contraindicated ") || !strings.Contains(got, "imei-reprogrammed") {
		t.Errorf("got %q, want contraindicated with imei-reprogrammed", got)
	}
}

// buildExample builds a program of testdata, where ./... does not reach.
func buildExample(t *testing.T, name string) string {
	t.Helper()
	path := "testbench/programs/testdata/" + name
	if err := build("example-"+name, path); err != nil {
		t.Fatal(err)
	}
	vet := exec.Command("go", "vet", "./"+path)
	vet.Dir = root
	if out, err := vet.CombinedOutput(); err != nil {
		t.Errorf("go vet %s: %v\n%s", path, err, out)
	}
	return filepath.Join(bin, "example-"+name)
}

// output returns what the program writes to standard output.
func output(t *testing.T, program string, args ...string) []byte {
	t.Helper()
	c := exec.Command(program, args...)
	var stderr strings.Builder
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", filepath.Base(program), args, err, stderr.String())
	}
	return out
}
