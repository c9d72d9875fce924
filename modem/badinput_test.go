package modem_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"imei-attest/attest/imei"
	"imei-attest/modem"
	"imei-attest/modem/modemtest"
)

// TestBadAnswers has what a modem, a line or a driver makes of an answer, beyond the corpus and beside answerTests.
func TestBadAnswers(t *testing.T) {
	const word = string(imei.WordMalformed)
	for _, tt := range []struct{ name, command, response, imei, word string }{
		{"ERROR after the text", "AT+CGSN", "\r\n490154203237518\r\n\r\nERROR\r\n", "", modem.WordError},
		{"CME ERROR after the text", "AT+CGSN=1", "\r\n+CGSN: \"490154203237518\"\r\n\r\n+CME ERROR: 100\r\n", "", "cme:100"},
		{"OK on the line of the text", "AT+CGSN", "\r\n490154203237518 OK\r\n\r\nOK\r\n", "", word},
		{"OK begins a serial number", "AT+CGSN", "\r\nOK4203237518AB1\r\n\r\nOK\r\n", "", string(imei.WordNotIMEI)},
		{"the answer to AT+CGSN=2 before our own", "AT+CGSN=1", "\r\n+CGSN: \"4901542032375101\"\r\n\r\n+CGSN: \"490154203237518\"\r\n\r\nOK\r\n", "", modem.WordAmbiguous},
		{"15 letters and digits", "AT+CGSN=1", "\r\n+CGSN: \"2623CKLQ0001234\"\r\n\r\nOK\r\n", "", string(imei.WordNotIMEI)},
		{"Arabic digits", "AT+CGSN", "\r\n٤٩٠١٥٤٢٠٣٢٣٧٥١٨\r\nOK\r\n", "", word},
		{"one full-width digit", "AT+CGSN", "\r\n49015420323751８\r\nOK\r\n", "", word},
		{"digits in UTF-16", "AT+CGSN", "\r\n4\x009\x000\x001\x005\x004\x002\x000\x003\x002\x003\x007\x005\x001\x008\r\nOK\r\n", "", word},
		{"eighth bit set", "AT+CGSN", "\r\n\xb4\xb9\xb0\xb1\xb5\xb4\xb2\xb0\xb3\xb2\xb3\xb7\xb5\xb1\xb8\r\nOK\r\n", "", word},
		{"NUL padding around each line", "AT+CGSN", "\x00\x00\r\n\x00490154203237518\x00\x00\r\n\x00\r\nOK\x00\r\n", goodIMEI, ""},
		{"0xFF padding around each line", "AT+CGSN", "\xff\xff\r\n\xff490154203237518\xff\xff\r\n\xff\r\nOK\xff\r\n", goodIMEI, ""},
		{"0xFF within", "AT+CGSN", "\r\n4901542\xff03237518\r\nOK\r\n", "", word},
		{"DLE within", "AT+CGSN", "\r\n4901542\x1003237518\r\nOK\r\n", "", word},
		{"XOFF and XON within", "AT+CGSN", "\r\n4901542\x13\x1103237518\r\nOK\r\n", "", word},
		{"DLE, XON and XOFF around", "AT+CGSN", "\x10\x11\r\n\x13490154203237518\x11\r\n\x13OK\x11\r\n", goodIMEI, ""},
		{"backspaces within", "AT+CGSN", "\r\n49015420323759\b18\r\nOK\r\n", "", word},
		{"data mode before the answer", "AT+CGSN", "\r\nCONNECT\r\n490154203237518\r\nOK\r\n", "", modem.WordError},
		{"prompt before the answer", "AT+CGSN", "\r\n> \r\n490154203237518\r\nOK\r\n", goodIMEI, ""},
		{"prompt on the line of the answer", "AT+CGSN", "\r\n> 490154203237518\r\nOK\r\n", "", string(imei.WordBlank)},
		{"lines that end with CR only, with echo", "AT+CGSN=1", "AT+CGSN=1\r+CGSN: \"490154203237518\"\rOK\r", goodIMEI, ""},
		{"lines that end with LF only, with echo", "AT+CGSN=1", "AT+CGSN=1\n+CGSN: \"490154203237518\"\nOK\n", goodIMEI, ""},
		{"CME text in Latin-1 with control characters", "AT+CGSN", "\r\n+CME ERROR: \xe9\x1b[2J\x9b\r\n", "", "cme:é.[2J."},
		{"zeros", "AT+CGSN=1", "\r\n+CGSN: \"000000000000000\"\r\nOK\r\n", "", string(imei.WordZero)},
		{"the command of another client echoed", "AT+CGSN", "AT+CIMI\r\r\n490154203237518\r\nOK\r\n", "", "timeout"}, // its answer, and not ours
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := askInBubble(t, tt.command, tt.response)
			if a.IMEI.Digits() != tt.imei || a.Word != tt.word {
				t.Errorf("%s answered %q: IMEI %q, word %q; want %q, %q", tt.command, tt.response, a.IMEI.Digits(), a.Word, tt.imei, tt.word)
			}
		})
	}
}

// TestAnIMSIAsALateAnswer: another client asked for it and went, and it comes instead of ours or amid it. This one passes for an IMEI.
func TestAnIMSIAsALateAnswer(t *testing.T) {
	const imsi = "001010123456780"
	for _, echoOff := range []bool{false, true} {
		for _, late := range []string{framed(imsi) + framed("OK"), framed(imsi), "AT+CIMI\r" + framed(imsi) + framed("OK"), framed("+CIMI: "+imsi) + framed("OK")} {
			for _, command := range []string{"", "+CGSN=1", "+CGSN=2", "+CGSN", "+GSN", "+CGMM"} {
				t.Run(fmt.Sprintf("%q before the answer to %q, echo off %v", late, command, echoOff), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						fault := modemtest.Fault{Kind: modemtest.FaultGarbage, Command: command, Times: 1, Text: late}
						r := read(t, modemtest.Config{EchoOff: echoOff, Faults: []modemtest.Fault{fault}})
						if s := r.Slots[0]; s.IMEI.Digits() == imsi || !s.IMEI.IsZero() && s.IMEI.Digits() != goodIMEI {
							t.Errorf("slot %+v, agreement %v", s, r.Agreement)
						}
					})
				})
			}
		}
	}
}

// TestUnplugAtEachByteOfTheReading: the reading fails with the hang-up and asks the dead port nothing more.
func TestUnplugAtEachByteOfTheReading(t *testing.T) {
	_, bytes := planSize(t, modemtest.Config{})
	for offset := range bytes - 1 { // nothing waits for the LF behind the last OK
		synctest.Test(t, func(t *testing.T) {
			port := &tamperedPort{Port: newEmulator(t, modemtest.Config{}).Pipe()}
			defer port.Close()
			left, after := offset, 0
			port.read = func(b []byte, pass func([]byte) (int, error)) (int, error) {
				if left == 0 {
					after++
					return 0, modem.ErrHangup
				}
				n, err := pass(b[:min(len(b), left)])
				left -= n
				return n, err
			}
			r, err := modem.NewReader(port, modem.Config{}).Read(t.Context())
			if !errors.Is(err, modem.ErrHangup) || len(r.Slots) > 0 || after != 1 {
				t.Errorf("unplugged after %d bytes: reading %+v, error %v, %d reads of the dead port; want ErrHangup after 1", offset, r, err, after)
			}
		})
	}
}

// TestCloseAtEachCommandEndsTheReading: with ErrClosed at once.
func TestCloseAtEachCommandEndsTheReading(t *testing.T) {
	commands, _ := planSize(t, modemtest.Config{})
	for at := range commands {
		synctest.Test(t, func(t *testing.T) {
			port := &tamperedPort{Port: newEmulator(t, modemtest.Config{}).Pipe()}
			port.write = func(n int, pass func() (int, error)) (int, error) {
				if n == at {
					port.Close()
				}
				return pass()
			}
			start := time.Now()
			if _, err := modem.NewReader(port, modem.Config{}).Read(t.Context()); !errors.Is(err, modem.ErrClosed) || time.Since(start) > 50*time.Millisecond {
				t.Errorf("closed at command %d: %v after %v, want ErrClosed at once", at, err, time.Since(start))
			}
		})
	}
}

// TestAModemThatTakesNoBytesTimesOut: at each command of the plan, and the reading ends in its time.
func TestAModemThatTakesNoBytesTimesOut(t *testing.T) {
	commands, _ := planSize(t, modemtest.Config{})
	for from := range commands {
		synctest.Test(t, func(t *testing.T) {
			port := &tamperedPort{Port: newEmulator(t, modemtest.Config{}).Pipe()}
			defer port.Close()
			port.write = func(n int, pass func() (int, error)) (int, error) {
				if n < from {
					return pass()
				}
				time.Sleep(time.Second)
				return 0, modem.ErrTimeout
			}
			start := time.Now()
			r, err := modem.NewReader(port, modem.Config{}).Read(t.Context())
			if err != nil || time.Since(start) > modem.DefaultTotalTimeout+time.Second {
				t.Fatalf("blocked from command %d: %v after %v", from, err, time.Since(start))
			}
			if s := r.Slots[0]; from == 0 && s.Word != modem.WordTimeout || !s.IMEI.IsZero() && s.IMEI.Digits() != goodIMEI {
				t.Errorf("blocked from command %d: slot %+v", from, s)
			}
		})
	}
}

// TestTimesCarryTheMonotonicClock: setting the wall clock during a reading changes no duration and no age.
func TestTimesCarryTheMonotonicClock(t *testing.T) {
	r := read(t, modemtest.Config{})
	times := []time.Time{r.LastAnswer}
	for _, a := range r.Answers {
		times = append(times, a.Ended)
	}
	for _, at := range times {
		if !strings.Contains(at.String(), " m=") {
			t.Errorf("%v has no monotonic reading", at)
		}
	}
}
