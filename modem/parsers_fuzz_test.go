package modem

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"imei-attest/attest/imei"
)

// FuzzSplitter: the lines are what stands between CR and LF, without padding and empty ones; a line that is too long is said
// to be so, and none is longer.
func FuzzSplitter(f *testing.F) {
	f.Add("\r\n490154203237518\r\n\r\nOK\r\n")
	f.Add("\x00\x11RDY\xff\r\r" + strings.Repeat("9", MaxLine+1))
	f.Fuzz(func(t *testing.T, text string) {
		var s splitter
		var got []string
		overlong := false
		for _, b := range []byte(text + "\n") {
			line, complete, tooLong := s.push(b)
			overlong = overlong || tooLong
			if complete {
				got = append(got, line)
			}
		}
		want, wantOverlong := linesOf(text)
		if overlong != wantOverlong || !overlong && strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("%q: lines %q, too long %v; want %q, %v", text, got, overlong, want, wantOverlong)
		}
		for _, line := range got {
			if len(line) > MaxLine {
				t.Errorf("%q: a line of %d bytes", text, len(line))
			}
		}
	})
}

func linesOf(text string) (lines []string, overlong bool) {
	for _, line := range strings.Split(strings.ReplaceAll(text, "\r", "\n"), "\n") {
		overlong = overlong || len(line) > MaxLine
		if line = trimLine(line); line != "" {
			lines = append(lines, line)
		}
	}
	return lines, overlong
}

// failures are the words for answers that failed; the texts of CME and CMS are the modem's.
var failures = regexp.MustCompile(`^(error|not_supported|no_carrier|cm[es]:[^\x00-\x1f\x7f-\x{9f}]{0,64})$`)

// FuzzLine: only OK and 0 are success, a failure has a word of the vocabulary that can be printed, and a line that is
// a number as long as an identity is neither a result nor unsolicited.
func FuzzLine(f *testing.F) {
	for _, line := range []string{"OK", "0", "+CME ERROR: op\xe9ration", "CONNECT 9600", "+CMT: ,24", "RDY", "AT+CGSN", "490154203237518", "RING"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if line = trimLine(line); line == "" || strings.ContainsAny(line, "\r\n") {
			return // no line that the splitter gives
		}
		word, final := finalResult(line)
		if upper := strings.ToUpper(line); final && word == "" && upper != "OK" && upper != "0" {
			t.Errorf("%q counts as success", line)
		}
		if final && word != "" && !failures.MatchString(word) {
			t.Errorf("%q gives the word %q", line, word)
		}
		set := isUnsolicited(line)
		if announcesPayload(line) && !set {
			t.Errorf("%q announces a message and is not unsolicited", line)
		}
		if isIdentityNumber(line) && (final || set || isBanner(line) || isForeignEcho(line)) {
			t.Errorf("the number %q is taken for something else", line)
		}
	})
}

// FuzzValue: a value taken out of its wrapping stood in the text, as it is or in hex, and so did each field of an ambiguous one;
// two identities are never one.
func FuzzValue(f *testing.F) {
	for _, text := range []string{`"490154203237518"`, "IMEI490154203237518", "490154203237518,TR19A8P11R", `1,"490154203237518"`, `"49,01`,
		"003400390030003100350034003200300033003200330037003500310038", "343930313534323033323337353138", "490154203237518,352656105937836", "IMEI SV: 06", "490154203237518/352656105937836;1", "IMEI(490154203237518);SN(1)", inHex("00%02X", "IMEI490154203237518,AB12"),
		"\"490154203237518\x00\""} {
		f.Add(text, false)
		f.Add(text, true)
	}
	f.Fuzz(func(t *testing.T, text string, own bool) {
		value, ambiguous := bareValue(text, own)
		upper, fields := strings.ToUpper(text), []string{value}
		if ambiguous {
			fields = strings.Split(value, ",")
		}
		for _, f := range fields {
			if !strings.Contains(text, f) && !strings.Contains(upper, inHex("00%02X", f)) && !strings.Contains(text, inHex("%02x", f)) {
				t.Errorf("%q gives the value %q, which it does not hold", text, f)
			}
		}
		numbers := make(map[string]bool)
		for _, part := range splitQuoted(text) {
			if isIdentityNumber(part) && decodeHexDigits(decodeUCS2(part, minIdentityUCS2)) == part {
				numbers[part] = true
			}
		}
		if len(numbers) > 1 && !ambiguous && isIdentityNumber(value) {
			t.Errorf("%q holds several identities and gives %q", text, value)
		}
	})
}

func inHex(form, text string) string {
	var out strings.Builder
	for _, b := range []byte(text) {
		fmt.Fprintf(&out, form, b)
	}
	return out.String()
}

// FuzzDecode: what is decoded is printable, and encodes back to the text.
func FuzzDecode(f *testing.F) {
	f.Add("00300031", 2)
	f.Add("343930313534323033323337353138", 8)
	f.Fuzz(func(t *testing.T, text string, shortest int) {
		if shortest < 1 || shortest > 64 {
			return
		}
		if out := decodeUCS2(text, shortest); out != text && (inHex("00%02X", out) != strings.ToUpper(text) || len(out) < shortest) {
			t.Errorf("UCS2 %q gives %q", text, out)
		}
		if out := decodeHexDigits(text); out != text && (inHex("%02X", out) != text || !isIdentityNumber(out)) {
			t.Errorf("hex %q gives %q", text, out)
		}
	})
}

// FuzzCandidates: whatever lines answer a command, two different identity numbers on lines of their own are never one IMEI,
// and no value is made up.
func FuzzCandidates(f *testing.F) {
	f.Add("AT+CGSN", "490154203237518\n352656105937836")
	f.Add("AT+CGSN=1", "IMEI: 352656105937836\n+CGSN: \"490154203237518\"")
	f.Add("ATI", "Model: E173\nIMEI: 490154203237518")
	f.Add("AT+CGSN=2", "IMEI SV: 4901542032375101")
	f.Fuzz(func(t *testing.T, command, text string) {
		g := grammarOf(command)
		lines, _ := linesOf(text)
		if g.ask > askReport {
			return
		}
		found, ambiguous := candidates(g, lines)
		numbers := make(map[string]bool)
		for _, line := range lines {
			if isIdentityNumber(line) && decodeHexDigits(decodeUCS2(line, minIdentityUCS2)) == line {
				numbers[line] = true
			}
		}
		if g.ask != askReport && len(numbers) > 1 && len(found) < 2 && !ambiguous {
			t.Errorf("%q answered %q: one candidate %+v", command, lines, found)
		}
		if len(found) > len(lines) {
			t.Errorf("%q answered %q: candidates %+v", command, lines, found)
		}
		var a Answer
		a.judge(g, lines)
		if !a.IMEI.IsZero() && a.Word != "" && a.Word != string(imei.WordLuhn) {
			t.Errorf("%q answered %q: an IMEI beside %q", command, lines, a.Word)
		}
	})
}

// FuzzWords: a line beside the IMEI never makes another one of it, and where the line holds other digits, as many as an identity
// in one piece, there is none.
func FuzzWords(f *testing.F) {
	for _, line := range []string{"SIM not ready", "0, CLOSED", "RECV FROM:10.0.0.1:80", "TR19A8P11R", "IMSI: 262011234567890", "SVN: 352656105937836",
		"Number 352656105937836", "a352656105937836b", "IMEI(352656105937836)", "\x80\xc0", "NITZ: 26/11/21,10:00:00+04", "xxxxxxxxxxxxxxx"} {
		f.Add(line, true)
		f.Add(line, false)
	}
	const number = "490154203237518"
	f.Fuzz(func(t *testing.T, line string, before bool) {
		lines, _ := linesOf(line)
		if len(lines) != 1 || line != lines[0] || isUnsolicited(line) {
			return
		}
		if lines = append(lines, number); !before {
			lines[0], lines[1] = lines[1], lines[0]
		}
		var a Answer
		a.judge(grammarOf("AT+CGSN"), lines)
		for _, run := range longDigits.FindAllString(telephone.ReplaceAllString(line, ""), -1) {
			if run != number[:identityDigits] && !a.IMEI.IsZero() {
				t.Errorf("%q: IMEI %s, want none", lines, a.IMEI.Digits())
			}
		}
		if !a.IMEI.IsZero() && a.IMEI.Digits() != number && !strings.Contains(line, a.IMEI.Body()) {
			t.Errorf("%q: IMEI %s, which it does not hold", lines, a.IMEI.Digits())
		}
	})
}

// readForm is what a question looks like, said in another way than checkReads does: V.250 clause 5.4.1 for the names; arguments
// are an item number, or operation 0 and an item.
var readForm = regexp.MustCompile(`^[Aa][Tt](|[Qq]0[Vv]1|[Ii][0-9]{0,3}|[-+#^*$%!@_][-A-Za-z0-9!%./:_]+(\?|=\?|=[0-9]{1,4}|=0,[0-9]{0,2})?|[+][Ee][Gg][Mm][Rr]=2,[0-9]{0,2}|[*][Mm][Rr][Dd]_[Ii][Mm][Ee][Ii]=[Rr])$`)

var (
	longDigits = regexp.MustCompile(`[0-9]{14}`)
	telephone  = regexp.MustCompile(`\+[0-9]*`) // which no identity is
)

// FuzzCheckReads: what may be sent is a question, holds no identity, one command, and no byte that edits a line.
func FuzzCheckReads(f *testing.F) {
	for _, command := range []string{"AT", "ATQ0V1", "ATI3", "AT+CGSN=1", "AT+EGMR=0,7", "AT+EGMR=1,7", "AT+GSN\b\b\bCRESET", "AT+CGſN", "AT+CGSN\x00?",
		"AT+EGMR=1,7,\"490154203237518\"", "AT+CGSN;+CFUN=0", "AT+IMEI490154203237518?", "AT+GSN +CFUN?"} {
		f.Add(command)
	}
	f.Fuzz(func(t *testing.T, command string) {
		if checkReads(command) == nil && (!readForm.MatchString(command) || longDigits.MatchString(command)) {
			t.Errorf("%q may be sent", command)
		}
	})
}

// FuzzRedactAnswer: of a number of 14 digits or more, an error shows at most TAC and two more.
func FuzzRedactAnswer(f *testing.F) {
	for _, text := range []string{"490154203237518", "SN 490154203237518", "352656105937836,490154203237518", "49-015420-323751-8", "+CME ERROR: 490154203237518"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		shown := redactAnswer(text)
		for _, at := range regexp.MustCompile(`[0-9]{14,}`).FindAllStringIndex(printableASCII(text, maxKeptLabel), -1) {
			if run := shown[at[0]:at[1]]; len(strings.ReplaceAll(run, "*", "")) > 10 {
				t.Errorf("of %q it shows %q", text, run)
			}
		}
	})
}
