package modem_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"imei-attest/modem"
	"imei-attest/modem/modemtest"
)

const thirdIMEI = "356938035643809"

// egmr answers +EGMR=0,item with a value.
func egmr(item int, value string) modemtest.Fault {
	return instead(fmt.Sprintf("+EGMR=0,%d", item), "+EGMR: \""+value+"\"")
}

func instead(command, line string) modemtest.Fault {
	return modemtest.Fault{Kind: modemtest.FaultInstead, Command: command, Text: "\r\n" + line + "\r\n\r\nOK\r\n"}
}

// tells lets a form tell another identity in each second answer, or, with every 1, in each.
func tells(command, identity string, every int) modemtest.Fault {
	return modemtest.Fault{Kind: modemtest.FaultIdentity, Command: command, Every: every, Text: identity}
}

func TestSlots(t *testing.T) {
	failing := func(command, word string) modemtest.Fault {
		return modemtest.Fault{Kind: modemtest.FaultInstead, Command: command, Text: "\r\n" + word + "\r\n"}
	}
	for _, c := range []struct {
		name         string
		maker, model string
		faults       []modemtest.Fault
		slots        string // IMEI or word, and the methods, slot by slot
		agreement    modem.Agreement
		alternating  string
	}{
		{"two slots", "Quectel", "RG650V-EU", []modemtest.Fault{egmr(7, goodIMEI), egmr(11, otherIMEI)},
			goodIMEI + " cgsn gsn vendor, " + otherIMEI + " vendor", modem.AgreementSingle, ""},
		{"the bare forms tell either", "Quectel", "RG650V-EU",
			[]modemtest.Fault{egmr(7, goodIMEI), egmr(11, otherIMEI), tells("+CGSN", otherIMEI, 2), tells("+GSN", otherIMEI, 2)},
			goodIMEI + " vendor, " + otherIMEI + " vendor", modem.AgreementSingle, "cgsn gsn"},
		{"the bare forms tell slot 2", "Quectel", "RG650V-EU",
			[]modemtest.Fault{egmr(7, goodIMEI), egmr(11, otherIMEI), tells("+CGSN", otherIMEI, 1), tells("+GSN", otherIMEI, 1)},
			goodIMEI + " vendor, " + otherIMEI + " cgsn gsn vendor", modem.AgreementSingle, ""},
		{"a bare form tells a third", "Quectel", "RG650V-EU",
			[]modemtest.Fault{egmr(7, goodIMEI), egmr(11, otherIMEI), tells("+GSN", thirdIMEI, 1)},
			goodIMEI + " cgsn vendor, " + otherIMEI + " vendor", modem.AgreementConflict, ""},
		{"a slot's own form changes its mind", "Quectel", "RG650V-EU",
			[]modemtest.Fault{egmr(7, goodIMEI), {Kind: modemtest.FaultInstead, Command: "+EGMR=0,11", Times: 1,
				Text: "\r\n+EGMR: \"" + thirdIMEI + "\"\r\n\r\nOK\r\n"}, egmr(11, otherIMEI)},
			goodIMEI + " cgsn gsn vendor, ambiguous ", modem.AgreementConflict, "vendor"},
		{"a line of noise beside slot 2's own form, once", "Quectel", "RG650V-EU",
			[]modemtest.Fault{egmr(7, goodIMEI), {Kind: modemtest.FaultInstead, Command: "+EGMR=0,11", Times: 1,
				Text: "\r\n+EGMR: TR19A8P11R\r\n+EGMR: \"" + otherIMEI + "\"\r\n\r\nOK\r\n"}, egmr(11, otherIMEI)},
			goodIMEI + " cgsn gsn vendor, ambiguous ", modem.AgreementPartial, ""},
		{"a line of noise beside a bare form", "Quectel", "RG650V-EU",
			[]modemtest.Fault{egmr(7, goodIMEI), egmr(11, otherIMEI), instead("+GSN", "TR19A8P11R\r\n"+goodIMEI)},
			goodIMEI + " cgsn vendor, " + otherIMEI + " vendor", modem.AgreementSingle, ""},
		{"a third identity beside a bare form", "Quectel", "RG650V-EU",
			[]modemtest.Fault{egmr(7, goodIMEI), egmr(11, otherIMEI), instead("+GSN", thirdIMEI+"\r\n"+goodIMEI)},
			goodIMEI + " cgsn vendor, " + otherIMEI + " vendor", modem.AgreementConflict, ""},
		{"the slots tell each other's", "Quectel", "RG650V-EU", []modemtest.Fault{egmr(7, otherIMEI), egmr(11, goodIMEI)},
			otherIMEI + " vendor, " + goodIMEI + " cgsn gsn vendor", modem.AgreementSingle, ""},
		{"slot 2 holds zeros", "Quectel", "RG650V-EU", []modemtest.Fault{egmr(7, goodIMEI), egmr(11, "000000000000000")},
			goodIMEI + " cgsn gsn vendor, zero_imei ", modem.AgreementPartial, ""},
		{"slot 2 says it is empty", "Quectel", "RG650V-EU", []modemtest.Fault{egmr(7, goodIMEI), egmr(11, "")},
			goodIMEI + " cgsn gsn vendor, blank_imei ", modem.AgreementPartial, ""},
		{"slot 2 says OK", "Quectel", "RG650V-EU", []modemtest.Fault{egmr(7, goodIMEI), failing("+EGMR=0,11", "OK")},
			goodIMEI + " cgsn gsn vendor, error ", modem.AgreementPartial, ""},
		{"slot 2 is busy", "Quectel", "RG650V-EU", []modemtest.Fault{egmr(7, goodIMEI), failing("+EGMR=0,11", "+CME ERROR: 14")},
			goodIMEI + " cgsn gsn vendor, cme:14 ", modem.AgreementPartial, ""},
		{"slot 2 is busy and a bare form tells another", "Quectel", "RG650V-EU",
			[]modemtest.Fault{egmr(7, goodIMEI), failing("+EGMR=0,11", "+CME ERROR: 14"), tells("+GSN", otherIMEI, 1)},
			goodIMEI + " cgsn vendor, cme:14 ", modem.AgreementPartial, ""},
		{"slot 2's form fails on a model that has it", "Quectel", "RG650V-EU", []modemtest.Fault{egmr(7, goodIMEI), failing("+EGMR=0,11", "ERROR")},
			goodIMEI + " cgsn gsn vendor, error ", modem.AgreementPartial, ""},
		{"no form of a slot is known on a model that has two", "Quectel", "RG650V-EU", []modemtest.Fault{failing("+EGMR=0,7", "ERROR")},
			"error , error ", modem.AgreementNone, ""},
		{"slot 2's form is not known in a family with and without", "MTK", "MT6261", []modemtest.Fault{egmr(7, goodIMEI), failing("+EGMR=0,10", "ERROR")},
			goodIMEI + " cgsn gsn vendor", modem.AgreementPartial, ""},
		{"no form of a slot is known in such a family", "MTK", "MT6261", []modemtest.Fault{failing("+EGMR=0,7", "ERROR")},
			goodIMEI + " cgsn gsn", modem.AgreementPartial, ""},
		{"slot 2 holds zeros, and a bare form tells them", "Quectel", "RG650V-EU",
			[]modemtest.Fault{egmr(7, goodIMEI), egmr(11, "000000000000000"), tells("+GSN", "000000000000000", 1)},
			goodIMEI + " cgsn vendor, zero_imei ", modem.AgreementPartial, ""},
		{"both slots hold the same", "Quectel", "RG650V-EU", []modemtest.Fault{egmr(7, goodIMEI), egmr(11, goodIMEI)},
			goodIMEI + " cgsn gsn vendor, " + goodIMEI + " cgsn gsn vendor", modem.AgreementConflict, ""},
		{"another numbering", "MTK", "MT6261", []modemtest.Fault{egmr(7, goodIMEI), egmr(10, otherIMEI)},
			goodIMEI + " cgsn gsn vendor, " + otherIMEI + " vendor", modem.AgreementSingle, ""},
		{"the item of slot 2 is the IMEISV of slot 1", "MediaTek Inc.", "MT6735", []modemtest.Fault{egmr(7, goodIMEI), egmr(10, "4901542032375101")},
			goodIMEI + " cgsn gsn vendor", modem.AgreementPartial, ""},
		{"a modem with one slot that nobody knows alternates", "Foxconn", "T99",
			[]modemtest.Fault{tells("+CGSN", otherIMEI, 2), tells("+GSN", otherIMEI, 2)},
			"ambiguous ", modem.AgreementConflict, "cgsn gsn"},
	} {
		for _, echoOff := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s echoOff=%v", c.name, echoOff), func(t *testing.T) {
				r := read(t, modemtest.Config{Profile: "quectel", IMEI: goodIMEI, Manufacturer: c.maker, Model: c.model,
					Faults: c.faults, EchoOff: echoOff})
				if got := slotsText(r); got != c.slots || r.Agreement != c.agreement || strings.Join(r.Alternating.Strings(), " ") != c.alternating {
					t.Errorf("got  %s, %s, alternating %q\nwant %s, %s, alternating %q", got, r.Agreement,
						r.Alternating.Strings(), c.slots, c.agreement, c.alternating)
				}
				for i, s := range r.Slots {
					if s.Number != i+1 {
						t.Errorf("slot %d has the number %d", i+1, s.Number)
					}
				}
			})
		}
	}
}

func slotsText(r modem.Reading) string {
	var slots []string
	for _, s := range r.Slots {
		what := s.IMEI.Digits()
		if s.IMEI.IsZero() {
			what = s.Word
		}
		slots = append(slots, what+" "+strings.Join(s.Methods.Strings(), " "))
	}
	return strings.Join(slots, ", ")
}

func TestProfilesOfTheCallerComeFirst(t *testing.T) {
	profiles, err := modem.ParseProfiles("# ours\nQUECTEL ec25 AT+EGMR=0,12 AT+EGMR=0,8\n")
	if err != nil {
		t.Fatal(err)
	}
	port := newEmulator(t, modemtest.Config{Profile: "quectel", IMEI: goodIMEI,
		Faults: []modemtest.Fault{egmr(12, "TR19A8"), egmr(8, otherIMEI)}}).Pipe()
	defer port.Close()
	r, err := modem.NewReader(port, modem.Config{Profiles: profiles}).Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if want := "not_imei , " + otherIMEI + " vendor"; slotsText(r) != want {
		t.Errorf("got %s, want %s", slotsText(r), want)
	}
}

func TestParseProfilesRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"quectel":                                "want a maker",
		"quectel *":                              "want a maker",
		"\n# c\n\nquectel * AT+X AT+GSN":         "line 4",
		"q * AT+GSN AT+GSN AT+GSN AT+GSN AT+GSN": "1 to 4 commands",
		"q * AT+EGMR=1,7":                        "not a command that reads",
		`q * AT+EGMR=1,7,"490154203237518"`:      "not a command that reads",
		"q * AT+EGMR=0,7;+CFUN=1,1":              "not a command that reads",
		"q * AT+EGMR=0,9":                        "does not read an IMEI",
		"q * AT+CGMM":                            "does not read an IMEI",
		"":                                       "no profile",
		"q * AT+GSN AT+GSN":                      "stands for two",
		"q * AT+GSN # slot 1":                    "comments have lines of their own",
		"a maker model AT+GSN":                   "each one word",
		"* * AT+GSN":                             "a word of its name",
		"q * ATI":                                "does not read an IMEI",
		"q * AT+CGSN=2":                          "does not read an IMEI",
		strings.Repeat("#", 70000):               "at most",
		"q * AT^MEID":                            "does not read an IMEI",
		"q * ATZ":                                "not a command that reads",
	} {
		if p, err := modem.ParseProfiles(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, error %v, want one with %q", text, p, err, want)
		}
	}
}

// An identity that stands in each second, third or fourth answer is not met by the same form both times.
func TestForeignIdentityInTurnIsNoSlot(t *testing.T) {
	for profile, second := range map[string]string{"rg650v": otherIMEI, "mt6261": otherIMEI, "quectel": "", "generic": ""} {
		for every := 2; every <= 4; every++ {
			port := newEmulator(t, modemtest.Config{Profile: profile, IMEI: goodIMEI, IMEI2: second,
				Faults: []modemtest.Fault{tells("*", thirdIMEI, every)}}).Pipe()
			defer port.Close()
			reader := modem.NewReader(port, modem.Config{})
			for range 4 {
				r, err := reader.Read(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if strings.Contains(slotsText(r), thirdIMEI) && r.Agreement != modem.AgreementConflict {
					t.Errorf("%s, each answer number %d: %s, agreement %s", profile, every, slotsText(r), r.Agreement)
				}
			}
		}
	}
}

// A vendor's form is a witness beside the standard's: it neither hides what those tell nor speaks against them by failing.
func TestOwnFormsDoNotOverruleTheStandard(t *testing.T) {
	failing := func(command, word string) modemtest.Fault {
		return modemtest.Fault{Kind: modemtest.FaultInstead, Command: command, Text: "\r\n" + word + "\r\n"}
	}
	both := func(answer func(item int) modemtest.Fault) []modemtest.Fault {
		return []modemtest.Fault{answer(7), answer(10)}
	}
	telling := func(value string) []modemtest.Fault {
		return both(func(item int) modemtest.Fault { return egmr(item, value) })
	}
	refusing := func(word string) []modemtest.Fault {
		return both(func(item int) modemtest.Fault { return failing(fmt.Sprintf("+EGMR=0,%d", item), word) })
	}
	const honest = goodIMEI + " cgsn=1 cgsn=2 cgsn=3 cgsn gsn"
	for _, c := range []struct {
		name      string
		told      string // by the standard's forms
		faults    []modemtest.Fault
		slots     string
		agreement modem.Agreement
	}{
		{"the own form tells the same, the next one zeros", goodIMEI, []modemtest.Fault{egmr(7, goodIMEI), egmr(10, "000000000000000")}, honest + " vendor", modem.AgreementFull},
		{"both own forms tell the same", goodIMEI, telling(goodIMEI), honest + " vendor", modem.AgreementFull},
		{"the own form tells another, the next one zeros", otherIMEI, []modemtest.Fault{egmr(7, goodIMEI), egmr(10, "000000000000000")},
			otherIMEI + " cgsn=1 cgsn=2 cgsn=3 cgsn gsn", modem.AgreementConflict},
		{"the own form tells another, the next one is busy", otherIMEI, []modemtest.Fault{egmr(7, goodIMEI), failing("+EGMR=0,10", "+CME ERROR: 14")},
			otherIMEI + " cgsn=1 cgsn=2 cgsn=3 cgsn gsn", modem.AgreementConflict},
		{"the own forms are empty", goodIMEI, telling(""), honest, modem.AgreementFull},
		{"the own forms tell zeros", goodIMEI, telling("000000000000000"), honest, modem.AgreementConflict},
		{"the own forms tell 14 digits", goodIMEI, telling("49015420323751"), honest, modem.AgreementFull},
		{"the own forms answer OK", goodIMEI, refusing("OK"), honest, modem.AgreementFull},
		{"the own forms are not allowed", goodIMEI, refusing("+CME ERROR: 3"), honest, modem.AgreementFull},
		{"the own forms fail for an unknown reason", goodIMEI, refusing("+CME ERROR: 100"), honest, modem.AgreementFull},
		{"the own forms are busy", goodIMEI, refusing("+CME ERROR: 14"), honest, modem.AgreementFull},
	} {
		for _, echoOff := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s echoOff=%v", c.name, echoOff), func(t *testing.T) {
				r := read(t, modemtest.Config{IMEI: c.told, Manufacturer: "MediaTek Inc.", Model: "MT6735", Faults: c.faults, EchoOff: echoOff})
				if got := slotsText(r); got != c.slots || r.Agreement != c.agreement {
					t.Errorf("got  %s, %s\nwant %s, %s", got, r.Agreement, c.slots, c.agreement)
				}
			})
		}
	}
}

// Which slot answered cannot be said of a modem that does not say what it is.
func TestAModemThatDoesNotSayWhatItIs(t *testing.T) {
	busy := func(command string) modemtest.Fault {
		return modemtest.Fault{Kind: modemtest.FaultInstead, Command: command, Text: "\r\n+CME ERROR: 14\r\n"}
	}
	for _, c := range []struct {
		faults []modemtest.Fault
		slots  string
	}{
		{[]modemtest.Fault{busy("+CGMI")}, goodIMEI + " vendor, " + otherIMEI + " vendor"},
		{[]modemtest.Fault{busy("+CGMM")}, goodIMEI + " vendor, " + otherIMEI + " vendor"},
		{[]modemtest.Fault{busy("+CGMI"), busy("+GMI")}, "cme:14 "},
		{[]modemtest.Fault{busy("+CGMM"), busy("+GMM")}, "cme:14 "},
		{[]modemtest.Fault{busy("+CGMR"), busy("+GMR")}, goodIMEI + " vendor, " + otherIMEI + " vendor"},
	} {
		r := read(t, modemtest.Config{Profile: "rg650v", IMEI: goodIMEI, IMEI2: otherIMEI, Faults: c.faults})
		if got := slotsText(r); got != c.slots {
			t.Errorf("%+v: got %s, want %s", c.faults, got, c.slots)
		}
	}
}

// What the time for a reading did not suffice for was not told; it takes nothing from what was.
func TestASlowModemIsReadAsFarAsTheTimeGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		faults := []modemtest.Fault{{Kind: modemtest.FaultNone, Command: ""}, {Kind: modemtest.FaultDelay, Command: "*", Delay: 1500 * time.Millisecond}}
		port := newEmulator(t, modemtest.Config{Profile: "mt6261", IMEI: goodIMEI, IMEI2: otherIMEI, Faults: faults}).Pipe()
		defer port.Close()
		r, err := modem.NewReader(port, modem.Config{}).Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if want := goodIMEI + " cgsn gsn vendor, " + otherIMEI + " vendor"; slotsText(r) != want || r.Agreement == modem.AgreementConflict {
			t.Errorf("got %s, %s, want %s", slotsText(r), r.Agreement, want)
		}
	})
}
