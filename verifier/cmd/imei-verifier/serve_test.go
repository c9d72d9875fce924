package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"imei-attest/attest"
	"imei-attest/verifier/ear"
)

// event is one line of the log.
type event struct {
	Level   string `json:"level"`
	Message string `json:"msg"`
	Address string `json:"address"`
	ID      string `json:"id"`
	Version string `json:"version"`
	Issuer  string `json:"issuer"`
	Status  string `json:"status"`
	Error   string `json:"error"`
	TLS     bool   `json:"tls"`
}

// serving is a server under way.
type serving struct {
	t       *testing.T
	cancel  context.CancelFunc
	address string
	admin   string
	warning []event // logged before the address
	code    chan int
	log     lines
}

// lines takes the log: one Write is one event (log/slog). It holds more than any test logs, so that no handler waits.
type lines chan []byte

func (l lines) Write(p []byte) (int, error) {
	written.Write(p)
	l <- bytes.Clone(p)
	return len(p), nil
}

// start runs serve on a free port, with more flags, and waits until it says which.
func start(t *testing.T, trust, state string, more ...string) *serving {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s := &serving{t: t, cancel: cancel, code: make(chan int, 1), log: make(lines, 100)}
	go func() {
		args := append([]string{"serve", "--trust", trust, "--state", state, "--listen", "127.0.0.1:0"}, more...)
		s.code <- run(ctx, args, strings.NewReader(""), s.log, s.log)
		close(s.log)
	}()
	t.Cleanup(cancel)
	for {
		e := s.next()
		if e.Message == "listening" {
			s.address = e.Address
			return s
		}
		if e.Message == "listening for the operator" {
			s.admin = e.Address
			continue
		}
		s.warning = append(s.warning, e)
	}
}

func (s *serving) next() (e event) {
	s.t.Helper()
	line, ok := <-s.log
	if err := json.Unmarshal(line, &e); err != nil || !ok {
		s.t.Fatalf("the log says %q: %v", line, err)
	}
	return e
}

// stop ends it and wants a clean end.
func (s *serving) stop() {
	s.t.Helper()
	s.cancel()
	if code := <-s.code; code != exitYes {
		s.t.Errorf("exit code %d", code)
	}
}

func (s *serving) get(path string, into any) int {
	s.t.Helper()
	response, err := http.Get("http://" + s.address + path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(into); err != nil {
		s.t.Fatal(err)
	}
	return response.StatusCode
}

func (s *serving) key() ear.JWK {
	s.t.Helper()
	var d struct {
		Key ear.JWK `json:"ear-verification-key"`
	}
	s.get("/.well-known/veraison/verification", &d)
	return d.Key
}

func nonceOf(t *testing.T, location string) attest.Nonce {
	t.Helper()
	n, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(location, "session/"))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// open opens a session and returns its path and nonce.
func (s *serving) open() (string, attest.Nonce) {
	s.t.Helper()
	response, err := http.Post("http://"+s.address+"/challenge-response/v1/newSession", "", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	location := response.Header.Get("Location")
	return "/challenge-response/v1/" + location, nonceOf(s.t, location)
}

func TestServeJudges(t *testing.T) {
	s := start(t, trustFolder(t), t.TempDir())
	path, n := s.open()
	response, err := http.Post("http://"+s.address+path, attest.EvidenceMediaType, bytes.NewReader(token(t, attest.StorageTPMDiscrete, n)))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("%s", response.Status)
	}
	if e := s.next(); e.Message != "judged" || e.Status != "affirming" {
		t.Errorf("%+v", e)
	}
	s.stop()
}

func TestServeWarnsOfADevelopmentAnchor(t *testing.T) {
	s := start(t, trustFolder(t), t.TempDir())
	defer s.stop()
	if len(s.warning) != 2 || !strings.Contains(s.warning[1].Message, "TACs") || s.warning[0].Level != "WARN" || s.warning[0].Issuer != "tag:example,2026:oem" ||
		!strings.Contains(s.warning[0].Message, "remove it from the trust folder") {
		t.Errorf("%+v", s.warning)
	}
}

func TestServeKeepsItsKeysOverARestart(t *testing.T) {
	folder, state := trustFolder(t), filepath.Join(t.TempDir(), "state")
	first := start(t, folder, state)
	key := first.key()
	path, _ := first.open()
	first.stop()
	for _, name := range []string{resultKeyFile, nonceKeyFile, deviceKeyFile, subscriberKeyFile, storeFile} {
		info, err := os.Stat(filepath.Join(state, name))
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); mode != 0o600 {
			t.Errorf("%s has mode %#o, want 0600", name, mode)
		}
	}
	second := start(t, folder, state)
	defer second.stop()
	if again := second.key(); again != key {
		t.Errorf("the result key was %+v and is %+v", key, again)
	}
	var problem struct{ Detail string }
	if code := second.get(path, &problem); code != http.StatusOK {
		t.Errorf("the first server's session: %d %s", code, problem.Detail)
	}
}

// TestAStoreInMemoryEndsSessions: whether their nonces were used nobody knows any more.
func TestAStoreInMemoryEndsSessions(t *testing.T) {
	t.Setenv("IMEIATT_STORE", "memory")
	folder, state := trustFolder(t), t.TempDir()
	first := start(t, folder, state)
	path, _ := first.open()
	first.stop()
	second := start(t, folder, state)
	defer second.stop()
	var problem struct{ Detail string }
	if code := second.get(path, &problem); code != http.StatusGone {
		t.Errorf("the first server's session: %d %s", code, problem.Detail)
	}
	if _, err := os.Stat(filepath.Join(state, storeFile)); err == nil {
		t.Error("there is a store on the disk")
	}
}

func TestServeRefusesWhatItCannotUse(t *testing.T) {
	folder := trustFolder(t)
	serving := start(t, folder, t.TempDir())
	defer serving.stop()
	state := func(name, content string, mode os.FileMode) string {
		path := write(t, name, []byte(content))
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return filepath.Dir(path)
	}
	empty := "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
	for _, c := range []struct {
		name                 string
		trust, state, listen string
		want                 string
	}{
		{"a missing trust folder", filepath.Join(folder, "absent"), t.TempDir(), "127.0.0.1:0", "oem-anchor.yaml"},
		{"an empty trust folder", t.TempDir(), t.TempDir(), "127.0.0.1:0", "oem-anchor.yaml"},
		{"a result key that others can read", folder, state(resultKeyFile, "", 0o644), "127.0.0.1:0", "chmod 600"},
		{"a nonce key that the group can read", folder, state(nonceKeyFile, "", 0o640), "127.0.0.1:0", "chmod 600"},
		{"a result key that is none", folder, state(resultKeyFile, "key\n", 0o600), "127.0.0.1:0", "remove it to make a new one"},
		{"a result key that holds nothing", folder, state(resultKeyFile, empty, 0o600), "127.0.0.1:0", "remove it to make a new one"},
		{"a nonce key that is short", folder, state(nonceKeyFile, "0011\n", 0o600), "127.0.0.1:0", "remove it to make a new one"},
		{"a state folder that is a file", folder, filepath.Join(state("file", "", 0o600), "file"), "127.0.0.1:0", "state folder"},
		{"a port that is taken", folder, t.TempDir(), serving.address, "--listen"},
		{"an address that is none", folder, t.TempDir(), "nowhere", "--listen"},
		{"a policy that is missing", folder, t.TempDir(), "127.0.0.1:0 --policy " + filepath.Join(folder, "absent"), "policy show"},
		{"a policy with a mistake", folder, t.TempDir(), "127.0.0.1:0 --policy " + write(t, "p.yaml", []byte("name: x\nnonsense: 1\n")), "unknown key"},
		{"an admin port that is taken", folder, t.TempDir(), "127.0.0.1:0 --admin " + serving.address, "--admin"},
		{"an admin address without a port", folder, t.TempDir(), "127.0.0.1:0 --admin 127.0.0.1", "--admin"},
	} {
		t.Run(c.name+" ends with 3", func(t *testing.T) {
			got := execute("", append([]string{"serve", "--trust", c.trust, "--state", c.state, "--listen"}, strings.Fields(c.listen)...)...)
			_, message, found := strings.Cut(got.stderr, "imei-verifier: ")
			if got.code != exitUsage || got.stdout != "" || !found || !strings.Contains(message, c.want) {
				t.Errorf("got %d %s, want %q", got.code, got.stderr, c.want)
			}
		})
	}
}

// readiness is what the operator's address says.
func (s *serving) readiness(into any) (int, error) {
	code, text := fetched(s.admin, "/readyz")
	return code, json.Unmarshal([]byte(text), into)
}

// TestServeDrains: who was being answered when the server is stopped gets the answer.
func TestServeDrains(t *testing.T) {
	s := start(t, trustFolder(t), t.TempDir(), "--admin", "127.0.0.1:0")
	conn, err := net.Dial("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const body = `{"registration":{"emergency":true}}`
	fmt.Fprintf(conn, "POST /v1/appraise HTTP/1.1\r\nHost: verifier\r\nContent-Type: application/json\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", len(body))
	from := bufio.NewReader(conn)
	if line, err := from.ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
		t.Fatalf("%q, %v", line, err) // it came when the handler began to read
	}
	if _, err := from.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	s.cancel()
	for code := http.StatusOK; code != http.StatusServiceUnavailable; {
		var answer struct{ Status, Reason string }
		if code, _ = s.readiness(&answer); code == http.StatusServiceUnavailable && answer.Reason != "it is being stopped" {
			t.Errorf("/readyz: %+v", answer)
		}
	}
	io.WriteString(conn, body)
	response, err := http.ReadResponse(from, nil)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("%s", response.Status)
	}
	if judged, stopped := s.next(), s.next(); judged.Message != "judged" || stopped.Message != "stopped" {
		t.Errorf("log: %+v, %+v", judged, stopped)
	}
	s.stop()
}

// TestSIGTERMEndsTheServerWith0 stops the program itself.
func TestSIGTERMEndsTheServerWith0(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	server := exec.Command(program, "serve", "--trust", trustFolder(t), "--state", t.TempDir(), "--listen", "127.0.0.1:0")
	server.Env = append(os.Environ(), asProgram+"=1")
	stderr, err := server.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	log := bufio.NewScanner(stderr)
	var lines []string
	for log.Scan() {
		lines = append(lines, log.Text())
		if strings.Contains(log.Text(), `"listening"`) {
			if err := server.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := server.Wait(); err != nil || !strings.Contains(lines[len(lines)-1], `"stopped"`) {
		t.Errorf("%v\n%s", err, strings.Join(lines, "\n"))
	}
}
