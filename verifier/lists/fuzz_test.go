package lists_test

import (
	"regexp"
	"strings"
	"testing"

	"imei-attest/attest/imei"
	"imei-attest/verifier"
	"imei-attest/verifier/lists"
)

var anIMEI = regexp.MustCompile(`[0-9]{14}`)

// FuzzRead: a list finds for each IMEI in it what a reader finds who goes through its lines one by one, and a message quotes no IMEI.
func FuzzRead(f *testing.F) {
	for _, lines := range []string{
		"black,356938035643809,,stolen\nwhite,35693803,,\n",
		"grey,35693803564300-35693803564399,,\nblack,35693803564380-35693803564400,,b\nwhite,35693803564390-35693803564999,,\n",
		"white,356938035643809,imsi-001010000000017,\nblack-wide,35693803,,\nblack,3569380356438099,,\"a, b\"\n",
		"black,356938035643808,,\nred,35693803564380,,\nwhite,35693803564380,356938035643809@x y,356938035643809\n",
	} {
		f.Add(lists.Header + "\n" + lines)
	}
	f.Fuzz(func(t *testing.T, text string) {
		l, err := lists.Read(strings.NewReader(text))
		if err != nil {
			if anIMEI.MatchString(err.Error()) {
				t.Errorf("the message has an IMEI: %v", err)
			}
			return
		}
		lines := entries(text)
		for _, line := range lines {
			for _, body := range []string{line.first, line.last} {
				id, err := imei.FromBody(body)
				if err != nil {
					continue // the first of a TAC of zeros
				}
				got, want := l.Find(id, line.subscriber), slowly(lines, body, line.subscriber)
				if got.Colour != want.Colour || got.Breadth != want.Breadth {
					t.Errorf("found %s, want %s", say(got), say(want))
				}
			}
		}
	})
}

type line struct {
	verifier.Listed
	first, last, subscriber string
}

// entries reads a list that is right.
func entries(text string) (all []line) {
	for _, row := range strings.Split(text[strings.Index(text, lists.Header)+len(lists.Header):], "\n")[1:] {
		columns := strings.SplitN(strings.TrimSuffix(row, "\r"), ",", 4)
		if len(columns) < 4 {
			continue
		}
		var e line
		e.Colour = verifier.Colour(strings.TrimSuffix(columns[0], "-wide"))
		e.subscriber = verifier.NormalSubscriber(strings.TrimPrefix(columns[2], "imsi-"))
		first, last, isRange := strings.Cut(columns[1], "-")
		switch {
		case isRange:
			e.Breadth, e.first, e.last = verifier.BreadthRange, first, last
		case len(first) == 8:
			e.Breadth, e.first, e.last = verifier.BreadthTAC, first+"000000", first+"999999"
		default:
			if e.Breadth, e.first, e.last = verifier.BreadthIMEI, first[:14], first[:14]; e.subscriber != "" {
				e.Breadth = verifier.BreadthPairing
			}
		}
		all = append(all, e)
	}
	return all
}

func slowly(lines []line, body, subscriber string) (found verifier.Listed) {
	for _, e := range lines {
		if e.first <= body && body <= e.last && (e.Breadth != verifier.BreadthPairing || e.subscriber == subscriber) && e.Before(found) {
			found = e.Listed
		}
	}
	return found
}
