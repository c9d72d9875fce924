//go:build linux

package modemtest_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"imei-attest/modem/modemtest"
)

// converse sends text to a modem in memory and returns everything it says until it is quiet.
func converse(t *testing.T, config modemtest.Config, texts ...string) string {
	t.Helper()
	var said strings.Builder
	synctest.Test(t, func(t *testing.T) {
		e, err := modemtest.New(config)
		if err != nil {
			t.Fatal(err)
		}
		host, line := pipeStreams(t)
		served := make(chan error, 1)
		go func() { served <- e.Serve(t.Context(), line) }()
		go func() { _, _ = io.Copy(&said, host) }()
		for _, text := range texts {
			if _, err := io.WriteString(host, text); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		host.Close()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
		synctest.Wait()
	})
	return said.String()
}

func TestCommandLines(t *testing.T) {
	const ok = "\r\nOK\r\n"
	tests := []struct {
		name   string
		config modemtest.Config
		sent   []string
		want   string
	}{
		{"echo and text", modemtest.Config{}, []string{"AT+CGSN\r"}, "AT+CGSN\r\r\n490154203237518\r\n" + ok},
		{"CR LF", modemtest.Config{EchoOff: true}, []string{"AT\r\n"}, ok},
		{"lower case", modemtest.Config{EchoOff: true}, []string{"at+cgmi\r"}, "\r\nGeneric\r\n" + ok},
		{"one byte at a time", modemtest.Config{EchoOff: true}, []string{"A", "T", "\r"}, ok},
		{"ESC forgets", modemtest.Config{EchoOff: true}, []string{"AT+CGSN\x1b\rAT\r"}, ok},
		{"backspace", modemtest.Config{EchoOff: true}, []string{"ATX\b\r"}, ok},
		{"repeat", modemtest.Config{EchoOff: true}, []string{"AT+GMM\r", "A/"}, "\r\nEMU-1\r\n" + ok + "\r\nEMU-1\r\n" + ok},
		{"noise before AT", modemtest.Config{EchoOff: true}, []string{"\x00xAT\r"}, ok},
		{"no AT", modemtest.Config{EchoOff: true}, []string{"hello\r"}, ""},
		{"basic commands together", modemtest.Config{}, []string{"ATE0V1\r", "AT\r"}, "ATE0V1\r" + ok + ok},
		{"extended commands together", modemtest.Config{EchoOff: true}, []string{"AT+CMEE=1;+CGSN\r", "AT+NONE\r"}, "\r\n490154203237518\r\n" + ok + "\r\n+CME ERROR: 4\r\n"},
		{"an error ends the line", modemtest.Config{EchoOff: true}, []string{"AT+NONE;+CGSN\r"}, "\r\nERROR\r\n"},
		{"a semicolon in a string", modemtest.Config{EchoOff: true, Policy: "otp-echo"}, []string{"AT+EGMR=1,7,\"1;+GMM\";+GMM\r"}, "\r\n490154203237518\r\n\r\nEMU-1\r\n" + ok},
		{"CMEE in words", modemtest.Config{EchoOff: true}, []string{"AT+CMEE=2\r", "AT+NONE\r"}, ok + "\r\n+CME ERROR: operation not supported\r\n"},
		{"numeric", modemtest.Config{EchoOff: true}, []string{"ATV0\r", "AT+GSN\r", "AT+NONE\r"}, "0\r490154203237518\r\n0\r4\r"},
		{"quiet", modemtest.Config{EchoOff: true}, []string{"ATQ1\r", "AT\r", "ATQ0\r"}, ok},
		{"UCS2", modemtest.Config{EchoOff: true}, []string{"AT+CSCS=\"UCS2\"\r", "AT+CGSN=3\r"}, ok + "\r\n+CGSN: \"00300031\"\r\n" + ok},
		{"UCS2 off again", modemtest.Config{EchoOff: true, UCS2: true}, []string{"AT+CSCS=\"004900520041\"\r", "AT+CGSN=3\r"}, ok + "\r\n+CGSN: \"01\"\r\n" + ok},
		{"IMEISV", modemtest.Config{EchoOff: true, SVN: "42"}, []string{"AT+CGSN=2\r"}, "\r\n+CGSN: \"4901542032375142\"\r\n" + ok},
		{"no empty line before OK", modemtest.Config{Profile: "neoway"}, []string{"AT+CGSN\r"}, "AT+CGSN\r\r\n+CGSN: 862140069563436\r\nOK\r\n"},
		{"overlong line", modemtest.Config{EchoOff: true}, []string{"AT" + strings.Repeat("x", 2000) + "\r", "AT\r"}, "\r\nERROR\r\n" + ok},
		{"identity cannot be written", modemtest.Config{EchoOff: true}, []string{"AT+EGMR=1,7,\"352656105937836\"\r", "AT+GSN\r"}, "\r\nERROR\r\n\r\n490154203237518\r\n" + ok},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := converse(t, tt.config, tt.sent...); got != tt.want {
				t.Errorf("%q was answered\n%q, want\n%q", tt.sent, got, tt.want)
			}
		})
	}
}

func TestFaults(t *testing.T) {
	fault := func(kind modemtest.FaultKind, text string) modemtest.Config {
		return modemtest.Config{EchoOff: true, Faults: []modemtest.Fault{{Kind: kind, Command: "+gsn", Skip: 1, Times: 1, Text: text}}}
	}
	const answer = "\r\n490154203237518\r\n\r\nOK\r\n"
	tests := []struct {
		name   string
		config modemtest.Config
		second string
	}{
		{"none", fault(modemtest.FaultNone, ""), answer},
		{"no OK", fault(modemtest.FaultDropOK, ""), "\r\n490154203237518\r\n"},
		{"garbage", fault(modemtest.FaultGarbage, "\x00?"), "\x00?" + answer},
		{"verbatim", fault(modemtest.FaultVerbatim, "no"), "no"},
		{"silent", fault(modemtest.FaultSilent, ""), ""},
		{"late", fault(modemtest.FaultDelay, ""), answer},
		{"instead", fault(modemtest.FaultInstead, "no"), "no"},
		{"other identity", fault(modemtest.FaultIdentity, "<{imei}>"), "\r\n<490154203237518>\r\n\r\nOK\r\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := answer + tt.second + answer
			if got := converse(t, tt.config, "AT+GSN\r", "AT+GSN\r", "AT+GSN\r"); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

func TestEverySecondAnswerAndSwap(t *testing.T) {
	const one, two = "\r\n490154203237518\r\n\r\nOK\r\n", "\r\n2\r\n\r\nOK\r\n"
	for _, c := range []struct {
		fault modemtest.Fault
		want  string
	}{
		{modemtest.Fault{Kind: modemtest.FaultIdentity, Command: "*", Skip: 1, Every: 2, Text: "2"}, one + one + two + one},
		{modemtest.Fault{Kind: modemtest.FaultSwap, Command: "+GSN", Skip: 2, Text: "2"}, one + one + two + two},
	} {
		config := modemtest.Config{EchoOff: true, Faults: []modemtest.Fault{c.fault}}
		if got := converse(t, config, "AT+GSN\r", "AT+GSN\r", "AT+GSN\r", "AT+GSN\r"); got != c.want {
			t.Errorf("%+v: got %q, want %q", c.fault, got, c.want)
		}
	}
}

func TestHangUpMidLine(t *testing.T) {
	config := modemtest.Config{EchoOff: true, Faults: []modemtest.Fault{{Kind: modemtest.FaultHangUp, Command: "+GSN", Text: "\r\n4901"}}}
	if got := converse(t, config, "AT+GSN\r"); got != "\r\n4901" {
		t.Errorf("got %q", got)
	}
}

func TestEveryProfileAnswersTheCommonCommands(t *testing.T) {
	for _, name := range modemtest.Profiles() {
		for _, command := range []string{"AT+CGMI", "AT+CGMM", "AT+CGMR", "AT+CGSN", "AT+GSN", "AT+CFUN=1", "AT+CPIN?", "AT+GCAP", "AT&C1", "ATX4"} {
			if got := converse(t, modemtest.Config{Profile: name, EchoOff: true}, command+"\r"); !strings.HasSuffix(got, "\r\nOK\r\n") {
				t.Errorf("%s answers %s with %q", name, command, got)
			}
		}
	}
	if _, err := modemtest.New(modemtest.Config{Profile: "none"}); err == nil || !strings.Contains(err.Error(), "generic") {
		t.Errorf("an unknown profile gave %v, want the list of names", err)
	}
}

func TestTranscript(t *testing.T) {
	var log bytes.Buffer
	converse(t, modemtest.Config{Transcript: &log}, "AT+GSN\r", "AT\r")
	var last time.Duration
	var dialogue []string
	for lines := json.NewDecoder(&log); lines.More(); {
		var e modemtest.Entry
		if err := lines.Decode(&e); err != nil {
			t.Fatal(err)
		}
		raw, err := hex.DecodeString(e.Hex)
		if at := time.Duration(e.Micros) * time.Microsecond; err != nil || string(raw) != e.Text || at < last {
			t.Errorf("entry %+v", e)
		}
		dialogue = append(dialogue, e.From+" "+e.Text)
	}
	want := []string{"host AT+GSN\r", "modem AT+GSN\r\r\n490154203237518\r\n\r\nOK\r\n", "host AT\r", "modem AT\r\r\nOK\r\n"}
	if strings.Join(dialogue, "|") != strings.Join(want, "|") {
		t.Errorf("got %q, want %q", dialogue, want)
	}
}
