//go:build linux

package modemtest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"imei-attest/modem"
	"imei-attest/modem/modemtest"
	"imei-attest/modem/serialport"
)

// openPTY returns a terminal and the port that programs have of it.
func openPTY(t *testing.T) (*modemtest.PTY, modem.Port) {
	t.Helper()
	line, err := modemtest.OpenPTY("")
	if err != nil {
		t.Fatal(err)
	}
	port, err := serialport.Open(t.Context(), line.Path, serialport.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { port.Close(); line.Close() })
	return line, port
}

// recordReading reads a modem through a relay between two terminals.
func recordReading(t *testing.T, config modemtest.Config) (modem.Reading, *modemtest.Recording) {
	t.Helper()
	emulator, err := modemtest.New(config)
	if err != nil {
		t.Fatal(err)
	}
	modemLine, modemPort := openPTY(t)
	line, port := openPTY(t)
	recording := modemtest.NewRecording()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	go func() { ended <- emulator.Serve(ctx, modemLine) }()
	go func() { ended <- modemtest.Relay(ctx, line, modemPort, recording) }()
	reading, err := modem.NewReader(port, modem.Config{}).Read(t.Context())
	cancel()
	for range 2 {
		if err := errors.Join(err, <-ended); err != nil {
			t.Fatal(err)
		}
	}
	return reading, recording
}

func export(t *testing.T, r *modemtest.Recording) string {
	t.Helper()
	var out bytes.Buffer
	if err := r.Export(&out, modemtest.NewRedactor(nil)); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func replayed(t *testing.T, transcript string) modem.Reading {
	t.Helper()
	entries, err := modemtest.ReadTranscript(strings.NewReader(transcript))
	if err != nil {
		t.Fatal(err)
	}
	emulator, err := modemtest.NewReplay(entries)
	if err != nil {
		t.Fatal(err)
	}
	port := emulator.Pipe()
	defer port.Close()
	reading, err := modem.NewReader(port, modem.Config{}).Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return reading
}

// A modem that is recorded, redacted and replayed is read as the modem was, but for the serial digits.
func TestRecordedModemIsReplayed(t *testing.T) {
	configs := map[string]modemtest.Config{
		"UCS2 left on":    {UCS2: true},
		"numeric results": {Numeric: true, EchoOff: true},
		"wrong check":     {IMEI: "490154203237519"},
		"contradiction":   {Faults: []modemtest.Fault{{Kind: modemtest.FaultIdentity, Command: "+GSN", Text: otherIMEI}}},
		"alternation":     {Faults: []modemtest.Fault{{Kind: modemtest.FaultIdentity, Command: "*", Every: 2, Text: otherIMEI}}},
		"zeros":           {IMEI: "000000000000000"},
		"restart":         {Faults: []modemtest.Fault{{Kind: modemtest.FaultGarbage, Command: "+CGSN=2", Text: "\r\nRDY\r\n"}}},
	}
	for _, profile := range modemtest.Profiles() {
		configs[profile] = modemtest.Config{Profile: profile}
	}
	for name, config := range configs {
		t.Run(name, func(t *testing.T) {
			before, recording := recordReading(t, config)
			transcript := export(t, recording)
			after := replayed(t, transcript)
			was, is := before.Slots[0], after.Slots[0]
			if is.IMEI.TAC() != was.IMEI.TAC() || is.Form != was.Form || is.Word != was.Word || is.SVN != was.SVN || is.Methods != was.Methods ||
				after.Agreement != before.Agreement || after.Model != before.Model || after.RestartSeen != before.RestartSeen {
				t.Errorf("read as %+v, %v, replayed as %+v, %v\n%s", was, before.Agreement, is, after.Agreement, transcript)
			}
			if !was.IMEI.IsZero() && (is.IMEI == was.IMEI || strings.Contains(transcript, was.IMEI.Body())) {
				t.Error("the serial digits were not replaced")
			}
		})
	}
}

const otherIMEI = "356938035643809"

func TestAnIdentityInPiecesIsReplaced(t *testing.T) {
	host, line := pipeStreams(t)
	port, modemLine := modemtest.NewPipe()
	recording := modemtest.NewRecording()
	ended := make(chan error, 1)
	go func() { ended <- modemtest.Relay(t.Context(), line, port, recording) }()
	say := func(to io.Writer, text string, from io.Reader, heard string) {
		t.Helper()
		if _, err := io.WriteString(to, text); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(heard))
		if _, err := io.ReadFull(from, got); err != nil || string(got) != heard {
			t.Fatalf("%q was heard as %q, %v", text, got, err)
		}
	}
	say(host, "AT+CGSN\r", modemLine, "AT+CGSN\r")
	say(modemLine, "490154", host, "490154")
	say(host, "AT\r", modemLine, "AT\r")
	say(modemLine, "203", host, "203")
	say(modemLine, "237518\r\nOK\r\n", host, "237518\r\nOK\r\n")
	modemLine.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	entries, err := modemtest.ReadTranscript(strings.NewReader(export(t, recording)))
	if err != nil {
		t.Fatal(err)
	}
	said := make(map[string]string)
	for _, e := range entries {
		said[e.From] += e.Text
	}
	if all := said["modem"]; len(all) != 21 || all[:8] != "49015420" || all[8:14] == "323751" || said["host"] != "AT+CGSN\rAT\r" {
		t.Errorf("exported %q", said)
	}
}

func TestCouldWriteIdentity(t *testing.T) {
	for line, want := range map[string]bool{
		"AT+EGMR=1,7,\"490154203237518\"\r":                   true,
		"at^phynum=IMEI,490154203237518\r":                    true,
		"AT+SPIMEI=0,\"490154203237518\"":                     true,
		"AT+X=08,4A,09,51,24,30,32,57,81":                     true,
		"AT+X=\"003400390030\"":                               false, // three characters
		"AT+X=\"0034003900300031\"":                           true,
		"ATE0;+X=1,\"49-015420-323751-8\"":                    true,
		"AT+X=490154x\b203237518":                             true,
		"AT+X=4901542\n03237518":                              true,
		"AT+CSIM=14,\"00A40004023F00\"":                       true,
		"AT+CSIM=14,\"00A40004023F00\";+X=49015420323751":     true,
		"ATD+490154203237518;":                                true,
		"ATD490154203237518":                                  true,
		"ATD*99#+EGMR=1,7,\"490154203237518\"":                true,
		"see you at dinner\x1aAT+EGMR=1,7,356938035643809":    true,
		"AT^NVWR=550,0x08,0x3A,0x65,0x39,0x08,0x53,0x46,0x83": true,
		"AT+X=49_01_54_20_32_37_51_8":                         true,
		"AT+CGSN=1\r":                                         false,
		"AT+EGMR=0,7":                                         false,
		"AT+CGDCONT=1,\"IP\",\"internet.example\"":            false,
		"AT+CSCS=\"UCS2\"":                                    false,
		"490154203237518\x1a":                                 true,
		"":                                                    false,
	} {
		if got := modemtest.CouldWriteIdentity(line); got != want {
			t.Errorf("%q: %v, want %v", line, got, want)
		}
	}
}

// No line that could write an identity reaches the modem, however it is typed.
func TestRelayRefusesToWriteAnIdentity(t *testing.T) {
	for _, typed := range []string{
		"AT+EGMR=1,7,\"490154203237518\"\r",
		"AT+EGMR=1,7,\"4901542\n03237518\"\r",
		"AT+EGMR=1,7,\"4901542\x1a03237518\"\r",
		"AT+EGMR=1,7,\"4901542\x1b03237518\"\r",
		"AT+X=" + strings.Repeat("x", 600) + "\r",
	} {
		host, line := pipeStreams(t)
		port, modemLine := modemtest.NewPipe()
		ended := make(chan error, 1)
		go func() { ended <- modemtest.Relay(t.Context(), line, port, modemtest.NewRecording()) }()
		for _, b := range []byte(typed) {
			if _, err := host.Write([]byte{b}); err != nil {
				t.Fatal(err)
			}
		}
		answer := make([]byte, len("\r\nERROR\r\n"))
		if _, err := io.ReadFull(host, answer); err != nil || string(answer) != "\r\nERROR\r\n" {
			t.Errorf("%q was answered %q, %v", typed, answer, err)
		}
		host.Close()
		<-ended
		port.Close()
		if got, _ := io.ReadAll(modemLine); strings.HasSuffix(string(got), "\r") {
			t.Errorf("of %q the modem got %q", typed, got)
		}
	}
}

// A relay whose programs do not read goes on; one that is told to end, ends.
func TestRelayDoesNotWaitForPrograms(t *testing.T) {
	line, err := modemtest.OpenPTY("")
	if err != nil {
		t.Fatal(err)
	}
	port, modemLine := modemtest.NewPipe()
	defer port.Close()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- modemtest.Relay(ctx, line, port, modemtest.NewRecording()) }()
	if _, err := io.WriteString(modemLine, strings.Repeat("\r\n+CREG: 1\r\n", 400)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestBrokenTranscriptsAreRefused(t *testing.T) {
	for transcript, says := range map[string]string{
		"":                                 "no lines",
		"{":                                "line 1",
		`{"from":"host","hex":"4"}`:        "hex",
		`{"from":"nobody","hex":"41540d"}`: "nobody",
	} {
		if _, err := modemtest.ReadTranscript(strings.NewReader(transcript)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q gave %v, want an error with %q", transcript, err, says)
		}
	}
	for _, entries := range [][]modemtest.Entry{nil, {{From: "modem", Hex: "4154"}}, {{From: "host", Hex: "4154"}}, {{From: "host", Hex: "61620d"}}} {
		if _, err := modemtest.NewReplay(entries); err == nil {
			t.Errorf("%+v gave no error", entries)
		}
	}
}

func TestReplayAnswersInOrder(t *testing.T) {
	const transcript = `{"from":"modem","hex":"524459"}
{"from":"host","hex":"4154"}
{"from":"host","hex":"2b580d0a"}
{"from":"modem","hex":"31"}
{"from":"host","hex":"61742b780d"}
{"from":"modem","hex":"32"}
{"from":"host","hex":"6e6f697365"}
{"from":"host","hex":"0d41540d"}
{"from":"relay","hex":"33"}
`
	entries, err := modemtest.ReadTranscript(strings.NewReader(transcript))
	if err != nil {
		t.Fatal(err)
	}
	emulator, err := modemtest.NewReplay(entries)
	if err != nil {
		t.Fatal(err)
	}
	host, line := pipeStreams(t)
	served := make(chan error, 1)
	go func() { served <- emulator.Serve(t.Context(), line) }()
	for _, c := range []struct{ sent, want string }{{"AT+X\r", "1"}, {"AT\r", "3"}, {"AT+X\r", "2"}, {"AT+X\r", "2"}, {"AT+CGSN\r", "\r\nERROR\r\n"}} {
		if _, err := io.WriteString(host, c.sent); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(c.want))
		if _, err := io.ReadFull(host, got); err != nil || string(got) != c.want {
			t.Errorf("%q was answered %q, %v, want %q", c.sent, got, err, c.want)
		}
	}
	host.Close()
	<-served
}
