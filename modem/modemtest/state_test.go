//go:build linux

package modemtest_test

import (
	"context"
	"io"
	"strings"
	"testing"
	"testing/synctest"

	"imei-attest/modem"
	"imei-attest/modem/modemtest"
)

// exchanges are commands and answers in turn; echo is off.
type exchanges [][2]string

const ok = "\r\nOK\r\n"

func text(lines string) string { return "\r\n" + lines + "\r\n" + ok }
func cme(reason string) string { return "\r\n+CME ERROR: " + reason + "\r\n" }

// checkDialogue sends each command and compares all that was said.
func checkDialogue(t *testing.T, config modemtest.Config, dialogue exchanges) {
	t.Helper()
	config.EchoOff = true
	var sent []string
	want := ""
	for _, x := range dialogue {
		sent = append(sent, x[0]+"\r")
		want += x[1]
	}
	if got := converse(t, config, sent...); got != want {
		t.Errorf("%q was answered\n%q, want\n%q", sent, got, want)
	}
}

func TestFunctionalityAndSIM(t *testing.T) {
	const imsi = "001010123456789"
	pin := modemtest.Config{PIN: "1234"}
	for _, tt := range []struct {
		name     string
		config   modemtest.Config
		dialogue exchanges
	}{
		{"functionality", modemtest.Config{}, exchanges{
			{"AT+CFUN?", text("+CFUN: 1")}, {"AT+CFUN=4", ok}, {"AT+CFUN?", text("+CFUN: 4")}, {"AT+CREG?", text("+CREG: 0,0")},
			{"AT+CSQ", text("+CSQ: 99,99")}, {"AT+CGSN", text("490154203237518")}, {"AT+CFUN=1,0", ok}, {"AT+CREG?", text("+CREG: 0,1")},
			{"AT+CSQ", text("+CSQ: 20,99")}, {"AT+CFUN=?", text("+CFUN: (0,1,4),(0,1)")},
		}},
		{"functionality that is none", modemtest.Config{}, exchanges{{"AT+CMEE=1", ok}, {"AT+CFUN=7", cme("50")}, {"AT+CFUN=1,2", cme("50")}, {"AT+CFUN=", cme("50")}}},
		{"restart", modemtest.Config{}, exchanges{
			{"AT+CMEE=1", ok}, {"AT+CFUN=4,1;+CGSN", ok + "\r\nRDY\r\n\r\n+CFUN: 4\r\n"}, {"AT+NONE", "\r\nERROR\r\n"}, {"AT+CFUN?", text("+CFUN: 4")},
		}},
		{"no PIN wanted", modemtest.Config{}, exchanges{{"AT+CPIN?", text("+CPIN: READY")}, {"AT+CIMI", text(imsi)}, {"AT+CPIN=\"1234\"", "\r\nERROR\r\n"}}},
		{"PIN", pin, exchanges{
			{"AT+CMEE=2", ok}, {"AT+CPIN?", text("+CPIN: SIM PIN")}, {"AT+CIMI", cme("SIM PIN required")}, {"AT+CIMI=?", ok}, {"AT+CMEE=?", text("+CMEE: (0-2)")}, {"AT+CREG=?", text("+CREG: (0)")}, {"AT+CREG=0", ok}, {`AT+CLCK="SC",2`, text("+CLCK: 1")},
			{"AT+CGSN", text("490154203237518")}, {"AT+CGMI", text("Generic")}, {"AT+CREG?", text("+CREG: 0,0")},
			{"AT+CPIN=\"4321\"", cme("incorrect password")}, {"AT+CPIN=1234", ok}, {"AT+CPIN?", text("+CPIN: READY")}, {"AT+CIMI", text(imsi)},
		}},
		{"PIN after a restart", pin, exchanges{
			{"AT+CPIN=\"1234\"", ok}, {"AT+CFUN=1,1", ok + "\r\nRDY\r\n\r\n+CFUN: 1\r\n"}, {"AT+CPIN?", text("+CPIN: SIM PIN")}, {"AT+CMEE=1", ok}, {"AT+CIMI", cme("11")},
		}},
		{"PUK", pin, exchanges{
			{"AT+CMEE=1", ok}, {"AT+CPIN=\"1\"", cme("16")}, {"AT+CPIN=\"2\"", cme("16")}, {"AT+CPIN=\"3\"", cme("16")}, {"AT+CPIN?", text("+CPIN: SIM PUK")},
			{"AT+CPIN=\"1234\"", cme("50")}, {"AT+CPIN=\"12345678\",\"999\"", cme("50")}, {"AT+CIMI", cme("12")}, {"AT+CFUN=1,1", ok + "\r\nRDY\r\n\r\n+CFUN: 1\r\n"}, {"AT+CPIN?", text("+CPIN: SIM PUK")},
			{"AT+CPIN=\"12345678\"", "\r\nERROR\r\n"}, {"AT+CPIN=\"12345678\",\"9999\"", ok}, {"AT+CPIN?", text("+CPIN: READY")},
		}},
		{"no SIM", modemtest.Config{NoSIM: true}, exchanges{{"AT+CMEE=2", ok}, {"AT+CPIN?", cme("SIM not inserted")}, {"AT+CMEE=1;+CIMI", cme("10")}, {"AT+CPIN=1234", cme("10")}}},
		{"wrong PUKs", pin, wrongPUKs()},
		{"facility locks", modemtest.Config{}, exchanges{
			{`AT+CLCK="SC",2`, text("+CLCK: 0")}, {`AT+CLCK="PN",2`, text("+CLCK: 0")}, {"AT+CLCK=SC,2;+CMEE=1", text("+CLCK: 0")}, {`AT+CLCK="AO",2`, cme("4")}, {`AT+CLCK="SC",1`, cme("4")},
		}},
		{"facility locks without a card", modemtest.Config{NoSIM: true}, exchanges{{"AT+CMEE=1", ok}, {`AT+CLCK="SC",2`, cme("10")}}},
	} {
		t.Run(tt.name, func(t *testing.T) { checkDialogue(t, tt.config, tt.dialogue) })
	}
}

func wrongPUKs() exchanges {
	dialogue := exchanges{{"AT+CMEE=1", ok}}
	for range 3 + 9 {
		dialogue = append(dialogue, [2]string{"AT+CPIN=0,0000", cme("16")})
	}
	// No new PIN, no try: there is still one.
	dialogue = append(dialogue, [2]string{"AT+CPIN=0", cme("50")}, [2]string{"AT+CPIN?", text("+CPIN: SIM PUK")}, [2]string{"AT+CPIN=0,0000", cme("16")})
	return append(dialogue, [2]string{"AT+CPIN=\"12345678\",\"1234\"", cme("13")}, [2]string{"AT+CPIN?", cme("13")})
}

func TestAPINHasFourToEightDigits(t *testing.T) {
	for pin, want := range map[string]bool{"": true, "123": false, "1234": true, "12345678": true, "123456789": false, "12a4": false, "12 4": false} {
		if _, err := modemtest.New(modemtest.Config{PIN: pin}); (err == nil) != want || err != nil && !strings.Contains(err.Error(), "4 to 8 digits") {
			t.Errorf("PIN %q: %v, want it taken: %v", pin, err, want)
		}
	}
}

// What belongs to the modem outlives a line, what belongs to the line does not.
func TestStateOfModemAndLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, err := modemtest.New(modemtest.Config{PIN: "1234"})
		if err != nil {
			t.Fatal(err)
		}
		dialogue := exchanges{
			{"ATE0;+CMEE=2;+CFUN=4;+CPIN=1234\r", "ATE0;+CMEE=2;+CFUN=4;+CPIN=1234\r\r\nOK\r\n"},
			{"AT+CMEE?;+CFUN?;+CPIN?\r", "AT+CMEE?;+CFUN?;+CPIN?\r\r\n+CMEE: 0\r\n\r\n+CFUN: 4\r\n\r\n+CPIN: READY\r\n\r\nOK\r\n"},
		}
		for _, x := range dialogue {
			if got := say(t, e.Pipe(), x[0]); got != x[1] {
				t.Errorf("%q was answered %q, want %q", x[0], got, x[1])
			}
		}
	})
}

// say sends text, returns what comes until the modem is quiet, and closes the port.
func say(t *testing.T, port modem.Port, text string) string {
	t.Helper()
	defer port.Close()
	if _, err := port.Write(t.Context(), []byte(text)); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	passed, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	got, _ := io.ReadAll(readerWithin{passed, port}) // ends with ErrTimeout
	return string(got)
}

type readerWithin struct {
	ctx  context.Context
	port modem.Port
}

func (r readerWithin) Read(p []byte) (int, error) { return r.port.Read(r.ctx, p) }
