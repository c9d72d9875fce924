package sipfront

import (
	"bytes"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	sipgo "github.com/emiago/sipgo/sip"

	"imei-attest/attest"
	"imei-attest/verifier"
	"imei-attest/verifier/store"
)

// caught keeps the answers.
type caught struct {
	mu      sync.Mutex
	answers [][]byte
}

func (c *caught) reliable() bool { return false }

func (c *caught) write(answer []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answers = append(c.answers, answer)
	return nil
}

// FuzzReceive: whatever is received gets at most one answer, one that a client can read and of a code that there is; sent again, it gets the same one
// again; and nothing panics, neither here nor in the SIP library.
func FuzzReceive(f *testing.F) {
	const archive = 50
	files, err := filepath.Glob("../sip/testdata/rfc4475/*.dat")
	if err != nil || len(files) != archive {
		f.Fatalf("%d files, %v", len(files), err)
	}
	for _, name := range files {
		raw, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
		f.Add([]byte("REGISTER sip:as SIP/2.0\r\nVia: SIP/2.0/UDP h;rport;branch=z9hG4bKa\r\nf: <sip:s>;tag=1\r\nt: <sip:a@h>\r\ni: c\r\nCSeq: 1 REGISTER\r\nExpires: 60\r\n" +
			"c: message/sip\r\n\r\n" + string(raw)))
	}
	log := new(bytes.Buffer)
	server := fuzzed(f, log)
	from := netip.MustParseAddrPort("127.0.0.1:5060")
	f.Fuzz(func(t *testing.T, raw []byte) {
		request, err := server.parse(raw)
		if err != nil {
			if strings.Contains(err.Error(), errNoRequest.Error()) && bytes.HasPrefix(raw, []byte("REGISTER ")) {
				t.Errorf("the SIP library panicked on %q", raw)
			}
			return
		}
		var asked sync.WaitGroup
		back := new(caught)
		server.answers = newAnswers()
		for range 2 {
			server.receive(t.Context(), &asked, request, "UDP", from, back)
			asked.Wait()
		}
		answerTo(from, request)
		if strings.Contains(log.String(), "fault") {
			t.Fatalf("%s on %q", log, raw)
		}
		if request.Method == sipgo.ACK && len(back.answers) > 0 || request.Method != sipgo.ACK && len(back.answers) != 2 {
			t.Fatalf("%d answers to %q", len(back.answers), raw)
		}
		for _, answer := range back.answers {
			code, _, _ := strings.Cut(strings.TrimPrefix(string(answer), "SIP/2.0 "), " ")
			if !strings.Contains("200 400 403 405 503 505", code) || !bytes.Contains(answer, []byte("\r\n\r\n")) {
				t.Errorf("%q answered with %q", raw, answer)
			}
		}
		if len(back.answers) == 2 && !bytes.Equal(back.answers[0], back.answers[1]) && !strings.HasPrefix(string(back.answers[0]), "SIP/2.0 400") {
			t.Errorf("%q answered with %q, then with %q", raw, back.answers[0], back.answers[1])
		}
	})
}

func fuzzed(f *testing.F, log *bytes.Buffer) *Server {
	f.Helper()
	nonces, err := attest.NewNonceKeys(0, make([]byte, 32), nil)
	if err != nil {
		f.Fatal(err)
	}
	v, err := verifier.New(verifier.Config{Store: store.NewMemory(), Nonces: nonces, Trust: &verifier.Trust{Generation: 1}})
	if err != nil {
		f.Fatal(err)
	}
	server, err := New(Config{Verifier: v, Peers: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, InFlight: 8, Now: func() time.Time { return time.Unix(1.8e9, 0) },
		Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelError})), Answered: func(Outcome) {}, Limited: func(string) {}})
	if err != nil {
		f.Fatal(err)
	}
	return server
}
