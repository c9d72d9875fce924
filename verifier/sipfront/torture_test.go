package sipfront_test

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"imei-attest/attest/attesttest"
	"imei-attest/testbench/peertest"
	"imei-attest/verifier/ear"
	"imei-attest/verifier/httpapi"
	"imei-attest/verifier/sip"
	"imei-attest/verifier/sipfront"
)

// TestTorture hands each message of RFC 4475 in as the message of a check, as the original of a third-party REGISTER, and to the application
// server itself: over UDP it gets what the table says, over TCP something or a closed connection. Then an honest registration is judged as
// ever, and no goroutine is lost.
func TestTorture(t *testing.T) {
	const archive, unreferenced = 50, 1 // test.dat is in the archive and in no clause
	files, err := filepath.Glob("../sip/testdata/rfc4475/*.dat")
	if err != nil || len(files) != archive || len(torture) != archive-unreferenced {
		t.Fatalf("%d files for %d messages, %v", len(files), len(torture), err)
	}
	before := runtime.NumGoroutine()
	rows := [][]string{{"message", "RFC 4475", "as the UE's REGISTER", "with method REGISTER", "to the server"}}
	for _, c := range torture {
		t.Run(c.name, func(t *testing.T) {
			raw, err := os.ReadFile("../sip/testdata/rfc4475/" + c.name + ".dat")
			if err != nil {
				t.Fatal(err)
			}
			f := begin(t, nil)
			f.wantReading(raw, c.exact)
			f.wantReading(withMethodREGISTER(raw), c.asREGISTER)
			if code := f.sendRaw(raw); code != c.code {
				t.Errorf("to the server: %d, want %d", code, c.code)
			}
			f.sendStream(raw)
			f.wantHonest()
		})
		result := func(where string) string {
			if where == "" {
				return "read"
			}
			return "refused: " + where
		}
		answer := strconv.Itoa(c.code)
		if c.code == 0 {
			answer = "silence"
		}
		rows = append(rows, []string{c.name, c.clause, result(c.exact), result(c.asREGISTER), answer})
	}
	if t.Failed() {
		rows = append(rows, []string{"FAILED", "", "", "", ""})
	}
	wantGoroutines(t, before)
	print(t, fmt.Sprintf("SIP torture messages (RFC 4475), before the parser and the application server: %d", len(torture)), rows)
}

// wantReading: the parser, POST /v1/registrations/check and the application server agree on what can be read, and each says so in its way.
func (f *front) wantReading(raw []byte, refused string) {
	f.t.Helper()
	_, err := sip.ParseRegister(raw)
	var fault *sip.Error
	if (refused == "") != (err == nil) || err != nil && (!errors.As(err, &fault) || fault.Where != refused) {
		f.t.Errorf("the parser: %v, want %s", err, cmp.Or(refused, "none"))
	}
	w := httptest.NewRecorder()
	request := httptest.NewRequest("POST", "/v1/registrations/check", strings.NewReader(`{"message":"`+base64.StdEncoding.EncodeToString(raw)+`"}`))
	request.Header.Set("Content-Type", "application/json")
	f.api().ServeHTTP(w, request)
	if want := map[bool]int{true: http.StatusOK, false: http.StatusBadRequest}[refused == ""]; w.Code != want || w.Code == 400 && !strings.Contains(w.Body.String(), refused+": ") {
		f.t.Errorf("as a message: %d %s, want %d", w.Code, w.Body, want)
	}
	want := "read"
	switch {
	case bytes.HasPrefix(raw, []byte("SIP/")):
		want = "missing"
	case refused != "":
		want = "unreadable"
	}
	if answer := f.over("udp", including(string(raw)))[0]; code(answer) != 200 {
		f.t.Errorf("within a third-party REGISTER: %s", answer)
	}
	if got := f.outcome(); got.Original != want {
		f.t.Errorf("within a third-party REGISTER: %+v, want it %s", got, want)
	}
}

func (f *front) api() http.Handler {
	results, err := ear.NewSigner(attesttest.Key("results"), "test")
	if err != nil {
		f.t.Fatal(err)
	}
	h, err := httpapi.New(httpapi.Config{Verifier: f.config.Verifier, Results: results, Identify: httpapi.Anybody(httpapi.RoleNetwork), Rand: rand.Reader,
		Now: f.config.Now, Log: slog.New(slog.DiscardHandler), Version: "test"})
	if err != nil {
		f.t.Fatal(err)
	}
	return h
}

// withMethodREGISTER is the message with its method replaced, in the request line and in CSeq.
func withMethodREGISTER(raw []byte) []byte {
	method, _, _ := bytes.Cut(raw, []byte(" "))
	head, body, _ := bytes.Cut(raw, []byte("\r\n\r\n"))
	return append(append(bytes.ReplaceAll(head, method, []byte("REGISTER")), "\r\n\r\n"...), body...)
}

// outcome is the latest.
func (f *front) outcome() (last struct {
	Original string
	Code     int
}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	o := f.outcomes[len(f.outcomes)-1]
	last.Original, last.Code = o.Original, o.Code
	return last
}

func (f *front) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.outcomes)
}

// sendRaw sends a datagram, and returns the code that it was answered with.
func (f *front) sendRaw(raw []byte) int {
	f.t.Helper()
	before := f.count()
	if _, err := f.dial("udp").Write(raw); err != nil {
		f.t.Fatal(err)
	}
	f.waitFor(func() bool { return f.count() > before })
	return f.outcome().Code
}

// sendStream sends it over TCP, in two pieces, and ends there.
func (f *front) sendStream(raw []byte) {
	f.t.Helper()
	conn := f.dial("tcp")
	defer conn.Close()
	_, _ = conn.Write(raw[:len(raw)/2])
	_, _ = conn.Write(raw[len(raw)/2:]) // it may be closed by now
	_ = conn.(*net.TCPConn).CloseWrite()
	if _, err := io.Copy(io.Discard, conn); err != nil && !isReset(err) {
		f.t.Errorf("over TCP: %v", err)
	}
}

// wantHonest: an honest registration is judged as ever.
func (f *front) wantHonest() {
	f.t.Helper()
	for _, network := range []string{"udp", "tcp"} {
		answer := f.over(network, including(registered(contact+digest, answering(aka401))))[0]
		if summary, _, _ := f.last(); code(answer) != 200 || summary != good+" subscriber-bound" {
			f.t.Errorf("an honest registration over %s afterwards: %.20q, %s", network, answer, summary)
		}
	}
}

// TestOurOwnTorture: what RFC 4475 has not, to the server itself.
func TestOurOwnTorture(t *testing.T) {
	noise := make([]byte, 4096)
	_, _ = rand.Read(noise)
	nested := including(including(including(registered(contact, nil))))
	parts := strings.Repeat("--b\r\nContent-Type: message/sip\r\n\r\n"+registered(contact, nil)+"\r\n", 200)
	headers := strings.Repeat("X: "+strings.Repeat("y", 200)+"\r\n", 300)
	const silence = 0
	before := runtime.NumGoroutine()
	for name, c := range map[string]struct {
		message string
		code    int
	}{
		"noise":                         {string(noise), silence},
		"a byte":                        {"x", silence},
		"NULs and noise":                {strings.Repeat("\x00", 100) + string(noise[:100]), silence},
		"a request line alone":          {"REGISTER sip:h SIP/2.0\r\n\r\n", 400},
		"no line end":                   {strings.Repeat("REGISTER ", 5000), silence},
		"a header of 60 kB":             {told(headers, "message/sip", registered(contact, nil)), 200},
		"an original of 60 kB":          {including(registered(contact+headers, nil)), 200},
		"a third-party REGISTER within": {nested, 200},
		"200 originals":                 {told("", "multipart/mixed;boundary=b", parts+"--b--"), 200},
		"a body of boundaries":          {told("", "multipart/mixed;boundary=b", strings.Repeat("\r\n--b", 9000)), 200},
		"an original of folds":          {including("REGISTER sip:h SIP/2.0\r\nTo: a" + strings.Repeat("\r\n b", 9000) + "\r\n\r\n"), 200},
		"an original of quotes":         {including(registered("Contact: \""+strings.Repeat("\\\"", 9000)+"\" <sip:a@h>\r\n", nil)), 200},
		"an original of parameters":     {including(registered("Contact: <sip:a@h>"+strings.Repeat(";a", 9000)+"\r\n", nil)), 200},
		"a Content-Length beyond all":   {strings.Replace(told("", "", ""), "Content-Length: 0", "Content-Length: 99999999999999999999", 1), silence},
		"a Via of noise":                {strings.Replace(told("", "", ""), "127.0.0.1:PORT", "[::\xff\xfe]:99999999999", 1), 200},
		"a Via with port 0":             {strings.Replace(told("", "", ""), "127.0.0.1:PORT", "h:0", 1), 200},
		"a Via with a large port":       {strings.Replace(told("", "", ""), "127.0.0.1:PORT", "h:70000", 1), 200},
		"a thousand Vias":               {strings.Replace(told("", "", ""), "From:", strings.Repeat("Via: SIP/2.0/UDP h;branch=b\r\n", 1000)+"From:", 1), 200},
	} {
		t.Run(name, func(t *testing.T) {
			f := begin(t, nil)
			if code := f.sendRaw([]byte(c.message)); code != c.code {
				t.Errorf("%d, want %d\n%s", code, c.code, f.log)
			}
			f.sendStream([]byte(c.message))
			f.wantHonest()
			if strings.Contains(f.log.String(), "a fault of this program") {
				t.Error(f.log.String())
			}
		})
	}
	wantGoroutines(t, before)
}

// TestAStreamIsReadAsItComes: byte by byte, two requests at once, and a line that does not end.
func TestAStreamIsReadAsItComes(t *testing.T) {
	f := begin(t, nil)
	conn := f.dial("tcp")
	for _, b := range []byte("\r\n\r\n" + including(registered(contact, nil))) {
		if _, err := conn.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	if answer := read(t, conn); code(answer) != 200 {
		t.Errorf("byte by byte: %s", answer)
	}
	fmt.Fprint(conn, including(registered(contact, nil))+including(registered(contact, nil)))
	var answers string
	for strings.Count(answers, "SIP/2.0 200 OK") < 2 {
		answers += read(t, conn)
	}
	line := strings.Repeat("x", 1<<20)
	_, _ = io.Copy(conn, strings.NewReader(line)) // until it is closed
	if _, err := io.Copy(io.Discard, conn); err != nil && !isReset(err) {
		t.Errorf("a line that does not end: %v", err)
	}
	f.wantHonest()
}

// print adds a table to the file that the environment names.
func print(t *testing.T, title string, rows [][]string) {
	t.Helper()
	var text strings.Builder
	fmt.Fprintf(&text, "\nA4. %s\n", title)
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	peertest.Show(t, text.String())
}

// TestAStormOfGarbage: messages with random bytes changed, over both transports, among honest registrations, which are judged as ever.
// IMEI_ATTEST_SOAK=1 sends a million.
func TestAStormOfGarbage(t *testing.T) {
	messages := 5000
	if os.Getenv("IMEI_ATTEST_SOAK") == "1" {
		messages = 1_000_000
	}
	files, err := filepath.Glob("../sip/testdata/rfc4475/*.dat")
	if err != nil || len(files) == 0 {
		t.Fatal("no messages", err)
	}
	seeds := [][]byte{[]byte(including(registered(contact+digest, answering("another challenge")))), []byte(told("", "multipart/mixed;boundary=b", "--b\r\nContent-Type: message/sip\r\n\r\n"+registered(contact, nil)+"\r\n--b--"))}
	for _, name := range files {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		seeds = append(seeds, raw, []byte(including(string(raw))))
	}
	before := runtime.NumGoroutine()
	f := begin(t, func(c *sipfront.Config) { c.Log, c.Answered = slog.New(slog.DiscardHandler), func(sipfront.Outcome) {} })
	random := mathrand.New(mathrand.NewPCG(1, 2))
	udp := f.dial("udp")
	_ = udp.SetDeadline(time.Time{})
	for n := range messages {
		raw := bytes.Clone(seeds[random.IntN(len(seeds))])
		for range 1 + random.IntN(8) {
			raw[random.IntN(len(raw))] = byte(random.UintN(256))
		}
		_, _ = udp.Write(raw) // answers go to ports that nobody has
		if n%50 == 0 {
			f.sendStream(raw)
		}
		if n%500 == 0 {
			f.wantHonestAmong(n)
		}
	}
	udp.Close()
	if err := f.stop(); err != nil {
		t.Error(err)
	}
	wantGoroutines(t, before)
}

// wantHonestAmong: honest registration number n, over a challenge and under a public identity of its own, is judged as ever.
func (f *front) wantHonestAmong(n int) {
	f.t.Helper()
	challenge, impu := fmt.Sprintf("challenge %d", n), fmt.Sprintf("sip:honest%d@ims.example", n)
	original := registered(contact+strings.Replace(digest, aka401, challenge, 1), answering(challenge))
	answer := ""
	for answer == "" || code(answer) == 503 { // without a place
		answer = f.over("tcp", strings.Replace(including(original), "To: <sip:alice@ims.example>", "To: <"+impu+">", 1))[0]
	}
	r, found, err := f.config.Verifier.Latest(f.t.Context(), impu)
	if err != nil || !found {
		f.t.Fatalf("honest registration %d: %v", n, err)
	}
	if got := fmt.Sprint(r.Verdict.Status(), r.Verdict.Reasons()); code(answer) != 200 || got != "warning [imei-consistent software-vault rollback-unknown subscriber-bound]" {
		f.t.Errorf("honest registration %d: %.20q, %s", n, answer, got)
	}
}
