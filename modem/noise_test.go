package modem_test

import (
	"testing"
	"testing/synctest"

	"imei-attest/modem"
	"imei-attest/modem/modemtest"
)

// TestNoiseBesideAnAnswerIsNoTampering: what stands beside one answer may spoil it. It makes a conflict only where it
// is another identity.
func TestNoiseBesideAnAnswerIsNoTampering(t *testing.T) {
	for _, noise := range []string{"SIM not ready", "RECV FROM:10.0.0.1:80", "\x80\xc0", "TR19A8P11R", "SN: TR19A8P11R", "Version BG96MAR02A07M1G", "FFFFFFFFFFFFFFF", goodIMEI} {
		readWithNoise(t, noise, func(t *testing.T, command string, r modem.Reading) {
			if s := r.Slots[0]; s.IMEI.Digits() != goodIMEI || s.Word != "" || r.Agreement < modem.AgreementPartial {
				t.Errorf("%q before the answer to %q: slot %+v, agreement %v; want the IMEI without conflict", noise, command, s, r.Agreement)
			}
		})
	}
	for _, noise := range []string{otherIMEI, "000000000000000", "Number " + otherIMEI, otherIMEI + "/" + thirdIMEI} {
		readWithNoise(t, noise, func(t *testing.T, command string, r modem.Reading) {
			if s := r.Slots[0]; s.IMEI.Digits() == otherIMEI || r.Agreement > modem.AgreementConflict {
				t.Errorf("%q before the answer to %q: slot %+v, agreement %v; want a conflict", noise, command, s, r.Agreement)
			}
		})
	}
}

// readWithNoise reads a modem without echo that sends a line before each answer to one of its commands.
func readWithNoise(t *testing.T, noise string, check func(*testing.T, string, modem.Reading)) {
	for _, command := range []string{"+CGSN=1", "+CGSN"} {
		synctest.Test(t, func(t *testing.T) {
			fault := modemtest.Fault{Kind: modemtest.FaultGarbage, Command: command, Text: framed(noise)}
			check(t, command, read(t, modemtest.Config{EchoOff: true, Faults: []modemtest.Fault{fault}}))
		})
	}
}
