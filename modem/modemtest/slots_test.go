//go:build linux

package modemtest_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"imei-attest/modem/modemtest"
)

func TestModemsWithTwoIdentities(t *testing.T) {
	const one, two = "490154203237518", "356938035643809"
	both := func(profile string) modemtest.Config {
		return modemtest.Config{Profile: profile, IMEI: one, IMEI2: two}
	}
	const unknown = "\r\nERROR\r\n"
	for name, tt := range map[string]struct {
		config   modemtest.Config
		dialogue exchanges
	}{
		"rg650v tells either": {both("rg650v"), exchanges{
			{"AT+CGSN", text(one)}, {"AT+GSN", text(two)}, {"AT+CGSN", text(two)}, {"AT+CGSN=1", unknown}, {"AT+CGSN=2", unknown},
			{"AT+CGSN", text(one)}, {"AT+CGSN", text(one)}, {"AT+GSN", text(two)}, {"AT+CGSN", text(one)},
		}},
		"rg650v by slot": {both("rg650v"), exchanges{
			{"AT+EGMR=0,7", text(`+EGMR: "` + one + `"`)}, {"AT+EGMR=0,11", text(`+EGMR: "` + two + `"`)}, {"AT+EGMR=0,7", text(`+EGMR: "` + one + `"`)},
			{"AT+EGMR=0,10", text(`+EGMR: "4901542032375101"`)},
		}},
		"mt6261": {both("mt6261"), exchanges{
			{"AT+CGSN", text(one)}, {"AT+CGSN", text(one)}, {"AT+EGMR=0,7", text(`+EGMR: "` + one + `"`)}, {"AT+EGMR=0,10", text(`+EGMR: "` + two + `"`)},
			{"AT+EGMR=?", text("+EGMR: (0,1),(7,10)")},
		}},
	} {
		t.Run(name, func(t *testing.T) { checkDialogue(t, tt.config, tt.dialogue) })
	}
}

// A second slot that holds nothing tells nothing, as a first one does.
func TestEmptySecondIdentity(t *testing.T) {
	const one = "490154203237518"
	for profile, dialogue := range map[string]exchanges{
		"rg650v": {{"AT+CGSN", text(one)}, {"AT+GSN", ok}, {"AT+EGMR=0,7", text(`+EGMR: "` + one + `"`)}, {"AT+EGMR=0,11", text(`+EGMR: ""`)}},
		"mt6261": {{"AT+EGMR=0,7", text(`+EGMR: "` + one + `"`)}, {"AT+EGMR=0,10", text(`+EGMR: ""`)}},
	} {
		synctest.Test(t, func(t *testing.T) {
			e, err := modemtest.New(modemtest.Config{Profile: profile, IMEI: one, EchoOff: true})
			if err != nil {
				t.Fatal(err)
			}
			if err := e.SetIMEI2(""); err != nil {
				t.Fatal(err)
			}
			for _, x := range dialogue {
				if got := say(t, e.Pipe(), x[0]+"\r"); got != x[1] {
					t.Errorf("%s: %s was answered %q, want %q", profile, x[0], got, x[1])
				}
			}
		})
	}
}

func TestSecondIdentityWhereThereIsNone(t *testing.T) {
	if _, err := modemtest.New(modemtest.Config{IMEI2: otherIMEI}); err == nil || !strings.Contains(err.Error(), "mt6261, rg650v") {
		t.Errorf("New gave %v, want the profiles that have two", err)
	}
	e, err := modemtest.New(modemtest.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.SetIMEI2(""); err == nil || !strings.Contains(err.Error(), "mt6261, rg650v") {
		t.Errorf("SetIMEI2 gave %v, want the profiles that have two", err)
	}
}
