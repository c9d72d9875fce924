package modem_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"imei-attest/modem"
	"imei-attest/modem/modemtest"
)

const (
	cardIMSI   = "001010123456789" // of every emulated card
	secondIMSI = "001010000000029"
)

// transcript is what an emulator writes down while somebody reads it.
type transcript struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *transcript) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

func (s *transcript) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// readWithCards reads the subscribers too, and returns what was sent to the modem.
func readWithCards(t testing.TB, config modemtest.Config, profiles string) (modem.Reading, string) {
	t.Helper()
	var own []modem.Profile
	if profiles != "" {
		var err error
		if own, err = modem.ParseProfiles(profiles); err != nil {
			t.Fatal(err)
		}
	}
	var said transcript
	config.Transcript = &said
	port := newEmulator(t, config).Pipe()
	defer port.Close()
	r, err := modem.NewReader(port, modem.Config{Profiles: own}).ReadSubscribers(t.Context())
	if err != nil {
		t.Fatalf("ReadSubscribers: %v", err)
	}
	return r, said.String()
}

// answers lets the modem answer a command with lines of information and OK.
func answers(command string, lines ...string) modemtest.Fault {
	return modemtest.Fault{Kind: modemtest.FaultInstead, Command: command, Text: "\r\n" + strings.Join(append(lines, "\r\nOK"), "\r\n") + "\r\n"}
}

func failing(command, with string) modemtest.Fault {
	return modemtest.Fault{Kind: modemtest.FaultInstead, Command: command, Text: "\r\n" + with + "\r\n"}
}

// TestSubscriber: the IMSI is read where nothing speaks against it, and whatever the card does, the IMEI is.
func TestSubscriber(t *testing.T) {
	of := func(faults ...modemtest.Fault) modemtest.Config { return modemtest.Config{Faults: faults} }
	unechoed := func(text string) modemtest.Config {
		return modemtest.Config{EchoOff: true, Faults: []modemtest.Fault{{Kind: modemtest.FaultVerbatim, Command: "+CIMI", Text: text}}}
	}
	for _, c := range []struct {
		name   string
		config modemtest.Config
		want   string // "" for none
	}{
		{"by the standard", modemtest.Config{}, cardIMSI},
		{"without echo", modemtest.Config{EchoOff: true}, cardIMSI},
		{"with numeric result codes", modemtest.Config{Numeric: true}, cardIMSI},
		{"with UCS2 left on", modemtest.Config{UCS2: true}, cardIMSI},
		{"behind the command's name", of(answers("+CIMI", "+CIMI: "+cardIMSI)), cardIMSI},
		{"quoted behind it", of(answers("+CIMI", `+CIMI: "`+cardIMSI+`"`)), cardIMSI},
		{"in UCS2", of(answers("+CIMI", ucs2(cardIMSI))), cardIMSI},
		{"twice the same", of(answers("+CIMI", cardIMSI, cardIMSI)), cardIMSI},
		{"beside a report in words", of(answers("+CIMI", "SIM ready", cardIMSI)), cardIMSI},
		{"beside a network report", of(answers("+CIMI", "+CREG: 1", cardIMSI)), cardIMSI},
		{"six digits", of(answers("+CIMI", "001019")), "001019"},

		{"a card that wants its PIN", modemtest.Config{PIN: "1234"}, ""},
		{"no card", modemtest.Config{NoSIM: true}, ""},
		{"a busy card", of(failing("+CIMI", "+CME ERROR: SIM busy")), ""},
		{"a modem that does not know the command", of(failing("+CIMI", "ERROR")), ""},
		{"no answer", of(modemtest.Fault{Kind: modemtest.FaultSilent, Command: "+CIMI"}), ""},
		{"an answer that comes too late", of(modemtest.Fault{Kind: modemtest.FaultDelay, Command: "+CIMI", Delay: 4 * time.Second}), ""},
		{"no OK", of(modemtest.Fault{Kind: modemtest.FaultDropOK, Command: "+CIMI"}), ""},
		{"OK and nothing else", of(answers("+CIMI")), ""},
		{"bytes without end", of(modemtest.Fault{Kind: modemtest.FaultEndless, Command: "+CIMI", Text: "0"}), ""},
		{"the port hangs up", of(modemtest.Fault{Kind: modemtest.FaultHangUp, Command: "+CIMI", Text: "\r\n00101"}), ""},
		{"two numbers", of(answers("+CIMI", cardIMSI, secondIMSI)), ""},
		{"two numbers in one line", of(answers("+CIMI", cardIMSI+","+secondIMSI)), ""},
		{"a number beside it that is none", of(answers("+CIMI", cardIMSI, "89490154203237518012")), ""},
		{"five digits", of(answers("+CIMI", "00101")), ""},
		{"16 digits", of(answers("+CIMI", cardIMSI+"0")), ""},
		{"a letter", of(answers("+CIMI", "00101012345678F")), ""},
		{"digits of another script", of(answers("+CIMI", "٠٠١٠١٠١٢٣٤٥٦٧٨٩")), ""},
		{"a blank within", of(answers("+CIMI", "00101 0123456789")), ""},
		{"another label", of(answers("+CIMI", "ICCID: "+cardIMSI)), ""},
		{"the modem's IMEI", of(answers("+CIMI", goodIMEI)), ""},
		{"the modem's IMEI without check digit", of(answers("+CIMI", goodIMEI[:14])), ""},
		{"behind the echo of another command", of(failing("+CIMI", "AT+CNUM\r\r\n"+cardIMSI+"\r\n\r\nOK")), ""},
		{"without echo, and each answer is the one to the command before", modemtest.Config{EchoOff: true, Faults: []modemtest.Fault{
			{Kind: modemtest.FaultVerbatim, Command: "+CIMI", Text: "\r\n" + secondIMSI + "\r\n\r\nOK\r\n"},
			{Kind: modemtest.FaultVerbatim, Command: "+CGMM", Skip: 3, Text: "\r\n" + cardIMSI + "\r\n\r\nOK\r\n"}}}, ""},
		{"without echo, two answers", unechoed("\r\n" + cardIMSI + "\r\n\r\nOK\r\n\r\n" + secondIMSI + "\r\n\r\nOK\r\n"), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c.config.IMEI = goodIMEI
				r, _ := readWithCards(t, c.config, "")
				if got := r.Slots[0]; got.IMSI.Digits() != c.want || got.IMEI.Digits() != goodIMEI || got.Word != "" || r.Agreement != modem.AgreementFull {
					t.Errorf("IMSI %q, IMEI %s, word %q, agreement %s; want %q and the IMEI in full", got.IMSI.Digits(), got.IMEI.Digits(), got.Word, r.Agreement, c.want)
				}
			})
		})
	}
}

// TestTheCardIsAskedForOnlyWhereItsSlotIsKnown, and never by a plain Read.
func TestTheCardIsAskedForOnlyWhereItsSlotIsKnown(t *testing.T) {
	const perSlot = "quectel rg650v AT+EGMR=0,7;AT+CIMI AT+EGMR=0,11;AT+X2IMSI?\n"
	two := modemtest.Config{Profile: "rg650v", IMEI: goodIMEI, IMEI2: otherIMEI, Faults: []modemtest.Fault{answers("+X2IMSI?", secondIMSI)}}
	for _, c := range []struct {
		name     string
		config   modemtest.Config
		profiles string
		want     string // the IMSIs of the slots
		asked    string // commands that must be sent, or, after !, must not
	}{
		{"one slot", modemtest.Config{}, "", cardIMSI, "+CIMI"},
		{"two slots, and nobody knows whose card it tells", two, "", ",", "!+CIMI"},
		{"two slots with a form for each", two, perSlot, cardIMSI + "," + secondIMSI, "+CIMI +X2IMSI?"},
		{"two slots, one form", two, "quectel rg650v AT+EGMR=0,7 AT+EGMR=0,11;AT+X2IMSI?\n", "," + secondIMSI, "+X2IMSI? !+CIMI"},
		{"two slots, one without a card", modemtest.Config{Profile: "rg650v", IMEI: goodIMEI, IMEI2: otherIMEI, NoSIM: true, Faults: two.Faults}, perSlot, "," + secondIMSI, ""},
		{"a family of two slots, a modem of one", modemtest.Config{Manufacturer: "MediaTek"}, "", cardIMSI, "+CIMI"},
		{"a modem that does not say what it is", modemtest.Config{Faults: []modemtest.Fault{failing("+CGMI", "+CME ERROR: SIM busy"), failing("+GMI", "+CME ERROR: SIM busy")}}, "", "", "!+CIMI"},
		{"a modem whose sources disagree", modemtest.Config{Faults: []modemtest.Fault{answers("+GSN", otherIMEI)}}, "", "", "!+CIMI"},
		{"a silent modem", modemtest.Config{Faults: []modemtest.Fault{{Kind: modemtest.FaultSilent, Command: "*"}}}, "", "", "!+CIMI"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, said := readWithCards(t, c.config, c.profiles)
				var got []string
				for _, s := range r.Slots {
					got = append(got, s.IMSI.Digits())
				}
				if strings.Join(got, ",") != c.want {
					t.Errorf("IMSIs %q, want %q", got, c.want)
				}
				for _, command := range strings.Fields(c.asked) {
					unwanted, not := strings.CutPrefix(command, "!")
					if asked := strings.Contains(said, "AT"+strings.TrimPrefix(command, "!")+`\r`); asked == not {
						t.Errorf("asked for %s: %v", unwanted, asked)
					}
				}
			})
		})
	}
	var said transcript
	read(t, modemtest.Config{Transcript: &said})
	if !strings.Contains(said.String(), "AT+CGSN=1") || strings.Contains(said.String(), "CIMI") {
		t.Error("a plain Read asks for the subscriber")
	}
}

// TestNothingShowsTheSubscriber of what a program may print or write, good answers and bad ones.
func TestNothingShowsTheSubscriber(t *testing.T) {
	for _, answer := range []string{cardIMSI, cardIMSI + "0", cardIMSI + "," + secondIMSI, "IMSI " + cardIMSI} {
		r, _ := readWithCards(t, modemtest.Config{Faults: []modemtest.Fault{answers("+CIMI", answer)}}, "")
		a := askScripted(t, "AT+CIMI", "AT+CIMI\r\r\n"+answer+"\r\n\r\nOK\r\n")
		for _, shown := range []any{r, r.Slots, r.Slots[0].IMSI, &r, a, a.Err()} {
			text, err := json.Marshal(shown)
			all := fmt.Sprintf("%v %+v %#v %s", shown, shown, shown, text)
			if err != nil || strings.Contains(all, "0123456789") || strings.Contains(all, "0000029") {
				t.Errorf("%q: %s, %v", answer, all, err)
			}
		}
		if a.Text != "" || a.Raw != [32]byte{} {
			t.Errorf("%q: the answer keeps %q and a hash %x", answer, a.Text, a.Raw)
		}
	}
	_, err := modem.ParseIMSI(cardIMSI + "0")
	if err == nil || strings.Contains(err.Error(), cardIMSI) {
		t.Errorf("ParseIMSI: %v", err)
	}
}

func TestProfilesForCards(t *testing.T) {
	for text, want := range map[string]string{
		"a b AT+EGMR=0,7;":                             "not a command that reads",
		"a b AT+EGMR=0,7;AT+CGSN":                      "does not read an IMSI",
		"a b AT+EGMR=0,7;AT+CIMI=1":                    "not a command that reads",
		"a b AT+EGMR=0,7;AT+CFUN=0":                    "not a command that reads",
		"a b AT+EGMR=0,7;AT+CIMI;AT+CIMI":              "not a command that reads",
		"a b AT+EGMR=0,7;AT+CIMI AT+EGMR=0,11;AT+CIMI": "stands for two",
		"a b AT+CIMI":                                  "does not read an IMEI",
	} {
		_, err := modem.ParseProfiles(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// FuzzIMSI: any bytes give no IMSI, or one whose digits stand in them in one piece; and nothing of them is kept otherwise.
func FuzzIMSI(f *testing.F) {
	for _, s := range []string{cardIMSI, "+CIMI: " + cardIMSI, `"` + cardIMSI + `"`, ucs2(cardIMSI), cardIMSI + "\r\n" + secondIMSI, "SIM ready\r\n" + cardIMSI, "+CME ERROR: 10", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, response string) {
		if len(response) > 4000 {
			return // more does not fit into the pipe at once
		}
		var a modem.Answer
		synctest.Test(t, func(t *testing.T) { a = askScripted(t, "AT+CIMI", response+"\r\nOK\r\n") })
		if a.Text != "" || a.Raw != [32]byte{} || !a.IMEI.IsZero() {
			t.Errorf("%q leaves %q, %x", response, a.Text, a.Raw)
		}
		digits := a.IMSI.Digits()
		if digits == "" {
			return
		}
		if _, err := modem.ParseIMSI(digits); err != nil || a.Word != "" || !strings.Contains(response, digits) && !strings.Contains(strings.ToUpper(response), ucs2(digits)) {
			t.Errorf("%q gave IMSI %q beside %q", response, digits, a.Word)
		}
	})
}
