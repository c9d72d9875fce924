package bench_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"imei-attest/verifier/bench"
)

func run(t *testing.T, l *bench.Load) (*bench.Figures, error) {
	t.Helper()
	clients, err := l.Prepare(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return clients.Ask(t.Context())
}

func secret(first byte) []byte { return append([]byte{first}, make([]byte, bench.SecretBytes-1)...) }

func anchor(t *testing.T, secret []byte) []byte {
	t.Helper()
	c, err := bench.NewCrowd(secret)
	if err != nil {
		t.Fatal(err)
	}
	text, err := c.Anchor()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestACrowdFollowsFromItsSecretAlone(t *testing.T) {
	if !bytes.Equal(anchor(t, secret(1)), anchor(t, secret(1))) {
		t.Error("the same secret makes two manufacturers")
	}
	if bytes.Equal(anchor(t, secret(1)), anchor(t, secret(2))) {
		t.Error("two secrets make the same manufacturer")
	}
}

func TestACrowdNeedsAWholeSecret(t *testing.T) {
	for _, n := range []int{0, bench.SecretBytes - 1, bench.SecretBytes + 1} {
		if c, err := bench.NewCrowd(make([]byte, n)); err == nil {
			t.Errorf("%d bytes make %v", n, c)
		}
	}
}

// TestALoadTakesNoAnswerForAnother: an answer that is not as it must be ends the measurement, so that no figure counts it.
func TestALoadTakesNoAnswerForAnother(t *testing.T) {
	const nonce = "WlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpa"
	session := `{"nonce":"` + nonce + `"}`
	complete := func(claims string) string { return `{"result":"e30.` + claims + `.e30"}` }
	for _, c := range []struct {
		name   string
		check  bool
		status [2]int // of the first request and of the second
		body   [2]string
		want   string
	}{
		{"a session that is refused", false, [2]int{429}, [2]string{"slowly"}, "429 Too Many Requests: slowly"},
		{"a session that is no JSON", false, [2]int{201}, [2]string{"<html>"}, "tells no nonce"},
		{"a session without a nonce", false, [2]int{201}, [2]string{"{}"}, "tells no nonce"},
		{"evidence that is refused", false, [2]int{201, 503}, [2]string{session, "later"}, "503 Service Unavailable: later"},
		{"an answer without a result", false, [2]int{201, 200}, [2]string{session, "{}"}, "tells no result"},
		{"a result that says nothing", false, [2]int{201, 200}, [2]string{session, complete("e30")}, "0 of the 0 parts"},
		{"a result that warns", false, [2]int{201, 200}, [2]string{session, complete("eyJzdWJtb2RzIjp7InNsb3QxIjp7ImVhci5zdGF0dXMiOiJ3YXJuaW5nIn19fQ")}, "0 of the 1 parts"},
		{"a check that is refused", true, [2]int{403}, [2]string{"no"}, "403 Forbidden: no"},
		{"a registration that is not affirmed", true, [2]int{200}, [2]string{`{"status":"warning"}`}, "the registration is warning"},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				n := 0
				if strings.HasSuffix(r.URL.Path, "/session/1") {
					n = 1
				}
				w.Header().Set("Location", "session/1")
				w.WriteHeader(c.status[n])
				_, _ = w.Write([]byte(c.body[n]))
			}))
			defer server.Close()
			load := bench.Load{Address: server.Listener.Addr().String(), Secret: secret(1), Devices: 10, Clients: 2, Time: time.Second, Check: c.check}
			if got, err := run(t, &load); err == nil || got != nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%+v, %v; want %q", got, err, c.want)
			}
		})
	}
}

func TestALoadNeedsAServer(t *testing.T) {
	server := httptest.NewServer(nil)
	server.Close()
	load := bench.Load{Address: server.Listener.Addr().String(), Secret: secret(1), Devices: 1, Clients: 1, Time: time.Second}
	if got, err := run(t, &load); err == nil {
		t.Errorf("%+v", got)
	}
}
