package main

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// FuzzJSON: what is written is what encoding/json reads back.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{"", "490154203237518", `"\`, "a\nb\x00\x7f", "é€😀", "\xff\xfe", "</script>"} {
		f.Add(s, 7)
	}
	f.Fuzz(func(t *testing.T, s string, n int) {
		var b, line strings.Builder
		o := object{{"text", s}, {"number", n}, {"truth", n > 0}, {"list", []string{s, "x"}}, {"none", []string{}},
			{"objects", []object{{{"inner " + s, s}}, {}}}}
		if err := writeJSON(&b, o); err != nil {
			t.Fatal(err)
		}
		if err := writeJSONLine(&line, o); err != nil || strings.Count(line.String(), "\n") != 1 {
			t.Errorf("on one line, %v: %q", err, line.String())
		}
		var got, gotLine map[string]any
		if err := json.Unmarshal([]byte(b.String()), &got); err != nil {
			t.Fatalf("%v in %s", err, b.String())
		}
		if err := json.Unmarshal([]byte(line.String()), &gotLine); err != nil || !reflect.DeepEqual(got, gotLine) {
			t.Errorf("on one line, %v: %s", err, line.String())
		}
		clean := string([]rune(s)) // one U+FFFD for each byte that is no UTF-8
		want := map[string]any{"text": clean, "number": float64(n), "truth": n > 0, "list": []any{clean, "x"}, "none": []any{},
			"objects": []any{map[string]any{"inner " + clean: clean}, map[string]any{}}}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %v, want %v", s, got, want)
		}
	})
}
