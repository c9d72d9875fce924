package trust_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/verifier"
	"imei-attest/verifier/trust"
)

func pemOf(t testing.TB, kind string, key any) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func publicPEM(t testing.TB, name string) string {
	return pemOf(t, "PUBLIC KEY", &attesttest.Key(name).PublicKey)
}

// block writes a text as a YAML block, indented.
func block(text string) string {
	return "|\n    " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n    ") + "\n"
}

// good is a manufacturer's file as lines that tests replace, by key.
func good(t testing.TB, credentialKey string) map[string]string {
	return map[string]string{
		"issuer":           "issuer: tag:example,2026:oem\n",
		"oemid":            "oemid: pen:32473\n",
		"credential_keys":  "credential_keys:\n  - " + block(publicPEM(t, credentialKey)),
		"nv_key":           "nv_key: " + block(publicPEM(t, "nv")),
		"boot_key":         "boot_key: " + block(publicPEM(t, "boot")),
		"boot_key_standby": "boot_key_standby: " + block(publicPEM(t, "standby")),
		"tacs":             "tacs: [\"49015420\", \"01234567\"]\n",
		"storage_kinds":    "storage_kinds: [tpm-discrete, software]\n",
		"development":      "",
		"end":              "",
	}
}

func text(lines map[string]string) string {
	var b strings.Builder
	for _, key := range []string{"issuer", "oemid", "credential_keys", "nv_key", "boot_key", "boot_key_standby", "tacs", "storage_kinds", "development", "end"} {
		b.WriteString(lines[key])
	}
	return b.String()
}

// folder writes files by name.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestAGoodFolderIsTrustedAsWritten(t *testing.T) {
	second := good(t, "second")
	second["tacs"], second["development"] = "tacs: [\"*\"]\n", "development: true\n"
	second["storage_kinds"] = "storage_kinds: [tpm-emulated]\n"
	dir := folder(t, map[string]string{"b.yaml": text(second), "a.yaml": text(good(t, "first")), "README.md": "not ours"})

	got, anchors, err := trust.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	a := &verifier.Anchor{Issuer: "tag:example,2026:oem", OEMID: attest.PENOEMID(32473), TACs: []verifier.TACRange{{First: "49015420", Last: "49015420"}, {First: "01234567", Last: "01234567"}},
		StorageKinds: []attest.StorageKind{attest.StorageTPMDiscrete, attest.StorageSoftware},
		NVKey:        &attesttest.Key("nv").PublicKey, BootKey: &attesttest.Key("boot").PublicKey, BootKeyStandby: &attesttest.Key("standby").PublicKey}
	b := *a
	b.TACs, b.StorageKinds, b.Development = nil, []attest.StorageKind{attest.StorageTPMEmulated}, true
	want := &verifier.Trust{Generation: got.Generation} // see TestVerifiersWithTheSameFolderAgreeOnTheGeneration
	for name, anchor := range map[string]*verifier.Anchor{"first": a, "second": &b} {
		if err := want.Keys.Add(&attesttest.Key(name).PublicKey, anchor); err != nil {
			t.Fatal(err)
		}
	}
	if !reflect.DeepEqual(got, want) || !reflect.DeepEqual(anchors, []*verifier.Anchor{a, &b}) {
		t.Errorf("got %+v %+v, want %+v", got, anchors, want)
	}
}

func TestAnUnquotedTACIsReadAsWritten(t *testing.T) {
	lines := good(t, "first")
	lines["tacs"] = "tacs: [49015420, 01234567]\n" // the second is no number of eight digits to every reader of YAML
	_, anchors, err := trust.Load(folder(t, map[string]string{"a.yaml": text(lines)}))
	if err != nil {
		t.Fatal(err)
	}
	if want := ([]verifier.TACRange{{First: "49015420", Last: "49015420"}, {First: "01234567", Last: "01234567"}}); !reflect.DeepEqual(anchors[0].TACs, want) {
		t.Errorf("got %v, want %v", anchors[0].TACs, want)
	}
}

// TestABadFileRefusesTheWholeFolder, and the message names the file, what is wrong and what to do.
func TestABadFileRefusesTheWholeFolder(t *testing.T) {
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	rsaPEM, p224PEM := pemOf(t, "PUBLIC KEY", &rsaKey.PublicKey), pemOf(t, "PUBLIC KEY", &p224.PublicKey)
	p384PEM := pemOf(t, "PUBLIC KEY", &attesttest.Key384("nv").PublicKey)
	for _, c := range []struct {
		name, key, line string // the line in the place of key's
		want            string
	}{
		{"an unknown key", "end", "weakness: none\n", `unknown key "weakness"`},
		{"a key twice", "end", "issuer: tag:example,2026:other\n", `the key "issuer" stands in line 1 already`},
		{"two documents", "end", "---\nissuer: tag:example,2026:other\n", "single document"},
		{"broken YAML", "end", "tacs: [\n", ""},
		{"a list for a text", "issuer", "issuer: [tag]\n", "line 1: want a text, not !!seq"},
		{"a text for a list", "tacs", "tacs: \"49015420\"\n", "want a list, not !!str"},
		{"a number for a truth", "development", "development: 1\n", "want true or false, not !!int"},
		{"no issuer", "issuer", "", "issuer"},
		{"an issuer that no Credential can name", "issuer", "issuer: " + strings.Repeat("i", 65) + "\n", "1 to 64 bytes"},
		{"no OEM id", "oemid", "", "oemid"},
		{"an OEM id of no form", "oemid", "oemid: ACME\n", "pen:NUMBER"},
		{"no credential key", "credential_keys", "", "credential_keys: empty"},
		{"a credential key that is no PEM", "credential_keys", "credential_keys: [AAAA]\n", "credential_keys: entry 1: want one PEM block PUBLIC KEY"},
		{"a credential key twice", "credential_keys",
			"credential_keys:\n  - " + block(publicPEM(t, "bad")) + "  - " + block(publicPEM(t, "bad")), "credential_keys: entry 2"},
		{"two keys in one PEM", "nv_key", "nv_key: " + block(publicPEM(t, "nv")+publicPEM(t, "other")), "nv_key: want one PEM block"},
		{"a PEM of another type", "nv_key", "nv_key: " + block(pemOf(t, "CERTIFICATE", &attesttest.Key("nv").PublicKey)), "nv_key: want one PEM block"},
		{"a PEM that holds no key", "nv_key", "nv_key: " + block("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"), "nv_key"},
		{"no boot key", "boot_key", "", "boot_key"},
		{"no standby boot key", "boot_key_standby", "", "boot_key_standby"},
		{"an RSA key", "credential_keys", "credential_keys:\n  - " + block(rsaPEM), "P-256 or P-384"},
		{"a key on P-224", "credential_keys", "credential_keys:\n  - " + block(p224PEM), "P-256"},
		{"a key for TPMs on P-384", "nv_key", "nv_key: " + block(p384PEM), "must be on P-256"},
		{"one key for two duties", "nv_key", "nv_key: " + block(publicPEM(t, "boot")), "must stay apart"},
		{"a standby that is the primary", "boot_key_standby", "boot_key_standby: " + block(publicPEM(t, "boot")), "the standby boot key is the primary"},
		{"an emulated TPM without development", "storage_kinds", "storage_kinds: [tpm-emulated]\n", "development: true"},
		{"an unknown storage kind", "storage_kinds", "storage_kinds: [tpm]\n", "tpm-discrete"},
		{"no storage kind", "storage_kinds", "", "storage_kinds: empty"},
		{"no TAC", "tacs", "tacs: []\n", "list the TACs"},
		{"a TAC of seven digits", "tacs", "tacs: [\"4901542\"]\n", "8 digits in quotes"},
		{"a TAC of letters", "tacs", "tacs: [\"4901542O\"]\n", "8 digits in quotes"},
		{"a TAC that YAML writes in hex", "tacs", "tacs: [0x123456]\n", "8 digits in quotes"},
		{"a TAC twice", "tacs", "tacs: [\"49015420\", 49015420-49015420]\n", "tacs: entry 2 says the same as entry 1"},
		{"all TACs beside one", "tacs", "tacs: [\"*\", \"49015420\"]\n", "\"*\" alone"},
		{"all TACs without quotes", "tacs", "tacs: [*]\n", ""},
	} {
		t.Run(c.name+" is refused", func(t *testing.T) {
			lines := good(t, "bad")
			lines[c.key] = c.line
			dir := folder(t, map[string]string{"a.yaml": text(good(t, "first")), "bad.yaml": text(lines)})
			wantRefusal(t, dir, filepath.Join(dir, "bad.yaml"), c.want, "mended or removed")
		})
	}
}

func wantRefusal(t *testing.T, dir string, words ...string) {
	t.Helper()
	got, anchors, err := trust.Load(dir)
	if err == nil || got != nil || anchors != nil {
		t.Fatalf("trusted: %+v, %v", anchors, err)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q does not say %q", err, word)
		}
	}
}

func TestABadFolderIsRefused(t *testing.T) {
	t.Run("missing", func(t *testing.T) {
		wantRefusal(t, filepath.Join(t.TempDir(), "absent"), "absent", "oem-anchor.yaml")
	})
	t.Run("empty", func(t *testing.T) {
		dir := t.TempDir()
		wantRefusal(t, dir, dir, "no .yaml file", "oem-anchor.yaml")
	})
	t.Run("files of other names only", func(t *testing.T) {
		wantRefusal(t, folder(t, map[string]string{"a.txt": text(good(t, "first"))}), "no .yaml file")
		wantRefusal(t, folder(t, map[string]string{"a.yaml": text(good(t, "first")), "b.yml": text(good(t, "second"))}), "rename it")
	})
	t.Run("an empty file", func(t *testing.T) {
		wantRefusal(t, folder(t, map[string]string{"a.yaml": ""}), "a.yaml", "the file is empty", "mended or removed")
	})
	t.Run("a folder with a file's name", func(t *testing.T) {
		dir := folder(t, map[string]string{"a.yaml": text(good(t, "first"))})
		if err := os.Mkdir(filepath.Join(dir, "b.yaml"), 0o755); err != nil {
			t.Fatal(err)
		}
		wantRefusal(t, dir, "b.yaml", "mended or removed")
	})
	t.Run("a link to nothing", func(t *testing.T) {
		dir := folder(t, map[string]string{"a.yaml": text(good(t, "first"))})
		if err := os.Symlink(filepath.Join(dir, "nothing"), filepath.Join(dir, "b.yaml")); err != nil {
			t.Fatal(err)
		}
		wantRefusal(t, dir, "b.yaml", "mended or removed")
	})
	t.Run("a file that may not be read", func(t *testing.T) {
		if os.Geteuid() == 0 {
			t.Skip("root reads every file")
		}
		dir := folder(t, map[string]string{"a.yaml": text(good(t, "first"))})
		if err := os.Chmod(filepath.Join(dir, "a.yaml"), 0); err != nil {
			t.Fatal(err)
		}
		wantRefusal(t, dir, "a.yaml", "mended or removed")
	})
	t.Run("one key in two files", func(t *testing.T) {
		dir := folder(t, map[string]string{"a.yaml": text(good(t, "first")), "b.yaml": text(good(t, "first"))})
		wantRefusal(t, dir, "b.yaml", "stands in a.yaml already: remove it from one of the two", "mended or removed")
	})
}

// FuzzLoad: what loads is complete, and as a program writes it again it loads to the same.
func FuzzLoad(f *testing.F) {
	f.Add(text(good(f, "first")))
	f.Add(text(full(f)))
	for _, issuer := range []string{"~", "null", "1.0", "yes", " a ", "# a", "a: b", "- a", "a\n\nb\n", "\t", "\u0085", "\u2028", "\ufeff", "'\"", "*a", "!!int 1", strings.Repeat("a ", 32)} {
		lines := full(f)
		lines["issuer"] = fmt.Sprintf("issuer: %+q\n", issuer) // as YAML and Go both read it
		f.Add(text(lines))
	}
	f.Add("tacs: [\"*\"]\n---\n")
	f.Fuzz(func(t *testing.T, content string) {
		dir := folder(t, map[string]string{"a.yaml": content})
		path := filepath.Join(dir, "a.yaml")
		got, anchors, err := trust.Load(dir)
		if err != nil {
			return
		}
		for _, a := range anchors {
			if a.Issuer == "" || a.OEMID.IsZero() || a.NVKey == nil || a.BootKey == nil || a.BootKeyStandby == nil || len(a.StorageKinds) == 0 {
				t.Errorf("an anchor of %q lacks something: %+v", content, a)
			}
		}
		if got.Keys.Len() == 0 {
			t.Errorf("%q trusts no key", content)
		}
		written, err := readFile(t, path).Encode()
		if err != nil {
			t.Fatalf("%q is not written: %v", content, err)
		}
		if err := os.WriteFile(path, written, 0o644); err != nil {
			t.Fatal(err)
		}
		again, anchorsAgain, err := trust.Load(dir)
		if err != nil || !reflect.DeepEqual(anchorsAgain, anchors) || !reflect.DeepEqual(again.Keys, got.Keys) {
			t.Errorf("%q is written as %q, which loads as %+v, %v, not as %+v", content, written, anchorsAgain, err, anchors)
		}
	})
}
