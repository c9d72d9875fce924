package strictyaml

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Text takes any text.
func Text(text string) (string, error) { return text, nil }

// OneOf reads one of a few words.
func OneOf[T fmt.Stringer](choices ...T) func(string) (T, error) {
	return func(text string) (T, error) {
		var names []string
		for _, c := range choices {
			if c.String() == text {
				return c, nil
			}
			names = append(names, c.String())
		}
		var none T
		return none, fmt.Errorf("unknown word %q: want %s", text, Alternatives(names))
	}
}

// Duration reads a duration above zero and at most as long.
func Duration(most time.Duration) func(string) (time.Duration, error) {
	return func(text string) (time.Duration, error) {
		d, err := time.ParseDuration(text)
		switch {
		case err != nil:
			return 0, fmt.Errorf("%q is no duration: want a number with h, m or s, such as 24h or 15m", text)
		case d <= 0:
			return 0, fmt.Errorf("%s is not above zero", text)
		case d > most:
			return 0, fmt.Errorf("%s is more than %.0fh, the most", text, most.Hours())
		}
		return d, nil
	}
}

// Count reads a whole number from 1.
func Count(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%q: want a whole number from 1 to %d", text, math.MaxInt32)
	}
	return int(n), nil
}

// Meant completes a message about a word that is none of the names.
func Meant(word string, names []string) string {
	if near := Closest(word, names); near != "" {
		return ": did you mean " + near + "?"
	}
	return ": want " + Alternatives(names)
}

// Alternatives joins words by commas and "or".
func Alternatives(names []string) string {
	last := len(names) - 1
	if last < 1 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// Closest is the name that a word was probably meant to be, or nothing.
func Closest(word string, names []string) string {
	const longest = 64 // no name is longer
	if len(word) > longest {
		return ""
	}
	best, least := "", 2+len(word)/3 // about a third of the letters may be wrong
	for _, name := range names {
		if d := distance(word, name); d < least {
			best, least = name, d
		}
	}
	return best
}

// distance is how many letters must be put in, left out or replaced to make b of a (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
