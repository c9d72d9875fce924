package policy

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"imei-attest/attest"
	"imei-attest/attest/imei"
	"imei-attest/verifier"
)

// The most that a policy may state.
const (
	maxName  = 64             // characters
	maxPrior = 24 * time.Hour // an earlier result stands in for evidence
	maxAge   = 10 * 365 * 24 * time.Hour
)

func parseText(text string) (string, error) { return text, nil }

func parseName(text string) (string, error) {
	if utf8.RuneCountInString(text) > maxName {
		return "", fmt.Errorf("has more than %d characters: shorten it", maxName)
	}
	return text, nil
}

// oneOf reads one of a few words.
func oneOf[T fmt.Stringer](choices ...T) func(string) (T, error) {
	return func(text string) (T, error) {
		var names []string
		for _, c := range choices {
			if c.String() == text {
				return c, nil
			}
			names = append(names, c.String())
		}
		var none T
		return none, fmt.Errorf("unknown word %q: want %s", text, alternatives(names))
	}
}

func parseReason(text string) (attest.Reason, error) {
	if r := attest.Reason(text); slices.Contains(attest.Reasons(), r) {
		return r, nil
	}
	var names []string
	for _, r := range attest.Reasons() {
		names = append(names, string(r))
	}
	if near := closest(text, names); near != "" {
		return "", fmt.Errorf("unknown reason %q: did you mean %s?", text, near)
	}
	return "", fmt.Errorf("unknown reason %q: imei-verifier policy explain lists them", text)
}

// parseOptIn reads a reason that may count as contraindicated above its floor.
func parseOptIn(text string) (attest.Reason, error) {
	may := []attest.Reason{attest.ReasonSubscriberDiffers, attest.ReasonWeaknessUnremedied}
	if r := attest.Reason(text); slices.Contains(may, r) {
		return r, nil
	}
	return "", fmt.Errorf("%q cannot be made contraindicated: want %s or %s; to refuse for another reason, list it under reasons", text, may[0], may[1])
}

// age reads a duration above zero.
func age(most time.Duration) func(string) (time.Duration, error) {
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

// parseShare reads a percentage. The % is demanded: who writes 0.05 may mean 5 % or a twentieth of one.
func parseShare(text string) (float64, error) {
	const want = "want a percentage above 0 % and at most 100 %, such as 5%"
	number, isPercent := strings.CutSuffix(text, "%")
	number = strings.TrimSpace(number)
	percent, err := strconv.ParseFloat(number, 64)
	if !isPercent || err != nil || strings.Trim(number, "0123456789.") != "" || percent <= 0 || percent > 100 {
		return 0, fmt.Errorf("%q: %s", text, want)
	}
	return percent / 100, nil
}

func parseCount(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%q: want a whole number from 1 to %d", text, math.MaxInt32)
	}
	return int(n), nil
}

// parseIMEI takes 14 digits, or 15 with the right check digit.
func parseIMEI(text string) (imei.IMEI, error) {
	const body = 14
	parse := imei.Parse
	if len(text) == body {
		parse = imei.FromBody
	}
	id, err := parse(text)
	if err != nil {
		return imei.IMEI{}, fmt.Errorf("%w; want the 14 digits, or 15 with the check digit", err)
	}
	return id, nil
}

func parseTime(text string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is no time: want date and time of day, such as 2026-12-24T00:00:00Z", text)
	}
	return t.UTC(), nil
}

// parseAction reads what a policy may make of a reason.
func parseAction(r attest.Reason) func(string) (verifier.Action, error) {
	parse := oneOf(reasonActions...)
	return func(text string) (verifier.Action, error) {
		a, err := parse(text)
		switch most := limit(r); {
		case err != nil:
			return a, err
		case a > most:
			return a, fmt.Errorf("%s is more than this reason allows, %s: %q", a, most, r.Info().Sentence)
		}
		return a, nil
	}
}

var reasonActions = []verifier.Action{verifier.ActionObserve, verifier.ActionWarn, verifier.ActionChallenge, verifier.ActionDeny}

// limit is the strictest action that a policy may take on a reason; on one that the table does not know, none.
func limit(r attest.Reason) verifier.Action {
	a, _ := verifier.ParseAction(r.Info().Limit.String())
	return a
}

// meant completes a message about a word that is none of the names.
func meant(word string, names []string) string {
	if near := closest(word, names); near != "" {
		return ": did you mean " + near + "?"
	}
	return ": want " + alternatives(names)
}

func alternatives(names []string) string {
	last := len(names) - 1
	if last < 1 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// closest is the name that a word was probably meant to be, or nothing.
func closest(word string, names []string) string {
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
