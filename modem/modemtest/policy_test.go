//go:build linux

package modemtest_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"imei-attest/modem/modemtest"
)

const (
	writeOther = `AT+EGMR=1,7,"` + otherIMEI + `"`
	restarted  = ok + "\r\nRDY\r\n\r\n+CFUN: 1\r\n"
)

// policyRow lets a program write, read, restart, read, write and read, and words the answers.
func policyRow(t *testing.T, p modemtest.NamedPolicy) string {
	t.Helper()
	row := fmt.Sprintf("| `%s` | %s |", p.Name, p.Does)
	synctest.Test(t, func(t *testing.T) {
		e, err := modemtest.New(modemtest.Config{EchoOff: true, Policy: p.Name})
		if err != nil {
			t.Fatal(err)
		}
		for _, command := range []string{writeOther, "AT+CGSN", "AT+CFUN=1,1", "AT+CGSN", writeOther, "AT+CGSN"} {
			// The setting belongs to the line, which is a new one each time.
			answer := strings.TrimPrefix(say(t, e.Pipe(), "AT+CMEE=2\r"+command+"\r"), ok)
			switch {
			case command != "AT+CFUN=1,1":
				row += " " + answerWord(command, answer) + " |"
			case answer != restarted:
				t.Errorf("%s was answered %q", command, answer)
			}
		}
	})
	return row
}

func answerWord(command, answer string) string {
	switch answer {
	case ok:
		return "OK"
	case text(genericIMEI):
		if command == writeOther {
			return "OK, and its IMEI"
		}
		return "as before"
	case text(otherIMEI):
		return "the other"
	}
	return strings.TrimPrefix(strings.TrimSpace(answer), "+CME ERROR: ")
}

// TestTableOfPolicies: testbench/README.md says what comes of writing under each policy, as it really does.
func TestTableOfPolicies(t *testing.T) {
	table := "| policy | a command that writes another IMEI: the modem | it answers | IMEI | IMEI after a restart | it answers | IMEI |\n|---|---|---|---|---|---|---|\n"
	for _, p := range modemtest.NamedPolicies() {
		table += policyRow(t, p) + "\n"
	}
	tableRegion("../../testbench/README.md", "policies").check(t, table)
}

func TestPolicies(t *testing.T) {
	const own, blankI = genericIMEI, "\r\nManufacturer: Generic\r\nModel: EMU-1\r\nRevision: EMU1-R1.0\r\nIMEI: \r\n+GCAP: +CGSM,+DS,+ES\r\n" + ok
	type policy = modemtest.Config
	refused := cme("operation not allowed")
	words := [2]string{"AT+CMEE=2", ok}
	restart := [2]string{"AT+CFUN=1,1;+CMEE=2", restarted}
	for name, tt := range map[string]struct {
		config   modemtest.Config
		dialogue exchanges
	}{
		"locked by default":                      {policy{}, exchanges{{writeOther, "\r\nERROR\r\n"}, words, {writeOther, refused}, {"AT+CMEE=1", ok}, {writeOther, cme("3")}, {"AT+CGSN", text(own)}}},
		"a modem that does not know the command": {policy{Profile: "huawei"}, exchanges{words, {writeOther, cme("operation not supported")}}},
		"in small letters":                       {policy{Policy: "open"}, exchanges{{strings.ToLower(writeOther), ok}, {"AT+CGSN", text(otherIMEI)}}},
		"no 15 digits":                           {policy{Policy: "open"}, exchanges{words, {`AT+EGMR=1,7,"1"`, cme("incorrect parameters")}, {`AT+EGMR=1,7,"49015420323751A"`, cme("incorrect parameters")}, {"AT+CGSN", text(own)}}},
		"SIMCom's form":                          {policy{Profile: "a7600", IMEI: own, Policy: "open"}, exchanges{{"AT+SIMEI=" + otherIMEI, ok}, {"AT+SIMEI?", text("+SIMEI: " + otherIMEI)}, {"AT+SIMEI=?", "\r\nERROR\r\n"}}},
		"by slot": {policy{Profile: "mt6261", IMEI: own, IMEI2: own, Policy: "open"}, exchanges{
			{`AT+EGMR=1,10,"` + otherIMEI + `"`, ok}, {"AT+EGMR=0,7", text(`+EGMR: "` + own + `"`)}, {"AT+EGMR=0,10", text(`+EGMR: "` + otherIMEI + `"`)},
		}},
		"the code opens until a restart": {policy{Policy: "weak-code"}, exchanges{
			words, {writeOther, refused}, {`AT+EMUCODE="0000"`, cme("incorrect password")}, {`AT+EMUCODE="4711"`, ok}, {writeOther, ok}, {"AT+CGSN", text(otherIMEI)},
			restart, words, {writeOther, refused}, {"AT+CGSN", text(otherIMEI)},
		}},
		"the code is of that policy":    {policy{Policy: "open"}, exchanges{words, {`AT+EMUCODE="4711"`, cme("operation not supported")}}},
		"the old firmware and back":     {policy{Policy: "downgrade-reopens"}, exchanges{{"AT+CGMR", text("EMU1-R1.0")}, restart, {"AT+CGMR", text("EMU1-R1.0-OLD")}, {writeOther, ok}, restart, words, {writeOther, refused}, {"AT+CGSN", text(otherIMEI)}}},
		"an update loses, a write ends": {policy{Policy: "loses-on-update"}, exchanges{words, restart, words, {"AT+CGSN=1", cme("memory failure")}, {"ATI", blankI}, {"AT+CGSN=3", text(`+CGSN: "01"`)}, {writeOther, ok}, {writeOther, refused}}},
		"an update loses both": {policy{Profile: "mt6261", Policy: "loses-on-update"}, exchanges{
			words, restart, words, {"AT+EGMR=0,10", cme("memory failure")}, {writeOther, ok}, {"AT+CGSN", text(otherIMEI)}, {"AT+EGMR=0,10", cme("memory failure")},
			{`AT+EGMR=1,10,"` + own + `"`, ok}, {"AT+EGMR=0,10", text(`+EGMR: "` + own + `"`)}, {writeOther, refused},
		}},
	} {
		t.Run(name, func(t *testing.T) { checkDialogue(t, tt.config, tt.dialogue) })
	}
}

// What a restart plays can be had without one.
func TestUpdateAndDowngrade(t *testing.T) {
	for _, tt := range []struct {
		policy string
		do     func(*modemtest.Emulator)
		want   string // after a write
	}{
		{"loses-on-update", (*modemtest.Emulator).Update, otherIMEI},
		{"loses-on-update", (*modemtest.Emulator).Downgrade, genericIMEI},
		{"downgrade-reopens", (*modemtest.Emulator).Downgrade, otherIMEI},
		{"downgrade-reopens", func(e *modemtest.Emulator) { e.Downgrade(); e.Update() }, genericIMEI},
		{"locked", func(e *modemtest.Emulator) { e.Update(); e.Downgrade() }, genericIMEI},
	} {
		synctest.Test(t, func(t *testing.T) {
			e, err := modemtest.New(modemtest.Config{Policy: tt.policy, EchoOff: true})
			if err != nil {
				t.Fatal(err)
			}
			tt.do(e)
			say(t, e.Pipe(), writeOther+"\r")
			if got := say(t, e.Pipe(), "AT+CGSN\r"); got != text(tt.want) {
				t.Errorf("%s: AT+CGSN was answered %q, want %s", tt.policy, got, tt.want)
			}
		})
	}
}

func TestPolicyNamed(t *testing.T) {
	for _, p := range modemtest.NamedPolicies() {
		got, err := modemtest.PolicyNamed(p.Name)
		if err != nil || got != p || p.Does == "" {
			t.Errorf("policy %+v, found as %+v, %v", p, got, err)
		}
	}
	if p, err := modemtest.PolicyNamed(""); err != nil || p.Name != "locked" {
		t.Errorf("no name gave %+v, %v", p, err)
	}
	for config, says := range map[*modemtest.Config]string{
		{Policy: "nosuch"}:                    "otp-echo",
		{Policy: "open", Profile: "nordic"}:   "a7600, generic",
		{Policy: "locked", Profile: "nordic"}: "",
	} {
		if _, err := modemtest.New(*config); (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%+v gave %v, want an error with %q", *config, err, says)
		}
	}
}
