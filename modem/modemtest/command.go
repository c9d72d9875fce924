package modemtest

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// answer runs the commands of one line (V.250 clause 5.2.1: several basic commands run together, extended
// ones end at a semicolon) and returns their texts and the result code of the line.
func (s *session) answer(body string, dropResult bool) string {
	var out strings.Builder
	var failed error
	for body != "" && failed == nil && !s.restarts {
		var one, text string
		one, body = nextCommand(body)
		if text, failed = s.run(one); failed == nil {
			s.writeText(&out, text)
		}
	}
	if !dropResult && !s.quiet {
		s.writeResult(&out, failed, out.Len() > 0)
	}
	if s.restarts {
		s.restarts, s.settings = false, s.emulator.start
		out.WriteString(s.emulator.restart())
	}
	return out.String()
}

// nextCommand cuts the first command off a line.
func nextCommand(body string) (one, rest string) {
	switch body[0] {
	case '+', '#', '^', '*', '$', '%', '!':
		one, rest = cutCommand(body)
		return strings.TrimSpace(one), strings.TrimSpace(rest)
	}
	n := 1
	if body[0] == '&' && len(body) > 1 {
		n = 2
	}
	for n < len(body) && (body[n] >= '0' && body[n] <= '9' || strings.IndexByte("=?", body[n]) >= 0) {
		n++
	}
	return body[:n], strings.TrimLeft(body[n:], " ;")
}

// cutCommand cuts at the first semicolon that is not within a string constant (V.250 clause 5.4.2.2).
func cutCommand(body string) (one, rest string) {
	quoted := false
	for i := range len(body) {
		switch {
		case body[i] == '"':
			quoted = !quoted
		case body[i] == ';' && !quoted:
			return body[:i], body[i+1:]
		}
	}
	return body, ""
}

// run executes one command, without AT.
func (s *session) run(command string) (text string, err error) {
	upper := strings.ToUpper(command)
	name, arguments, isSet := strings.Cut(upper, "=")
	isSet = isSet && arguments != "?" // a test form
	switch {
	case s.set(upper):
		return "", nil
	case upper == "+CMEE?":
		return "+CMEE: " + strconv.Itoa(s.cmee), nil
	case upper == "+CSCS?":
		return s.charset(), nil
	case upper == "+CFUN?":
		return "+CFUN: " + string(s.emulator.functionality()), nil
	case name == "+CFUN" && isSet:
		s.restarts, err = s.emulator.setFunctionality(arguments)
		return "", err
	case upper == "+CPIN?":
		return s.emulator.simStatus()
	case name == "+CLCK" && isSet && strings.HasSuffix(arguments, ",2"):
		return s.emulator.lockStatus(strings.TrimSuffix(arguments, ",2"))
	case name == "+CPIN" && isSet:
		return "", s.emulator.enterPIN(arguments)
	}
	if text, known, err := s.emulator.guarded(upper); known {
		return text, err
	}
	return s.tell(upper)
}

// tell answers from the profile.
func (s *session) tell(upper string) (string, error) {
	if upper == "I0" {
		upper = "I"
	}
	template := s.emulator.profile.Answers[upper]
	if template == nil {
		return "", cmeNotSupported
	}
	if err := s.emulator.missing(upper, *template); err != nil {
		return "", err
	}
	text := s.emulator.fill(*template, s.emulator.slotTold(upper), s.identity)
	if s.ucs2 {
		text = quotedToUCS2(text)
	}
	return text, nil
}

// charset answers +CSCS?.
func (s *session) charset() string {
	if s.ucs2 {
		return `+CSCS: "` + toUCS2("UCS2") + `"`
	}
	return `+CSCS: "IRA"`
}

// set changes a setting, if the command is one that does.
func (s *session) set(upper string) bool {
	switch upper {
	case "E", "E0":
		s.echo = false
	case "E1":
		s.echo = true
	case "V", "V0":
		s.verbose = false
	case "V1":
		s.verbose = true
	case "Q", "Q0":
		s.quiet = false
	case "Q1":
		s.quiet = true
	case "Z", "&F":
		s.settings = s.emulator.start
	case "+CMEE=0", "+CMEE=1", "+CMEE=2":
		s.cmee = int(upper[len(upper)-1] - '0')
	case `+CSCS="UCS2"`:
		s.ucs2 = true
	case `+CSCS="IRA"`, `+CSCS="GSM"`, `+CSCS="` + toUCS2("IRA") + `"`, `+CSCS="` + toUCS2("GSM") + `"`:
		s.ucs2 = false
	default:
		return false
	}
	return true
}

// writeText frames information text (V.250 clause 5.7.1): verbose with CR LF before and after, numeric only after.
func (s *session) writeText(out *strings.Builder, text string) {
	if text == "" {
		return
	}
	if s.verbose {
		out.WriteString("\r\n")
	}
	out.WriteString(strings.ReplaceAll(text, "\n", "\r\n") + "\r\n")
}

// writeResult ends the answer. +CMEE decides how much an error says (TS 27.007 clause 9.1).
func (s *session) writeResult(out *strings.Builder, failed error, afterText bool) {
	ok := failed == nil
	code := map[bool]string{true: "0\r", false: "4\r"}[ok]
	if s.verbose {
		code = map[bool]string{true: "OK\r\n", false: "ERROR\r\n"}[ok]
		if !s.emulator.profile.TightOK || !afterText {
			code = "\r\n" + code
		}
	}
	if cme := cmeError(0); errors.As(failed, &cme) && s.cmee > 0 {
		reason := map[int]string{1: strconv.Itoa(int(cme)), 2: cme.Error()}[s.cmee]
		code = "\r\n+CME ERROR: " + reason + "\r\n"
	}
	out.WriteString(code)
}

// quotedToUCS2 writes what is between quotes as a modem with +CSCS="UCS2" does (TS 27.007 clause 5.5).
func quotedToUCS2(text string) string {
	parts := strings.Split(text, `"`)
	for i := 1; i < len(parts); i += 2 {
		parts[i] = toUCS2(parts[i])
	}
	return strings.Join(parts, `"`)
}

func toUCS2(s string) string {
	var out strings.Builder
	for _, r := range s {
		fmt.Fprintf(&out, "%04X", r)
	}
	return out.String()
}
