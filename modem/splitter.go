package modem

import "strings"

// splitter cuts the byte stream into lines. CR and LF each end a line and empty lines are dropped, so CR LF, CR CR LF
// and modems that send only one of the two all look alike (V.250 clause 5.7.1).
type splitter struct {
	line []byte
}

// push takes one byte. It returns a line when b ended one that is not empty, and tooLong when the line has outgrown
// [MaxLine]; the rest of it is then a new line.
func (s *splitter) push(b byte) (line string, complete, tooLong bool) {
	if b == '\r' || b == '\n' {
		line = trimLine(string(s.line))
		s.line = s.line[:0]
		return line, line != "", false
	}
	if len(s.line) == MaxLine {
		s.line = s.line[:0]
		return "", false, true
	}
	s.line = append(s.line, b)
	return "", false, false
}

// reset forgets an unfinished line.
func (s *splitter) reset() { s.line = s.line[:0] }

// trimLine takes off blanks and what a UART makes of a waking modem: NUL, flow control and 0xFF bytes at either end.
func trimLine(s string) string {
	start, end := 0, len(s)
	for start < end && isPadding(s[start]) {
		start++
	}
	for end > start && isPadding(s[end-1]) {
		end--
	}
	return s[start:end]
}

func isPadding(b byte) bool { return b <= ' ' || b == 0x7F || b == 0xFF }

// printable makes foreign bytes fit for evidence, logs and terminals: at most limit characters, Latin-1 read as
// such, control characters replaced by dots.
func printable(s string, limit int) string {
	var out strings.Builder
	for i := 0; i < len(s) && i < limit; i++ {
		r := rune(s[i])
		if r < ' ' || r >= 0x7F && r < 0xA0 {
			r = '.'
		}
		out.WriteRune(r)
	}
	return out.String()
}

// printableASCII is printable without the upper half of Latin-1.
func printableASCII(s string, limit int) string {
	out := []byte(s[:min(len(s), limit)])
	for i, b := range out {
		if b < ' ' || b >= 0x7F {
			out[i] = '.'
		}
	}
	return string(out)
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}
