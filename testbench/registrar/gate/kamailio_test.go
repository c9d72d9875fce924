package gate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"imei-attest/testbench/peertest"
)

// proxy is a Kamailio with a configuration of testdata.
type proxy struct {
	t       testing.TB
	address string // of SIP, by UDP and TCP
	folder  string
	process *exec.Cmd
	ended   chan struct{}
	log     locked
}

// settings are what a configuration defines before all else: a name with a value, or a name alone.
type settings map[string]string

// newProxy starts a plain registrar and waits until it answers.
func newProxy(t testing.TB, given settings) *proxy {
	t.Helper()
	return newProxyOf(t, "registrar.cfg", given)
}

// newProxyOf starts one with a configuration of testdata.
func newProxyOf(t testing.TB, config string, given settings) *proxy {
	t.Helper()
	p := &proxy{t: t, address: freeAddress(t), folder: t.TempDir()}
	_, port, _ := net.SplitHostPort(p.address)
	var text strings.Builder
	text.WriteString("#!KAMAILIO\n#!substdef \"!LISTEN_PORT!" + port + "!g\"\n#!substdef \"!RPC_SOCKET!" + p.rpcSocket() + "!g\"\n")
	for name, value := range given {
		if value == "" {
			fmt.Fprintf(&text, "#!define %s\n", name)
		} else {
			fmt.Fprintf(&text, "#!substdef \"!%s!%s!g\"\n", name, value)
		}
	}
	testdata, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&text, "include_file %q\n", testdata+"/"+config)
	if err := os.WriteFile(p.folder+"/kamailio.cfg", []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	p.start()
	return p
}

func (p *proxy) rpcSocket() string { return p.folder + "/rpc" }

func (p *proxy) start() {
	p.t.Helper()
	program, err := peertest.Find("kamailio")
	if err != nil {
		p.t.Fatal(err)
	}
	p.process = exec.Command(program, "-f", p.folder+"/kamailio.cfg", "-P", p.folder+"/pid", "-Y", p.folder, "-m", "1024", "-M", "16", "-x", "tlsf", "-X", "tlsf", "-DD", "-E")
	p.process.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.Contains(strings.ToLower(v), "_proxy=") }) // libcurl obeys them
	p.process.Stdout, p.process.Stderr, p.process.SysProcAttr = &p.log, &p.log, endsWithUs
	if err := p.process.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.ended = make(chan struct{})
	go func() { _ = p.process.Wait(); close(p.ended) }() // how it ends is in its log
	p.t.Cleanup(p.stop)
	await(p.t, "Kamailio", func() bool { return p.hasEnded() || p.rpc("core.version", nil) == nil }, p.log.String)
	if p.hasEnded() {
		p.t.Fatalf("Kamailio ended at its start:\n%s", p.log.String())
	}
}

func (p *proxy) hasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

func (p *proxy) stop() {
	_ = p.process.Process.Signal(syscall.SIGTERM) // it may have ended
	<-p.ended
}

// rpc asks Kamailio itself.
func (p *proxy) rpc(method string, into any, params ...any) error {
	own := filepath.Join(p.folder, "ask"+strconv.FormatInt(time.Now().UnixNano(), 36))
	conn, err := net.DialUnix("unixgram", &net.UnixAddr{Name: own, Net: "unixgram"}, &net.UnixAddr{Name: p.rpcSocket(), Net: "unixgram"})
	if err != nil {
		return err
	}
	defer os.Remove(own)
	defer conn.Close()
	question, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": append([]any{}, params...)})
	if err != nil {
		return err
	}
	const patience = 5 * time.Second
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := conn.Write(question); err != nil {
		return err
	}
	buffer := make([]byte, 1<<20)
	n, err := conn.Read(buffer)
	if err != nil {
		return err
	}
	var answer struct {
		Result json.RawMessage
		Error  json.RawMessage
	}
	if err := json.Unmarshal(buffer[:n], &answer); err != nil {
		return err
	}
	if answer.Error != nil {
		return fmt.Errorf("%s: %s", method, answer.Error)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(answer.Result, into)
}

// statistic is one of Kamailio's own counts.
func (p *proxy) statistic(name string) int {
	p.t.Helper()
	counts := make(map[string]json.Number)
	if err := p.rpc("stats.fetchn", &counts, name); err != nil || len(counts) != 1 {
		p.t.Fatalf("%s: %q, %v", name, counts, err)
	}
	for _, count := range counts {
		n, err := count.Int64()
		if err != nil {
			p.t.Fatal(err)
		}
		return int(n)
	}
	return 0
}

// bindings is how many contacts are kept.
func (p *proxy) bindings() int { return p.statistic("location_contacts") }

// transactions is how many were made.
func (p *proxy) transactions() int {
	p.t.Helper()
	var all struct{ Total int }
	if err := p.rpc("tm.stats", &all); err != nil {
		p.t.Fatal(err)
	}
	return all.Total
}

// processorTime is that of all its processes so far (proc(5), stat).
func (p *proxy) processorTime() (sum time.Duration) {
	p.t.Helper()
	const tick = 10 * time.Millisecond // USER_HZ is 100 on all processors of Linux that Go runs on
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", p.process.Process.Pid, p.process.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	for _, pid := range append(strings.Fields(string(children)), strconv.Itoa(p.process.Process.Pid)) {
		stat, err := os.ReadFile("/proc/" + pid + "/stat")
		if err != nil {
			p.t.Fatal(err)
		}
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		for _, field := range fields[11:13] { // utime, stime
			n, err := strconv.Atoi(field)
			if err != nil {
				p.t.Fatal(err)
			}
			sum += time.Duration(n) * tick
		}
	}
	return sum
}

// locked is a buffer that one goroutine writes while another reads.
type locked struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(p)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}
