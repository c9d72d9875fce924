package verifier_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"imei-attest/attest/attesttest"
	"imei-attest/attest/imei"
	"imei-attest/testbench/peertest"
	"imei-attest/verifier/eirfront"
)

// TestTheREADMEShowsWhatAnAMFIsAnswered: the four outcomes, as curl prints them, but for the date.
func TestTheREADMEShowsWhatAnAMFIsAnswered(t *testing.T) {
	peertest.Use(t, peertest.Peer{Name: "curl"}, "asks the 5G-EIR; its four outcomes stand in the verifier's README")
	s := newScene(t, enforced())
	good := s.phone()
	good.registers(alice)
	changed := s.phoneOf(attesttest.Key("another device"), slots(bobs)).tells(says(stranger))
	changed.registers(bob)
	handler, err := eirfront.New(eirfront.Config{Verifier: s.Verifier, InFlight: 1, Now: func() time.Time { return s.now }, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(handler)
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	defer server.Close()
	pei := func(id imei.IMEI) string { return "?pei=imei-" + id.Digits() }
	var shown strings.Builder
	shown.WriteString("```\n")
	for _, query := range []string{pei(id1) + "&supi=imsi-" + string(alice), pei(id1), pei(bobs) + "&supi=imsi-" + string(bob), pei(stranger)} {
		command := `curl -sS --http2-prior-knowledge -i "$EIR/n5g-eir-eic/v1/equipment-status` + query + `"`
		shown.WriteString("$ " + command + "\n" + asPrinted(t, command, server.URL) + "\n")
	}
	compareREADME(t, "curl outputs: 5G-EIR", strings.TrimSuffix(shown.String(), "\n")+"```\n")
}

// asPrinted runs a command and returns what it prints, without the date, which is never the same.
func asPrinted(t *testing.T, command, eir string) string {
	t.Helper()
	c := exec.Command("sh", "-euc", command)
	c.Env = append(os.Environ(), "EIR="+eir, "no_proxy=127.0.0.1", "HOME="+t.TempDir())
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%s: %v: %s", command, err, stderr.Bytes())
	}
	var lines []string
	for line := range strings.Lines(string(out)) {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "date:") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n") + "\n"
}
