package gate

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"imei-attest/verifier/bench"
)

// service is imei-verifier serve, with a policy and the manufacturer of a crowd, on addresses that it keeps when it is started again.
type service struct {
	t              *testing.T
	folder         string
	address, admin string
	process        *exec.Cmd
	log            *bytes.Buffer
	configuration  string // more of it, in YAML
}

// newService starts a verifier under a shipped policy; edit may change its text.
func newService(t *testing.T, crowd *bench.Crowd, policy string, edit func(string) string) *service {
	t.Helper()
	s := &service{t: t, folder: t.TempDir(), address: freeAddress(t), admin: freeAddress(t)}
	text, err := os.ReadFile(filepath.Join(root, "verifier/policy", policy+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if edit != nil {
		text = []byte(edit(string(text)))
	}
	anchor, err := crowd.Anchor()
	if err != nil {
		t.Fatal(err)
	}
	s.write("policy.yaml", text)
	s.write("trust/crowd.yaml", anchor)
	s.start()
	t.Cleanup(s.kill)
	return s
}

// withoutBreaker takes the breaker out of a policy, for tests that have more bad devices than a network ever has.
func withoutBreaker(text string) string {
	return regexp.MustCompile(`(?m)^breaker: .*$`).ReplaceAllString(text, "")
}

func (s *service) write(name string, content []byte) {
	s.t.Helper()
	path := filepath.Join(s.folder, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *service) start() {
	s.t.Helper()
	s.log = new(bytes.Buffer)
	s.write("verifier.yaml", []byte(cmp.Or(s.configuration, "log: info\n")))
	s.process = exec.Command(filepath.Join(bin, "imei-verifier"), "serve", "--config", s.folder+"/verifier.yaml", "--trust", s.folder+"/trust", "--state", s.folder+"/state", "--policy", s.folder+"/policy.yaml",
		"--listen", s.address, "--admin", s.admin)
	s.process.Stderr, s.process.SysProcAttr = s.log, endsWithUs
	if err := s.process.Start(); err != nil {
		s.t.Fatal(err)
	}
	await(s.t, "the verifier", func() bool { return reachable(s.address) && reachable(s.admin) }, func() string { return s.log.String() })
}

// stop ends it in an orderly way, kill at once.
func (s *service) stop() { s.end(syscall.SIGTERM) }
func (s *service) kill() { s.end(syscall.SIGKILL) }

func (s *service) end(how os.Signal) {
	if s.process == nil {
		return
	}
	_ = s.process.Process.Signal(how) // it may have ended
	_ = s.process.Wait()
	s.process = nil
}

// count is the sum of a metric over the lines whose labels hold all of the texts.
func (s *service) count(metric string, labels ...string) (sum int) {
	s.t.Helper()
	answer, err := http.Get("http://" + s.admin + "/metrics")
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close()
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		at := max(0, strings.LastIndexByte(lines.Text(), ' '))
		name, value := lines.Text()[:at], strings.TrimSpace(lines.Text()[at:])
		if name != metric && !strings.HasPrefix(name, metric+"{") || !holdsAll(name, labels) {
			continue
		}
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			s.t.Fatal(err)
		}
		sum += int(n)
	}
	return sum
}

func holdsAll(text string, parts []string) bool {
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return false
		}
	}
	return true
}

// checks is how many registrations it was asked about since it was started.
func (s *service) checks() int { return s.count("imeiatt_http_batch_size_sum") }

// client keeps its connections: a port that was used stays closed for a minute.
var client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: atOnce}}

// post asks it, and decodes the answer.
func (s *service) post(path, mediaType string, body []byte, into any) *http.Response {
	s.t.Helper()
	answer, err := client.Post("http://"+s.address+path, mediaType, bytes.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	if err == nil {
		err = json.Unmarshal(raw, into)
	}
	if err != nil || answer.StatusCode >= http.StatusBadRequest {
		s.t.Fatalf("%s answers %s, %v: %s", path, answer.Status, err, raw)
	}
	return answer
}

// freeAddress is one of loopback that is free now, for TCP and UDP.
func freeAddress(t testing.TB) string {
	t.Helper()
	const tries = 100
	for range tries {
		tcp, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		address := tcp.Addr().String()
		udp, err := net.ListenPacket("udp", address)
		tcp.Close()
		if err == nil {
			udp.Close()
			return address
		}
	}
	t.Fatalf("no port of loopback is free for TCP and UDP, in %d tries", tries)
	return ""
}

func freePort(t testing.TB) string {
	t.Helper()
	_, port, _ := net.SplitHostPort(freeAddress(t))
	return port
}

func reachable(address string) bool {
	conn, err := net.Dial("tcp", address)
	if err == nil {
		conn.Close()
	}
	return err == nil
}

// await waits until something is so, and tells what is known of it if it does not become so.
func await(t testing.TB, what string, is func() bool, known func() string) {
	t.Helper()
	const patience = 20 * time.Second
	for deadline := time.Now().Add(patience); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not come up in %v:\n%s", what, patience, known())
		}
	}
}
