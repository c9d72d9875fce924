//go:build linux

package modemtest_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"imei-attest/attest/imei"
	"imei-attest/modem"
	"imei-attest/modem/modemtest"
	"imei-attest/testbench/peertest"
)

// odd is a way to answer when asked for the IMEI that real modems have, or could have.
type odd struct {
	name    string
	answer  string // lines, all that comes after the echo
	echoOff bool   // the modem never echoes, whatever it is told
}

// oddAnswers tell the IMEI of the profile generic where they tell one. Other digits are made up.
var oddAnswers = []odd{
	{name: "bare", answer: framed(genericIMEI)},
	{name: "bare, from a modem without echo", answer: framed(genericIMEI), echoOff: true},
	{name: "quoted", answer: framed(`"` + genericIMEI + `"`)},
	{name: "after `+CGSN: `", answer: framed("+CGSN: " + genericIMEI)},
	{name: "quoted, after `+CGSN: `", answer: framed(`+CGSN: "` + genericIMEI + `"`)},
	{name: "followed by a comma and a serial number", answer: framed(genericIMEI + ",TR19A8P11R")},
	{name: "after a network report, `+CREG: 1`", answer: "\r\n+CREG: 1\r\n" + framed(genericIMEI)},
	{name: "after a caller's number of 15 digits, `+CLIP: …`", answer: "\r\n+CLIP: \"352656105937836\",145\r\n" + framed(genericIMEI)},
	{name: "without OK", answer: "\r\n" + genericIMEI + "\r\n"},
	{name: "16 digits, an IMEISV", answer: framed("4901542032375101")},
	{name: "wrong check digit", answer: framed("490154203237519")},
	{name: "15 zeros", answer: framed("000000000000000")},
	{name: "the module's serial number", answer: framed("MP823G70600000017")},
	{name: "`+CME ERROR: memory failure`", answer: "\r\n+CME ERROR: memory failure\r\n"},
}

// framed is a line and OK as a modem sends them (V.250 clause 5.7.1).
func framed(line string) string { return "\r\n" + line + "\r\n\r\nOK\r\n" }

// modem answers so to every form that asks for an IMEI or a serial number. The forms that tell an IMEISV, a software version
// or a report fail, so that no program can know the IMEI from elsewhere.
func (o odd) modem() modemtest.Config {
	config := modemtest.Config{EchoOff: o.echoOff}
	add := func(text string, commands ...string) {
		for _, command := range commands {
			config.Faults = append(config.Faults, modemtest.Fault{Kind: modemtest.FaultInstead, Command: command, Text: text})
		}
	}
	add(o.answer, "+CGSN", "+CGSN=0", "+CGSN=1", "+GSN")
	add("\r\nERROR\r\n", "+CGSN=2", "+CGSN=3", "I")
	if o.echoOff {
		add("\r\nOK\r\n", "E1")
	}
	return config
}

// ourReader says what our reader shows of it: the IMEI, or the word for what is wrong.
func (o odd) ourReader(t *testing.T) (shown string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		emulator, err := modemtest.New(o.modem())
		if err != nil {
			t.Fatal(err)
		}
		port := emulator.Pipe()
		defer port.Close()
		r, err := modem.NewReader(port, modem.Config{}).Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if slot := r.Slots[0]; slot.Word != "" {
			shown = "none: `" + slot.Word + "`"
		} else {
			shown = judged(slot.IMEI.Digits())
		}
	})
	return shown
}

// judged says how far what a program shows as the IMEI is the modem's. No whole IMEI goes into the table.
func judged(shown string) string {
	id, _, _ := imei.ParseSent(shown)
	switch {
	case shown == genericIMEI:
		return "right"
	case shown == "":
		return "none"
	case !id.IsZero() || strings.Trim(shown, "0123456789") == "" && len(shown) == len(genericIMEI):
		return "wrong: `" + imei.RedactAll(shown) + "`"
	}
	return "shows `" + imei.RedactAll(shown) + "`"
}

// ask says what a client shows of it. A client that shows nothing in its time hangs.
func (o odd) ask(t *testing.T, c client) string {
	t.Helper()
	const patience = 60 * time.Second // gammu gives up after 37 s, gnokii after 20 s, ModemManager after 8 s
	d := newDesk(t, o.modem(), patience)
	shown := c.ask(d)
	if d.hangs() {
		return "hangs"
	}
	for i, text := range shown {
		shown[i] = judged(text)
	}
	return strings.Join(shown, " / ")
}

var oddRegion = region{readme, "<!-- odd answers, written by IMEI_ATTEST_SOAK=1 go test ./modem/modemtest -run OddAnswers -->\n", "<!-- end of odd answers -->\n"}

// TestOurReaderOfOddAnswers: the column of our reader in modem/README.md is what it does today. Whatever a modem answers, no
// other IMEI than its own is shown.
func TestOurReaderOfOddAnswers(t *testing.T) {
	var got, want []string
	for _, o := range oddAnswers {
		shown := o.ourReader(t)
		if strings.HasPrefix(shown, "wrong") || strings.HasPrefix(shown, "shows") {
			t.Errorf("%s: our reader %s", o.name, shown)
		}
		want = append(want, o.name+" | "+shown)
	}
	_, table, _ := oddRegion.read(t)
	for row := range strings.Lines(table) {
		if cells := strings.Split(row, " | "); len(cells) > 2 {
			got = append(got, strings.TrimPrefix(cells[0], "| ")+" | "+cells[1])
		}
	}
	if got = got[min(len(got), 2):]; !slices.Equal(got, want) { // the first two are the head
		t.Errorf("%s has\n%s\nwant\n%s\n(make soak writes it, with the clients' columns)", readme, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestOddAnswers asks real clients and writes the table anew: programs of others change without our doing, so a table that
// differs is news, not a failure.
func TestOddAnswers(t *testing.T) {
	if os.Getenv("IMEI_ATTEST_SOAK") != "1" {
		t.Skip("takes minutes: set IMEI_ATTEST_SOAK=1")
	}
	asked := []client{clients[0], clients[1], modemManager}
	head := []string{"asked for the IMEI, the modem answers", "our reader"}
	for _, c := range asked {
		row := peertest.Use(t, c.Peer, "what it shows of odd answers is in modem/README.md", c.helpers...)
		head = append(head, c.Name+" "+row.Version)
	}
	head[len(head)-1] += ", IMEI / equipment identifier"
	cells := make([][]string, len(oddAnswers))
	t.Run("ask", func(t *testing.T) { // ends when all that run in parallel have ended
		for i, o := range oddAnswers {
			cells[i] = make([]string, 2+len(asked))
			cells[i][0], cells[i][1] = o.name, o.ourReader(t)
			for j, c := range asked {
				t.Run(fmt.Sprintf("%s-%d", c.Name, i), func(t *testing.T) {
					t.Parallel()
					cells[i][2+j] = o.ask(t, c)
				})
			}
		}
	})
	if t.Failed() {
		return
	}
	rule := slices.Repeat([]string{"---"}, len(head))
	var table strings.Builder
	for _, row := range slices.Concat([][]string{head}, [][]string{rule}, cells) {
		table.WriteString("| " + strings.Join(row, " | ") + " |\n")
	}
	oddRegion.write(t, table.String())
}
