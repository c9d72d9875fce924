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
		var b strings.Builder
		o := object{{"text", s}, {"number", n}, {"list", []string{s, "x"}}, {"none", []string{}},
			{"objects", []object{{{"inner " + s, s}}, {}}}}
		if err := writeJSON(&b, o); err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := json.Unmarshal([]byte(b.String()), &got); err != nil {
			t.Fatalf("%v in %s", err, b.String())
		}
		clean := string([]rune(s)) // one U+FFFD for each byte that is no UTF-8
		want := map[string]any{"text": clean, "number": float64(n), "list": []any{clean, "x"}, "none": []any{},
			"objects": []any{map[string]any{"inner " + clean: clean}, map[string]any{}}}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %v, want %v", s, got, want)
		}
	})
}
