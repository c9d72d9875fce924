package modem_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"

	"imei-attest/attest/imei"
	"imei-attest/modem"
	"imei-attest/modem/modemtest"
)

var fuzzAnswers = []string{"490154203237518", "+CGSN: 490154203237518", `+CGSN: "490154203237518"`, "+CGSN: IMEI490154203237518", "490154203237518,TR19A8P11R"}

var fuzzUnsolicited = []string{"+CREG: 1", "RING", `+CMTI: "SM",3`, "^RSSI: 20", "*PSUTTZ: 1,2", "+CMT: ,24\r\n352656105937836", `+CLIP: "352656105937836",145`, "RDY", "$X: 1"}

// FuzzChannel: however a right answer is cut into pieces, whatever unsolicited lines stand between its lines and however
// it is echoed, it gives the same IMEI or a typed error.
func FuzzChannel(f *testing.F) {
	f.Add(uint64(1), byte(0), byte(0), false)
	f.Add(uint64(2), byte(3), byte(1), true)
	f.Fuzz(func(t *testing.T, seed uint64, form, echo byte, crOnly bool) {
		random := rand.New(rand.NewPCG(seed, 1))
		eol := "\r\n"
		if crOnly {
			eol = "\r"
		}
		var script strings.Builder
		script.WriteString([]string{"", "AT+CGSN\r", "AT+CGSN\r\n", "\x00AT+CGSN\r\r\n"}[echo%4])
		for _, line := range []string{fuzzAnswers[int(form)%len(fuzzAnswers)], "OK"} {
			for range random.IntN(3) {
				script.WriteString(eol + fuzzUnsolicited[random.IntN(len(fuzzUnsolicited))] + eol)
			}
			script.WriteString(eol + line + eol)
		}
		sizes := make([]int, 1+random.IntN(5))
		for i := range sizes {
			sizes[i] = 1 + random.IntN(12)
		}
		var a modem.Answer
		synctest.Test(t, func(t *testing.T) { a = askScripted(t, "AT+CGSN", script.String(), sizes...) })
		if a.Word != "" || a.IMEI.Digits() != goodIMEI {
			t.Errorf("%q: IMEI %q, word %q", script.String(), a.IMEI.Digits(), a.Word)
		}
	})
}

var fuzzCommands = []string{"AT+CGSN", "AT+CGSN=1", "AT+CGSN=2", "AT+CGSN=3", "AT+CGSN=255", "AT+GSN", "ATI", "AT+EGMR=0,10", "AT+CGMM", "AT"}

// FuzzAnswer: any bytes give an answer that keeps the promises of Answer: an IMEI only with its 14 digits in the bytes in one
// piece and in one candidate, everything printable, nothing over its limit.
func FuzzAnswer(f *testing.F) {
	rows, err := modemtest.Load("testdata/modem-corpus.jsonl")
	if err != nil {
		f.Fatal(err)
	}
	for i, r := range rows {
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

func BenchmarkFullPlan(b *testing.B) {
	for name, config := range map[string]modemtest.Config{"echo": {}, "no echo": {EchoOff: true}} {
		b.Run(name, func(b *testing.B) {
			port := newEmulator(b, config).Pipe()
			defer port.Close()
			reader := modem.NewReader(port, modem.Config{})
			b.ReportAllocs()
			for b.Loop() { // of which 20 ms wait for a quiet line
				if r, err := reader.Read(b.Context()); err != nil || r.Agreement != modem.AgreementFull {
					b.Fatal(r, err)
				}
			}
		})
	}
}

func BenchmarkAsk(b *testing.B) {
	port := newEmulator(b, modemtest.Config{}).Pipe()
	defer port.Close()
	channel := modem.NewChannel(port, modem.Config{})
	b.ReportAllocs()
	for b.Loop() {
		if a, err := channel.Ask(b.Context(), "AT+CGSN=1"); err != nil || a.Word != "" {
			b.Fatal(a, err)
		}
	}
}
