package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"imei-attest/attest/attesttest"
	"imei-attest/verifier/lists"
)

// listText is a list with these lines.
func listText(lines ...string) string {
	return strings.Join(append([]string{lists.Header}, lines...), "\n") + "\n"
}

// told is the address in an event of the start.
func (s *serving) told(message string) string {
	for _, e := range s.warning {
		if e.Message == message {
			return e.Address
		}
	}
	return ""
}

// TestAListIsInForceAtBothEIRs, from the start and within a second of an import; one that is refused changes nothing.
func TestAListIsInForceAtBothEIRs(t *testing.T) {
	const unknown, bob = attesttest.OtherIMEI, "001010000000002"
	dir := t.TempDir()
	list, next, path := filepath.Join(dir, "list.csv"), filepath.Join(dir, "next.csv"), filepath.Join(dir, "verifier.yaml")
	policy := write(t, "policy.yaml", []byte(execute("", "policy", "show", "enforce").stdout))
	replaceFile(t, list, listText("black,"+unknown+",,\"stolen, case 4711\""))
	replaceFile(t, path, fmt.Sprintf("admin: 127.0.0.1:0\npolicy: %s\nlist: list.csv\neir_5g: {listen: \"127.0.0.1:0\"}\n"+
		"s13: {listen: \"127.0.0.1:0\", host: eir.example, realm: example}\ns13_peers: [{host: mme.example, addresses: [127.0.0.1]}]\n", policy))
	s := startIn(t, path)
	defer s.stop()
	plain, _ := s.s13Addresses()
	m, a := dialMME(t, plain, "mme.example", nil), newAMF(t, s.told("listening for AMFs"), nil)
	asks := func(status string, code uint32) {
		t.Helper()
		if got := a.ask("?pei=imei-" + unknown + "&supi=imsi-" + bob); !strings.Contains(got, status) {
			t.Errorf("an AMF is told %s, not %s", got, status)
		}
		if got := m.check(unknown, bob); got != code {
			t.Errorf("an MME is told %d, not %d", got, code)
		}
	}
	imports := func(want string, flags ...string) {
		t.Helper()
		if got := execute("", append([]string{"list", "import", "--into", list, next}, flags...)...); got.code != exitYes {
			t.Fatalf("%+v", got)
		}
		s.until(want)
	}
	const taken, refused = "the list of equipment was read again", "the list of equipment was refused: the one of before still holds"
	asks("BLACKLISTED", 1)
	id := s.until("judged").ID
	if got := execute("", "explain", id, "--admin", "http://"+s.admin); !strings.Contains(got.stdout, `black, by its IMEI: "stolen, case 4711"`) {
		t.Errorf("%+v", got)
	}
	for colour, want := range map[string]uint32{"grey": 2, "white": 0} {
		replaceFile(t, next, listText(colour+","+unknown+",,"))
		imports(taken)
		asks(map[string]string{"grey": "GREYLISTED", "white": "WHITELISTED"}[colour], want)
	}
	replaceFile(t, list, listText())
	s.until(refused)
	replaceFile(t, list, listText("white,"+unknown+",,", "black,"+unknown[:13]+",,"))
	s.until(refused)
	replaceFile(t, next, listText())
	imports(taken, "--force")
	asks("ERROR_EQUIPMENT_UNKNOWN", 1<<32-1)
}

// TestListCommands: what they print, and their exit codes.
func TestListCommands(t *testing.T) {
	const exact = attesttest.IMEI2
	dir := t.TempDir()
	good, bad, into := filepath.Join(dir, "good.csv"), filepath.Join(dir, "bad.csv"), filepath.Join(dir, "list.csv")
	replaceFile(t, good, listText("black,"+exact+",,stolen", "white,"+exact+",001010000000017,", "grey,"+exact[:8]+",,"))
	replaceFile(t, bad, listText("black,"+exact[:8]+",,"))
	for _, c := range []struct {
		args           string
		code           int
		stdout, stderr string
	}{
		{"list", exitUsage, "", "want a command, list check, import or lookup"},
		{"list check " + good, exitYes, "black   1\ngrey    1\nwhite   1\ndigest  sha256:", ""},
		{"list check " + bad, exitUsage, "", "line 2: status: black for 1000000 IMEIs"},
		{"list check " + into, exitUsage, "", "a file with the line status,imei,subscriber,reason alone lists nothing"},
		{"list import --dry-run --into " + into + " " + good, exitYes, "added      1     1      1\n", ""},
		{"list lookup --list " + into + " " + exact, exitUsage, "", "no such file"},
		{"list import --into " + into + " " + good, exitYes, "after      1     1      1\n", ""},
		{"list import --json --into " + into + " " + good, exitYes, `"added": {}`, ""},
		{"list import --into " + into + " " + bad, exitUsage, "", "line 2: status"},
		{"list lookup --list " + into + " " + exact, exitNo, "is black, by its IMEI: stolen\n", ""},
		{"list lookup --subscriber imsi-001010000000017 --list " + into + " " + exact, exitYes, "is white, by its pairing\n", ""},
		{"list lookup --list " + into + " " + exact[:8] + "000001", exitUndecided, "is grey, by its TAC\n", ""},
		{"list lookup --list " + into + " " + attesttest.IMEI1, exitUndecided, "is not listed\n", ""},
		{"list lookup --list " + into + " 123", exitUsage, "", "3 characters are none"},
	} {
		got := execute("", strings.Fields(c.args)...)
		if got.code != c.code || !strings.Contains(got.stdout, c.stdout) || !strings.Contains(got.stderr, c.stderr) || strings.Contains(got.stdout+got.stderr, exact[:14]) {
			t.Errorf("%s: %+v", c.args, got)
		}
	}
	replaceFile(t, good, listText())
	if got := execute("", "list", "import", "--into", into, good); got.code != exitNo || !strings.Contains(got.stderr, "list import --force") || !strings.Contains(got.stdout, "removed") {
		t.Errorf("%+v", got)
	}
	if text, _ := os.ReadFile(into); !strings.Contains(string(text), "stolen") {
		t.Errorf("what was in force is %s", text)
	}
}
