package main

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestAServiceIsAnApplicationServerToo: it answers at one port over UDP and TCP, counts and logs, and stops with the rest.
func TestAServiceIsAnApplicationServerToo(t *testing.T) {
	t.Setenv("IMEIATT_SIP_LISTEN", "127.0.0.1:0")
	t.Setenv("IMEIATT_SIP_PEERS", "192.0.2.0/24, 127.0.0.1")
	s := start(t, trustFolder(t), t.TempDir(), "--admin", "127.0.0.1:0")
	at := slices.IndexFunc(s.warning, func(e event) bool { return e.Message == "listening for S-CSCFs" })
	if at < 0 {
		t.Fatalf("no address of SIP in %+v", s.warning)
	}
	const original = "REGISTER sip:ims.example SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKa\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:a@h>\r\nCall-ID: c\r\nCSeq: 1 REGISTER\r\n" +
		"Contact: <sip:a@h>;+sip.instance=\"<urn:gsma:imei:86871907-660344-0>\"\r\n\r\n"
	for _, network := range []string{"udp", "tcp"} {
		conn, err := net.Dial(network, s.warning[at].Address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		fmt.Fprintf(conn, "REGISTER sip:as.example SIP/2.0\r\nVia: SIP/2.0/UDP s;rport;branch=z9hG4bK%s\r\nFrom: <sip:s>;tag=1\r\nTo: <sip:a@h>\r\nCall-ID: s\r\nCSeq: 1 REGISTER\r\n"+
			"Expires: 60\r\nContent-Type: message/sip\r\nContent-Length: %d\r\n\r\n%s", network, len(original), original)
		answer := make([]byte, 2000)
		n, err := conn.Read(answer)
		if err != nil || !strings.HasPrefix(string(answer[:n]), "SIP/2.0 200 OK\r\n") {
			t.Errorf("%s: %q, %v", network, answer[:n], err)
		}
		if e := s.until("judged"); e.Status != "none" {
			t.Errorf("%+v", e)
		}
	}
	if _, text := fetched(s.admin, "/metrics"); !strings.Contains(text, `imeiatt_sip_requests_total{code="200",method="REGISTER",original="read"} 2`) {
		t.Error("the requests were not counted")
	}
	s.stop()
}

func TestAnAddressOfSIPThatIsTakenIsTold(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	t.Setenv("IMEIATT_SIP_LISTEN", taken.Addr().String())
	t.Setenv("IMEIATT_SIP_PEERS", "127.0.0.1")
	got := execute("", "serve", "--trust", trustFolder(t), "--state", t.TempDir(), "--listen", "127.0.0.1:0")
	if got.code != exitUsage || !strings.Contains(got.stderr, "sip.listen (environment IMEIATT_SIP_LISTEN): ") || !strings.Contains(got.stderr, "ss -ltnup") {
		t.Errorf("%+v", got)
	}
}
