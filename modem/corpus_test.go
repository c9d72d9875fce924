package modem_test

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"imei-attest/attest/imei"
	"imei-attest/modem"
	"imei-attest/modem/modemtest"
)

// corpusRows is how many rows the corpus had when this was written; it may only grow.
const corpusRows = 91

func loadCorpus(t testing.TB) []modemtest.Row {
	t.Helper()
	rows, err := modemtest.Load("testdata/modem-corpus.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) < corpusRows {
		t.Fatalf("the corpus has %d rows, want at least %d", len(rows), corpusRows)
	}
	return rows
}

// outcome is what of an Answer must not depend on how its bytes came.
type outcome struct {
	Word, Text string
	IMEI       imei.IMEI
	Form       imei.Form
	IMEISV     imei.IMEISV
	SVN        imei.SVN
}

func outcomeOf(a modem.Answer) outcome {
	return outcome{a.Word, a.Text, a.IMEI, a.Form, a.IMEISV, a.SVN}
}

// hasIdentity: beside an error only the 14 digits of the word luhn count.
func (o outcome) hasIdentity() bool { return !o.IMEI.IsZero() || o.IMEISV != imei.IMEISV{} }

// dialogue is a row of the corpus that can be sent in other ways.
type dialogue struct {
	row   modemtest.Row
	lines []string // with the line ends before each of them; the echo, if the row has one, is the first
	want  outcome
}

var lineWithItsStart = regexp.MustCompile(`[\r\n]*[^\r\n]+`)

func dialogues(t testing.TB) (all []dialogue) {
	t.Helper()
	for _, row := range loadCorpus(t) {
		text := response(t, row)
		d := dialogue{row: row, lines: lineWithItsStart.FindAllString(text, -1)}
		d.lines = append(d.lines, text[len(strings.Join(d.lines, "")):]) // the end of the last line
		d.want = outcomeOf(askInBubble(t, row.Command, text))
		all = append(all, d)
	}
	return all
}

// response returns the row's bytes.
func response(t testing.TB, row modemtest.Row) string {
	t.Helper()
	var raw []byte
	if _, err := fmt.Sscanf(row.ResponseHex, "%x", &raw); err != nil {
		t.Fatalf("line %d: %v", row.Line, err)
	}
	return string(raw)
}

// askInBubble is askScripted without real time.
func askInBubble(t testing.TB, command, script string, sizes ...int) (a modem.Answer) {
	t.Helper()
	bubble, ok := t.(*testing.T)
	if !ok {
		return askScripted(t, command, script, sizes...)
	}
	synctest.Test(bubble, func(t *testing.T) { a = askScripted(t, command, script, sizes...) })
	return a
}

// echoForms are the ways to echo a command, %s; the first is not to.
var echoForms = []string{"", "%s\r", "%s\r\n", "%s\r\r\n", "\x00%s\r\r\n"}

// script writes the dialogue with another echo; noise is what to send before each line, the one behind the last included.
func (d dialogue) script(echo int, noise func(line int) string) string {
	var out strings.Builder
	out.WriteString(noise(0))
	if form := echoForms[echo%len(echoForms)]; form != "" {
		fmt.Fprintf(&out, form, d.row.Command)
	}
	for i, line := range d.lines {
		out.WriteString(noise(1 + i))
		if i == 0 {
			line = strings.Replace(line, d.row.Command, "", 1)
		}
		out.WriteString(line)
	}
	return out.String()
}

func quiet(int) string { return "" }

// only makes noise before one line.
func only(at int, text string) func(int) string {
	return func(line int) string {
		if line == at {
			return text
		}
		return ""
	}
}

// setAside are lines that a reader can know for unsolicited; they change nothing. Some hold 15 digits.
var setAside = []string{
	"+CREG: 1", "RING", `+CMTI: "SM",3`, "^RSSI: 20", "*PSUTTZ: 1,2", "$X: 1", "RDY", "+CFUN: 1", "NORMAL POWER DOWN",
	`+CLIP: "352656105937836",145`, "^IMSI: 352656105937836", "%X352656105937836",
	"+CMT: ,24\r\n352656105937836", "+CMT: ,24\r\nOK", "+CDS: 25\r\nIMEI: 352656105937836", "+CBM: 88\r\n+CGSN: \"352656105937836\"",
	"\x00\x00\x00", "\x11\x13", "\xff\xff",
}

// lookAlikes are lines that nothing tells from an answer, or from the echo that makes the answer another command's. With them there may be no identity any more, but no other.
var lookAlikes = []string{
	labelledLine, "352656105937836", `"352656105937836"`, "IMEI352656105937836", `+CGSN: "352656105937836"`, "+GSN: 352656105937836",
	"3526561059378360", `+CGSN: "3526561059378301"`, "490154203237518,352656105937836", "01", "NO CARRIER", "+CME ERROR: 352656105937836", "hello",
	"AT+COPS?", "AT+CIMI\r\r\n352656105937836\r\n\r\nOK",
	"003300350032003600350036003100300035003900330037003800330036",
}

const labelledLine = "IMEI: 352656105937836"

// lookAlikes leaves the labelled line out where the row's own answer is no number: it makes a report of any answer, and
// other text in a report is not about the identity. There only the other forms that a [modem.Reader] asks for tell.
func (d dialogue) lookAlikes() []string {
	switch imei.Word(d.want.Word) {
	case imei.WordNotIMEI, imei.WordMalformed, imei.WordBlank:
		return lookAlikes[1:]
	}
	return lookAlikes
}

func framed(line string) string { return "\r\n" + line + "\r\n" }

// TestCorpusAnswersDoNotDependOnChunksOrEcho: cut in two at each byte, or into pieces of one size, with each echo.
func TestCorpusAnswersDoNotDependOnChunksOrEcho(t *testing.T) {
	for _, d := range dialogues(t) {
		for echo := range echoForms {
			script := d.script(echo, quiet)
			for _, size := range []int{1, 2, 3, 5, 7} {
				d.expectSame(t, script, size)
			}
		}
		script := d.script(d.row.Line, quiet)
		for cut := 1; cut < min(len(script), 200); cut++ {
			d.expectSame(t, script, cut, len(script))
		}
	}
}

// TestCorpusAnswersWithNoiseKeepTheirOutcome: each kind of noise before each line, with the echoes in turn.
func TestCorpusAnswersWithNoiseKeepTheirOutcome(t *testing.T) {
	for _, d := range dialogues(t) {
		for at := range min(len(d.lines)+1, 12) {
			for i, line := range setAside {
				d.expectSame(t, d.script(d.row.Line+at+i, only(at, framed(line))))
			}
			for i, line := range d.lookAlikes() {
				d.expectNoOther(t, d.script(d.row.Line+at+i, only(at, framed(line))))
			}
		}
	}
}

func (d dialogue) expectSame(t *testing.T, script string, sizes ...int) {
	t.Helper()
	if got := outcomeOf(askInBubble(t, d.row.Command, script, sizes...)); got != d.want {
		t.Errorf("line %d: %s answered %q in pieces of %v: got %+v, want %+v", d.row.Line, d.row.Command, script, sizes, got, d.want)
	}
}

// expectNoOther wants the same outcome or an error.
func (d dialogue) expectNoOther(t *testing.T, script string, sizes ...int) {
	t.Helper()
	got := outcomeOf(askInBubble(t, d.row.Command, script, sizes...))
	if got != d.want && (got.Word == "" || got.hasIdentity() && got.IMEI != d.want.IMEI) {
		t.Errorf("line %d: %s answered %q in pieces of %v: got %+v, want %+v or an error", d.row.Line, d.row.Command, script, sizes, got, d.want)
	}
}

// FuzzChannel: however an answer of the corpus is cut into pieces, whatever unsolicited lines stand between its lines and
// however it is echoed, it gives the same outcome; with lines that look like answers, the same or an error.
func FuzzChannel(f *testing.F) {
	rows := loadCorpus(f)
	for i := range rows {
		f.Add(byte(i), byte(i), uint64(i), "RSSI: 20", []byte{byte(i), 3})
	}
	var all []dialogue
	f.Fuzz(func(t *testing.T, row, echo byte, noise uint64, free string, sizes []byte) {
		if all == nil {
			all = dialogues(t)
		}
		d := all[int(row)%len(all)]
		if strings.ContainsAny(free, "\r\n") || len(free) > 100 || len(sizes) > 100 || d.want.Word == modem.WordTooLong {
			return
		}
		pieces := []int{len(d.lines) + 4096}
		for _, size := range sizes {
			pieces = append(pieces[:len(pieces)-1], 1+int(size), pieces[len(pieces)-1])
		}
		random := rand.New(rand.NewPCG(noise, 1))
		known := d.script(int(echo), func(int) string { return someLines(random, append([]string{"^" + free}, setAside...)) })
		d.expectSame(t, known, pieces...)
		mixed := d.script(int(echo), func(int) string { return someLines(random, slices.Concat(d.lookAlikes(), setAside)) })
		d.expectNoOther(t, mixed, pieces...)
	})
}

// someLines returns none, one or two of the lines.
func someLines(random *rand.Rand, lines []string) (text string) {
	for range random.IntN(3) {
		text += framed(lines[random.IntN(len(lines))])
	}
	return text
}
