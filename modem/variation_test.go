package modem_test

import (
	"fmt"
	"strings"
	"testing"

	"imei-attest/attest/imei"
	"imei-attest/modem"
)

// variation is an answer of one or more lines, separated by |. Those of a modem with echo begin with the command.
type variation struct{ command, lines, imei, word string }

const (
	notIMEI   = string(imei.WordNotIMEI)
	malformed = string(imei.WordMalformed)
	serial    = "MP823G70600000017"
)

// variations are more of the classes of the corpus and of answerTests, as other vendors would have them.
var variations = map[string][]variation{
	"words beside the IMEI": {
		{"AT+CGSN", "SIM not ready|490154203237518", goodIMEI, ""},
		{"AT+CGSN", "490154203237518|Neul", goodIMEI, ""},
		{"AT+CGSN", "0, CLOSED|490154203237518", goodIMEI, ""},
		{"AT+CGSN", "RECV FROM:192.168.100.200:50000|490154203237518", goodIMEI, ""},
		{"AT+CGSN", "NITZ: 26/11/21,10:00:00+04|490154203237518", goodIMEI, ""},
		{"AT+CGSN", "Time: 2026-11-21 10:00:00|490154203237518", goodIMEI, ""},
		{"AT+CGSN", "Battery low: 3.4V|490154203237518|Temp 85C", goodIMEI, ""},
		{"AT+CGSN", "VOLTAGE WARNING!|490154203237518", goodIMEI, ""},
		{"AT+CGSN", "OPERATOR: 26201|490154203237518", goodIMEI, ""},
		{"AT+CGSN", "CSQ: 20,99|490154203237518", goodIMEI, ""},
		{"AT+CGSN=1", "SEND OK|+CGSN: \"490154203237518\"", goodIMEI, ""},
		{"AT+CGSN=1", "+CGSN: \"490154203237518\"|REBOOT_CAUSE_SECURITY_RESET_PIN", goodIMEI, ""},
		{"AT+CGSN", "\x80\xc0|490154203237518|---", goodIMEI, ""},
		{"AT+CGSN", "+491701234567890|490154203237518", goodIMEI, ""},
		{"AT+CGSN", "SVN: 07|490154203237518", goodIMEI, ""},
		{"AT+CGSN", "PSN: 1|490154203237518", goodIMEI, ""},
		{"AT+CGSN=3", "+491701234567890|01", "", ""},
		{"AT+CGSN=3", "Neul|+CGSN: 07", "", ""},
	},
	"words in the place of the IMEI": {
		{"AT+CGSN", "SIM failure 13", "", malformed},
		{"AT+CGSN", "86277 xxx 1234", "", malformed},
		{"AT+CGSN", "NOT PROGRAMMED 255", "", malformed},
		{"AT+CGSN", "IMEI not set 0", "", malformed},
		{"AT+CGSN", "Device EC25", "", malformed},
		{"AT+CGSN", "***************", "", malformed},
		{"AT+CGSN", "86277**********", "", malformed},
	},
	"another number beside what denies or labels it": {
		{"AT+CGSN", "262011234567899|IMEI:", "", modem.WordAmbiguous},
		{"AT+CGSN", "262011234567899|IMSI: 262011234567899", "", modem.WordAmbiguous},
		{"AT+CGSN", "IMSI: 262011234567899|262011234567899", "", modem.WordAmbiguous},
		{"AT+CGSN=1", "+CGSN: +352656105937836|490154203237518", "", modem.WordAmbiguous},
		{"AT+CGSN", "\"\"|262011234567899", "", modem.WordAmbiguous},
		{"AT+CGSN", "IMEI not set|262011234567899", "", modem.WordAmbiguous},
	},
	"what a connection says beside the IMEI": {
		{"AT+CGSN", "CONNECT OK|490154203237518", goodIMEI, ""},
		{"AT+CGSN", "CONNECT FAIL|490154203237518", goodIMEI, ""},
		{"AT+CGSN", "CONNECT 115200|490154203237518", "", modem.WordError},
	},
	"words beside a module serial": {
		{"AT+CGSN=0", "NITZ|" + serial, "", notIMEI},
		{"AT+CGSN=0", serial + "|STIN:25", "", notIMEI},
		{"AT+CGSN=0", "AST_POWERON:|" + serial, "", notIMEI},
		{"AT+CGSN=0", "LTE SYSSTART|" + serial, "", notIMEI},
		{"AT+CGSN", "SIM not ready|+CGSN: TR19A8P11R", "", notIMEI},
		{"AT+CGSN", "Neul|4901542032375", "", malformed},
	},
	"what could be an identifier beside the IMEI": {
		{"AT+CGSN", "TR19A8P11R|490154203237518", "", modem.WordAmbiguous},
		{"AT+CGSN", "Serial TR19A8P11R|490154203237518", "", modem.WordAmbiguous},
		{"AT+CGSN", "SN: TR19A8P11R|490154203237518", "", modem.WordAmbiguous},
		{"AT+CGSN", "TR-19A8-P11R ready|490154203237518", "", modem.WordAmbiguous},
		{"AT+CGSN", "TR19 A8P11R|490154203237518", "", modem.WordAmbiguous},
		{"AT+CGSN", "IMSI 262011234567890|490154203237518", "", modem.WordAmbiguous},
		{"AT+CGSN", "IMSI: 262011234567890|490154203237518", "", modem.WordAmbiguous},
		{"AT+CGSN", "Number 35 265610 593783 6|490154203237518", "", modem.WordAmbiguous},
		{"AT+CGSN", "CELL: 01A2B3C4|490154203237518", "", modem.WordAmbiguous},
		{"AT+CGSN", "xxxxxxxxxxxxxxx|490154203237518", "", modem.WordAmbiguous},
		{"AT+CGSN", "\xb3\xb5\xb2\xb6\xb5\xb6\xb1\xb0\xb5\xb9\xb3\xb7\xb8\xb3\xb6|490154203237518", "", modem.WordAmbiguous},
		{"AT+CGSN", "+CGSN:|490154203237518", "", modem.WordAmbiguous},
		{"AT+CGSN", "IMEI: not set|490154203237518", "", modem.WordAmbiguous},
		{"AT+CGSN", "+CGSN: NOT READY|490154203237518", "", modem.WordAmbiguous},
	},
	"words alone": {
		{"AT+CGSN", "SIM not ready", "", malformed},
		{"AT+CGSN", "NO IMEI", "", malformed},
		{"AT+CGSN", "+490154203237518", "", malformed},
	},
	"two identities in one line": {
		{"AT+CGSN", "490154203237518/352656105937836", "", modem.WordAmbiguous},
		{"AT+CGSN", "490154203237518;352656105937836", "", modem.WordAmbiguous},
		{"AT+CGSN", "490154203237518 352656105937836", "", modem.WordAmbiguous},
		{"AT+CGSN", "+CGSN: 490154203237518|352656105937836", "", modem.WordAmbiguous},
		{"AT+CGSN", "IMEI1: 490154203237518; IMEI2: 352656105937836", "", modem.WordAmbiguous},
		{"AT+CGSN", "490154203237518,490154203237518", goodIMEI, ""},
		{"AT+CGSN", "490154203237518-352656105937836", "", malformed},
	},
	"wrapped, in UCS2": {
		{"AT+CGSN", "+CGSN: \"" + ucs2("IMEI490154203237518") + "\"", goodIMEI, ""},
		{"AT+CGSN", strings.ToLower(ucs2("IMEI: 490154203237518")), goodIMEI, ""},
		{"AT+CGSN", ucs2("490154203237518,TR19A8P11R"), goodIMEI, ""},
		{"AT+CGSN", "\"" + ucs2("490154203237518") + "\",\"" + ucs2("TR19A8P11R") + "\"", goodIMEI, ""},
		{"AT+CGSN", "SIM not ready|" + ucs2("\"490154203237518\""), goodIMEI, ""},
		{"AT+CGSN", ucs2("490154203237518,352656105937836"), "", modem.WordAmbiguous},
		{"AT+CGSN", ucs2("490154203237518") + "|" + ucs2("IMEI352656105937836"), "", modem.WordAmbiguous},
		{"AT+CGSN", ucs2("490154203237519,TR19A8P11R"), goodIMEI, string(imei.WordLuhn)},
	},
	"other identifiers by name": {
		{"AT+GSN", "ESN: 80D9BBCA|MEID: A10000123456AB", "", notIMEI},
		{"AT+GSN", "MEID: A10000123456AB", "", notIMEI},
		{"AT+GSN", "+GSN: MEID:A10000123456AB,ESN:80D9BBCA", "", notIMEI},
		{"AT+GSN", "pESN = 0x80D9BBCA", "", notIMEI},
		{"AT+GSN", "MEID: 99000012345678", "", notIMEI},
		{"AT+GSN", "IMSI: 262011234567890", "", notIMEI},
		{"AT+GSN", "S/N: 490154203237518", "", notIMEI},
		{"AT+GSN", "6744775", "", notIMEI},
		{"AT+GSN", "NITZ|ESN: 80D9BBCA", "", notIMEI},
		{"AT+GSN", "ESN: 80D9BBCA|IMEI: 490154203237518", goodIMEI, ""},
		{"AT+CGSN", "ICCID: 89490200001234567890|+CGSN: 490154203237518", goodIMEI, ""},
		{"ATI", "Model: EC169|IMSI: 262011234567890|MEID: 99000012345678", "", notIMEI},
		{"AT+CGSN=2", "ESN: 80D9BBCA", "", notIMEI},
	},
	"echoes": {
		{"AT+CGSN", "\xfe\x80AT+CGSN|490154203237518", goodIMEI, ""},
		{"AT+CGSN", "\x01\x80\x80\x80\x80\x80\x80\x80\x80AT+CGSN|490154203237518", goodIMEI, ""}, // the splitter takes off the first
		{"AT+CGSN", "\x80\x80\x80\x80\x80\x80\x80\x80\x80AT+CGSN|490154203237518", "", modem.WordAmbiguous},
		{"AT+CGSN", "ATE1|OK|AT+CGSN|490154203237518", goodIMEI, ""},
		{"AT+CGSN", "ATE1V1Q0|OK|ATI|Foxconn|OK|AT+CGSN|490154203237518", goodIMEI, ""},
		{"AT+CGSN", "\xfeATZ|OK|AT+CGSN|490154203237518", goodIMEI, ""},
		{"AT+CGSN", "ATI|352656105937836", "", modem.WordTimeout}, // its answer, and not ours
		{"AT+CGSN", "ATE1234567", "", notIMEI},
		{"ATI", "ATMEL|IMEI: 490154203237518", goodIMEI, ""},
		{"ATI", "AT&T|IMEI: 490154203237518", goodIMEI, ""},
	},
	"fields": {
		{"AT+DEVCONINFO", "+DEVCONINFO: MN(GT-I9300);BASE(I9300XX);SN(R21C10ABCDE);IMEI(490154203237518);UN(4df00e5f8fa2);CON(AT,MTP);LOCK(NONE);", goodIMEI, ""},
		{"AT+DEVCONINFO", "+DEVCONINFO: MN(GT-I9300);IMEI(490154203237518/352656105937836);", "", modem.WordAmbiguous},
		{"AT+DEVCONINFO", "+DEVCONINFO: MN(GT-I9300);IMEI();", "", malformed},
		{"AT+EGMR=0,7", "+EGMR: \"\x00\x00\x00\x00\"", "", string(imei.WordBlank)},
		{"AT+EGMR=0,7", "+EGMR: \"490154203237518\x00\x00\"", goodIMEI, ""},
		{"AT+EGMR=0,7", "+EGMR: \"4901542\x0003237518\"", "", malformed},
	},
	"reports": {
		{"ATI", "Model: X|IMEI1: 490154203237518|IMEI2:", goodIMEI, ""},
		{"ATI", "Model: X|IMEI1:|IMEI2: 490154203237518", "", modem.WordAmbiguous},
		{"ATI", "Model: X|IMEI1:|IMEI2:", "", string(imei.WordBlank)},
		{"ATI", "Model: X|IMEI1: 490154203237518|IMEI2: 000000000000000", "", modem.WordAmbiguous},
	},
	"results": {
		{"AT+CGSN", "BLOCKED", "", modem.WordError},
		{"AT+CGSN", "CME ERROR: 14", "", modem.WordError},
		{"AT+CGSN", "CMS ERROR: 302", "", modem.WordError},
	},
}

func ucs2(text string) string {
	var out strings.Builder
	for _, b := range []byte(text) {
		fmt.Fprintf(&out, "%04X", b)
	}
	return out.String()
}

func TestVariations(t *testing.T) {
	for class, rows := range variations {
		t.Run(class, func(t *testing.T) {
			for _, v := range rows {
				script := framed(strings.ReplaceAll(v.lines, "|", "\r\n\r\n")) + framed("OK")
				if a := askInBubble(t, v.command, script); a.IMEI.Digits() != v.imei || a.Word != v.word {
					t.Errorf("%s answered %q: IMEI %q, word %q; want %q, %q", v.command, script, a.IMEI.Digits(), a.Word, v.imei, v.word)
				}
			}
		})
	}
}
