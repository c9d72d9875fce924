package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"imei-attest/attest"
)

// programme is the program itself, as a process of its own.
type programme struct {
	t              *testing.T
	cmd            *exec.Cmd
	log            *bufio.Scanner
	address, admin string
	amfs           string // where AMFs ask
}

// launch starts serve with flags and environment, and waits for its address.
func launch(t *testing.T, environment []string, args ...string) *programme {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &programme{t: t, cmd: exec.Command(self, append([]string{"serve"}, args...)...)}
	p.cmd.Env = append(append(os.Environ(), asProgram+"=1"), environment...)
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.cmd.Process.Kill(); _ = p.cmd.Wait() })
	p.log = bufio.NewScanner(io.TeeReader(stderr, &written))
	p.admin = p.until("listening for the operator").Address
	p.address = p.until("listening").Address
	return p
}

// until skips what is logged before.
func (p *programme) until(message string) (e event) {
	p.t.Helper()
	for p.log.Scan() {
		if err := json.Unmarshal(p.log.Bytes(), &e); err != nil {
			p.t.Fatalf("the log says %q", p.log.Text())
		}
		if e.Message == "listening for AMFs" {
			p.amfs = e.Address
		}
		if e.Message == message {
			return e
		}
	}
	p.t.Fatalf("the log ended without %q", message)
	return e
}

func (p *programme) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// fetched is what an address answers, "" if nobody does.
func fetched(address, path string) (int, string) {
	response, err := http.Get("http://" + address + path)
	if err != nil {
		return 0, ""
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	written.Write(body)
	return response.StatusCode, string(body)
}

// fresh asks on a connection of its own: one that waits for the next question may be closed for those of others.
var fresh = http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// attestTo hands a sample token in and returns the HTTP status, and the token's path and bytes to hand it in again.
func attestTo(t *testing.T, address string) (code int, path string, evidence []byte) {
	t.Helper()
	response, err := fresh.Post("http://"+address+"/challenge-response/v1/newSession", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	location := response.Header.Get("Location")
	if location == "" {
		return response.StatusCode, "", nil
	}
	path = "/challenge-response/v1/" + location
	evidence = token(t, attest.StorageTPMDiscrete, nonceOf(t, location))
	return handIn(t, address, path, evidence), path, evidence
}

func handIn(t *testing.T, address, path string, evidence []byte) int {
	t.Helper()
	response, err := fresh.Post("http://"+address+path, attest.EvidenceMediaType, bytes.NewReader(evidence))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	if response.StatusCode != http.StatusOK {
		written.Write(body)
	}
	return response.StatusCode
}

func replaceFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

const anyPort = "127.0.0.1:0"

func TestSIGHUPWithABrokenFileKeepsWhatWas(t *testing.T) {
	path := filepath.Join(t.TempDir(), "verifier.yaml")
	good := fmt.Sprintf("listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\ntrust: %s\nstate: %s\n", trustFolder(t), t.TempDir())
	replaceFile(t, path, good)
	p := launch(t, nil, "--config", path)
	const refused = "the configuration was refused: what was in force before still is"
	if err := os.WriteFile(path, []byte(good+"polcy: 490154203237518\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.signal(syscall.SIGHUP)
	if e := p.until(refused); e.Level != "ERROR" || !strings.Contains(e.Error, `line 5: unknown key "polcy": did you mean policy?`) {
		t.Errorf("%+v", e)
	}
	if code, _, _ := attestTo(t, p.address); code != http.StatusOK {
		t.Errorf("with a broken file: %d", code)
	}
	replaceFile(t, path, good+"log: warn\nstore: memory\n")
	if e := p.until("the configuration changes what only a restart can change: the service goes on with what was"); e.Level != "WARN" {
		t.Errorf("%+v", e)
	}
	replaceFile(t, path, good)
	p.until("the configuration was read again")
	p.signal(syscall.SIGHUP)
	for _, what := range []string{"SIGHUP: all files are read again", "the trust folder was read again"} {
		p.until(what)
	}
	if _, text := fetched(p.admin, "/metrics"); !strings.Contains(text, `imeiatt_reloads_total{outcome="refused",part="config"} 1`) {
		t.Error("the refusal was not counted")
	}
	p.signal(syscall.SIGTERM)
	p.until("stopped")
	if err := p.cmd.Wait(); err != nil {
		t.Error(err)
	}
}

func TestAnEmptiedTrustFolderKeepsWhatWasTrusted(t *testing.T) {
	folder := trustFolder(t)
	s := start(t, folder, t.TempDir(), "--admin", "127.0.0.1:0")
	defer s.stop()
	path := filepath.Join(folder, "oem.yaml")
	if err := os.Rename(path, path+".aside"); err != nil {
		t.Fatal(err)
	}
	if e := s.until("the trust folder was refused: what was trusted before still holds"); e.Level != "ERROR" {
		t.Errorf("%+v", e)
	}
	if got := s.judge(); got != "affirming" {
		t.Errorf("judged %s", got)
	}
	if code, _ := fetched(s.admin, "/readyz"); code != http.StatusOK {
		t.Errorf("/readyz: %d", code)
	}
	if err := os.Rename(path+".aside", path); err != nil {
		t.Fatal(err)
	}
	if got := s.judge(); got != "affirming" {
		t.Errorf("judged %s", got)
	}
}

func TestAKeyThatOthersCanReadIsRefused(t *testing.T) {
	state := t.TempDir()
	s := start(t, trustFolder(t), state)
	defer s.stop()
	path := filepath.Join(state, nonceKeyFile)
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if e := s.until("the key of nonces was refused: what was in force before still is"); !strings.Contains(e.Error, "chmod 600") {
		t.Errorf("%+v", e)
	}
	if got := s.judge(); got != "affirming" {
		t.Errorf("judged %s", got)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestTheKeyOfNoncesIsExchanged while sessions are open.
func TestTheKeyOfNoncesIsExchanged(t *testing.T) {
	state := t.TempDir()
	s := start(t, trustFolder(t), state)
	defer s.stop()
	path, n := s.open()
	if got := execute("", "keys", "rotate", "--state", state); got.code != exitYes {
		t.Fatalf("%+v", got)
	}
	s.until("the key of nonces was read again")
	if code := handIn(t, s.address, path, token(t, attest.StorageTPMDiscrete, n)); code != http.StatusOK {
		t.Errorf("a session of before: %d", code)
	}
	old, _ := s.open()
	file := filepath.Join(state, nonceKeyFile)
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got := execute("", "keys", "rotate", "--state", state); got.code != exitUsage || !strings.Contains(got.stderr, "try again after 20") {
		t.Errorf("while the former key is needed: %+v", got)
	}
	if after, err := os.ReadFile(file); err != nil || !bytes.Equal(after, before) {
		t.Errorf("what was refused changed the key: %v", err)
	}
	for range 2 {
		long := time.Now().Add(-attest.NonceLife)
		if err := os.Chtimes(file, long, long); err != nil {
			t.Fatal(err)
		}
		if got := execute("", "keys", "rotate", "--state", state); got.code != exitYes {
			t.Fatalf("%+v", got)
		}
	}
	s.until("the key of nonces was read again")
	var problem struct{ Detail string }
	if code := s.get(old, &problem); code != http.StatusNotFound {
		t.Errorf("a session of the key before the last: %d", code)
	}
	if got := s.judge(); got != "affirming" {
		t.Errorf("judged %s", got)
	}
}

// shifted is the system's clock, set.
func shifted(t *testing.T) *atomic.Int64 {
	t.Helper()
	var by atomic.Int64
	system := wallClock
	wallClock = func() time.Time { return time.Now().Round(0).Add(time.Duration(by.Load())) }
	t.Cleanup(func() { wallClock = system })
	return &by
}

// TestAClockThatIsSet costs a try, and no token counts twice.
func TestAClockThatIsSet(t *testing.T) {
	const said = "the system's clock was set: sessions that are open may end, and devices ask again"
	for _, engine := range []string{"sqlite", "memory"} {
		t.Run(engine, func(t *testing.T) {
			t.Setenv("IMEIATT_STORE", engine)
			by := shifted(t)
			s := start(t, trustFolder(t), t.TempDir(), "--admin", "127.0.0.1:0")
			defer s.stop()
			time.Sleep(clockLook + clockLook/2) // so that it has looked once
			_, path, evidence := attestTo(t, s.address)
			s.until("judged")
			for _, jump := range []time.Duration{24 * time.Hour, 0} {
				by.Store(int64(jump))
				if e := s.until(said); e.Level != "WARN" {
					t.Errorf("%+v", e)
				}
				time.Sleep(clockLook) // the second that a store in memory waits out
				if got := s.judge(); got != "affirming" {
					t.Errorf("after a jump to %v: judged %s", jump, got)
				}
			}
			code := handIn(t, s.address, path, evidence)
			if engine == "memory" && code != http.StatusGone {
				t.Errorf("the token of before both jumps: %d", code)
			}
			if engine == "sqlite" && code != http.StatusOK && code != http.StatusGone {
				t.Errorf("the token of before both jumps: %d", code)
			}
		})
	}
}

// TestAFullDisk: nothing is decided and one line says why; once there is room it goes on by itself. The limit on a file's size is what a
// full disk is to a process.
func TestAFullDisk(t *testing.T) {
	p := launch(t, nil, "--trust", trustFolder(t), "--state", t.TempDir(), "--listen", anyPort, "--admin", anyPort)
	if code, _, _ := attestTo(t, p.address); code != http.StatusOK {
		t.Fatalf("before: %d", code)
	}
	size := func(soft uint64) {
		t.Helper()
		if err := unix.Prlimit(p.cmd.Process.Pid, unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: soft, Max: unix.RLIM_INFINITY}, nil); err != nil {
			t.Fatal(err)
		}
	}
	size(4096)
	for range 5 {
		if code, _, _ := attestTo(t, p.address); code != http.StatusServiceUnavailable {
			t.Errorf("on a full disk: %d", code)
		}
	}
	if e := p.until("the store fails: nothing is decided until it works again"); e.Level != "ERROR" {
		t.Errorf("%+v", e)
	}
	if code, text := fetched(p.admin, "/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(text, "the store fails") {
		t.Errorf("/readyz: %d %s", code, text)
	}
	if code, _ := fetched(p.admin, "/livez"); code != http.StatusOK {
		t.Errorf("/livez: %d", code)
	}
	size(unix.RLIM_INFINITY)
	if !p.log.Scan() || !strings.Contains(p.log.Text(), "the store works again") {
		t.Errorf("the next line is not that it works again: %s", p.log.Text())
	}
	if code, _, _ := attestTo(t, p.address); code != http.StatusOK {
		t.Errorf("after: %d", code)
	}
	if code, _ := fetched(p.admin, "/readyz"); code != http.StatusOK {
		t.Errorf("/readyz after: %d", code)
	}
}

// TestSlowClients: those who send half a request, and those who do not read, keep nobody out.
func TestSlowClients(t *testing.T) {
	clients, most := 1000, 100
	if os.Getenv("IMEI_ATTEST_SOAK") == "1" {
		clients, most = 10_000, 1000
	}
	p := launch(t, []string{fmt.Sprintf("IMEIATT_LIMITS_CONNECTIONS=%d", most)}, "--trust", trustFolder(t), "--state", t.TempDir(), "--listen", anyPort, "--admin", anyPort)
	for i := range clients {
		conn, err := net.Dial("tcp", p.address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		text := "POST /v1/appraise HTTP/1.1\r\nHost: verifier\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n{"
		if i%2 == 0 {
			text = "GET /openapi.yaml HTTP/1.1\r\nHost: "
		}
		io.WriteString(conn, text)
		if i%200 == 0 {
			begun := time.Now()
			if code, _, _ := attestTo(t, p.address); code != http.StatusOK {
				t.Errorf("beside %d slow clients: %d", i, code)
			}
			if took := time.Since(begun); took > 5*time.Second {
				t.Errorf("beside %d slow clients it took %v", i, took)
			}
		}
	}
	if code, text := fetched(p.admin, "/readyz"); code != http.StatusOK {
		t.Errorf("/readyz: %d %s", code, text)
	}
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.cmd.Process.Pid))
	if err != nil || len(files) > most+100 {
		t.Errorf("%d files are open, at most %d connections: %v", len(files), most, err)
	}
}

// TestClientsThatDoNotRead hold no place: all of them together leave room for the next.
func TestClientsThatDoNotRead(t *testing.T) {
	t.Setenv("IMEIATT_LIMITS_IN_FLIGHT", "2")
	s := start(t, trustFolder(t), t.TempDir())
	defer s.stop()
	for range 8 {
		conn, err := net.Dial("tcp", s.address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.(*net.TCPConn).SetReadBuffer(4096)
		requests := strings.Repeat("GET /openapi.yaml HTTP/1.1\r\nHost: verifier\r\n\r\n", 2000)
		conn.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
		io.WriteString(conn, requests)
	}
	time.Sleep(500 * time.Millisecond)
	if got := s.judge(); got != "affirming" {
		t.Errorf("judged %s", got)
	}
}

// TestDrainingIsNotReady: the operator's address says so while the last requests are answered.
func TestDrainingIsNotReady(t *testing.T) {
	h := &health{}
	h.draining.Store(true)
	if got := h.unready(context.Background()); got != "it is being stopped" {
		t.Errorf("got %q", got)
	}
}
