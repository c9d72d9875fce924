package modem_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"imei-attest/attest/imei"
	"imei-attest/modem"
)

var fuzzCommands = []string{"AT+CGSN", "AT+CGSN=1", "AT+CGSN=2", "AT+CGSN=3", "AT+CGSN=255", "AT+GSN", "ATI", "AT+EGMR=0,10", "AT+CGMM", "AT"}

// FuzzAnswer: any bytes give an answer that keeps the promises of Answer: an IMEI only with its 14 digits in the bytes in one
// piece and in one candidate, everything printable, nothing over its limit.
func FuzzAnswer(f *testing.F) {
	for i, r := range loadCorpus(f) {
		f.Add(byte(i), r.Response)
	}
	f.Fuzz(func(t *testing.T, which byte, response string) {
		if len(response) > 4000 {
			return // more does not fit into the pipe at once
		}
		var a modem.Answer
		synctest.Test(t, func(t *testing.T) {
			a = askScripted(t, fuzzCommands[int(which)%len(fuzzCommands)], response+"\r\nOK\r\n")
		})
		checkPromises(t, a, response)
	})
}

func checkPromises(t *testing.T, a modem.Answer, response string) {
	t.Helper()
	if !a.IMEI.IsZero() && a.IMEISV != (imei.IMEISV{}) {
		t.Errorf("%q gave an IMEI and an IMEISV", response)
	}
	if !a.IMEI.IsZero() && a.Word != "" && a.Word != string(imei.WordLuhn) {
		t.Errorf("%q gave an IMEI beside %q", response, a.Word)
	}
	plain := strings.Contains(response, a.IMEI.Body())
	ucs2 := strings.Contains(response, "00"+strings.Join(hexOf(a.IMEI.Body()), "00"))
	hexDigits := strings.Contains(response, strings.Join(hexOf(a.IMEI.Body()), ""))
	if !a.IMEI.IsZero() && !plain && !ucs2 && !hexDigits {
		t.Errorf("%q gave %q, which it does not hold", response, a.IMEI.Digits())
	}
	if len(a.Word) > 4+2*64 || a.Command == "" {
		t.Errorf("%q gave the word %q", response, a.Word)
	}
	digits := strings.Map(keepDigits, a.Text)
	if err := a.Err(); err != nil && len(digits) >= 14 && strings.Contains(strings.Map(keepDigits, err.Error()), digits) {
		t.Errorf("%v shows %q", err, a.Text)
	}
}

func keepDigits(r rune) rune {
	if r >= '0' && r <= '9' {
		return r
	}
	return -1
}

func hexOf(digits string) (out []string) {
	for _, d := range digits {
		out = append(out, "3"+string(d))
	}
	return out
}
