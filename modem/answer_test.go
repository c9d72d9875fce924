package modem_test

import (
	"errors"
	"strings"
	"testing"

	"imei-attest/attest/imei"
	"imei-attest/modem"
)

// answerTests has the classes of variation that the corpus has examples of, with other digits, vendors and framing.
var answerTests = []struct {
	name, command, response string
	imei, svn, word         string
}{
	{"CR only", "AT+CGSN", "\r490154203237518\r\rOK\r", goodIMEI, "", ""},
	{"LF only", "AT+CGSN", "\n490154203237518\n\nOK\n", goodIMEI, "", ""},
	{"no space behind the prefix", "AT+CGSN=1", "\r\n+CGSN:490154203237518\r\nOK\r\n", goodIMEI, "", ""},
	{"space before the colon", "AT+CGSN=1", "\r\n+CGSN : \"490154203237518\"\r\nOK\r\n", goodIMEI, "", ""},
	{"lower case prefix and result", "AT+CGSN", "\r\n+cgsn: 490154203237518\r\nok\r\n", goodIMEI, "", ""},
	{"lower case command", "at+cgsn", "at+cgsn\r\r\n490154203237518\r\nOK\r\n", goodIMEI, "", ""},
	{"prefix of the sister command", "AT+GSN", "\r\n+CGSN: 490154203237518\r\nOK\r\n", goodIMEI, "", ""},
	{"label", "AT+CGSN", "\r\nIMEI: 490154203237518\r\nOK\r\n", goodIMEI, "", ""},
	{"glued and quoted", "AT+GSN", "\r\n+GSN: \"IMEI490154203237518\"\r\nOK\r\n", goodIMEI, "", ""},
	{"quoted with serial", "AT+CGSN", "\r\n\"490154203237518\",\"AB12\"\r\nOK\r\n", goodIMEI, "", ""},
	{"item number before", "AT+EGMR=0,7", "\r\n+EGMR: 7,\"490154203237518\"\r\nOK\r\n", goodIMEI, "", ""},
	{"vendor caret", "AT^IMEI?", "\r\n^IMEI: 490154203237518\r\nOK\r\n", goodIMEI, "", ""},
	{"vendor star", "AT*IMEI?", "\r\n*IMEI: \"490154203237518\"\r\nOK\r\n", goodIMEI, "", ""},
	{"vendor dollar", "AT$IMEI?", "\r\n$IMEI: 490154203237518\r\nOK\r\n", goodIMEI, "", ""},
	{"Telit", "AT#CGSN", "\r\n#CGSN: 490154203237518\r\n\r\nOK\r\n", goodIMEI, "", ""},
	{"UCS2 within quotes", "AT+CGSN=1", "\r\n+CGSN: \"003400390030003100350034003200300033003200330037003500310038\"\r\nOK\r\n", goodIMEI, "", ""},
	{"UCS2 software version", "AT+CGSN=3", "\r\n+CGSN: \"00300031\"\r\nOK\r\n", "", "01", ""},
	{"numeric after CR LF", "AT+CGSN", "\r\n490154203237518\r\n0\r\n", goodIMEI, "", ""},
	{"numeric error", "AT+CGSN", "4\r", "", "", modem.WordError},
	{"HEX within quotes", "AT+CGSN=1", "\r\n+CGSN: \"343930313534323033323337353138\"\r\nOK\r\n", goodIMEI, "", ""},
	{"report with software version", "ATI", "\r\nIMEI: 490154203237518\r\nIMEI SV: 21\r\nFSN: D603478104511\r\nOK\r\n", goodIMEI, "21", ""},
	{"report with a short software version", "ATI", "\r\nIMEI: 490154203237518\r\nIMEI SV: 6\r\nOK\r\n", goodIMEI, "", ""},
	{"CME without colon", "AT+CGSN", "\r\n+CME ERROR 10\r\n", "", "", "cme:10"},
	{"ERROR with a number", "AT+CGSN", "\r\nERROR: 50\r\n", "", "", modem.WordError},
	{"ERROR inside text", "AT+CGSN", "\r\nERROR 490154203237518\r\nOK\r\n", "", "", string(imei.WordMalformed)},
	{"the same twice", "AT+CGSN", "\r\n490154203237518\r\n+CGSN: \"490154203237518\"\r\nOK\r\n", goodIMEI, "", ""},
	{"report", "ATI", "\r\nManufacturer: huawei\r\nModel: E173\r\nIMEI: 490154203237518\r\n+GCAP: +CGSM\r\nOK\r\n", goodIMEI, "", ""},
	{"u-blox", "AT+CGSN=255", "\r\n49015420323751812\r\nOK\r\n", goodIMEI, "12", ""},
	{"padding", "AT+CGSN", "\xff\xff\r\n\x11490154203237518\x13\r\nOK\r\n", goodIMEI, "", ""},
	{"restart", "AT+CGSN", "\r\nSYSSTART\r\n\r\n490154203237518\r\nOK\r\n", goodIMEI, "", ""},
	{"late OK first", "AT+CGSN", "\r\nOK\r\n\r\n490154203237518\r\nOK\r\n", goodIMEI, "", ""},
	{"a message whose text is OK", "AT+CGSN", "\r\n+CMT: \"+49\",,\"26/11/21\"\r\nOK\r\n\r\n490154203237518\r\nOK\r\n", goodIMEI, "", ""},
	{"a message whose text is an IMEI", "AT+CGSN", "\r\n+CMT: ,24\r\n352656105937836\r\n\r\n490154203237518\r\nOK\r\n", goodIMEI, "", ""},
	{"answer to another command before our echo", "AT+CGSN", "\r\n352656105937836\r\n\r\nOK\r\n", otherIMEI, "", ""}, // for its fate within a plan see the reader's tests

	{"name within a label", "ATI", "\r\nManufacturer: QUALCOMM\r\nIMEI: +CGSN:490154203237518\r\nSVN: 07\r\nOK\r\n", goodIMEI, "07", ""},
	{"label within a name", "AT^PHYNUM?", "\r\n^PHYNUM:IMEI,490154203237518\r\n^PHYNUM:MACWLAN,\r\n^PHYNUM:SVN,07\r\nOK\r\n", goodIMEI, "07", ""},
	{"IMEI and IMEISV in a report to another command", "AT+CGSN", "\r\nIMEI: 490154203237518\r\nIMEISV: 4901542032375107\r\nOK\r\n", goodIMEI, "", ""},
	{"fields before the value", "AT*MRD_IMEI=R", "\r\n*MRD_IMEI:0101,Fri Nov 12 00:00:00 2010,490154203237518\r\nOK\r\n", goodIMEI, "", ""},
	{"fields before a value without a name", "AT+CGSN", "\r\nAB1201,490154203237518\r\nOK\r\n", "", "", string(imei.WordMalformed)},
	{"words without a mark", "AT+CGSN", "\r\nOPL UPDATING\r\n\r\n490154203237518\r\n\r\nSRING: 1\r\n\r\nOK\r\n", goodIMEI, "", ""},
	{"words alone", "AT+CGSN", "\r\nUNKNOWN\r\nOK\r\n", "", "", string(imei.WordMalformed)},
	{"a serial beside a number", "AT+CGSN", "\r\nTR19A8P11R\r\n490154203237518\r\nOK\r\n", "", "", modem.WordAmbiguous},
	{"erased bytes beside a number", "AT+CGSN", "\r\nFFFFFFFFFFFFFFF\r\n490154203237518\r\nOK\r\n", "", "", modem.WordAmbiguous},
	{"first letters of the echo damaged", "AT+CGSN", "\xfe\xf8+CGSN\r\r\n490154203237518\r\nOK\r\n", goodIMEI, "", ""},
	{"first letter of the echo lost", "AT+CGSN=1", "T+CGSN=1\r\r\n+CGSN: \"490154203237518\"\r\nOK\r\n", goodIMEI, "", ""},
	{"Sierra's string form", "AT+KGSN=2", "\r\n+KGSN: 49015420323751-8 SV: 07\r\nOK\r\n", "", "07", ""},
	{"Sierra's string form with a wrong check digit", "AT+KGSN=2", "\r\n+KGSN: 49015420323751-9 SV: 07\r\nOK\r\n", "", "", string(imei.WordMalformed)},
	{"Cinterion", "ATI176", "\r\n490154203237518.07\r\n\r\nOK\r\n", goodIMEI, "07", ""},
	{"RDA", "AT+EGMR=2,7", "\r\n+EGMR:490154203237518\r\n\r\nOK\r\n", goodIMEI, "", ""},
	{"another identifier that passes for an IMEI", "AT+EGMR=0,5", "\r\n+EGMR: \"490154203237518\"\r\n\r\nOK\r\n", "", "", string(imei.WordNotIMEI)},
	{"a MEID of digits", "AT^MEID", "\r\n^MEID: 12345678901234\r\n\r\nOK\r\n", "", "", string(imei.WordNotIMEI)},
	{"a MEID that is empty", "AT^MEID", "\r\n^MEID: 00000000000000\r\n\r\nOK\r\n", "", "", string(imei.WordZero)},
	{"another command's answer before our echo", "AT+CGSN", "AT+CIMI\r\r\n352656105937836\r\n\r\nOK\r\nAT+CGSN\r\r\n490154203237518\r\n\r\nOK\r\n", goodIMEI, "", ""},
	{"another command's answer behind our echo", "AT+CGSN", "AT+CGSN\r\r\nAT+CIMI\r\r\n352656105937836\r\n\r\nOK\r\n", "", "", modem.WordTimeout},

	{"two IMEIs on two lines", "AT+CGSN", "\r\n490154203237518\r\n352656105937836\r\nOK\r\n", "", "", modem.WordAmbiguous},
	{"two IMEIs on one line", "AT+CGSN", "\r\n490154203237518,352656105937836\r\nOK\r\n", "", "", modem.WordAmbiguous},
	{"unsolicited line with our prefix", "AT+CGSN=1", "\r\n+CGSN: \"4901542032375101\"\r\n+CGSN: \"490154203237518\"\r\nOK\r\n", "", "", modem.WordAmbiguous},
	{"a report amid the answer", "AT+CGSN=1", "\r\nIMEI: 352656105937836\r\n\r\n+CGSN: \"490154203237518\"\r\nOK\r\n", "", "", modem.WordAmbiguous},
	{"caller number looks like an IMEI", "AT+CGSN", "\r\n352656105937836\r\n\r\n490154203237518\r\nOK\r\n", "", "", modem.WordAmbiguous},
	{"OK inside text", "AT+CGSN", "\r\nOK 490154203237518\r\nOK\r\n", "", "", string(imei.WordMalformed)},
	{"two slots in a report", "ATI", "\r\nIMEI1: 490154203237518\r\nIMEI2: 352656105937836\r\nOK\r\n", "", "", modem.WordAmbiguous},
	{"echo returned as the answer", "AT+CGSN", "AT+CGSN\r\r\nAT+CGSN\r\n\r\nOK\r\n", "", "", string(imei.WordBlank)},
	{"only OK", "AT+CGSN", "\r\nOK\r\n", "", "", string(imei.WordBlank)},
	{"erased bytes", "AT+CGSN", "\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\r\nOK\r\n", "", "", string(imei.WordBlank)},
	{"report without IMEI", "ATI", "\r\nu-blox\r\nSARA\r\nOK\r\n", "", "", string(imei.WordNotIMEI)},
	{"15 digits for an IMEISV", "AT+CGSN=2", "\r\n+CGSN: \"490154203237518\"\r\nOK\r\n", "", "", string(imei.WordMalformed)},
	{"IMEISV for an IMEI", "AT+CGSN=1", "\r\n+CGSN: \"4901542032375101\"\r\nOK\r\n", "", "01", string(imei.WordIMEISV)},
	{"MEID", "AT^MEID", "\r\n^MEID: A1000013FB653A\r\nOK\r\n", "", "", string(imei.WordNotIMEI)},
	{"numeric CME", "AT+CGSN", "\r\n+CME ERROR: 100\r\n", "", "", "cme:100"},
	{"CME in Latin-1", "AT+CGSN", "\r\n+CME ERROR: op\xe9ration\r\n", "", "", "cme:opération"},
	{"CMS", "AT+CGSN", "\r\n+CMS ERROR: 302\r\n", "", "", "cms:302"},
	{"Huawei refusal", "AT+CGSN=1", "\r\nCOMMAND NOT SUPPORT\r\n", "", "", modem.WordNotSupported},
	{"data mode", "AT+CGSN", "\r\nCONNECT 9600\r\n", "", "", modem.WordError},
	{"prompt", "AT+CGSN", "\r\n> ", "", "", modem.WordTimeout},
	{"hang-up of a call", "AT+CGSN", "\r\nNO CARRIER\r\n", "", "", modem.WordNoCarrier},
	{"full-width digits", "AT+CGSN", "\r\n４９０１５４２０３２３７５１８\r\nOK\r\n", "", "", string(imei.WordMalformed)},
	{"NUL inside", "AT+CGSN", "\r\n4901542\x0003237518\r\nOK\r\n", "", "", string(imei.WordMalformed)},
	{"one quote", "AT+CGSN", "\r\n\"490154203237518\r\nOK\r\n", "", "", string(imei.WordMalformed)},
	{"5 kB line", "AT+CGSN", strings.Repeat("9", 5000) + "\r\nOK\r\n", "", "", modem.WordTooLong},
	{"65 lines", "AT+CGSN", strings.Repeat("+CREG: 1\r\n", 65) + "490154203237518\r\nOK\r\n", "", "", modem.WordTooLong},
	{"silence", "AT+CGSN", "", "", "", modem.WordTimeout},
}

func TestAnswers(t *testing.T) {
	for _, tt := range answerTests {
		t.Run(tt.name, func(t *testing.T) {
			a := askInBubble(t, tt.command, tt.response)
			if a.IMEI.Digits() != tt.imei || string(a.SVN) != tt.svn || a.Word != tt.word {
				t.Errorf("%s answered %q: IMEI %q, svn %q, word %q; want %q, %q, %q",
					tt.command, tt.response, a.IMEI.Digits(), a.SVN, a.Word, tt.imei, tt.svn, tt.word)
			}
		})
	}
}

func TestErrorsOfAnswersShowNoSerialNumber(t *testing.T) {
	for _, text := range []string{"490154203237519", "352656105937836,490154203237518", "SN 490154203237518"} {
		err := modem.Answer{Command: "AT+CGSN", Word: "luhn", Text: text}.Err()
		if strings.Contains(err.Error(), "323751") || strings.Contains(err.Error(), "593783") {
			t.Errorf("%v shows a serial number", err)
		}
		var bad *modem.AnswerError
		if !errors.As(err, &bad) || bad.Text != text {
			t.Errorf("the error lost the text %q", text)
		}
	}
}

func TestOnlyReadingCommandsAreSent(t *testing.T) {
	refused := []string{
		"ATZ", "AT&F", "AT&W", "AT+EGMR=1,7,\"490154203237518\"", "AT+EGMR=1,7", "AT+SIMEI=490154203237518", "AT+LCTSN=1,7",
		"AT^PHYNUM=IMEI", "AT+SPIMEI=0,490154203237518", "AT+CGSN;+EGMR=1,7", "AT+CGSN\rATZ", "AT+CFUN=1", "AT+CRESET", "AT^RESET",
		"AT+GSN\b\b\bCRESET", "AT+GSN +CFUN?", "AT+CGSN\x00?", "AT+CGſN", "ATı", "AT+IMEI490154203237518?", "AT+EGMR=0,1,7", "AT+GSN&F", "AT+CGSN\x7f",
		"AT+QPOWD", "AT+CPOF", "AT+LCTSN=2,7", "AT+SPIMEI=0,7", "AT+SIMEI=0,1", "AT+IMEILOCK=0,1", "AT^IMEIUNLOCK=0,1", "AT+CLEARIMEI", "AT+ERASEMEID",
		"AT+RESTSN", "AT^RESETINFO", "AT+WGSN=1234", "AT+IMEI=R", "ATI1234", "+CGSN", "", "AT+EGMR=10,7", "AT+CGSN=490154203237518", "ATD112", "ATH", "ATI;", "AT+",
	}
	for _, command := range refused {
		if _, err := modem.NewChannel(nil, modem.Config{}).Ask(t.Context(), command); !errors.Is(err, modem.ErrNotRead) {
			t.Errorf("Ask(%q) gave %v, want ErrNotRead", command, err)
		} else if strings.Contains(err.Error(), "323751") {
			t.Errorf("%v shows a serial number", err)
		}
	}
}
