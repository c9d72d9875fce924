//go:build linux

package modemtest_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"imei-attest/attest/imei"
	"imei-attest/modem/modemtest"
	"imei-attest/testbench/peertest"
)

// client is a program that asks a modem for its IMEI and that nobody of this project wrote.
type client struct {
	peertest.Peer
	helpers []peertest.Peer
	faults  []modemtest.Fault // what its modem does otherwise than the profile generic
	// ask returns what the client shows as the IMEI; one that shows it in two places returns both. Nothing is "".
	ask func(*desk) []string
}

var socat = peertest.Peer{Name: "socat", Version: []string{"-V"}}

var clients = []client{
	{Peer: peertest.Peer{Name: "gammu"}, ask: askGammu},
	{Peer: peertest.Peer{Name: "gnokii", Package: "gnokii-cli"}, ask: askGnokii},
	{Peer: peertest.Peer{Name: "comgt", Version: []string{"-V"}}, ask: askComgt},
	{Peer: socat, ask: askSocat},
	modemManager,
	ofono,
}

// TestClientsReadTheIMEI: what others wrote for real modems takes the emulator for one.
func TestClientsReadTheIMEI(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	const patience = 40 * time.Second // the slowest takes 5 s on an idle machine
	for _, c := range clients {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			row := peertest.Use(t, c.Peer, "shows the emulated modem's IMEI", c.helpers...)
			d := newDesk(t, modemtest.Config{Faults: c.faults}, patience)
			shown := c.ask(d)
			row.Asserted = "shows the IMEI " + imei.RedactAll(strings.Join(shown, " and "))
			for _, text := range shown {
				if text != genericIMEI {
					t.Errorf("%s shows %q, want %q; its time is over: %v", c.Name, imei.RedactAll(text), imei.RedactAll(genericIMEI), d.hangs())
				}
			}
		})
	}
}

func askGammu(d *desk) []string {
	config := d.file("gammurc", "[gammu]\ndevice = "+d.terminal+"\nconnection = at115200\n")
	return find(`(?m)^IMEI +: (.*)$`, d.run(d.command("gammu", "-c", config, "--identify")))
}

func askGnokii(d *desk) []string {
	config := d.file("gnokiirc", "[global]\nmodel = AT\nconnection = serial\nport = "+d.terminal+"\n")
	return find(`(?m)^IMEI +: (.*)$`, d.run(d.command("gnokii", "--config", config, "--identify")))
}

// askComgt has comgt run a program in its own language: the line after the echo is the answer.
func askComgt(d *desk) []string {
	script := d.file("imei.comgt", `opengt
 set com 115200n81
 set senddelay 0.005
 waitquiet 0.2 0.2
 send "AT+CGSN^m"
 get 2 "^m" $e
 get 2 "^m" $s
 print "IMEI:",$s,"\n"
`)
	return find(`IMEI:\s*(.*)`, d.run(d.command("comgt", "-d", d.terminal, "-s", script)))
}

// askSocat carries the bytes of a person at a terminal. The 3 s are how long socat listens after the last of them.
func askSocat(d *desk) []string {
	cmd := d.command("socat", "-t", "3", "STDIO", d.terminal+",raw,echo=0")
	cmd.Stdin = strings.NewReader("AT+CGSN=1\r")
	return find(`\+CGSN: "(.*)"\s+OK`, d.run(cmd))
}

// find returns what the group in the pattern matches, or "".
func find(pattern, text string) []string {
	if match := regexp.MustCompile(pattern).FindStringSubmatch(text); match != nil {
		return []string{strings.TrimSpace(match[1])}
	}
	return []string{""}
}
