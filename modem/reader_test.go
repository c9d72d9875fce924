package modem_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"imei-attest/attest/imei"
	"imei-attest/modem"
	"imei-attest/modem/modemtest"
)

func TestEveryProfileTellsItsIMEI(t *testing.T) {
	want := map[string]struct {
		agreement modem.Agreement
		methods   string
		svn       imei.SVN
	}{
		"generic":  {modem.AgreementFull, "cgsn=1 cgsn=2 cgsn=3 cgsn gsn vendor", "01"},
		"quectel":  {modem.AgreementPartial, "cgsn gsn vendor", ""},
		"sim7600":  {modem.AgreementPartial, "cgsn gsn vendor", ""},
		"neoway":   {modem.AgreementPartial, "cgsn gsn", ""},
		"option":   {modem.AgreementPartial, "cgsn gsn", ""},
		"ublox":    {modem.AgreementFull, "cgsn=1 cgsn=2 cgsn=3 cgsn gsn vendor", "01"},
		"nordic":   {modem.AgreementFull, "cgsn=1 cgsn=2 cgsn=3 cgsn gsn", "01"},
		"motorola": {modem.AgreementPartial, "cgsn gsn vendor", ""},
		"huawei":   {modem.AgreementPartial, "cgsn gsn vendor", ""},
		"fibocom":  {modem.AgreementPartial, "cgsn gsn vendor", ""},
		"sierra":   {modem.AgreementPartial, "cgsn gsn vendor", ""},
		"telit":    {modem.AgreementPartial, "cgsn gsn vendor", ""},
		"a7600":    {modem.AgreementPartial, "cgsn gsn vendor", ""},
		"mt6261":   {modem.AgreementSingle, "cgsn gsn vendor", ""}, // nothing but its own form tells that of slot 2
		"rg650v":   {modem.AgreementSingle, "vendor", ""},          // the others tell either slot's
		"bc260y":   {modem.AgreementPartial, "cgsn=1 cgsn=2 cgsn=3", "02"},
	}
	for _, profile := range modemtest.Profiles() {
		for _, echoOff := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s echoOff=%v", profile, echoOff), func(t *testing.T) {
				w, ok := want[profile]
				if !ok {
					t.Fatal("no expectation for this profile")
				}
				r := read(t, modemtest.Config{Profile: profile, IMEI: goodIMEI, EchoOff: echoOff})
				slot := r.Slots[0]
				got := strings.Join(slot.Methods.Strings(), " ")
				if slot.IMEI.Digits() != goodIMEI || slot.Word != "" || r.Agreement != w.agreement || got != w.methods || slot.SVN != w.svn {
					t.Errorf("slot %+v, agreement %v, methods %q; want agreement %v, methods %q, svn %q",
						slot, r.Agreement, got, w.agreement, w.methods, w.svn)
				}
				if r.Model == "" || r.Manufacturer == "" || r.Revision == "" || r.RestartSeen || r.LastAnswer.IsZero() || r.Port.Path != "memory" {
					t.Errorf("reading %+v", r)
				}
				if own := read(t, modemtest.Config{Profile: profile, EchoOff: echoOff}); own.Slots[0].Word != "" || own.Slots[0].IMEI.IsZero() {
					t.Errorf("the profile's own IMEI is read as %+v", own.Slots[0])
				}
				if r.Answers[1].Command != "AT+CGSN=1" && r.Answers[0].Command != "AT+CGSN=1" {
					t.Error("AT+CGSN=1 was not asked first")
				}
			})
		}
	}
}

func TestSettingsOfOtherClientsDoNotMatter(t *testing.T) {
	for _, config := range []modemtest.Config{{Numeric: true}, {UCS2: true}, {Numeric: true, UCS2: true, EchoOff: true}} {
		r := read(t, config)
		if r.Slots[0].IMEI.Digits() != goodIMEI || r.Agreement != modem.AgreementFull {
			t.Errorf("%+v: %+v", config, r)
		}
	}
}

func TestReadingReportsWhatIsWrong(t *testing.T) {
	standard := []modemtest.Fault{verbatim("+CGSN=1", "\r\nERROR\r\n"), verbatim("+CGSN=2", "\r\nERROR\r\n"), verbatim("+CGSN=3", "\r\nERROR\r\n")}
	tests := []struct {
		name      string
		config    modemtest.Config
		imei      string
		form      imei.Form
		word      string
		text      string
		agreement modem.Agreement
	}{
		{"wrong check digit", modemtest.Config{IMEI: "490154203237519"}, goodIMEI, imei.FormWrongCheckDigit, "luhn", "490154203237519", modem.AgreementFull},
		{"spare digit", modemtest.Config{IMEI: "490154203237510"}, goodIMEI, imei.FormSpareDigit, "", "", modem.AgreementFull},
		{"zeros", modemtest.Config{IMEI: "000000000000000"}, "", 0, "zero_imei", "000000000000000", modem.AgreementNone},
		{"module serial", modemtest.Config{IMEI: "2623CKLQ0001234"}, "", 0, "not_imei", "2623CKLQ0001234", modem.AgreementNone},
		{"foreign characters", modemtest.Config{IMEI: "49015\x01\xe9203237518" + strings.Repeat("A", 40)}, "", 0, "malformed",
			"49015..203237518AAAAAAAAAAAAAAAA", modem.AgreementNone},
		{"bare form differs", modemtest.Config{Faults: []modemtest.Fault{verbatim("+CGSN", "AT+CGSN\r\r\n352656105937836\r\n\r\nOK\r\n")}},
			goodIMEI, 0, "", "", modem.AgreementConflict},
		{"bare form is a serial", modemtest.Config{Faults: []modemtest.Fault{verbatim("+CGSN", "AT+CGSN\r\r\nMP823G7\r\n\r\nOK\r\n")}},
			goodIMEI, 0, "", "", modem.AgreementFull},
		{"IMEI changes while read", modemtest.Config{Faults: []modemtest.Fault{{Kind: modemtest.FaultVerbatim, Command: "+CGSN=1", Skip: 1,
			Text: "AT+CGSN=1\r\r\n+CGSN: 352656105937836\r\n\r\nOK\r\n"}}}, "", 0, "ambiguous", "", modem.AgreementConflict},
		{"only an IMEISV", modemtest.Config{EchoOff: true, Faults: append([]modemtest.Fault{verbatim("+CGSN", "\r\n4901542032375101\r\n\r\nOK\r\n"),
			verbatim("+GSN", "\r\nERROR\r\n"), verbatim("I", "\r\nERROR\r\n")}, standard...)}, "", 0, "is_imeisv", "4901542032375101", modem.AgreementNone},
		{"fall-backs disagree", modemtest.Config{EchoOff: true, Faults: append([]modemtest.Fault{verbatim("+GSN", "\r\n352656105937836\r\n\r\nOK\r\n")},
			standard...)}, "", 0, "ambiguous", "", modem.AgreementConflict},
		{"one form only", modemtest.Config{EchoOff: true, Faults: append([]modemtest.Fault{verbatim("+GSN", "\r\nERROR\r\n"), verbatim("I", "\r\nERROR\r\n")},
			standard...)}, goodIMEI, 0, "", "", modem.AgreementSingle},
		{"everything fails", modemtest.Config{EchoOff: true, Faults: []modemtest.Fault{verbatim("*", "\r\n+CME ERROR: memory failure\r\n")}},
			"", 0, "cme:memory failure", "", modem.AgreementNone},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var r modem.Reading
			synctest.Test(t, func(t *testing.T) { r = read(t, tt.config) })
			s := r.Slots[0]
			if tt.imei == "" != s.IMEI.IsZero() || tt.imei != "" && s.IMEI.Digits() != tt.imei || s.Form != tt.form ||
				s.Word != tt.word || s.Text != tt.text || r.Agreement != tt.agreement || s.Number != 1 {
				t.Errorf("slot %+v text %q, agreement %v; want IMEI %q, form %d, word %q, text %q, agreement %v",
					s, s.Text, r.Agreement, tt.imei, tt.form, tt.word, tt.text, tt.agreement)
			}
		})
	}
}

func TestRestartIsReported(t *testing.T) {
	r := read(t, modemtest.Config{Faults: []modemtest.Fault{{Kind: modemtest.FaultGarbage, Command: "+CGSN=2", Text: "\r\nRDY\r\n\r\n+CFUN: 1\r\n"}}})
	if !r.RestartSeen || r.Slots[0].IMEI.Digits() != goodIMEI {
		t.Errorf("reading %+v", r)
	}
}

// TestLateAnswers: an answer that comes after its time-out, in the midst of the others, is no other command's answer.
// Each command takes 40 ms, so the delays reach every point of the commands behind the time-out.
func TestLateAnswers(t *testing.T) {
	const late = "\r\n352656105937836\r\n\r\nOK\r\n" // an IMSI could look like this
	for _, echoOff := range []bool{false, true} {
		for _, command := range []string{"", "+CGSN=1", "+CGSN=2", "+CGSN=3", "+CGMI", "+CGSN", "+GSN", "+CGMM", "I"} {
			for delay := time.Millisecond; delay < 4*time.Second; delay += 11 * time.Millisecond {
				if delay == 45*time.Millisecond {
					delay += 2900 * time.Millisecond
				}
				synctest.Test(t, func(t *testing.T) {
					r := read(t, modemtest.Config{EchoOff: echoOff, Faults: []modemtest.Fault{
						{Kind: modemtest.FaultStale, Command: command, Times: 1, Delay: delay, Text: late},
						{Kind: modemtest.FaultDelay, Command: "*", Delay: 40 * time.Millisecond},
					}})
					if s := r.Slots[0]; !s.IMEI.IsZero() && s.IMEI.Digits() != goodIMEI && r.Agreement > modem.AgreementConflict {
						t.Errorf("%q answered after %v (echo off: %v): slot %+v, agreement %v", command, delay, echoOff, s, r.Agreement)
					}
					for _, a := range r.Answers {
						if a.IMEI.Digits() == otherIMEI && r.Agreement > modem.AgreementConflict {
							t.Errorf("%q answered after %v (echo off: %v): %s got its answer", command, delay, echoOff, a.Command)
						}
					}
				})
			}
		}
	}
}

func TestAStrayOKDoesNotShiftTheAnswers(t *testing.T) {
	for _, echoOff := range []bool{false, true} {
		end := "\r\n+CGSN: \"490154203237518\"\r\n\r\nOK\r\n\r\nOK\r\n"
		if !echoOff {
			end = "AT+CGSN=1\r" + end
		}
		r := read(t, modemtest.Config{EchoOff: echoOff, Faults: []modemtest.Fault{verbatim("+CGSN=1", end)}})
		if r.Agreement != modem.AgreementFull {
			t.Errorf("echoOff=%v: %+v", echoOff, r)
		}
	}
}

func TestASilentModemGivesAReadingInTime(t *testing.T) {
	for _, command := range []string{"*", "", "+CGSN=1", "+CGMM"} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			r := read(t, modemtest.Config{Faults: []modemtest.Fault{{Kind: modemtest.FaultSilent, Command: command}}})
			if took := time.Since(start); took > modem.DefaultTotalTimeout+time.Second {
				t.Errorf("silent on %q: took %v", command, took)
			}
			if s := r.Slots[0]; command == "*" && s.Word != modem.WordTimeout {
				t.Errorf("silent on %q: slot %+v", command, s)
			}
		})
	}
}

func TestCancellationAtEachStep(t *testing.T) {
	for _, command := range []string{"", "+CGSN=1", "+CGSN=3", "+CGMI", "+CGMM", "+GSN", "I"} {
		synctest.Test(t, func(t *testing.T) {
			port := newEmulator(t, modemtest.Config{Faults: []modemtest.Fault{{Kind: modemtest.FaultSilent, Command: command}}}).Pipe()
			defer port.Close()
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(500*time.Millisecond, cancel)
			start := time.Now()
			_, err := modem.NewReader(port, modem.Config{}).Read(ctx)
			if !errors.Is(err, context.Canceled) || time.Since(start) != 500*time.Millisecond {
				t.Errorf("silent on %q: error %v after %v, want a cancellation after 500ms", command, err, time.Since(start))
			}
		})
	}
}

func TestUnplugAtEachByte(t *testing.T) {
	const answer = "AT+CGSN=1\r\r\n+CGSN: \"490154203237518\"\r\n\r\nOK\r\n"
	for n := range len(answer) + 1 {
		port := newEmulator(t, modemtest.Config{Faults: []modemtest.Fault{{Kind: modemtest.FaultHangUp, Command: "+CGSN=1", Text: answer[:n]}}, EchoOff: true}).Pipe()
		_, err := modem.NewReader(port, modem.Config{}).Read(t.Context())
		if !errors.Is(err, modem.ErrHangup) {
			t.Errorf("unplugged behind %q: error %v", answer[:n], err)
		}
		port.Close()
	}
}

func TestAReaderReadsAgain(t *testing.T) {
	e := newEmulator(t, modemtest.Config{})
	port := e.Pipe()
	defer port.Close()
	reader := modem.NewReader(port, modem.Config{})
	for _, want := range []string{goodIMEI, otherIMEI, goodIMEI} {
		e.SetIMEI(want)
		r, err := reader.Read(t.Context())
		if err != nil || r.Slots[0].IMEI.Digits() != want || r.Agreement != modem.AgreementFull {
			t.Errorf("%+v, %v; want %s", r, err, want)
		}
	}
}

// TestTheModemsOwnDelaysAreMostOfTheTime: a full reading of a modem that takes 20 ms an answer, from the first command on, takes
// hardly longer than the modem does.
func TestTheModemsOwnDelaysAreMostOfTheTime(t *testing.T) {
	const own, most = 20 * time.Millisecond, 1.15
	for _, echoOff := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			slow := []modemtest.Fault{{Kind: modemtest.FaultDelay, Command: "*", Delay: own}}
			port := &tamperedPort{Port: newEmulator(t, modemtest.Config{EchoOff: echoOff, Faults: slow}).Pipe()}
			defer port.Close()
			var begun time.Time
			port.write = func(n int, pass func() (int, error)) (int, error) {
				if n == 0 {
					begun = time.Now()
				}
				return pass()
			}
			r, err := modem.NewReader(port, modem.Config{}).Read(t.Context())
			if err != nil || r.Agreement != modem.AgreementFull {
				t.Fatal(r, err)
			}
			took, delays := time.Since(begun), time.Duration(port.writes)*own
			if ratio := float64(took) / float64(delays); ratio < 1 || ratio > most {
				t.Errorf("echo off %v: %d answers with delays of %v in all took %v, %.2f times as long, want at most %v", echoOff, port.writes, delays, took, ratio, most)
			}
			t.Logf("echo off %v: %d answers took %v", echoOff, port.writes, took)
		})
	}
}

func TestMethodsAndAgreementsHaveNames(t *testing.T) {
	if got := (modem.MethodSNT1 | modem.MethodVendor).Strings(); !slices.Equal(got, []string{"cgsn=1", "vendor"}) {
		t.Errorf("Strings() = %v", got)
	}
	if got := fmt.Sprint(modem.Agreement(0), modem.AgreementFull, modem.Agreement(99)); got != "none full none" {
		t.Errorf("names are %q", got)
	}
}

// A modem slower than the time-outs cannot be read; that charges it with nothing.
func TestASlowModemIsNoLiar(t *testing.T) {
	for delay := time.Second; delay < 3200*time.Millisecond; delay += 130 * time.Millisecond {
		for _, echoOff := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				port := newEmulator(t, modemtest.Config{EchoOff: echoOff,
					Faults: []modemtest.Fault{{Kind: modemtest.FaultDelay, Command: "*", Delay: delay}}}).Pipe()
				defer port.Close()
				reader := modem.NewReader(port, modem.Config{})
				for range 4 {
					r, err := reader.Read(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					if s := r.Slots[0]; r.Agreement == modem.AgreementConflict || !s.IMEI.IsZero() && s.IMEI.Digits() != goodIMEI {
						t.Errorf("%v an answer, echo off %t: %+v, agreement %v", delay, echoOff, s, r.Agreement)
					}
				}
			})
		}
	}
}
