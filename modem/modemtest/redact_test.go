package modemtest_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/iotest"

	"imei-attest/attest/imei"
	"imei-attest/modem/modemtest"
)

// madeUp returns what a new redactor makes of text, with digits that do not depend on the run.
func madeUp(t testing.TB, text string) string {
	t.Helper()
	out, err := modemtest.NewRedactor(strings.NewReader(strings.Repeat("\x01\x02\x03\x04\x05\x07\x08", 1000))).Redact(text)
	if err != nil {
		t.Fatalf("Redact(%q): %v", text, err)
	}
	return out
}

func TestRedactReplacesSerialDigits(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"IMEI", "490154203237518", "490154201234574"},
		{"within an answer", "AT+CGSN=1\r\r\n+CGSN: \"490154203237518\"\r\n\r\nOK\r\n", "AT+CGSN=1\r\r\n+CGSN: \"490154201234574\"\r\n\r\nOK\r\n"},
		{"14 digits", "49015420323751", "49015420123457"},
		{"spare digit", "490154203237510", "490154201234570"},
		{"check digit wrong by one", "490154203237519", "490154201234575"},
		{"IMEISV", "4901542032375142", "4901542012345742"},
		{"IMEI and software version", "49015420323751801", "49015420123457401"},
		{"letters before", "+CGSN: IMEI490154203237518", "+CGSN: IMEI490154201234574"},
		{"hyphens", "49-015420-323751-8", "49-015420-123457-4"},
		{"UCS2", ucs2("490154203237518"), ucs2("490154201234574")},
		{"hex", "343930313534323033323337353138", "343930313534323031323334353734"},
		{"ICCID", "8949015420323751801", "8949015412345781234"},
		{"IMSI", "AT+CIMI\r\r\n001010123456789\r\n\r\nOK\r\n", "AT+CIMI\r\r\n001010121234576\r\n\r\nOK\r\n"},
		{"IMSI behind its name", "+CIMI: \"001010123456789\"\r\n", "+CIMI: \"001010121234576\"\r\n"},
		{"IMSI of 14 digits", "\r\n00101012345678\r\n\r\nOK\r\n", "\r\n00101012123457\r\n\r\nOK\r\n"},
		{"IMSI in UCS2", ucs2("001010123456789"), ucs2("001010121234576")},
		{"short IMSI", "AT+CIMI\r\r\n0010198765\r\n\r\nOK\r\n", "AT+CIMI\r\r\n0010112345\r\n\r\nOK\r\n"},
		{"short IMSI behind its name, twice", "+CIMI: 0010198765\r\n+cimi: 0010198765\r\n", "+CIMI: 0010112345\r\n+cimi: 0010112345\r\n"},
		{"an error behind the command", "AT+CIMI\r\r\n+CME ERROR: 10\r\n", "AT+CIMI\r\r\n+CME ERROR: 10\r\n"},
		{"the same twice", "490154203237518 x 4901542032375142", "490154201234574 x 4901542012345742"},
		{"another has other digits", "490154203237518,490154203237526", "490154201234574,490154208123457"},
		{"zeros", "000000000000000", "000000000000000"},
		{"one digit repeated", "888888888888888", "888888888888888"},
		{"13 digits", "+CGSN: 4901542032375", "+CGSN: 4901542032375"},
		{"revision", "2009/01/30 07:58:06 J1_0_1_26AP", "2009/01/30 07:58:06 J1_0_1_26AP"},
		{"other bytes", "\xff\x00490154203237518\xfe", "\xff\x00490154201234574\xfe"},
		{"nothing", "", ""},
	}
	for _, tt := range tests {
		if got := madeUp(t, tt.text); got != tt.want {
			t.Errorf("%s: %q becomes %q, want %q", tt.name, tt.text, got, tt.want)
		}
	}
}

func ucs2(digits string) string {
	var out strings.Builder
	for _, d := range digits {
		out.WriteString("003" + string(d))
	}
	return out.String()
}

func TestRedactNeedsRandomness(t *testing.T) {
	broken := errors.New("broken")
	out, err := modemtest.NewRedactor(iotest.ErrReader(broken)).Redact("+CGSN: 490154203237518")
	if !errors.Is(err, broken) || strings.Contains(out, "323751") {
		t.Errorf("got %q, %v, want no digits and %v", out, err, broken)
	}
	same := strings.NewReader(strings.Repeat("\x03\x02\x03\x07\x05\x01", 1000)) // 323751 again and again
	if out, err := modemtest.NewRedactor(same).Redact("490154203237518"); err == nil || strings.Contains(out, "323751") {
		t.Errorf("digits that are the old ones gave %q, %v, want an error", out, err)
	}
	for range 20 {
		if out, err := modemtest.NewRedactor(nil).Redact("490154203237518"); err != nil || out == "490154203237518" {
			t.Errorf("with the system's randomness: %q, %v", out, err)
		}
	}
}

// The kind of check digit stays for every digit there may be, whatever serial number is made up.
func TestRedactKeepsTheFormOfAnIMEI(t *testing.T) {
	for n := range 2000 {
		text := fmt.Sprintf("49015420%06d%d", n*37, n%10)
		out, err := modemtest.NewRedactor(nil).Redact(text)
		if err != nil {
			t.Fatal(err)
		}
		_, before, _ := imei.ParseSent(text)
		if id, after, _ := imei.ParseSent(out); before != after || id.TAC() != "49015420" || out[:14] == text[:14] {
			t.Errorf("%s of form %v becomes %s of form %v", text, before, out, after)
		}
	}
}

// FuzzRedact: the length stays, and an IMEI stays one, of the same TAC and form and with another serial number.
func FuzzRedact(f *testing.F) {
	for _, s := range []string{"490154203237518", "+CGSN: \"4901542032375142\"", ucs2("490154203237510"), "49-015420-323751-8", "\xff000000000000000"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 4096 {
			return
		}
		out, err := modemtest.NewRedactor(nil).Redact(text)
		if err != nil || len(out) != len(text) {
			t.Fatalf("%q becomes %q, %v", text, out, err)
		}
		before, form, err := imei.ParseSent(text)
		if err != nil {
			return
		}
		after, newForm, err := imei.ParseSent(out)
		if err != nil || after.TAC() != before.TAC() || after == before || form != newForm {
			t.Errorf("%q becomes %q: form %v, %v", text, out, newForm, err)
		}
	})
}

// FuzzTranscript: a file is refused or makes a modem that can be asked.
func FuzzTranscript(f *testing.F) {
	f.Add([]byte(`{"us":1,"from":"host","hex":"41540d"}` + "\n" + `{"us":2,"from":"modem","hex":"4f4b0d0a"}`))
	f.Add([]byte(`{"from":"host","hex":"610d1b41540d410d0a0d"}`))
	f.Add([]byte(`{"from":"modem","hex":""}`))
	f.Fuzz(func(t *testing.T, file []byte) {
		entries, err := modemtest.ReadTranscript(bytes.NewReader(file))
		if err != nil {
			return
		}
		emulator, err := modemtest.NewReplay(entries)
		if err != nil {
			return
		}
		port := emulator.Pipe()
		defer port.Close()
		if _, err := port.Write(t.Context(), []byte("AT+NOT-IN-THE-FILE\r")); err != nil {
			t.Error(err)
		}
	})
}
