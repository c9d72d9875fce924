// Package redact keeps identities and secrets out of logs. Start with [NewHandler]: it stands before every other handler of the
// service, so that an error that quotes what somebody sent, or a file, does no harm. It is the second line: code that logs leaves
// out what must not be logged.
package redact

import (
	"context"
	"encoding"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"unicode/utf8"

	"imei-attest/attest/imei"
)

// Hidden stands in the place of what was left out.
const Hidden = "[hidden]"

var (
	// subscriber: a SUPI (TS 23.003 clause 2.2A), or the IMSI in an IMPI (clause 13.3).
	subscriber = regexp.MustCompile(`(?i)(imsi)[-:= ]?[0-9]{5,15}|[0-9]{5,15}@`)
	privateKey = regexp.MustCompile(`(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|$)`)
	// encoded is text that may be base64, base64url or hex.
	encoded = regexp.MustCompile(`[A-Za-z0-9+/_-]{40,}`)
)

// harmless reports that a text has nothing that is looked for, as most that are logged: no digit, no word that is long enough to be
// encoded, and no block of PEM.
func harmless(text string) bool {
	const encodedLen = 40
	word := 0
	for i := range len(text) {
		if word++; text[i] == ' ' {
			word = 0
		}
		if c := text[i]; c >= '0' && c <= '9' || c >= utf8.RuneSelf || word == encodedLen {
			return false
		}
	}
	return !strings.Contains(text, "-----")
}

// Text returns a text without full IMEIs, IMSIs, tokens and keys. Names of files stay.
func Text(text string) string {
	if harmless(text) {
		return text
	}
	text = privateKey.ReplaceAllLiteralString(text, Hidden)
	text = subscriber.ReplaceAllStringFunc(text, func(found string) string {
		if strings.HasSuffix(found, "@") {
			return Hidden + "@"
		}
		return found[:len("imsi")] + Hidden
	})
	text = encoded.ReplaceAllStringFunc(text, func(found string) string {
		if isSecret(found) {
			return Hidden
		}
		return found
	})
	return imei.RedactAll(text)
}

// isSecret tells what is written in base64 or hex from the name of a file.
func isSecret(run string) bool {
	const longPiece, longRun = 40, 160 // 30 bytes and more; a token
	if isPath(run) {
		return false
	}
	if isMixed(run) && len(run) >= longRun {
		return true
	}
	for piece := range strings.SplitSeq(run, "/") {
		if len(piece) >= longPiece && (isMixed(piece) || isHex(piece)) {
			return true
		}
	}
	return false
}

// isPath knows an absolute path by its first folder, such as /var or /home, and by what folders hardly have and a token in base64 nearly
// always has: a plus. One token in some million is still taken for a path.
func isPath(run string) bool {
	first, _, below := strings.Cut(strings.TrimPrefix(run, "/"), "/")
	return run[0] == '/' && below && len(first) > 1 && strings.Trim(first, "abcdefghijklmnopqrstuvwxyz") == "" && !strings.Contains(run, "+")
}

// isMixed reports small letters, capitals and digits: text in base64 of 30 bytes has all of them but once in a thousand.
func isMixed(text string) bool {
	return strings.ContainsAny(text, "0123456789") && strings.ToLower(text) != text && strings.ToUpper(text) != text
}

func isHex(text string) bool { return strings.Trim(text, "0123456789abcdefABCDEF") == "" }

// secrets are the attributes whose values are left out whatever they are.
var secrets = map[string]bool{"imsi": true, "supi": true, "impi": true, "impu": true, "subscriber": true, "token": true, "evidence": true, "nonce": true,
	"key": true, "secret": true, "authorization": true}

// own are the attributes that the program makes up itself: looking at them would only spoil them.
var own = map[string]bool{"id": true, "version": true, "sha256": true, "generation": true, "address": true}

// Handler is a handler that redacts.
type Handler struct{ next slog.Handler }

// NewHandler puts redaction before another handler.
func NewHandler(next slog.Handler) *Handler { return &Handler{next} }

// Enabled implements slog.Handler.
func (h *Handler) Enabled(ctx context.Context, l slog.Level) bool { return h.next.Enabled(ctx, l) }

// Handle implements slog.Handler.
func (h *Handler) Handle(ctx context.Context, r slog.Record) error {
	clean := slog.NewRecord(r.Time, r.Level, Text(r.Message), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		clean.AddAttrs(attribute(a))
		return true
	})
	return h.next.Handle(ctx, clean)
}

// WithAttrs implements slog.Handler.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	clean := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		clean[i] = attribute(a)
	}
	return &Handler{h.next.WithAttrs(clean)}
}

// WithGroup implements slog.Handler.
func (h *Handler) WithGroup(name string) slog.Handler { return &Handler{h.next.WithGroup(Text(name))} }

func attribute(a slog.Attr) slog.Attr {
	switch {
	case secrets[a.Key]:
		return slog.String(a.Key, Hidden)
	case own[a.Key]:
		return a
	}
	a.Value = value(a.Value.Resolve())
	return a
}

func value(v slog.Value) slog.Value {
	switch v.Kind() {
	case slog.KindString:
		return slog.StringValue(Text(v.String()))
	case slog.KindGroup:
		var clean []slog.Attr
		for _, a := range v.Group() {
			clean = append(clean, attribute(a))
		}
		return slog.GroupValue(clean...)
	case slog.KindAny:
		return slog.AnyValue(anything(v.Any()))
	}
	return v // numbers, times and durations name nobody
}

// anything redacts what is written as text; of a list, each item.
func anything(v any) any {
	switch v := v.(type) {
	case error:
		return Text(v.Error())
	case encoding.TextMarshaler:
		text, err := v.MarshalText()
		if err != nil {
			return Hidden
		}
		return Text(string(text))
	case []string:
		clean := make([]string, len(v))
		for i, text := range v {
			clean[i] = Text(text)
		}
		return clean
	}
	return list(v)
}

// list is for lists of named texts, such as reasons. Whatever else comes is written down by its type's own rules, and redacted.
func list(v any) any { return words(Text(fmt.Sprint(v))) }

// words makes a list of what fmt.Sprint makes of one.
func words(text string) any {
	inner, isList := strings.CutPrefix(text, "[")
	if inner, ends := strings.CutSuffix(inner, "]"); isList && ends {
		return append([]string{}, strings.Fields(inner)...)
	}
	return text
}
