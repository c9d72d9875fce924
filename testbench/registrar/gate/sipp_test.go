package gate

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"imei-attest/testbench/peertest"
)

// load is what sipp is to do.
type load struct {
	scenario string // a file of testdata
	rows     []string
	tcp      bool
	rate     int // calls a second at most; 0 is as fast as it goes
	atOnce   int // calls under way at most
	patience time.Duration
	port     string // its port; "" is a free one
	callID   string // of each call, with %u for its number; "" is sipp's own
	cseq     int    // of the first request of such a call
}

// tally is what came of it: by response code how often it came, and how often a request was sent and sent again.
type tally struct {
	codes       map[int]int
	sent, again int
	failed      int
	took        time.Duration
	report      string
}

// run runs sipp until all calls are over.
func (l load) run(t testing.TB, p *proxy) tally {
	t.Helper()
	c := l.command(t, p)
	start := time.Now()
	out, err := c.CombinedOutput()
	got := readTally(string(out))
	got.took = time.Since(start)
	if err != nil && c.ProcessState.ExitCode() != 1 { // 1: a call failed, which is counted
		t.Fatalf("sipp: %v\n%s\nKamailio:\n%s", err, out, p.log.String())
	}
	return got
}

func (l load) command(t testing.TB, p *proxy) *exec.Cmd {
	t.Helper()
	program, err := peertest.Find("sipp")
	if err != nil {
		t.Fatal(err)
	}
	scenario, err := filepath.Abs(filepath.Join("testdata", l.scenario))
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	rows := folder + "/rows.csv"
	if err := os.WriteFile(rows, []byte("SEQUENTIAL\n"+strings.Join(l.rows, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	transport := "u1"
	if l.tcp {
		transport = "t1"
	}
	c := exec.CommandContext(t.Context(), program, p.address, "-sf", scenario, "-inf", rows, "-t", transport, "-i", "127.0.0.1", "-p", cmp.Or(l.port, freePort(t)),
		"-m", strconv.Itoa(len(l.rows)), "-r", strconv.Itoa(cmp.Or(l.rate, 20000)), "-l", strconv.Itoa(cmp.Or(l.atOnce, 100)), "-nostdin",
		"-timeout", fmt.Sprintf("%ds", int(cmp.Or(l.patience, time.Minute).Seconds())))
	if l.callID != "" {
		c.Args = append(c.Args, "-cid_str", l.callID, "-base_cseq", strconv.Itoa(cmp.Or(l.cseq, 1)))
	}
	c.Dir, c.SysProcAttr = folder, endsWithUs
	return c
}

var (
	responseLine = regexp.MustCompile(`(?m)^ +(\d{3}) <-+ +(?:E-RTD\d+ +)?(\d+) `)
	requestLine  = regexp.MustCompile(`(?m)^ +REGISTER -+> +(?:B-RTD\d+ +)?(\d+) +(\d+) `)
	failedLine   = regexp.MustCompile(`(?m)^ +Failed call +\| +\d+ +\| +(\d+)`)
)

// readTally reads sipp's last screen.
func readTally(report string) tally {
	if at := strings.LastIndex(report, "Scenario Screen"); at >= 0 {
		report = report[at:]
	}
	got := tally{codes: make(map[int]int), report: report}
	number := func(text string) int {
		n, _ := strconv.Atoi(text) // digits by the expression
		return n
	}
	for _, m := range responseLine.FindAllStringSubmatch(report, -1) {
		if n := number(m[2]); n > 0 {
			got.codes[number(m[1])] += n
		}
	}
	for _, m := range requestLine.FindAllStringSubmatch(report, -1) {
		got.sent += number(m[1])
		got.again += number(m[2])
	}
	if m := failedLine.FindStringSubmatch(report); m != nil {
		got.failed = number(m[1])
	}
	return got
}
