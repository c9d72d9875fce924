package main

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/verifier/httpapi"
	"imei-attest/verifier/trust"
)

// publisher is the folder of a manufacturer that revokes the sample device and approves firmware, and its key's file.
func publisher(t *testing.T) (folder, key string) {
	t.Helper()
	folder = trustFolder(t)
	path := filepath.Join(folder, "oem.yaml")
	revokeTheDevice(t, path)
	f, err := trust.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f.Models = []trust.Model{{HWModel: "bench", Firmware: []string{"R01"}}}
	raw, err := f.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, raw, 0o644); err != nil {
		t.Fatal(err)
	}
	return folder, secretly(t, "credential.key", keyPEM(t, "oem credential"))
}

// secretly makes a file that nobody else may read.
func secretly(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := write(t, name, content)
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func keyPEM(t *testing.T, name string) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(attesttest.Key(name))
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// published is the file of a CoRIM by it.
func published(t *testing.T) string {
	t.Helper()
	folder, key := publisher(t)
	path := filepath.Join(t.TempDir(), "oem.corim")
	got := execute("", "corim", "export", "--trust", folder, "--issuer", attesttest.Credential().Issuer, "--key", key, "--out", path)
	if want := "file         " + path + "\nissuer       " + attesttest.Credential().Issuer + "\nvalid        20"; got.code != exitYes || !strings.HasPrefix(got.stdout, want) || got.stderr != "" {
		t.Fatalf("export: %+v, want %s", got, want)
	}
	return path
}

// wantAdded is what it adds to the folder of the tests.
func wantAdded() trust.Additions {
	return trust.Additions{Models: []trust.Model{{HWModel: "bench", Firmware: []string{"R01"}}},
		Revoked: trust.Revoked{DeviceKeys: []string{attest.KeyIDOf(&attesttest.DeviceKey.PublicKey).String()}}}
}

// TestAnImportIsInForceForTheNextJudgement of a server that runs.
func TestAnImportIsInForceForTheNextJudgement(t *testing.T) {
	folder, document := trustFolder(t), published(t)
	s := start(t, folder, t.TempDir())
	defer s.stop()
	if got := s.judge(); got != "affirming" {
		t.Errorf("judged %s before", got)
	}
	if got := execute("", "corim", "import", "--trust", folder, "--dry-run", document); got.code != 0 || !strings.Contains(got.stdout, "nothing was changed") {
		t.Errorf("dry run: %+v", got)
	}
	if got := s.judge(); got != "affirming" {
		t.Errorf("judged %s after the dry run", got)
	}
	want := "approved     firmware of bench: R01\nrevoked      device key " + wantAdded().Revoked.DeviceKeys[0] + "\n"
	if got := execute("", "corim", "import", "--trust", folder, document); got != (outcome{stdout: want}) {
		t.Errorf("import: %+v, want %s", got, want)
	}
	s.until("the trust folder was read again")
	if got := s.judge(); got != "contraindicated" {
		t.Errorf("judged %s after the import", got)
	}
	if got := execute("", "corim", "import", "--trust", folder, document); got.code != 0 || !strings.Contains(got.stdout, "nothing new") {
		t.Errorf("second import: %+v", got)
	}
}

func TestImportPrintsJSON(t *testing.T) {
	document := published(t)
	for _, dryRun := range []bool{true, false} {
		args := []string{"corim", "import", "--json", "--trust", trustFolder(t), document}
		if dryRun {
			args = append(args, "--dry-run")
		}
		got := execute("", args...)
		var answer imported
		added := wantAdded()
		if err := json.Unmarshal([]byte(got.stdout), &answer); err != nil || got.code != 0 || !reflect.DeepEqual(answer, imported{dryRun, &added}) {
			t.Errorf("%+v, %v", got, err)
		}
	}
}

// TestACoRIMIsTakenOverHTTP, as serve wires it.
func TestACoRIMIsTakenOverHTTP(t *testing.T) {
	folder := trustFolder(t)
	document, err := os.ReadFile(published(t))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(httpapi.NewEndorsements(endorsements{folder}, httpapi.Anybody(httpapi.RoleEndorser), slog.New(slog.DiscardHandler)))
	defer server.Close()
	post := func(query string, body []byte) (int, string) {
		t.Helper()
		response, err := http.Post(server.URL+"/endorsement-provisioning/v1/submit"+query, attest.CoRIMMediaType, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		answer, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, string(answer)
	}
	want := `"added":{"models":[{"hwmodel":"bench","firmware":["R01"]}],"revoked":{"device_keys":["` + wantAdded().Revoked.DeviceKeys[0] + `"]}}`
	for _, query := range []string{"?dry-run=true", ""} {
		if status, answer := post(query, document); status != 200 || !strings.Contains(answer, want) {
			t.Errorf("%q: %d %s, want %s", query, status, answer, want)
		}
	}
	if status, answer := post("", document); status != 200 || !strings.Contains(answer, `"added":{}`) {
		t.Errorf("again: %d %s", status, answer)
	}
	document[len(document)-1] ^= 1
	if status, answer := post("", document); status != 422 || !strings.Contains(answer, "signature does not verify") {
		t.Errorf("forged: %d %s", status, answer)
	}
	if err := os.Remove(filepath.Join(folder, "oem.yaml")); err != nil {
		t.Fatal(err)
	}
	if status, answer := post("", document); status != 503 || strings.Contains(answer, folder) {
		t.Errorf("without a folder: %d %s", status, answer)
	}
}

func TestShowBelievesNothing(t *testing.T) {
	got := execute("", "corim", "show", published(t))
	for _, want := range []string{"issuer       " + attesttest.Credential().Issuer, "the signature was not checked", "approved     firmware of bench: R01", "signs        credential key "} {
		if got.code != 0 || !strings.Contains(got.stdout, want) {
			t.Errorf("%+v, want %q", got, want)
		}
	}
}

func TestCoRIMCommandLinesThatFail(t *testing.T) {
	folder, key := publisher(t)
	document := published(t)
	content, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	stranger, public := secretly(t, "stranger.key", keyPEM(t, "stranger")), write(t, "public.key", keyPEM(t, "oem credential"))
	if err := os.Chmod(public, 0o644); err != nil {
		t.Fatal(err)
	}
	encrypted := secretly(t, "encrypted.key", []byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"))
	export := func(key, out string) []string {
		return []string{"corim", "export", "--trust", folder, "--issuer", attesttest.Credential().Issuer, "--key", key, "--out", out}
	}
	fresh := func() string { return filepath.Join(t.TempDir(), "new.corim") }
	for _, c := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"no command", []string{"corim"}, 3, "corim show, import or export"},
		{"no file", []string{"corim", "import", "--trust", folder}, 3, "takes one argument, FILE"},
		{"no folder", []string{"corim", "import", document}, 3, "corim import needs --trust"},
		{"a file that is missing", []string{"corim", "import", "--trust", folder, "missing"}, 3, "missing"},
		{"a folder that is missing", []string{"corim", "import", "--trust", "missing", document}, 3, "put one YAML file per manufacturer there"},
		{"a file that is no CoRIM", []string{"corim", "import", "--trust", folder, key}, 1, "refused, and nothing was changed"},
		{"a CoRIM cut short", []string{"corim", "import", "--trust", folder, write(t, "cut", content[:100])}, 1, "ends too early"},
		{"show of a file that is no CoRIM", []string{"corim", "show", key}, 1, "COSE_Sign1"},
		{"show of a file that is missing", []string{"corim", "show", "missing"}, 3, "missing"},
		{"an export over another file", export(key, document), 3, "is there already"},
		{"an export with a key that others can read", export(public, fresh()), 3, "chmod 600"},
		{"an export with an encrypted key", export(encrypted, fresh()), 3, "openssl pkey"},
		{"an export with a public key", export(secretly(t, "public.pem", []byte("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")), fresh()), 3, "PEM block PRIVATE KEY"},
		{"an export with a stranger's key", export(stranger, fresh()), 3, "none of the credential keys"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := execute("", c.args...); got.code != c.code || got.stdout != "" || !strings.Contains(got.stderr, c.want) {
				t.Errorf("%+v, want %d and %q", got, c.code, c.want)
			}
		})
	}
	if after, err := os.ReadFile(document); err != nil || !bytes.Equal(after, content) {
		t.Errorf("the file that was there was changed: %v", err)
	}
}
