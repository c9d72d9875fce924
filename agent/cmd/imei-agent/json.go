package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// The reports are flat, and encoding/json would be a twentieth of the minimal program: so they are written by hand.

// object is a JSON object (RFC 8259 section 4) whose members keep their order.
type object []member

// member is one name and its value: a string, an int, a bool, a []string, an object or a []object.
type member struct {
	name  string
	value any
}

// writeJSON writes o as one indented document.
func writeJSON(w io.Writer, o object) error {
	var b strings.Builder
	writeValue(&b, o, "\n")
	_, err := fmt.Fprintln(w, b.String())
	return err
}

// writeJSONLine writes o as one line.
func writeJSONLine(w io.Writer, o object) error {
	var b strings.Builder
	writeValue(&b, o, "")
	_, err := fmt.Fprintln(w, b.String())
	return err
}

// writeValue writes v; newline is "" for all on one line, or a line break and the indentation of the line that v begins on.
func writeValue(b *strings.Builder, v any, newline string) {
	switch v := v.(type) {
	case string:
		writeString(b, v)
	case int:
		b.WriteString(strconv.Itoa(v))
	case bool:
		b.WriteString(strconv.FormatBool(v))
	case []string:
		writeList(b, '[', ']', len(v), newline, func(i int, _ string) { writeString(b, v[i]) })
	case []object:
		writeList(b, '[', ']', len(v), newline, func(i int, inner string) { writeValue(b, v[i], inner) })
	case object:
		writeList(b, '{', '}', len(v), newline, func(i int, inner string) {
			writeString(b, v[i].name)
			b.WriteString(": ")
			writeValue(b, v[i].value, inner)
		})
	}
}

func writeList(b *strings.Builder, open, shut byte, n int, newline string, element func(i int, newline string)) {
	b.WriteByte(open)
	inner := newline
	if newline != "" {
		inner += "  "
	}
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(inner)
		element(i, inner)
	}
	if n > 0 {
		b.WriteString(newline)
	}
	b.WriteByte(shut)
}

// writeString escapes all but printable ASCII (RFC 8259 section 7); bytes that are no UTF-8 become U+FFFD.
func writeString(b *strings.Builder, s string) {
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r >= ' ' && r < utf8.RuneSelf-1:
			b.WriteRune(r)
		default:
			for _, unit := range utf16.Encode([]rune{r}) {
				fmt.Fprintf(b, `\u%04x`, unit)
			}
		}
	}
	b.WriteByte('"')
}
