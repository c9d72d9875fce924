package gate

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"imei-attest/testbench/peertest"
)

// modes are what may be declared for a verifier that does not judge, and what the registrar answers then.
var modes = map[string]int{"observe": http.StatusOK, "deny": http.StatusServiceUnavailable}

// TestVerifierStopped: nobody listens. After a few tries it is left alone, and the log says so once.
func TestVerifierStopped(t *testing.T) {
	n := many(300, 1000)
	for mode, code := range modes {
		t.Run(mode, func(t *testing.T) {
			row := use(t, "A1 gate: verifier stopped, "+mode)
			crowd := newCrowd(t)
			s := newService(t, crowd, "enforce", nil)
			rows := s.signFor(crowd, 0, n)
			p := newProxy(t, gated(s.address, settings{"IMEI_GATE_MODE": mode, "IMEI_GATE_HEADER": "P-IMEI-Label"}))
			s.stop()
			got := load{scenario: "register.xml", rows: texts(rows, nil)}.run(t, p)
			got.want(t, map[int]int{code: n})
			if log := p.log.String(); strings.Count(log, "no verdict 5 times in a row") != 1 {
				t.Errorf("the log says:\n%s", log)
			}
			u := newUE(t, p, "127.0.0.1")
			r := u.send(u.register(rows[0]).text())
			after, _ := strconv.Atoi(r.header.Get("Retry-After"))
			if label := r.header.Get("P-IMEI-Label"); (label == "not-judged") != (mode == "observe") || (after >= 5 && after < 35) != (mode == "deny") {
				t.Errorf("%d, label %q, Retry-After %d", r.code, label, after)
			}
			if gateway := newUE(t, p, "127.0.0.2"); gateway.send(gateway.register(rows[1]).text()).code != http.StatusOK {
				t.Error("an emergency registration is refused")
			}
			row.Asserted = fmt.Sprintf("A1 gate, verifier stopped, mode %s: %d x %d, no other", mode, n, code)
		})
	}
}

// TestBreaker: once the verifier failed it is left alone for a while, then one registration tries it, and then it is asked again.
func TestBreaker(t *testing.T) {
	row := use(t, "A1 gate: breaker")
	crowd := newCrowd(t)
	s := newService(t, crowd, "enforce", nil)
	door := newDoor(t, s.address)
	p := newProxy(t, gated(door.address(), settings{"IMEI_GATE_REST": "2", "IMEI_GATE_HEADER": "P-IMEI-Label"}))
	u := newUE(t, p, "127.0.0.1")
	rows := s.signFor(crowd, 0, 30)
	label := func(i int) string { return u.send(u.register(rows[i]).text()).header.Get("P-IMEI-Label") }

	if got := label(0); got == "not-judged" {
		t.Error("the verifier is there and was not asked")
	}
	door.refuse(true)
	before := door.asked()
	for i := 1; i <= 20; i++ {
		if got := label(i); got != "not-judged" {
			t.Errorf("the verifier refuses: %q", got)
		}
	}
	if asked := door.asked() - before; asked != 5 {
		t.Errorf("a verifier that refuses was asked %d times, want 5", asked)
	}
	time.Sleep(2100 * time.Millisecond) // longer than IMEI_GATE_REST
	if got := label(21); got != "not-judged" {
		t.Errorf("the first to try: %q", got)
	}
	if got := label(22); got != "not-judged" {
		t.Errorf("the one after: %q", got)
	}
	if asked := door.asked() - before; asked != 6 {
		t.Errorf("after a rest it was asked %d times, want 6", asked)
	}
	door.refuse(false)
	time.Sleep(2100 * time.Millisecond)
	for i := 23; i < 28; i++ {
		if got := label(i); got == "not-judged" || got == "" {
			t.Errorf("the verifier answers again: %q", got)
		}
	}
	if log := p.log.String(); !strings.Contains(log, "the verifier answers again") {
		t.Errorf("the log says:\n%s", log)
	}
	for name, value := range map[string]int64{"imei_failures": 5, "imei_again": time.Now().Add(time.Hour).Unix()} {
		if err := p.rpc("pv.shvSet", nil, name, "int", value); err != nil {
			t.Fatal(err)
		}
	}
	if got := label(28); got == "not-judged" || got == "" {
		t.Errorf("the clock was set back by an hour while the verifier was left alone: %q", got)
	}
	row.Asserted = "A1 gate, breaker: 5 failures in a row, then left alone; one tries it after the rest"
}

// TestSlowVerifier: 50 ms more, and few who ask: requests are sent again, and the verifier is asked once for each registration.
func TestSlowVerifier(t *testing.T) {
	n := many(300, 1000)
	row := use(t, "A1 gate: verifier 50 ms slower")
	crowd := newCrowd(t)
	s := newService(t, crowd, "enforce", nil)
	s.enroll(crowd, n)
	door := newDoor(t, s.address)
	door.wait = 50 * time.Millisecond
	p := newProxy(t, gated(door.address(), settings{"IMEI_GATE_PATIENCE": "60000", "IMEI_GATE_WAITING": "10000", "IMEI_GATE_TIMEOUT": "20", "IMEI_GATE_TOGETHER": "4"}))
	rows := s.signFor(crowd, 0, n)
	got := load{scenario: "register.xml", rows: texts(rows, nil), atOnce: n}.run(t, p)
	got.want(t, map[int]int{http.StatusOK: n})
	if asked := s.checks(); asked != n || got.again == 0 {
		t.Errorf("%d registrations, %d requests sent again, the verifier was asked %d times", n, got.again, asked)
	}
	if replays := s.count("imeiatt_reasons_total", `"nonce-reused"`); replays != 0 {
		t.Errorf("%d are taken for replays", replays)
	}
	const asking = 2 // processes, each on one connection
	if opened := door.connected(); opened > asking {
		t.Errorf("%d connections were opened for %d registrations", opened, n)
	}
	row.Asserted = fmt.Sprintf("A1 gate, verifier 50 ms slower: %d REGISTERs, %d sent again, %d verifier calls", n, got.again, s.checks())
}

// TestTooManyAtOnce: the verifier takes half a second for each, and few may wait: the others are told at once.
func TestTooManyAtOnce(t *testing.T) {
	const n, waiting = 200, 5
	use(t, "A1 gate: too many at once")
	crowd := newCrowd(t)
	s := newService(t, crowd, "enforce", nil)
	s.enroll(crowd, n)
	door := newDoor(t, s.address)
	door.wait = 500 * time.Millisecond
	p := newProxy(t, gated(door.address(), settings{"IMEI_GATE_MODE": "deny", "IMEI_GATE_WAITING": strconv.Itoa(waiting), "IMEI_GATE_PATIENCE": "60000"}))
	got := load{scenario: "register.xml", rows: texts(s.signFor(crowd, 0, n), nil), atOnce: n}.run(t, p)
	asked := s.checks()
	got.want(t, map[int]int{http.StatusOK: asked, http.StatusServiceUnavailable: n - asked})
	if asked < waiting || asked > n/2 {
		t.Errorf("of %d at once %d were asked about", n, asked)
	}
}

// TestWhatIsNoVerdict: an answer without one of the three codes, or without a label, tells nothing, whatever it looks like. What is whole is
// obeyed.
func TestWhatIsNoVerdict(t *testing.T) {
	row := use(t, "A1 gate: answers that are no verdict")
	crowd := newCrowd(t)
	device := newService(t, crowd, "enforce", nil).signFor(crowd, 0, 1)[0]
	answers := make(chan func(http.ResponseWriter), 1)
	odd := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { (<-answers)(w) }))
	t.Cleanup(odd.Close)
	p := newProxy(t, gated(strings.TrimPrefix(odd.URL, "http://"), settings{"IMEI_GATE_HEADER": "P-IMEI-Label", "IMEI_GATE_FAILURES": "1000"}))
	u := newUE(t, p, "127.0.0.1")
	for _, c := range []struct {
		status int
		body   string
		code   int
		label  string
	}{
		{200, "id=a&sip_code=200&label=warning%3Astale", 200, "warning:stale"},
		{200, "id=a&sip_code=403&label=contraindicated%3Aimei-reprogrammed", 403, ""},
		{200, "id=a&sip_code=200", 200, "not-judged"},
		{200, "id=a&sip_code=200&label=", 200, "not-judged"},
		{200, "id=a&sip_code=403&label=", 200, "not-judged"},
		{200, "id=a&label=warning%3Astale", 200, "not-judged"},
		{200, "id=a&sip_code=&label=warning%3Astale", 200, "not-judged"},
		{200, "id=a&sip_code=999&label=warning%3Astale", 200, "not-judged"},
		{200, "id=a&sip_code=-1&label=warning%3Astale", 200, "not-judged"},
		{200, `{"sip_code":403,"label":"contraindicated"}`, 200, "not-judged"},
		{200, "", 200, "not-judged"},
		{202, "id=a&sip_code=200&label=warning%3Astale", 200, "not-judged"},
		{403, "id=a&sip_code=403&label=contraindicated", 200, "not-judged"},
		{415, "", 200, "not-judged"},
		{400, "{}\n", 200, "not-judged"},
		{413, "{}\n", 200, "not-judged"},
		{200, "status=400&detail=no%20empty%20line%20after%20the%20header\n", 400, ""},
		{200, "status=500&detail=a%20fault\n", 200, "not-judged"},
		{200, "status=503&detail=nothing%20was%20decided\n", 200, "not-judged"},
		{200, "\nid=a&sip_code=403&label=contraindicated\n", 200, "not-judged"},
		{200, "id=a&sip_code=200&label=affirming\nid=a&sip_code=200&label=affirming\n", 200, "not-judged"},
	} {
		answers <- func(w http.ResponseWriter) {
			w.WriteHeader(c.status)
			_, _ = io.WriteString(w, c.body)
		}
		if r := u.send(u.register(device).text()); r.code != c.code || r.header.Get("P-Imei-Label") != c.label {
			t.Errorf("%d %q: %d with label %q, want %d with %q", c.status, c.body, r.code, r.header.Get("P-Imei-Label"), c.code, c.label)
		}
	}
	row.Asserted += ": no code, no label, another status or form"
}

// TestAnswersThatAreTooFew: nobody knows whose is missing, so nobody gets the verdict of another.
func TestAnswersThatAreTooFew(t *testing.T) {
	const n = 40
	row := use(t, "A1 gate: fewer answers than registrations")
	crowd := newCrowd(t)
	s := newService(t, crowd, "enforce", nil)
	var questions atomic.Int32
	stub := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		question, _ := io.ReadAll(r.Body)
		time.Sleep(50 * time.Millisecond) // the others gather
		questions.Add(1)
		_, _ = io.WriteString(w, strings.Repeat("id=a&sip_code=403&label=contraindicated\n", bytes.Count(question, []byte("\n"))-1))
	}))
	t.Cleanup(stub.Close)
	p := newProxy(t, gated(stub.Listener.Addr().String(), settings{"IMEI_GATE_FAILURES": strconv.Itoa(n)}))
	got := load{scenario: "register.xml", rows: texts(s.signFor(crowd, 0, n), nil), atOnce: n}.run(t, p)
	got.want(t, map[int]int{http.StatusOK: n})
	if asked := questions.Load(); asked > n/2 {
		t.Errorf("%d questions about %d: nothing was tried", asked, n)
	}
	row.Asserted = fmt.Sprintf("A1 gate, fewer answers than registrations: %d x 200 without a verdict, no 403", n)
}

// TestQuestionInVain counts once for the breaker, about however many it was.
func TestQuestionInVain(t *testing.T) {
	use(t, "A1 gate: a question about many in vain")
	crowd := newCrowd(t)
	s := newService(t, crowd, "enforce", nil)
	door := newDoor(t, s.address)
	door.wait = 100 * time.Millisecond
	door.refuse(true)
	const first, rest = 2, 16 // the gate's processes, and what waits meanwhile
	p := newProxy(t, gated(door.address(), settings{"IMEI_GATE_HEADER": "P-IMEI-Label", "IMEI_GATE_REST": "60"}))
	rows := s.signFor(crowd, 0, first+rest+1)
	got := load{scenario: "register.xml", rows: texts(rows[:first+rest], nil), atOnce: first + rest}.run(t, p)
	got.want(t, map[int]int{http.StatusOK: first + rest})
	if asked := door.asked(); asked >= 5 {
		t.Fatalf("%d questions: nothing was tried", asked)
	}
	door.refuse(false)
	u := newUE(t, p, "127.0.0.1")
	if label := u.send(u.register(rows[first+rest]).text()).header.Get("P-Imei-Label"); label == "" || label == "not-judged" {
		t.Errorf("label %q after %d questions in vain", label, door.asked()-1)
	}
}

// TestTokensWaitByThemselves: however many of them wait, who brings none is judged, and a body that tells no length is one all the same.
func TestTokensWaitByThemselves(t *testing.T) {
	const n = 20
	row := use(t, "A1 gate: tokens wait by themselves")
	crowd := newCrowd(t)
	s := newService(t, crowd, "enforce", nil)
	s.enroll(crowd, n)
	door := newDoor(t, s.address)
	door.wait = 300 * time.Millisecond
	p := newProxy(t, gated(door.address(), settings{"IMEI_GATE_TOGETHER": "1", "IMEI_GATE_WAITING": "5", "IMEI_GATE_PATIENCE": "60000", "IMEI_GATE_HEADER": "P-IMEI-Label"}))
	crowded := newUE(t, p, "127.0.0.1")
	for i, r := range s.signFor(crowd, 0, n) {
		text := crowded.register(r).text()
		if i%2 == 0 {
			text = strings.Replace(text, fmt.Sprintf("Content-Length: %d\r\n", len(r.token)), "", 1)
		}
		if _, err := crowded.conn.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	stranger := s.signFor(crowd, strangers, strangers+1)[0]
	stranger.token = nil
	u := newUE(t, p, "127.0.0.1")
	if r := u.send(u.register(stranger).text()); r.code != http.StatusOK || r.header.Get("P-Imei-Label") != "none:not-endorsed" {
		t.Errorf("%d with label %q", r.code, r.header.Get("P-Imei-Label"))
	}
	row.Asserted = "A1 gate, tokens that wait: who brings none is judged meanwhile"
}

// highLabels is a random number generator that lets transactions count from just below 2^31; Kamailio's other modules get what they would.
const highLabels = `
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
int rand(void) {
	Dl_info caller;
	if (dladdr(__builtin_return_address(0), &caller) && strstr(caller.dli_fname, "/tm.so")) return 0x7fffffff;
	return random();
}
`

// TestHighLabels: a transaction's label has 32 bits without a sign. A Kamailio that runs for months gets beyond half of them.
func TestHighLabels(t *testing.T) {
	row := use(t, "A1 gate: transactions with high labels")
	compiler := peertest.Peer{Name: "gcc"}
	gcc, err := peertest.Find("gcc")
	if err != nil {
		peertest.Unavailable(t, compiler, err.Error())
	}
	const n = 4
	crowd := newCrowd(t)
	s := newService(t, crowd, "enforce", nil)
	s.enroll(crowd, n)
	source, library := t.TempDir()+"/rand.c", t.TempDir()+"/rand.so"
	if err := os.WriteFile(source, []byte(highLabels), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(gcc, "-shared", "-fPIC", "-o", library, source, "-ldl").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Setenv("LD_PRELOAD", library)
	p := newProxy(t, gated(s.address, settings{"IMEI_GATE_HEADER": "P-IMEI-Label"}))
	u := newUE(t, p, "127.0.0.1")
	for i, r := range s.signFor(crowd, 0, n) {
		q := u.register(r)
		q.callID = "thesame" // and so the same list of transactions, in which labels go up by one
		if got, err := u.try(q.text(), 2*time.Second); err != nil || got.code != http.StatusOK || got.header.Get("P-Imei-Label") != "warning:subscriber-unbound" {
			t.Errorf("transaction %d: %d with label %q, %v", i, got.code, got.header.Get("P-Imei-Label"), err)
		}
	}
	checkLog(t, p)
	row.Asserted = "A1 gate: transactions whose label is above 2^31 go on as all do"
}

// TestVerifierHangs: it takes connections and answers nothing. Who waits is not more than the gate's own processes, and not for long.
func TestVerifierHangs(t *testing.T) {
	for mode, code := range modes {
		t.Run(mode, func(t *testing.T) {
			n := many(300, 1000)
			row := use(t, "A1 gate: verifier hangs, "+mode)
			crowd := newCrowd(t)
			s := newService(t, crowd, "enforce", nil)
			rows := s.signFor(crowd, 0, n)
			door := newDoor(t, s.address)
			door.wait = time.Hour
			p := newProxy(t, gated(door.address(), settings{"IMEI_GATE_MODE": mode}))
			got := load{scenario: "register.xml", rows: texts(rows, nil)}.run(t, p)
			got.want(t, map[int]int{code: n})
			if got.took > 10*time.Second {
				t.Errorf("it took %v", got.took)
			}
			row.Asserted = fmt.Sprintf("A1 gate, verifier hangs, mode %s: %d x %d, the last after %.1f s", mode, n, code, got.took.Seconds())
		})
	}
}

// TestVerifierRestarts: it is killed under load and started again. Everybody is answered, and every verdict that the registrar got is in
// the verifier's store.
func TestVerifierRestarts(t *testing.T) {
	n := many(900, 3000)
	row := use(t, "A1 gate: verifier restarts")
	crowd := newCrowd(t)
	s := newService(t, crowd, "enforce", nil)
	s.enroll(crowd, n)
	p := newProxy(t, gated(s.address, settings{"IMEI_GATE_REST": "1", "WITH_LABEL": ""}))
	rows := s.signFor(crowd, 0, n)
	decided := s.decisions()
	const rate = 300
	var got tally
	var done sync.WaitGroup
	done.Go(func() { got = load{scenario: "register.xml", rows: texts(rows, nil), rate: rate, atOnce: n}.run(t, p) })
	time.Sleep(time.Duration(n/3) * time.Second / rate)
	s.kill()
	s.start()
	done.Wait()
	got.want(t, map[int]int{http.StatusOK: n})
	if kept := p.bindings(); kept != n {
		t.Errorf("%d bindings are kept of %d", kept, n)
	}
	judged, stored := 0, s.decisions()-decided
	for u, i := newUE(t, p, "127.0.0.1"), 0; i < n; i++ {
		if u.kept(rows[i]) != "not-judged" {
			judged++
		}
	}
	if judged == n || judged < n/2 || stored < judged || stored > n {
		t.Errorf("of %d registrations the registrar got %d verdicts, and the verifier's store has %d", n, judged, stored)
	}
	row.Asserted = fmt.Sprintf("A1 gate, verifier killed and started again: %d x 200, %d with a verdict, all of them in its store (%d)", n, judged, stored)
}

// decisions is how many the store holds.
func (s *service) decisions() int {
	s.t.Helper()
	var complaint bytes.Buffer
	c := exec.Command(filepath.Join(bin, "imei-verifier"), "decisions", "--admin", "http://"+s.admin)
	c.Stderr = &complaint
	out, err := c.Output()
	if err != nil {
		s.t.Fatalf("decisions: %v\n%s", err, complaint.String())
	}
	return bytes.Count(out, []byte("\n"))
}

// door stands before a verifier, as a network that is slow, or a proxy that refuses.
type door struct {
	listener net.Listener
	behind   string
	wait     time.Duration // before each answer
	mu       sync.Mutex
	refusing bool
	requests int
	opened   int // connections
}

func newDoor(t *testing.T, behind string) *door {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &door{listener: l, behind: behind}
	server := &http.Server{Handler: d, ConnState: func(_ net.Conn, now http.ConnState) {
		if now == http.StateNew {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.opened++
		}
	}}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	return d
}

func (d *door) address() string { return d.listener.Addr().String() }

func (d *door) refuse(now bool) { d.mu.Lock(); defer d.mu.Unlock(); d.refusing = now }
func (d *door) asked() int      { d.mu.Lock(); defer d.mu.Unlock(); return d.requests }
func (d *door) connected() int  { d.mu.Lock(); defer d.mu.Unlock(); return d.opened }

func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	d.requests++
	refusing := d.refusing
	d.mu.Unlock()
	select {
	case <-time.After(d.wait):
	case <-r.Context().Done():
		return
	}
	if refusing {
		http.Error(w, "no", http.StatusServiceUnavailable)
		return
	}
	answer, err := client.Post("http://"+d.behind+r.URL.Path, r.Header.Get("Content-Type"), r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer answer.Body.Close()
	w.Header().Set("Content-Type", answer.Header.Get("Content-Type"))
	w.WriteHeader(answer.StatusCode)
	_, _ = io.Copy(w, answer.Body) // who asked may be gone
}
