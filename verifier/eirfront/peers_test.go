package eirfront_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"imei-attest/testbench/peertest"
)

var (
	curl   = peertest.Peer{Name: "curl"}
	h2load = peertest.Peer{Name: "h2load", Package: "nghttp2-client"}
)

// TestCurlIsAnswered by the real verifier, with each of the four outcomes, and where a question is none.
func TestCurlIsAnswered(t *testing.T) {
	peertest.Use(t, curl, "asks as an AMF by HTTP/2 without TLS; each outcome")
	n := newNetwork(t)
	n.registers(1)
	root := listen(t, n.handler)
	for query, want := range map[string]string{
		pei(1) + supi(1):    "2 200 application/json {\"status\":\"WHITELISTED\"}",
		pei(1):              "2 200 application/json {\"status\":\"GREYLISTED\"}",
		pei(2) + supi(2):    "2 404 application/problem+json {\"title\":\"Not Found\",\"status\":404,\"detail\":\"nobody endorsed this equipment\",\"cause\":\"ERROR_EQUIPMENT_UNKNOWN\"}",
		"pei=imei-1" + "23": "2 400 application/problem+json {\"title\":\"Bad Request\",\"status\":400,",
	} {
		out, err := exec.Command("curl", "-sS", "--noproxy", "*", "--http2-prior-knowledge", "-w", "%{stderr}%{http_version} %{http_code} %{content_type} ", root+about(query)).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		body, told, _ := strings.Cut(string(out), "}2 ") // the body comes first, and ends so
		if got := "2 " + told + body + "}"; !strings.HasPrefix(got, want) {
			t.Errorf("%s: got %s, want %s", query, got, want)
		}
	}
}

var finished = regexp.MustCompile(`requests: (\d+) total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout\nstatus codes: (\d+) 2xx`)

// TestManyQuestionsWithoutAnError to the real verifier.
func TestManyQuestionsWithoutAnError(t *testing.T) {
	row := peertest.Use(t, h2load, "30 000 requests by HTTP/2 without TLS, no error")
	if testing.Short() {
		t.Skip("it takes some seconds")
	}
	n := newNetwork(t)
	n.registers(1)
	out, err := exec.Command("h2load", "-n", "30000", "-c", "4", "-m", "16", listen(t, n.handler)+about(pei(1)+supi(1))).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got := fmt.Sprint(finished.FindStringSubmatch(string(out))[1:]); got != "[30000 30000 30000 0 0 0 30000]" {
		t.Errorf("got %s\n%s", got, out)
	}
	if n.counts["permitted"] != 30000 || len(n.counts) != 1 {
		t.Errorf("counted %v", n.counts)
	}
	row.Asserted += fmt.Sprintf(" (%s)", regexp.MustCompile(`[0-9.]+ req/s`).FindString(string(out)))
}

// TestNothingIsLeftOfWrongRequests: all of the corpus at once, over HTTP/2, and frames that are none.
func TestNothingIsLeftOfWrongRequests(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Run("asked", func(t *testing.T) {
		f := newFront(t)
		root, client := listen(t, f.handler), &http.Client{Transport: h2c(t)}
		var asking sync.WaitGroup
		for _, c := range wrong {
			for range 3 {
				asking.Go(func() {
					response, err := client.Get(root + about(c.query))
					if err != nil {
						t.Errorf("%s: %v", c.name, err)
						return
					}
					if got := readAll(t, response); got.String() != c.want || got.conformance() != nil {
						t.Errorf("%s: got %s, %v; want %s", c.name, got, got.conformance(), c.want)
					}
				})
			}
		}
		for _, junk := range frames {
			asking.Go(func() { sendJunk(t, strings.TrimPrefix(root, "http://"), junk) })
		}
		asking.Wait()
		response, err := client.Get(root + about("pei="+peiGood))
		if err != nil {
			t.Fatal(err)
		}
		if got := readAll(t, response).String(); got != "OK GREYLISTED" {
			t.Errorf("after all that: %s", got)
		}
	})
	for begun := time.Now(); runtime.NumGoroutine() > before; time.Sleep(10 * time.Millisecond) {
		if time.Since(begun) > 10*time.Second {
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines before, %d after\n%s", before, runtime.NumGoroutine(), stacks[:runtime.Stack(stacks, true)])
		}
	}
}

// preface begins a connection of HTTP/2 (RFC 9113 section 3.4), settings follow.
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

const settings = "\x00\x00\x00\x04\x00\x00\x00\x00\x00"

// frames that are none, or come where they must not (RFC 9113 sections 4 to 6).
var frames = []string{
	preface + "junk",
	preface + "\xff\xff\xff\x00\x00\x00\x00\x00\x01",                                                                   // a length of 16 MiB
	preface + settings + "\x00\x00\x04\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00",                                        // a window update of nothing
	preface + settings + "\x00\x00\x01\x01\x05\x00\x00\x00\x02\x82",                                                    // an even stream
	preface + settings + "\x00\x00\x05\x01\x05\x00\x00\x00\x01\xff\xff\xff\xff\xff",                                    // header compression that is none
	preface + settings + "\x00\x00\x00\x09\x04\x00\x00\x00\x01",                                                        // a continuation of nothing
	preface + settings + "\x00\x00\x05\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00",                                        // a priority of no stream
	preface + settings + strings.Repeat("\x00\x00\x08\x06\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", 20000), // pings whose answers nobody reads
	"GET " + "/" + strings.Repeat("x", 32<<10) + " HTTP/1.1\r\n\r\n",
	"\x16\x03\x01\x00\x05hello", // TLS
}

// sendJunk sends and reads what comes until the server has enough of it. A server that goes on waiting is left.
func sendJunk(t *testing.T, address, junk string) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(500 * time.Millisecond))
	go func() { _, _ = io.WriteString(conn, junk) }()
	_, _ = io.Copy(io.Discard, bufio.NewReader(conn))
}

// TestTheFrontSpeaksHTTP2WithTLS as a server of net/http that offers it.
func TestTheFrontSpeaksHTTP2WithTLS(t *testing.T) {
	root, trusting := listenTLS(t, newFront(t).handler)
	client := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: trusting}}
	defer client.CloseIdleConnections()
	response, err := (&http.Client{Transport: client}).Get(root + about("pei="+peiGood+subscribed))
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(response.Proto, " ", readAll(t, response)); got != "HTTP/2.0 OK WHITELISTED" {
		t.Errorf("got %s", got)
	}
}
