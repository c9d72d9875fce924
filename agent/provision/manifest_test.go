package provision_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"imei-attest/agent/provision"
	"imei-attest/attest"
	"imei-attest/attest/attesttest"
)

func TestManifestOfABatch(t *testing.T) {
	l := newLine(t, rowsOf(t, 0, 3)...)
	_, j := l.want(3, 0, 0, 0)
	anchor, err := os.ReadFile(filepath.Join(l.oemPath, provision.AnchorFile))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := l.oem.SignManifest("test", j.Digests(), attesttest.Now)
	if err != nil {
		t.Fatal(err)
	}
	m, err := provision.VerifyManifest(raw, anchor)
	if err != nil || m.Batch != "test" || provision.CompareManifest(m, j.Digests(), "the journal") != nil {
		t.Fatalf("%+v, %v", m, err)
	}
	for what, digests := range map[string][]attest.CredentialDigest{
		"one less": j.Digests()[1:], "one more": append(j.Digests(), attest.CredentialDigest{}), "none": nil,
	} {
		if err := provision.CompareManifest(m, digests, "the journal"); !errors.Is(err, provision.ErrManifest) {
			t.Errorf("compared with %s: %v", what, err)
		}
	}
	spoiled := bytes.Clone(raw)
	spoiled[len(spoiled)-1] ^= 1
	_, other := generate(t)
	foreign, err := os.ReadFile(filepath.Join(other, provision.AnchorFile))
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		raw, anchor []byte
		want        error
	}{
		"spoiled":                  {spoiled, anchor, provision.ErrManifest},
		"cut":                      {raw[:99], anchor, provision.ErrManifest},
		"another manufacturer":     {raw, foreign, provision.ErrManifest},
		"another issuer":           {raw, bytes.Replace(anchor, []byte("issuer: tag"), []byte("issuer: gat"), 1), provision.ErrManifest},
		"an anchor that is none":   {raw, []byte("x: 1\n"), provision.ErrAnchor},
		"an anchor without a key":  {raw, []byte("issuer: x\n"), provision.ErrManifest},
		"an anchor with a bad key": {raw, []byte("credential_keys: [x]\n"), provision.ErrAnchor},
	} {
		if _, err := provision.VerifyManifest(c.raw, c.anchor); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", what, err, c.want)
		}
	}
}

func TestCredentialFolder(t *testing.T) {
	oem, _ := generate(t)
	result, err := software(t, oem, filepath.Join(t.TempDir(), "vault"), attesttest.IMEI1)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	if _, err := provision.CredentialDigests(os.DirFS(folder)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an empty folder: %v", err)
	}
	for range 2 {
		if err := provision.KeepCredential(folder, result.Credential); err != nil {
			t.Fatal(err)
		}
	}
	digests, err := provision.CredentialDigests(os.DirFS(folder))
	if err != nil || len(digests) != 1 || digests[0] != attest.DigestOf(result.Credential.Raw) {
		t.Errorf("%x, %v", digests, err)
	}
	for name, content := range map[string][]byte{"other": result.Credential.Raw, "noise": []byte("noise")} {
		path := filepath.Join(folder, name+provision.CredentialSuffix)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := provision.CredentialDigests(os.DirFS(folder)); err == nil {
			t.Errorf("a file with %s was accepted", name)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}
