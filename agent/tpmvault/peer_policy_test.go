package tpmvault_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"imei-attest/attest"
	"imei-attest/attest/tpmprofile"
	"imei-attest/testbench/peertest"
)

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

// tpm2-tools run the device key's policy step by step, and the TPM's digest after each is the one that we compute; at the
// end the key signs for them.
func TestPeerRunsThePolicy(t *testing.T) {
	peertest.Use(t, peertest.Peer{Name: "tpm2-tools", Program: "tpm2_policyauthorize"}, "runs the device key's policy to the digests that we compute, and signs")
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
