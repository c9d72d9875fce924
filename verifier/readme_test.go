package verifier_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"flag"
	"io"
	"log/slog"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/testbench/peertest"
	"imei-attest/verifier/ear"
	"imei-attest/verifier/httpapi"
)

var update = flag.Bool("update", false, "write the generated parts of README.md again")

// TestTheExampleInTheREADMEIsTheCompiledOne compares a region of a file that is compiled and run.
func TestTheExampleInTheREADMEIsTheCompiledOne(t *testing.T) {
	source, err := os.ReadFile("ear/example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(source), "// region: relying party\n")
	region, _, found := strings.Cut(rest, "// end of region\n")
	if !found {
		t.Fatal("ear/example_test.go has no region")
	}
	compareREADME(t, "region: relying party", "```go\n"+strings.TrimSpace(region)+"\n```\n")
}

// TestTheCurlCommandsOfTheREADMEWork runs them one after the other, as a reader would.
func TestTheCurlCommandsOfTheREADMEWork(t *testing.T) {
	peertest.Use(t, peertest.Peer{Name: "curl"}, "asks the verifier as its README says")
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	l, dir := newLab(t), t.TempDir()
	results, err := ear.NewSigner(attesttest.Key("results"), "test")
	if err != nil {
		t.Fatal(err)
	}
	handler, err := httpapi.New(httpapi.Config{Verifier: l.Verifier, Results: results, Identify: httpapi.Anybody(httpapi.RoleDevice | httpapi.RoleNetwork), Rand: l.random,
		Now: func() time.Time { return l.now }, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	defer server.Close()

	location := ""
	sh := func(script string) string {
		command := exec.Command("sh", "-euc", script+"\nprintf '%s' \"$LOCATION\" >location")
		command.Dir = dir
		command.Env = append(os.Environ(), "VERIFIER="+server.URL, "LOCATION="+location, "no_proxy=127.0.0.1", "HOME="+dir)
		var stderr bytes.Buffer
		command.Stderr = &stderr
		out, err := command.Output()
		if err != nil {
			t.Fatalf("%s\n%v: %s", script, err, stderr.Bytes())
		}
		raw, err := os.ReadFile(filepath.Join(dir, "location"))
		if err != nil {
			t.Fatal(err)
		}
		location = string(raw)
		return string(out)
	}
	want := map[string]string{ // in the output, white space apart
		"open":             "",
		"submit":           `"status":"complete"`,
		"poll":             `"status":"complete"`,
		"appraise":         `"label":"affirming:imei-consistent"`,
		"without evidence": `"label":"none:not-endorsed"`,
		"message":          `"label":"none:not-endorsed"`,
		"batch":            "&label=none%3Anot-endorsed\nstatus=400&detail=initial%20must%20be%20true%20or%20false\n",
		"result":           `application/eat+cwt; eat_profile="tag:ietf.org,2026:rats/ear#03"`,
		"delete":           "204",
		"discovery":        `"service-state":"READY"`,
	}
	blocks := regexp.MustCompile("(?s)<!-- curl: ([a-z ]+) -->\n```sh\n(.*?)```\n").FindAllStringSubmatch(string(readme), -1)
	for _, b := range blocks {
		name, script := b[1], b[2]
		expected, known := want[name]
		if !known {
			t.Errorf("README.md has a command %q that this test does not know", name)
		}
		delete(want, name)
		if name == "appraise" { // a question of its own
			sh(blocks[0][2])
			l.answerSession(dir)
		}
		if out := sh(script); !strings.Contains(out, expected) {
			t.Errorf("%s: got %s, want %s", name, out, expected)
		}
		if name == "open" {
			l.answerSession(dir)
		}
	}
	for name := range want {
		t.Errorf("README.md has no command %q", name)
	}
}

// answerSession is the device's part: it reads session.json and writes token.cose.
func (l *lab) answerSession(dir string) {
	l.t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, "session.json"))
	if err != nil {
		l.t.Fatal(err)
	}
	var session struct{ Nonce string }
	if err := json.Unmarshal(raw, &session); err != nil {
		l.t.Fatalf("%s: %v", raw, err)
	}
	n, err := base64.RawURLEncoding.DecodeString(session.Nonce)
	if err != nil {
		l.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "token.cose"), answering(attest.Nonce(n), credential()), 0o644); err != nil {
		l.t.Fatal(err)
	}
}
