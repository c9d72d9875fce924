package tpmvault_test

import (
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"imei-attest/attest"
	"imei-attest/attest/tpmprofile"
	"imei-attest/testbench/peertest"
)

// peer runs a program that nobody of this project wrote.
func peer(t *testing.T, u *unit, name string, args ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), name, args...)
	command.Env = append(os.Environ(), "TPM2TOOLS_TCTI=swtpm:path="+u.engine.Socket())
	command.Dir = t.TempDir()
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// tpm2-tools and OpenSSL agree on the Names and on a signature.
func TestPeersAgree(t *testing.T) {
	peertest.Use(t, peertest.Peer{Name: "swtpm"}, "keeps the IMEI that was written into it, and signs")
	peertest.Use(t, peertest.Peer{Name: "tpm2-tools", Program: "tpm2_nvreadpublic"}, "computes the Names of index and keys as we do")
	peertest.Use(t, peertest.Peer{Name: "OpenSSL", Program: "openssl", Package: "openssl", Version: []string{"version"}}, "verifies the TPM's signature")
	u := newUnit(t)
	result := u.provision(imei1)
	content := []byte("content")
	signature, err := u.open().Signer(t.Context()).Sign(nil, content)
	u.must(err)
	u.must(u.conn.Close()) // swtpm serves one program at a time

	p := u.oem.Profile(attest.NVPlatform, attest.BootMeasured)
	index, err := p.NVName(tpmprofile.IndexLocked)
	u.must(err)
	wantIn(t, peer(t, u, "tpm2_nvreadpublic", "0x1400e10"), "name: "+hex.EncodeToString(index))
	for _, c := range bothCounters {
		name, err := c.Name(attest.NVPlatform, true)
		u.must(err)
		wantIn(t, peer(t, u, "tpm2_nvreadpublic", fmt.Sprintf("%#x", uint32(c.Index(attest.NVPlatform)))), "name: "+hex.EncodeToString(name))
	}
	wantIn(t, peer(t, u, "tpm2_readpublic", "-c", "0x81000e10"), "name: "+hex.EncodeToString(result.Credential.Storage.KeyName))

	folder := t.TempDir()
	write := func(name string, data []byte) string {
		path := filepath.Join(folder, name)
		u.must(os.WriteFile(path, data, 0o600))
		return path
	}
	der, err := x509.MarshalPKIXPublicKey(p.BootPrimary)
	u.must(err)
	bootKey := write("boot.pem", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	boot, err := tpmprofile.KeyNameOf(p.BootPrimary)
	u.must(err)
	wantIn(t, peer(t, u, "tpm2_loadexternal", "-C", "e", "-G", "ecc", "-u", bootKey, "-c", filepath.Join(folder, "ctx")), "name: "+hex.EncodeToString(boot))

	der, err = x509.MarshalPKIXPublicKey(result.Credential.Key)
	u.must(err)
	deviceKey := write("device.pem", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	wantIn(t, peer(t, u, "openssl", "dgst", "-sha256", "-verify", deviceKey,
		"-signature", write("signature", asn1Signature(signature)), write("content", content)), "Verified OK")
}

// tpm2-tools run the policy of a boot state step by step and come to the digest that a boot key signs.
func TestPeerComputesTheBootPolicy(t *testing.T) {
	peertest.Use(t, peertest.Peer{Name: "swtpm"}, "keeps the epoch counter")
	peertest.Use(t, peertest.Peer{Name: "tpm2-tools", Program: "tpm2_policynv"}, "computes the policy of a boot state with an epoch as we do")
	u := newUnit(t)
	u.provision(imei1)
	measured, unmeasured := u.approveUntil(tpmprofile.RolePrimary, bootPCRs, 300, attest.NVPlatform), u.approveUntil(tpmprofile.RolePrimary, "", 300, attest.NVPlatform)
	u.must(u.conn.Close())
	folder := t.TempDir()
	session, operand := filepath.Join(folder, "session"), filepath.Join(folder, "operand")
	u.must(os.WriteFile(operand, binary.BigEndian.AppendUint64(nil, 300), 0o600))
	for _, a := range []tpmprofile.BootApproval{measured, unmeasured} {
		peer(t, u, "tpm2_startauthsession", "-S", session)
		if !a.PCRs.IsEmpty() {
			peer(t, u, "tpm2_policypcr", "-S", session, "-l", a.PCRs.String())
		}
		wantIn(t, peer(t, u, "tpm2_policynv", "-S", session, "-i", operand, "0x1400e11", "ule"), hex.EncodeToString(a.Policy[:]))
		peer(t, u, "tpm2_flushcontext", session)
	}
}

// asn1Signature turns R||S into the ECDSA-Sig-Value of RFC 3279.
func asn1Signature(raw []byte) []byte {
	integer := func(b []byte) []byte {
		b = []byte(strings.TrimLeft(string(b), "\x00"))
		if b[0]&0x80 != 0 {
			b = append([]byte{0}, b...)
		}
		return append([]byte{2, byte(len(b))}, b...)
	}
	body := append(integer(raw[:32]), integer(raw[32:])...)
	return append([]byte{0x30, byte(len(body))}, body...)
}

func wantIn(t *testing.T, got, want string) {
	t.Helper()
	if !strings.Contains(got, want) {
		t.Errorf("the peer says %s; want %q in it", got, want)
	}
}
