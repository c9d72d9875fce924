package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/attest/tpmprofile"
)

// asProgram makes the test binary behave as the program, for the tests that send it signals.
const asProgram = "IMEI_VERIFIER_TEST_AS_PROGRAM"

// nonce is one that whoever asked the device chose, in hex.
const nonce = "000102030405060708090a0b0c0d0e0f"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" || len(os.Args) == 2 && os.Args[1] == benchClients { // bench starts its own program, which here are the tests
		main()
	}
	code := m.Run()
	if found := identities(written.String()); len(found) > 0 {
		fmt.Fprintf(os.Stderr, "FAIL: what the programs wrote in these tests names somebody, or a secret: %q\n", found)
		code = max(code, 1)
	}
	os.Exit(code)
}

// outcome is what a command line left behind.
type outcome struct {
	code           int
	stdout, stderr string
}

func execute(stdin string, args ...string) outcome {
	var stdout, stderr bytes.Buffer
	code := run(context.Background(), args, strings.NewReader(stdin), &stdout, &stderr)
	written.Write(stdout.Bytes())
	written.Write(stderr.Bytes())
	return outcome{code, stdout.String(), stderr.String()}
}

// write makes a file in a new folder and returns its path.
func write(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// trustFolder trusts the sample manufacturer, for everything.
func trustFolder(t *testing.T) string {
	t.Helper()
	anchor := "issuer: " + attesttest.Credential().Issuer + "\noemid: " + attesttest.Credential().OEMID.String() +
		"\ntacs: [\"*\"]\nstorage_kinds: [tpm-discrete, software]\ndevelopment: true\n"
	for field, name := range map[string]string{
		"credential_keys:\n  - ": "oem credential", "nv_key: ": "nv", "boot_key: ": "boot", "boot_key_standby: ": "standby",
	} {
		der, err := x509.MarshalPKIXPublicKey(&attesttest.Key(name).PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.TrimSpace(string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})))
		anchor += field + "|\n    " + strings.ReplaceAll(text, "\n", "\n    ") + "\n"
	}
	return filepath.Dir(write(t, "oem.yaml", []byte(anchor)))
}

// token is the sample device's with a TPM, or in a file, honest but for the edits.
func token(t *testing.T, kind attest.StorageKind, n attest.Nonce, edits ...func(*attest.Claims)) []byte {
	t.Helper()
	credential, claims := attesttest.Credential(), attesttest.Claims()
	if kind.IsTPM() {
		storage := &credential.Storage
		storage.Kind, storage.Boot, storage.NV = kind, attest.BootMeasured, attest.NVPlatform
		storage.RollbackProtected = kind == attest.StorageTPMDiscrete
		binding, err := attest.BindingHash(credential.OEMID, credential.Slots, storage.RecordID)
		if err != nil {
			t.Fatal(err)
		}
		profile := tpmprofile.Profile{NVKey: &attesttest.Key("nv").PublicKey, BootPrimary: &attesttest.Key("boot").PublicKey,
			BootStandby: &attesttest.Key("standby").PublicKey, Variant: storage.NV, Boot: storage.Boot}
		if storage.KeyName, err = profile.KeyName(credential.Key, binding); err != nil {
			t.Fatal(err)
		}
	}
	claims.Nonce = n
	for _, edit := range edits {
		edit(&claims)
	}
	return attesttest.Token(claims, attesttest.SignedCredential(credential))
}

// reprogrammed is a modem that reports another IMEI, told honestly.
func reprogrammed(c *attest.Claims) {
	c.Observed[0].IMEI, c.Measurements[0] = attesttest.MustIMEI(attesttest.OtherIMEI), attest.MeasuredDifferent
}

func TestGeneralCommandLines(t *testing.T) {
	for _, c := range []struct {
		name   string
		args   []string
		code   int
		stdout string
		stderr string
	}{
		{"--version names the version", []string{"--version"}, 0, "imei-verifier ", ""},
		{"--help lists the commands", []string{"--help"}, 0, "appraise", ""},
		{"help of a command lists its flags", []string{"help", "serve"}, 0, "--listen", ""},
		{"-h of a command lists its flags", []string{"appraise", "-h"}, 0, "--nonce", ""},
		{"no command is a mistake, not a yes", nil, 3, "", "--help"},
		{"an unknown command is a mistake", []string{"judge"}, 3, "", `unknown command "judge" of imei-verifier: want appraise, audit`},
		{"an unknown flag is a mistake", []string{"serve", "--port", "1"}, 3, "", "serve has no flag --port: --help tells"},
		{"a flag that is nearly one is a mistake", []string{"serve", "--lisen", "1"}, 3, "", "imei-verifier serve has no flag --lisen: did you mean --listen?"},
		{"a flag without its value is a mistake", []string{"serve", "--listen"}, 3, "", "flag needs an argument: --listen: --help tells more"},
		{"a command that is nearly one is a mistake", []string{"serv"}, 3, "", "did you mean serve?"},
		{"an unknown command of store is a mistake", []string{"store", "chekc"}, 3, "", `unknown command "chekc" of imei-verifier store: did you mean check?`},
		{"help of an unknown command is a mistake", []string{"help", "nosuch"}, 3, "", `unknown command "nosuch" of imei-verifier: want`},
		{"help of an unknown command of policy is a mistake", []string{"help", "policy", "chekc"}, 3, "", "did you mean check?"},
		{"help of a command of policy is help", []string{"help", "policy", "check"}, 0, "policy check FILE", ""},
		{"config check takes a file", []string{"config", "check"}, 3, "", "config check takes one argument, FILE, and was given 0"},
		{"explain takes an identifier", []string{"explain"}, 3, "", "explain takes one argument, the ID of a decision, and was given 0"},
		{"appraise names all that it lacks", []string{"appraise", "--nonce", "00"}, 3, "", "imei-verifier appraise needs --evidence, --trust: --help"},
		{"replay wants a source", []string{"replay"}, 3, "", "want --decisions FILE or --admin URL"},
		{"what is missing is told at once", []string{"serve"}, 3, "", "state: is missing: give it in the file, as IMEIATT_STATE or as --state"},
		{"a configuration that is missing is a mistake", []string{"serve", "--config", "absent.yaml"}, 3, "", "imei-verifier config print prints one"},
		{"config alone is a mistake", []string{"config"}, 3, "", "config check or config print"},
		{"keys alone is a mistake", []string{"keys"}, 3, "", "keys rotate"},
		{"keys rotate needs a folder of a server", []string{"keys", "rotate", "--state", "absent"}, 3, "", "started once"},
		{"an argument is a mistake", []string{"appraise", "token.cose", "--trust", "t", "--evidence", "e", "--nonce", "00"}, 3, "", `takes no arguments but flags, and was given "token.cose"`},
		{"policy alone is a mistake, not a yes", []string{"policy"}, 3, "", "policy check, explain, show or try"},
		{"an unknown command of policy is a mistake", []string{"policy", "chekc"}, 3, "", `unknown command "chekc"`},
		{"policy check takes a file", []string{"policy", "check"}, 3, "", "policy check takes one argument, FILE, and was given 0"},
		{"policy show takes a name", []string{"policy", "show"}, 3, "", "observe or enforce, and was given 0"},
		{"policy try takes flags", []string{"policy", "try"}, 3, "", "policy try needs --policy"},
		{"policy explain takes one file", []string{"policy", "explain", "a", "b"}, 3, "", "takes at most one argument, FILE, and was given 2"},
		{"completion takes a shell", []string{"completion"}, 3, "", "takes one argument, bash, zsh or fish, and was given 0"},
		{"completion knows three shells", []string{"completion", "csh"}, 3, "", "bash, zsh or fish"},
		{"completion completes", []string{"completion", "bash"}, 0, "imei-verifier", ""},
		{"man prints the manual", []string{"man"}, 0, ".SH NAME", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := execute("", c.args...)
			if got.code != c.code || !strings.Contains(got.stdout, c.stdout) || !strings.Contains(got.stderr, c.stderr) ||
				(c.stdout == "") != (got.stdout == "") || (c.stderr == "") != (got.stderr == "") {
				t.Errorf("got %+v, want %d, %q, %q", got, c.code, c.stdout, c.stderr)
			}
		})
	}
}

func TestAppraiseJudges(t *testing.T) {
	n, err := hex.DecodeString(nonce)
	if err != nil {
		t.Fatal(err)
	}
	folder := trustFolder(t)
	good := token(t, attest.StorageTPMDiscrete, n)
	const text = "status        affirming\nslot1         affirming\n"
	for _, c := range []struct {
		name  string
		token []byte
		args  []string
		code  int
		want  string // standard output begins with it
	}{
		{"a good token is a yes", good, nil, 0, text},
		{"a good token for the IMEI that was shown is a yes", good, []string{"--signalled", "urn:gsma:imei:49015420-323751-0"}, 0,
			text + "registration  affirming\n"},
		{"a good token for another IMEI is a no", good, []string{"--signalled", "urn:gsma:imei:86871907-660344-0"}, 1,
			"status        contraindicated\nslot1         affirming\nregistration  contraindicated\n"},
		{"another IMEI in the modem is a no", token(t, attest.StorageTPMDiscrete, n, reprogrammed), nil, 1, "status        contraindicated\n"},
		{"a key in a file is undecided", token(t, attest.StorageSoftware, n), nil, 2, "status        warning\n"},
		{"another nonce is undecided", token(t, attest.StorageTPMDiscrete, attesttest.Nonce()), nil, 2, "status        none\n"},
		{"a token cut short is undecided", good[:len(good)-1], nil, 2, "status        none\n"},
		{"an empty file is undecided", nil, nil, 2, "status        none\n"},
		{"a huge file is undecided", make([]byte, 1<<20), nil, 2, "status        none\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := append([]string{"appraise", "--trust", folder, "--evidence", write(t, "token", c.token), "--nonce", nonce}, c.args...)
			got := execute("", args...)
			if got.code != c.code || got.stderr != "" || !strings.HasPrefix(got.stdout, c.want) {
				t.Errorf("got %d\n%s%s, want %d\n%s", got.code, got.stdout, got.stderr, c.code, c.want)
			}
			for _, digits := range []string{attesttest.IMEI1, attesttest.OtherIMEI} {
				if strings.Contains(got.stdout, digits[:14]) {
					t.Errorf("an IMEI in %s", got.stdout)
				}
			}
		})
	}
	t.Run("standard input is a file too", func(t *testing.T) {
		if got := execute(string(good), "appraise", "--trust", folder, "--evidence", "-", "--nonce", nonce); got.code != exitYes {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("--json says the same in full", func(t *testing.T) {
		got := execute("", "appraise", "--trust", folder, "--evidence", write(t, "token", good), "--nonce", nonce, "--json")
		var v verdict
		decoder := json.NewDecoder(strings.NewReader(got.stdout))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&v); err != nil {
			t.Fatalf("%v: %s", err, got.stdout)
		}
		reasons := []attest.Reason{attest.ReasonIMEIConsistent, attest.ReasonHardwareVault, attest.ReasonBootApproved}
		want := verdict{Status: "affirming", Tier: "none", Submods: []submod{{Name: "slot1", Status: "affirming", Reasons: reasons,
			Vector: map[string]int{"instance-identity": 2, "executables": 3, "hardware": 2, "storage-opaque": 2}}}}
		for _, r := range reasons {
			want.Reasons = append(want.Reasons, finding{r, r.Info().Sentence, r.Info().Clause})
		}
		if got.code != exitYes || !reflect.DeepEqual(v, want) {
			t.Errorf("got %d %+v, want %+v", got.code, v, want)
		}
	})
}

func TestAppraiseRefusesWhatItCannotUse(t *testing.T) {
	folder, evidence := trustFolder(t), write(t, "token", nil)
	broken := filepath.Dir(write(t, "oem.yaml", []byte("issuer: [\n")))
	for _, c := range []struct {
		name                   string
		trust, evidence, nonce string
		want                   string
	}{
		{"a missing trust folder", filepath.Join(folder, "absent"), evidence, nonce, "oem-anchor.yaml"},
		{"an empty trust folder", t.TempDir(), evidence, nonce, "oem-anchor.yaml"},
		{"an unreadable trust file", broken, evidence, nonce, "mended or removed"},
		{"a trust folder that is a file", evidence, evidence, nonce, "oem-anchor.yaml"},
		{"a missing evidence file", folder, filepath.Join(folder, "absent"), nonce, "no such file or directory: name the file of the token, as imei-agent attest --out writes it"},
		{"evidence that is a folder", folder, folder, nonce, "--evidence: read"},
		{"a nonce that is not hex", folder, evidence, "nonce", "--nonce: want the hex"},
		{"a nonce of half a byte", folder, evidence, "0", "--nonce: want the hex"},
		{"an empty nonce", folder, evidence, "", "--nonce: want the hex"},
	} {
		t.Run(c.name+" ends with 3", func(t *testing.T) {
			got := execute("", "appraise", "--trust", c.trust, "--evidence", c.evidence, "--nonce", c.nonce)
			if got.code != exitUsage || got.stdout != "" || !strings.HasPrefix(got.stderr, "imei-verifier: ") || !strings.Contains(got.stderr, c.want) {
				t.Errorf("got %+v, want %q", got, c.want)
			}
		})
	}
}

func TestStatusesHaveExitCodes(t *testing.T) {
	for status, want := range map[attest.Status]int{attest.StatusAffirming: 0, attest.StatusContraindicated: 1, attest.StatusWarning: 2, attest.StatusNone: 2, 7: 2} {
		got := exitYes
		if err := judged(status); err != nil {
			got = err.(*failure).code
		}
		if got != want {
			t.Errorf("%s: exit code %d, want %d", status, got, want)
		}
	}
}
