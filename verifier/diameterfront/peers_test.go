package diameterfront_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"imei-attest/testbench/peertest"
	"imei-attest/verifier/diameterfront"
)

var (
	kamailio     = peertest.Peer{Name: "kamailio", Package: "kamailio-ims-modules", Version: []string{"-v"}}
	freeDiameter = peertest.Peer{Name: "freeDiameter", Program: "freeDiameterd", Package: "freediameterd"}
	tshark       = peertest.Peer{Name: "tshark"}
)

// TestKamailioAsksAndTsharkReadsTheAnswers: Kamailio's Diameter peer is the MME, and what goes over the wire is read by tshark alone. What
// it shows of the four answers is in the operators' page.
func TestKamailioAsksAndTsharkReadsTheAnswers(t *testing.T) {
	if testing.Short() {
		t.Skip("watchdogs take their time")
	}
	peertest.Use(t, kamailio, "asks an EIR over S13, and stays connected over three watchdogs; tshark reads the four answers", tshark)
	o := withCustomers(t, "enforce")
	f := serve(t, o, func(c *diameterfront.Config) { c.Node.Host, c.Watchdog = "localhost", time.Second }) // Kamailio finds its peer by DNS
	capture := startCapture(t, f.port())
	sip := f.startKamailio()
	for i, q := range []struct{ imei, imsi string }{{honest.Body(), alice}, {tampered.Body(), mallory}, {honest.Body(), ""}, {stranger.Body(), bob}} {
		f.askByKamailio(sip, i+1, q.imei, q.imsi)
	}
	for connected := time.Now(); time.Since(connected) < 5*time.Second; time.Sleep(100 * time.Millisecond) {
		if f.Connected() != 1 {
			t.Fatal("Kamailio has gone")
		}
	}
	capture.stop()
	capture.hasWatchdogs(3)
	const script = "tshark -r s13.pcap -Y diameter.cmd.code==324 -T fields -E header=y -E separator=, \\\n" +
		"  -e diameter.IMEI -e diameter.Software-Version -e diameter.User-Name \\\n" +
		"  -e diameter.Result-Code -e diameter.Experimental-Result-Code -e diameter.Equipment-Status"
	const want = `diameter.IMEI,diameter.Software-Version,diameter.User-Name,diameter.Result-Code,diameter.Experimental-Result-Code,diameter.Equipment-Status
49015420323751,01,001010000000001,,,
,,,2001,,0
35693803564380,01,001010000000002,,,
,,,2001,,1
49015420323751,01,,,,
,,,2001,,2
86871907660344,01,001010000000003,,,
,,,,5422,
`
	got := capture.shell(script)
	if got != want {
		t.Errorf("tshark reads\n%swant\n%s", got, want)
	}
	compareREADME(t, "tshark: the four answers", "```sh\n"+script+"\n```\n```\n"+got+"```\n")
}

// port is that of the front.
func (f *front) port() string {
	_, port, err := net.SplitHostPort(f.address)
	must(f.t, err)
	return port
}

// startKamailio starts it as a peer of the front, and returns the port of its SIP side when it is connected.
func (f *front) startKamailio() (sip string) {
	f.t.Helper()
	folder := f.t.TempDir()
	values := map[string]string{"FOLDER": folder, "SIP": freePort(f.t, "udp"), "DIAMETER": f.port(), "ACCEPTOR": freePort(f.t, "tcp")}
	fill(f.t, "cdp.xml", folder, values)
	start(f.t, "kamailio", "-f", fill(f.t, "kamailio.cfg", folder, values), "-DD", "-E", "-m", "64", "-M", "8", "-Y", folder, "-P", filepath.Join(folder, "pid"))
	f.log.wait(f.t, "is connected")
	return values["SIP"]
}

// askByKamailio lets it ask by a SIP request, until it has: it says that it is connected before it believes so.
func (f *front) askByKamailio(sip string, number int, digits, imsi string) {
	f.t.Helper()
	conn, err := net.Dial("udp", "127.0.0.1:"+sip)
	must(f.t, err)
	defer conn.Close()
	request := fmt.Sprintf("OPTIONS sip:eir@127.0.0.1:%s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK%d\r\nFrom: <sip:mme@127.0.0.1>;tag=%d\r\nTo: <sip:eir@127.0.0.1>\r\n"+
		"Call-ID: %d\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 10\r\nX-IMEI: %s\r\nX-SVN: 01\r\n", sip, conn.LocalAddr(), number, number, number, digits)
	if imsi != "" {
		request += "X-IMSI: " + imsi + "\r\n"
	}
	must(f.t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	answer := make([]byte, 4096)
	for range 20 {
		_, err = conn.Write([]byte(request + "Content-Length: 0\r\n\r\n"))
		must(f.t, err)
		n, err := conn.Read(answer)
		must(f.t, err)
		if !strings.HasPrefix(string(answer[:n]), "SIP/2.0 200 Asked") {
			f.t.Fatalf("Kamailio answers %s", answer[:n])
		}
		if strings.Count(f.log.String(), "msg=judged") == number {
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
	f.t.Fatal("Kamailio does not ask")
}

// TestFreeDiameterStaysConnected over three watchdogs that the front begins, and over three that freeDiameter begins inside of TLS.
func TestFreeDiameterStaysConnected(t *testing.T) {
	if testing.Short() {
		t.Skip("watchdogs take their time")
	}
	peertest.Use(t, freeDiameter, "exchanges capabilities and watchdogs with the EIR, over TCP and over TLS, and says farewell")
	for name, c := range map[string]struct {
		how      string
		watchdog time.Duration
		tls      bool
	}{"over TCP, asked": {"No_TLS;", time.Second, false}, "over TLS, asking": {"", time.Hour, true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			l := newCounting(t, makeCertificates(t, folder), c.tls)
			f := serveOn(t, l, newOperator(t, "observe"), func(config *diameterfront.Config) {
				config.Watchdog = c.watchdog
				config.Peers = []diameterfront.Peer{{Host: "agent.example", Addresses: loopback}}
				if c.tls {
					config.Peers[0].Certificate = "dns:agent.example"
				}
			})
			agent := start(t, "freeDiameterd", "-c", fill(t, "freediameter.conf", folder, map[string]string{"FOLDER": folder, "DIAMETER": f.port(), "HOW": c.how}))
			f.log.wait(t, "peer=agent.example")
			l.wait(t, 3)
			if f.Connected() != 1 || strings.Contains(f.log.String(), "has gone") {
				t.Errorf("%d are connected:\n%s", f.Connected(), f.log)
			}
			must(t, agent.Signal(syscall.SIGTERM))
			f.log.wait(t, "has gone")
		})
	}
	t.Run("a stranger", func(t *testing.T) {
		t.Parallel()
		folder := t.TempDir()
		f := serveOn(t, newCounting(t, makeCertificates(t, folder), false), newOperator(t, "observe"))
		start(t, "freeDiameterd", "-c", fill(t, "freediameter.conf", folder, map[string]string{"FOLDER": folder, "DIAMETER": f.port(), "HOW": "No_TLS;"}))
		f.log.wait(t, "why=peer")
	})
}

// capture is what goes over a port of loopback.
type capture struct {
	t      *testing.T
	folder string
	port   string
	stop   func()
}

// startCapture begins to write down what goes over a port. Where that is not permitted the test ends.
func startCapture(t *testing.T, port string) *capture {
	t.Helper()
	c := &capture{t: t, folder: t.TempDir(), port: port}
	log := new(journal)
	command := exec.Command("tshark", "-i", "lo", "-f", "tcp port "+port, "-w", filepath.Join(c.folder, "s13.pcap"))
	command.Stdout, command.Stderr = log, log
	must(t, command.Start())
	ended := make(chan struct{})
	go func() {
		_ = command.Wait() // it is interrupted, or says in its log why it could not begin
		close(ended)
	}()
	c.stop = func() {
		time.Sleep(time.Second) // dumpcap writes what it has once a second
		_ = command.Process.Signal(syscall.SIGINT)
		<-ended
	}
	t.Cleanup(func() { _ = command.Process.Kill() })
	for range 100 {
		select {
		case <-ended:
			t.Skipf("no right to capture on loopback: run as root, or allow dumpcap to; tshark says: %s", log)
		case <-time.After(100 * time.Millisecond):
		}
		if strings.Contains(log.String(), "Capture started") || strings.Contains(log.String(), "Capturing on") {
			time.Sleep(500 * time.Millisecond)
			return c
		}
	}
	t.Fatalf("tshark does not begin: %s", log)
	return nil
}

// shell runs what the page shows, for the port of this capture.
func (c *capture) shell(script string) string {
	c.t.Helper()
	script = strings.Replace(script, "-r s13.pcap", "-r s13.pcap -d tcp.port=="+c.port+",diameter", 1)
	command := exec.Command("sh", "-euc", script)
	command.Dir = c.folder
	out, err := command.Output()
	if err != nil {
		c.t.Fatalf("%s: %v: %s", script, err, err.(*exec.ExitError).Stderr)
	}
	return string(out)
}

// hasWatchdogs wants so many of each side at least, each answered with success.
func (c *capture) hasWatchdogs(least int) {
	c.t.Helper()
	lines := c.shell("tshark -r s13.pcap -Y diameter.cmd.code==280 -T fields -e diameter.flags.request -e diameter.Result-Code")
	asked, answered := strings.Count(lines, "1\t"), strings.Count(lines, "0\t2001")
	if asked < least || answered != asked {
		c.t.Errorf("%d watchdogs, %d of them answered:\n%s", asked, answered, lines)
	}
}

// freePort is one of loopback that nobody has just now.
func freePort(t testing.TB, network string) string {
	t.Helper()
	var at net.Addr
	if network == "udp" {
		l, err := net.ListenPacket("udp", "127.0.0.1:0")
		must(t, err)
		defer l.Close()
		at = l.LocalAddr()
	} else {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		defer l.Close()
		at = l.Addr()
	}
	_, port, err := net.SplitHostPort(at.String())
	must(t, err)
	return port
}

// start starts a program of others in its own group, and ends it with the test.
func start(t testing.TB, program string, args ...string) *os.Process {
	t.Helper()
	path, err := peertest.Find(program)
	must(t, err)
	log := new(journal)
	c := exec.Command(path, args...)
	c.Stdout, c.Stderr = log, log
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	must(t, c.Start())
	t.Cleanup(func() {
		_ = syscall.Kill(-c.Process.Pid, syscall.SIGTERM) // it may have ended by itself
		kill := time.AfterFunc(5*time.Second, func() { _ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL) })
		_ = c.Wait()
		kill.Stop()
		if t.Failed() {
			t.Logf("%s says:\n%s", program, log)
		}
	})
	return c.Process
}

// fill writes a file of testdata with what the test knows.
func fill(t testing.TB, name, folder string, values map[string]string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	must(t, err)
	filled := string(text)
	for key, value := range values {
		filled = strings.ReplaceAll(filled, "{"+key+"}", value)
	}
	path := filepath.Join(folder, name)
	must(t, os.WriteFile(path, []byte(filled), 0o600))
	return path
}
