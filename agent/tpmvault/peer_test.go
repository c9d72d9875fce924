package tpmvault_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"
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

func tpm2Tools(program string) peertest.Peer {
	return peertest.Peer{Name: "tpm2-tools", Program: program}
}

// recordingSigner keeps what was signed last.
type recordingSigner struct {
	attest.Signer
	content, signature []byte
}

// Sign implements attest.Signer.
func (r *recordingSigner) Sign(rand io.Reader, content []byte) (signature []byte, err error) {
	r.content = content
	r.signature, err = r.Signer.Sign(rand, content)
	return r.signature, err
}

// tpm2-tools and OpenSSL agree on the Names and on a token's signature.
func TestPeersAgree(t *testing.T) {
	peertest.Use(t, peertest.Peer{Name: "swtpm"}, "keeps the IMEI that was written into it, and signs")
	peertest.Use(t, tpm2Tools("tpm2_nvreadpublic"), "computes the Names of index and keys as we do")
	peertest.Use(t, peertest.Peer{Name: "OpenSSL", Program: "openssl", Package: "openssl", Version: []string{"version"}}, "verifies the TPM's signature")
	u := newUnit(t)
	result := u.provision(imei1)
	v := u.open()
	signer := &recordingSigner{Signer: v.Signer(t.Context())}
	_, err := attest.SignEvidence(nil, attesttest.Claims(), signer, attest.KeyIDOf(v.Describe().Key), attest.Enclosure{Credential: result.Credential.Raw})
	u.must(err)
	content, signature := signer.content, signer.signature
	u.must(u.conn.Close()) // swtpm serves one program at a time

	p := u.oem.Profile(attest.NVPlatform, attest.BootMeasured)
	index, err := p.NVName(tpmprofile.IndexLocked)
	u.must(err)
	wantIn(t, peer(t, u, "tpm2_nvreadpublic", "0x1400e10"), "name: "+hex.EncodeToString(index))
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

// tpm2-tools run the device key's policy step by step, and the TPM's digest after each is the one that we compute; at the
// end the key signs for them.
func TestPeerRunsThePolicy(t *testing.T) {
	peertest.Use(t, tpm2Tools("tpm2_policyauthorize"), "runs the device key's policy to the digests that we compute, and signs")
	u := newUnit(t)
	result := u.provision(imei1)
	u.must(u.conn.Close()) // swtpm serves one program at a time
	p, a, binding := u.oem.Profile(attest.NVPlatform, attest.BootMeasured), result.Approval, bindingOf(t, result)

	folder := t.TempDir()
	at := func(name string) string { return filepath.Join(folder, name) }
	write := func(name string, data []byte) string {
		u.must(os.WriteFile(at(name), data, 0o600))
		return at(name)
	}
	wantDigest := func(step string, want []byte) {
		t.Helper()
		got, err := os.ReadFile(at("digest"))
		u.must(err)
		if !bytes.Equal(got, want) {
			t.Errorf("%s: tpm2-tools have the digest %x, computed %x", step, got, want)
		}
	}
	der, err := x509.MarshalPKIXPublicKey(p.BootPrimary)
	u.must(err)
	key := write("boot.pem", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	peer(t, u, "tpm2_loadexternal", "-C", "e", "-G", "ecc", "-u", key, "-c", at("boot.ctx"), "-n", at("boot.name"))
	peer(t, u, "tpm2_verifysignature", "-c", at("boot.ctx"), "-g", "sha256", "-m", write("approval", a.Content()),
		"-f", "ecdsa", "-s", write("approval.sig", asn1Signature(a.Signature[:])), "-t", at("ticket"))
	peer(t, u, "tpm2_hash", "-C", "e", "-g", "sha256", "-o", at("hash"), "-t", at("hash.ticket"), write("content", []byte("content")))

	session := at("session")
	peer(t, u, "tpm2_startauthsession", "--policy-session", "-S", session)
	peer(t, u, "tpm2_policypcr", "-S", session, "-l", a.PCRs.String(), "-L", at("digest"))
	wantDigest("PolicyPCR", a.Policy[:])
	peer(t, u, "tpm2_policyauthorize", "-S", session, "-i", write("approved", a.Policy[:]), "-q", write("ref", []byte(a.PolicyRef())),
		"-n", at("boot.name"), "-t", at("ticket"), "-L", at("digest"))
	branches, err := p.BootKeys().Branches(attest.BootMeasured)
	u.must(err)
	wantDigest("PolicyAuthorize", branches[0].Buffer)
	peer(t, u, "tpm2_policyor", "-S", session, "-L", at("digest"),
		"-l", "sha256:"+write("primary", branches[0].Buffer)+","+write("standby", branches[1].Buffer))
	peer(t, u, "tpm2_policynv", "-S", session, "-i", write("binding", binding[:]), "--offset", fmt.Sprint(tpmprofile.BindingOffset),
		"-L", at("digest"), fmt.Sprintf("%#x", uint32(p.Index())), "eq")
	policy, err := p.AuthPolicy(binding)
	u.must(err)
	wantDigest("PolicyOR and PolicyNV", policy)
	peer(t, u, "tpm2_sign", "-c", fmt.Sprintf("%#x", uint32(tpmprofile.KeyHandle)), "-p", "session:"+session, "-g", "sha256", "-d", "-t", at("hash.ticket"),
		"-f", "plain", "-o", at("signature"), at("hash"))
	signature, err := os.ReadFile(at("signature"))
	u.must(err)
	if digest := sha256.Sum256([]byte("content")); !ecdsa.VerifyASN1(result.Credential.Key, digest[:], signature) {
		t.Error("the signature that tpm2-tools got does not verify under the Credential's key")
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
