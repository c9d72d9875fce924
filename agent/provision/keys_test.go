package provision_test

import (
	"crypto"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"imei-attest/agent/provision"
	"imei-attest/attest"
	"imei-attest/attest/tpmprofile"
	"imei-attest/testbench/peertest"
)

var passphrase = []byte("correct horse")

func opener(passphrase []byte) provision.KeyOpener {
	return provision.KeyOpener{Passphrase: func(string) ([]byte, error) { return passphrase, nil }}
}

// encrypted makes keys that need the passphrase.
func encrypted(t *testing.T) string {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "oem")
	if _, err := provision.NewOEM(folder, anchor, provision.Keys{Passphrase: passphrase}); err != nil {
		t.Fatal(err)
	}
	return folder
}

func TestEncryptedKeys(t *testing.T) {
	folder := encrypted(t)
	for _, duty := range provision.Duties() {
		text, err := os.ReadFile(filepath.Join(folder, duty.File()))
		if err != nil || !strings.HasPrefix(string(text), "-----BEGIN ENCRYPTED PRIVATE KEY-----\n") {
			t.Errorf("%s begins with %.40q, %v", duty.File(), text, err)
		}
	}
	o, err := provision.OpenOEM(folder, opener(passphrase), provision.DutyBoot)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.ApproveBoot(tpmprofile.RolePrimary, tpmprofile.BootState{}); err != nil {
		t.Errorf("the boot key signs nothing: %v", err)
	}
	for what, opener := range map[string]provision.KeyOpener{
		"no passphrase": {}, "a wrong one": opener([]byte("wrong")), "an empty one": opener(nil),
	} {
		if _, err := provision.OpenOEM(folder, opener, provision.DutyBoot); !errors.Is(err, provision.ErrKeyLocked) {
			t.Errorf("with %s: %v; want %v", what, err, provision.ErrKeyLocked)
		}
	}
}

// A folder without private keys computes everything and signs nothing.
func TestKeysOfOtherDutiesMayBeKeptElsewhere(t *testing.T) {
	whole, folder := generate(t)
	for _, duty := range provision.Duties() {
		if err := os.Remove(filepath.Join(folder, duty.File())); err != nil {
			t.Fatal(err)
		}
	}
	o, err := provision.OpenOEM(folder, provision.KeyOpener{})
	if err != nil {
		t.Fatal(err)
	}
	got, err1 := o.Profile(attest.NVOwner, attest.BootMeasured).NVName(tpmprofile.IndexLocked)
	want, err2 := whole.Profile(attest.NVOwner, attest.BootMeasured).NVName(tpmprofile.IndexLocked)
	if err := errors.Join(err1, err2); err != nil || string(got) != string(want) {
		t.Errorf("Name %x of the anchor alone, %x of the keys, %v", got, want, err)
	}
	if _, err := o.ApproveBoot(tpmprofile.RolePrimary, tpmprofile.BootState{}); !errors.Is(err, provision.ErrKeyLocked) || !strings.Contains(err.Error(), "boot key is not here") {
		t.Errorf("signing without the key: %v", err)
	}
}

func TestAKeyFileMayNameAToken(t *testing.T) {
	whole, folder := generate(t)
	const uri = "pkcs11:token=oem;object=nv"
	if err := os.WriteFile(filepath.Join(folder, "nv.key"), []byte(uri+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	asked := ""
	token := func(uri string) (crypto.Signer, error) { asked = uri; return whole.NV, nil }
	if _, err := provision.OpenOEM(folder, provision.KeyOpener{Token: token}, provision.DutyNV); err != nil || asked != uri {
		t.Errorf("asked for %q, %v; want %q", asked, err, uri)
	}
	if _, err := provision.LoadOEM(folder); !errors.Is(err, provision.ErrKeyLocked) {
		t.Errorf("without tokens: %v; want %v", err, provision.ErrKeyLocked)
	}
	other := func(string) (crypto.Signer, error) { return whole.Boot, nil }
	if _, err := provision.OpenOEM(folder, provision.KeyOpener{Token: other}, provision.DutyNV); err == nil || !strings.Contains(err.Error(), "other public keys") {
		t.Errorf("with another key in the token: %v", err)
	}
}

// OpenSSL reads our encrypted keys, and we read those that it encrypts.
func TestOpenSSLAgreesOnEncryptedKeys(t *testing.T) {
	peertest.Use(t, peertest.Peer{Name: "OpenSSL", Program: "openssl", Package: "openssl", Version: []string{"version"}}, "reads our encrypted keys, and we read its")
	folder, plain := encrypted(t), filepath.Join(t.TempDir(), "plain")
	key, secret := filepath.Join(folder, "boot.key"), filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, passphrase, 0o600); err != nil {
		t.Fatal(err)
	}
	openssl := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("openssl", args...).CombinedOutput(); err != nil {
			t.Fatalf("openssl %v: %v\n%s", args, err, out)
		}
	}
	openssl("pkcs8", "-in", key, "-passin", "file:"+secret, "-out", plain)
	openssl("pkcs8", "-topk8", "-v2", "aes-256-cbc", "-in", plain, "-passout", "file:"+secret, "-out", key)
	if err := os.Chmod(key, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := provision.OpenOEM(folder, opener(passphrase), provision.DutyBoot); err != nil {
		t.Errorf("a key that OpenSSL encrypted: %v", err)
	}
}
