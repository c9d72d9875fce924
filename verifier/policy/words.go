package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"imei-attest/attest"
	"imei-attest/attest/imei"
	"imei-attest/verifier"
	"imei-attest/verifier/strictyaml"
)

// The most that a policy may state.
const (
	maxName  = 64             // characters
	maxPrior = 24 * time.Hour // an earlier result stands in for evidence
	maxAge   = 10 * 365 * 24 * time.Hour
)

func parseName(text string) (string, error) {
	if utf8.RuneCountInString(text) > maxName {
		return "", fmt.Errorf("has more than %d characters: shorten it", maxName)
	}
	return text, nil
}

func parseReason(text string) (attest.Reason, error) {
	if r := attest.Reason(text); slices.Contains(attest.Reasons(), r) {
		return r, nil
	}
	var names []string
	for _, r := range attest.Reasons() {
		names = append(names, string(r))
	}
	if near := strictyaml.Closest(text, names); near != "" {
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

// parseSubscriber takes an IMPI or a SUPI; those of one IMSI are one.
func parseSubscriber(text string) (string, error) { return verifier.NormalSubscriber(text), nil }

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
	parse := strictyaml.OneOf(reasonActions...)
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
