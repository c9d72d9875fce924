package modem_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"imei-attest/modem"
	"imei-attest/modem/modemtest"
)

const otherAnswer = "\r\n352656105937836\r\n\r\nOK\r\n" // an IMSI could look like this

func TestWhatComesBeforeTheEchoBelongsToAnotherCommand(t *testing.T) {
	port := newEmulator(t, modemtest.Config{Faults: []modemtest.Fault{{Kind: modemtest.FaultGarbage, Command: "+CGSN", Text: otherAnswer}}}).Pipe()
	defer port.Close()
	channel := modem.NewChannel(port, modem.Config{})
	for _, command := range []string{"AT+GSN", "AT+CGSN"} { // the first shows that this modem echoes
		a, err := channel.Ask(t.Context(), command)
		if err != nil || a.Word != "" || a.IMEI.Digits() != goodIMEI {
			t.Errorf("%s: %+v, %v", command, a, err)
		}
	}
}

// TestAfterATimeoutTheLateAnswerIsWaitedOut: each command takes 100 ms, so the late answer falls anywhere into the resynchronisation.
func TestAfterATimeoutTheLateAnswerIsWaitedOut(t *testing.T) {
	for late := time.Millisecond; late < 100*time.Millisecond; late += time.Millisecond {
		synctest.Test(t, func(t *testing.T) {
			port := newEmulator(t, modemtest.Config{EchoOff: true, Faults: []modemtest.Fault{
				{Kind: modemtest.FaultStale, Command: "+CGSN=1", Delay: modem.DefaultCommandTimeout + late, Text: otherAnswer},
				{Kind: modemtest.FaultDelay, Command: "*", Delay: 100 * time.Millisecond},
			}}).Pipe()
			defer port.Close()
			channel := modem.NewChannel(port, modem.Config{})
			if a, err := channel.Ask(t.Context(), "AT+CGSN=1"); err != nil || a.Word != modem.WordTimeout {
				t.Fatalf("%+v, %v; want a time-out", a, err)
			}
			a, err := channel.Ask(t.Context(), "AT+GSN")
			if err != nil || a.Word != "" || a.IMEI.Digits() != goodIMEI {
				t.Errorf("%v after the time-out: %+v, %v", late, a, err)
			}
		})
	}
}

// TestAnAnswerBehindTheAnswerMakesThePlanRunAgain: the second of two answers was the right one, so the first was not.
func TestAnAnswerBehindTheAnswerMakesThePlanRunAgain(t *testing.T) {
	twice := "AT+CGSN\r" + otherAnswer + "\r\n490154203237518\r\n\r\nOK\r\n"
	r := read(t, modemtest.Config{Faults: []modemtest.Fault{{Kind: modemtest.FaultVerbatim, Command: "+CGSN", Times: 1, Text: twice}}})
	if r.Slots[0].IMEI.Digits() != goodIMEI || r.Agreement != modem.AgreementFull {
		t.Errorf("slot %+v, agreement %v", r.Slots[0], r.Agreement)
	}
}

// TestAModemThatLagsOneAnswerBehindGivesNoIMEI: without echo only the fence can tell.
func TestAModemThatLagsOneAnswerBehindGivesNoIMEI(t *testing.T) {
	for first := range 12 {
		port := &laggingPort{properly: first}
		r, err := modem.NewReader(port, modem.Config{CommandTimeout: 20 * time.Millisecond}).Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if s := r.Slots[0]; port.lagged && !s.IMEI.IsZero() && r.Agreement > modem.AgreementConflict {
			t.Errorf("lagging after %d commands: slot %+v, agreement %v", first, s, r.Agreement)
		}
	}
}

// laggingPort answers the first commands properly, then each command with the answer to the one before.
type laggingPort struct {
	properly int
	lagged   bool
	answer   string
	next     string
}

func (p *laggingPort) Write(_ context.Context, b []byte) (int, error) {
	answers := map[string]string{
		"AT": "", "AT+CGMI": "Maker", "AT+CGMM": "Model", "AT+CGMR": "1.0", "AT+CGSN=1": goodIMEI, "AT+CGSN=2": "4901542032375101", "AT+CGSN=3": "01",
		"AT+CGSN": goodIMEI, "AT+GSN": goodIMEI, "ATI": "IMEI: " + goodIMEI,
	}
	text := "\r\nOK\r\n"
	if a := answers[strings.TrimSpace(string(b))]; a != "" {
		text = fmt.Sprintf("\r\n%s\r\n%s", a, text)
	}
	if p.properly--; p.properly >= 0 {
		p.answer, p.next = text, text
		return len(b), nil
	}
	p.lagged = true
	p.answer, p.next = p.next, text
	return len(b), nil
}

func (p *laggingPort) Read(_ context.Context, b []byte) (int, error) {
	n := copy(b, p.answer)
	p.answer = p.answer[n:]
	if n == 0 {
		return 0, modem.ErrTimeout
	}
	return n, nil
}

func (p *laggingPort) Close() error         { return nil }
func (p *laggingPort) Info() modem.PortInfo { return modem.PortInfo{} }
