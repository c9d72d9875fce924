package modem

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"imei-attest/attest/imei"
)

// Answer is what one command brought. At most one of IMEI and IMEISV is set.
type Answer struct {
	Command string
	Method  Method        // what of the plan it was; 0 for a command that is not about the identity
	Slot    int           // whose IMEI the command reads, from 1; 0 when that is not said
	Word    string        // "" for success, else the word of [AnswerError]
	IMEI    imei.IMEI     // also set beside the word luhn: its 14 digits are a finding
	Form    imei.Form     // what stood in the 15th place of IMEI
	IMEISV  imei.IMEISV   // 16 digits, asked for or not; when not, Word is is_imeisv
	SVN     imei.SVN      // software version, when the answer held one
	IMSI    IMSI          // the subscriber, of a command that asks for him; then Text and Raw are empty
	Text    string        // the value as sent when it is no IMEI, and the text of a model; foreign bytes, personal data
	Raw     [32]byte      // SHA-256 of the bytes from the end of the command to the end of the answer
	Took    time.Duration // from the first byte sent to the final result code
	Ended   time.Time     // when the answer was complete; carries the monotonic clock
	Restart bool          // a start-up banner stood in or before the answer
	bare    bool          // success, and no line at all: blank, if nothing else says otherwise
	echoed  bool          // the echo of the command came before it
}

// AnswerError says why an answer is no usable identity. Text is the value as sent and personal data; the message
// shows only a redacted form.
type AnswerError struct {
	Command string
	Word    string // one of imei.Word or of the Word constants of this package
	Text    string
}

func (e *AnswerError) Error() string {
	word := imei.RedactAll(e.Word) // with cme: and cms: it holds the modem's text
	if e.Text == "" {
		return fmt.Sprintf("%s: %s", e.Command, word)
	}
	return fmt.Sprintf("%s: %s: %q", e.Command, word, redactAnswer(e.Text))
}

// Err returns nil for a usable answer, else an [*AnswerError].
func (a Answer) Err() error {
	if a.Word == "" {
		return nil
	}
	return &AnswerError{Command: a.Command, Word: a.Word, Text: a.Text}
}

// redactAnswer is imei.Redact for text whose identity may be wrapped or broken up: of its letters and digits, the first
// eight and the last two stay when there are enough to be an identity.
func redactAnswer(text string) string {
	const first, last = 8, 2
	out := []byte(printableASCII(text, MaxLine))
	total, seen := 0, 0
	for _, b := range out {
		if isAlnum(b) {
			total++
		}
	}
	for i, b := range out {
		if !isAlnum(b) {
			continue
		}
		if seen++; total >= identityDigits && seen > first && seen <= total-last {
			out[i] = '*'
		}
	}
	return string(out[:min(len(out), maxKeptLabel)])
}

// judge reads the information lines of a successful answer by its grammar: exactly one candidate, or the answer
// is ambiguous. The same value twice is one candidate.
func (a *Answer) judge(g grammar, lines []string) {
	switch g.ask {
	case askNothing:
		return
	case askText:
		a.Text = textOf(g, lines)
		return
	case askIMSI:
		a.judgeIMSI(g, lines)
		return
	}
	found, ambiguous := candidates(g, lines)
	switch {
	case ambiguous:
		a.Word, a.Text = WordAmbiguous, joinValues(found)
	case len(found) == 0 && g.ask == askReport:
		a.Word = string(imei.WordNotIMEI) // a report that does not speak of the IMEI
	case len(found) == 0:
		a.Word, a.bare = string(imei.WordBlank), true
	default:
		a.read(g.ask, found)
		a.addReportedSVN(g, lines)
	}
}

// addReportedSVN takes the software version from a line such as `IMEI SV: 06` beside the IMEI.
func (a *Answer) addReportedSVN(g grammar, lines []string) {
	for _, line := range lines {
		if t := g.unwrap(line); t.label == labelSVN && a.SVN == "" && !a.IMEI.IsZero() {
			a.SVN, _ = imei.ParseSVN(t.value) // one digit, as some write it, is not a software version
		}
	}
}

func joinValues(texts []text) string {
	values := make([]string, len(texts))
	for i, t := range texts {
		values[i] = t.value
	}
	return strings.Join(values, ",")
}

// read judges texts with distinct values. Several are ambiguous, unless all are some other identifier: CDMA parts answer with
// the decimal and the hexadecimal form of theirs.
func (a *Answer) read(asked ask, found []text) {
	for i, t := range found {
		var one Answer
		if t.label == labelOther {
			one.readOther(t.value)
		} else {
			one.readOne(asked, t.value)
		}
		if i > 0 && (one.Word != string(imei.WordNotIMEI) || a.Word != one.Word) {
			*a = Answer{Command: a.Command, Method: a.Method, Slot: a.Slot, Word: WordAmbiguous, Text: joinValues(found),
				Raw: a.Raw, Took: a.Took, Ended: a.Ended, Restart: a.Restart}
			return
		}
		if i == 0 {
			a.Word, a.IMEI, a.Form, a.IMEISV, a.SVN, a.Text = one.Word, one.IMEI, one.Form, one.IMEISV, one.SVN, one.Text
		}
	}
}

func (a *Answer) readOne(asked ask, value string) {
	switch asked {
	case askSVN:
		svn, err := imei.ParseSVN(decodeUCS2(value, minTextUCS2))
		a.SVN = svn
		a.fail(value, err)
	case askIMEISV:
		a.readIMEISV(joinIMEISV(value))
	case askIMEIAndSVN:
		a.readWithSVN(value)
	case askOther:
		a.readOther(value)
	default:
		a.readIMEI(value)
	}
	if asked == askEither && a.Word == string(imei.WordIMEISV) {
		a.Word, a.Text = "", ""
	}
}

func (a *Answer) readIMEI(value string) {
	id, form, err := imei.ParseSent(value)
	a.IMEI, a.Form = id, form
	a.fail(value, err)
	if a.Word == string(imei.WordIMEISV) {
		a.IMEISV, _ = imei.ParseIMEISV(value)
		a.SVN = a.IMEISV.SVN
	}
}

func (a *Answer) readIMEISV(value string) {
	sv, err := imei.ParseIMEISV(value)
	a.IMEISV, a.SVN = sv, sv.SVN
	a.fail(value, err)
}

// joinIMEISV undoes how Sierra's +KGSN=2 writes an IMEISV: the parts apart, or `49015420323751-8 SV: 01`, with the check
// digit that an IMEISV does not have.
func joinIMEISV(value string) string {
	body, rest, _ := strings.Cut(value, "-")
	digit, svn, isLong := strings.Cut(rest, "SV:")
	if !isLong {
		return strings.ReplaceAll(value, "-", "")
	}
	if _, form, err := imei.ParseSent(body + strings.TrimSpace(digit)); err != nil || form != imei.FormCheckDigit {
		return value
	}
	return body + strings.TrimSpace(svn)
}

// readOther tells an empty place from another identifier, and finds an IMEI in neither.
func (a *Answer) readOther(value string) {
	a.readIMEI(value)
	if a.Word != string(imei.WordBlank) && a.Word != string(imei.WordZero) {
		*a = Answer{Word: string(imei.WordNotIMEI), Text: value}
	}
}

// readWithSVN reads 15 digits and two more (u-blox +CGSN=255; Cinterion ATI176 has a dot between); firmware without the item
// answers with 15.
func (a *Answer) readWithSVN(value string) {
	const imeiDigits, svnDigits = 15, 2
	if len(value) < imeiDigits+svnDigits {
		a.readIMEI(value)
		return
	}
	a.readIMEI(value[:imeiDigits])
	if svn, err := imei.ParseSVN(strings.TrimPrefix(value[imeiDigits:], ".")); err != nil {
		*a = Answer{Word: string(imei.WordMalformed), Text: value}
	} else if !a.IMEI.IsZero() {
		a.SVN = svn
	}
}

func (a *Answer) fail(value string, err error) {
	if bad := (*imei.Error)(nil); errors.As(err, &bad) {
		a.Word, a.Text = string(bad.Word), value
	}
}

// textOf joins nothing: the first line is the text, the rest are build dates and copyright. A line that holds the command
// is its echo, with noise before it.
func textOf(g grammar, lines []string) string {
	isText := func(line string) bool { return !strings.Contains(strings.ToUpper(line), strings.ToUpper(g.command)) }
	first := slices.IndexFunc(lines, isText)
	if first < 0 {
		return ""
	}
	value, ok := g.ownValue(lines[first])
	if !ok {
		value = lines[first]
	}
	return printable(decodeUCS2(unquote(value), minTextUCS2), maxKeptLabel)
}
