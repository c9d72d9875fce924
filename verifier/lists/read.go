package lists

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"imei-attest/attest/imei"
	"imei-attest/verifier"
)

// Header is the first line of a list, and its columns.
const Header = "status,imei,subscriber,reason"

// ForcedLine stands before the header of a list that may take the place of any other.
const ForcedLine = "#forced"

// The most that a list may be.
const (
	MaxEntries = 2_000_000
	maxLine    = 512 // bytes
	maxReason  = 64  // characters
	maxDigits  = 8   // in a row in a reason: a date, or a TAC, and no identity
	maxErrors  = 20  // mistakes that are told
)

// wideFrom is how many IMEIs a black entry may be about without saying so: a unit has one IMEI or a few, and whoever cuts off the end of one bars a model.
const wideFrom = 10_000

// wideWord is how it says so.
const wideWord = "black-wide"

// Read reads a list. The error lists the mistakes, each with its line, or is r's.
func Read(r io.Reader) (*List, error) {
	rd := &reader{list: List{whys: []string{""}}, whys: map[string]uint32{"": 0}}
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, maxLine), maxLine)
	if err := rd.header(lines); err != nil {
		return nil, err
	}
	for rd.more(lines) {
		if err := rd.entry(lines.Text()); err != nil {
			rd.mistakes = append(rd.mistakes, fmt.Errorf("line %d: %w", rd.line, err))
		}
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		rd.mistakes = append(rd.mistakes, fmt.Errorf("line %d: has more than %d bytes: shorten it", rd.line+1, maxLine-1))
	case err != nil:
		return nil, err
	}
	if len(rd.mistakes) > 0 {
		return nil, errors.Join(rd.mistakes...)
	}
	rd.list.settle()
	return &rd.list, nil
}

type reader struct {
	list     List
	whys     map[string]uint32
	line     int
	entries  int
	mistakes []error
}

// more moves on to the next line.
func (r *reader) more(lines *bufio.Scanner) bool {
	if len(r.mistakes) >= maxErrors {
		r.mistakes = append(r.mistakes, errors.New("and perhaps more: the rest was not read"))
		return false
	}
	if r.entries > MaxEntries || !lines.Scan() {
		return false
	}
	r.line++
	return true
}

func (r *reader) header(lines *bufio.Scanner) error {
	const mark = "\ufeff" // of spreadsheets, before UTF-8
	for r.more(lines) {
		switch text := strings.TrimPrefix(lines.Text(), mark); {
		case text == ForcedLine && r.line == 1:
			r.list.Forced = true
		case text == Header:
			return nil
		default:
			return fmt.Errorf("line %d: is not the header: want %s, separated by commas", r.line, Header)
		}
	}
	if err := lines.Err(); err != nil && !errors.Is(err, bufio.ErrTooLong) {
		return err
	}
	return fmt.Errorf("line %d: there is no header: want %s", r.line+1, Header)
}

// entry reads a line. The last column may hold commas; it may be quoted, as spreadsheets do.
func (r *reader) entry(text string) error {
	const all = 4 // of Header
	columns := strings.SplitN(text, ",", all)
	if len(columns) != all {
		return fmt.Errorf("has %d columns: want %s; the last two may be empty, but not their commas", len(columns), Header)
	}
	if r.entries++; r.entries > MaxEntries {
		return fmt.Errorf("is more than %d entries: put ranges or TACs in the place of single IMEIs", MaxEntries)
	}
	colour, wide, err := parseColour(columns[0])
	if err != nil {
		return fmt.Errorf("status: %w", err)
	}
	breadth, s, err := parseSpan(columns[1])
	if err != nil {
		return fmt.Errorf("imei: %w", err)
	}
	s.colour = colour
	if isWide := s.last-s.first+1 > wideFrom; colour == black && isWide && !wide {
		return fmt.Errorf("status: black for %d IMEIs: write %s if all of them are meant, or else the whole IMEI", s.last-s.first+1, wideWord)
	}
	if s.why, err = r.why(columns[3]); err != nil {
		return fmt.Errorf("reason: %w", err)
	}
	if columns[2] == "" {
		r.list.spans[breadth] = append(r.list.spans[breadth], s)
		return nil
	}
	subscriber, err := parseSubscriber(columns[2])
	switch {
	case err != nil:
		return fmt.Errorf("subscriber: %w", err)
	case breadth != ofIMEI:
		return errors.New("subscriber: stands beside more than one IMEI: a pairing is of one IMEI; write a line for each, or leave the subscriber out")
	}
	r.list.pairs = append(r.list.pairs, pair{s.first, strings.Clone(subscriber), s.entry})
	return nil
}

func parseColour(text string) (colour uint8, wide bool, err error) {
	if text == wideWord {
		return black, true, nil
	}
	at := slices.Index(colourWords, verifier.Colour(text))
	if at < 0 {
		return 0, false, fmt.Errorf("%q is none: want black, grey, white or %s", imei.RedactAll(text), wideWord)
	}
	return uint8(at), false, nil
}

// parseSpan reads an IMEI, FIRST-LAST of one TAC, or a TAC.
func parseSpan(text string) (breadth uint8, s span, err error) {
	const tac, units = 8, 1_000_000
	if text == "" {
		return 0, s, errors.New("is empty: want an IMEI, a range FIRST-LAST or a TAC")
	}
	first, last, isRange := strings.Cut(text, "-")
	switch {
	case isRange:
		s.first, err = parseBody(first)
		if err == nil {
			s.last, err = parseBody(last)
		}
		switch {
		case err != nil:
			err = fmt.Errorf("a range is two times the 14 digits without the check digit, with a hyphen between them: %w", err)
		case s.first > s.last:
			err = errors.New("the range ends before it begins: exchange the two")
		case s.first/units != s.last/units:
			err = errors.New("the range is of more than one TAC, so perhaps of several makers: write a line for each TAC")
		}
		return ofRange, s, err
	case len(text) == tac && strings.Trim(text, "0123456789") == "":
		for _, digit := range []byte(text) {
			s.first = s.first*10 + uint64(digit-'0')
		}
		s.first *= units
		s.last = s.first + units - 1
		return ofTAC, s, nil
	}
	id, err := ParseIMEI(text)
	n := number(id)
	return ofIMEI, span{first: n, last: n}, err
}

func parseBody(text string) (uint64, error) {
	id, err := imei.FromBody(text)
	return number(id), err
}

// ParseIMEI takes 14 digits, 15 with the right check digit, or the 16 of an IMEISV: 14 count (TS 22.016 clause 3). The error quotes none.
func ParseIMEI(text string) (imei.IMEI, error) {
	const body, withCheck, withVersion = 14, 15, 16
	switch len(text) {
	case body:
		return imei.FromBody(text)
	case withCheck:
		id, err := imei.Parse(text)
		if err != nil {
			err = fmt.Errorf("%w: correct it, or write the first 14 digits if you are sure of them", err)
		}
		return id, err
	case withVersion:
		v, err := imei.ParseIMEISV(text)
		return v.IMEI, err
	}
	return imei.IMEI{}, fmt.Errorf("%d characters are none: want the 14, 15 or 16 digits of an IMEI, 14 digits, a hyphen and 14 digits, or the 8 of a TAC", utf8.RuneCountInString(text))
}

// parseSubscriber takes an IMSI, alone or as a SUPI, or an IMPI.
func parseSubscriber(text string) (string, error) {
	const least, most = 6, 15 // digits of an IMSI (TS 23.003 clause 2.2)
	digits := strings.TrimPrefix(text, "imsi-")
	isIMSI := len(digits) >= least && len(digits) <= most && strings.Trim(digits, "0123456789") == ""
	user, domain, isIMPI := strings.Cut(text, "@")
	if !isIMSI && (!isIMPI || user == "" || domain == "" || strings.ContainsFunc(text, notInName)) {
		return "", errors.New("is none: want the IMSI, imsi- and the IMSI, or a private user identity NAME@DOMAIN; or nothing")
	}
	if isIMSI {
		return digits, nil
	}
	return verifier.NormalSubscriber(text), nil
}

func notInName(r rune) bool { return unicode.IsSpace(r) || !unicode.IsGraphic(r) || r == '"' }

// why keeps a reason once, and refuses one that may name somebody: decisions are recorded with it.
func (r *reader) why(text string) (uint32, error) {
	if quoted, is := strings.CutPrefix(text, `"`); is {
		inner, ends := strings.CutSuffix(quoted, `"`)
		if !ends || strings.Contains(strings.ReplaceAll(inner, `""`, ""), `"`) {
			return 0, errors.New("its quotation marks do not match: write \" at both ends, and \"\" for one inside, or none")
		}
		text = strings.ReplaceAll(inner, `""`, `"`)
	}
	if at, known := r.whys[text]; known {
		return at, nil
	}
	digits := 0
	for _, c := range text {
		if digits++; c < '0' || c > '9' {
			digits = 0
		}
		switch {
		case !unicode.IsPrint(c) || c == utf8.RuneError:
			return 0, errors.New("has something that cannot be printed: write words in UTF-8")
		case c == '@' || digits > maxDigits:
			return 0, fmt.Errorf("may name somebody, and is recorded with decisions: leave out @, and numbers of more than %d digits", maxDigits)
		}
	}
	if n := utf8.RuneCountInString(text); n > maxReason {
		return 0, fmt.Errorf("has %d characters: at most %d are kept", n, maxReason)
	}
	at := uint32(len(r.list.whys))
	text = strings.Clone(text) // not the line that it is of
	r.list.whys, r.whys[text] = append(r.list.whys, text), at
	return at, nil
}
