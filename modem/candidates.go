package modem

import (
	"slices"
	"strings"
)

// candidates returns the texts with distinct values that could be what the command asked for, in the order sent. Lines of
// other kinds (echo, result codes, unsolicited) are already gone. ambiguous: one line alone holds two identities.
func candidates(g grammar, lines []string) (found []text, ambiguous bool) {
	texts := make([]text, len(lines))
	for i, line := range lines {
		texts[i] = g.unwrap(line)
	}
	a := survey(g, texts)
	for _, t := range texts {
		if !a.isCandidate(t) {
			continue
		}
		value, two := bareValue(t.value, t.own)
		if value == "" && t.label == a.wanted && slices.ContainsFunc(found, func(f text) bool { return f.label == a.wanted }) {
			continue // `IMEI2:` of a modem whose second slot holds nothing
		}
		ambiguous = ambiguous || two
		if t.value = value; !slices.ContainsFunc(found, func(f text) bool { return f.value == value && (f.label == labelOther) == (t.label == labelOther) }) {
			found = append(found, t)
		}
	}
	return found, ambiguous
}

// text is what a line says without the names and labels before it.
type text struct {
	value string
	own   bool // a name of the command stood before it
	label label
}

// unwrap takes off the command's own names and a label, in any order: `+CGSN: 49...`, `IMEI: +GSN: 49...`,
// `^PHYNUM:IMEI,49...`.
func (g grammar) unwrap(line string) text {
	t := text{value: line}
	for {
		if value, ok := g.ownValue(t.value); ok {
			t.value, t.own = value, true
			continue
		}
		label, value := cutLabel(t.value)
		if label == labelNone || t.label != labelNone {
			return t
		}
		t.value, t.label = value, label
	}
}

// isNumber: the value is as many digits as an identity, and not said to be another identifier.
func (t text) isNumber() bool {
	value, _ := bareValue(t.value, t.own)
	return isIdentityNumber(value) && t.label != labelOther
}

// isTold: the value has the command's own name before it, or is an identifier of some kind.
func (t text) isTold() bool {
	value, _ := bareValue(t.value, t.own)
	return t.own || isIdentifier(value) && !isTelephoneNumber(value) && !isWords(t.value) || t.label != labelNone && hasLongNumber(t.value)
}

// hasLongNumber: as many digits in a row as an identity has, whatever stands around them.
func hasLongNumber(value string) bool {
	for digits := range strings.FieldsFuncSeq(value, func(r rune) bool { return r < '0' || r > '9' }) {
		if len(digits) >= identityDigits {
			return true
		}
	}
	return false
}

// answered is what the lines of one answer are like, all together.
type answered struct {
	wanted     label // of the value that the command asks for
	isReport   bool  // the command asks for several lines
	isOnly     bool  // there is one line
	hasIMEI    bool  // one is labelled IMEI: a report to whatever command
	isLabelled bool  // one has the wanted label
	ownLabel   bool  // and the command's name before it
	hasNumber  bool
	hasOwn     bool // one has the command's name before it
	isTold     bool // one has, or is an identifier
}

func survey(g grammar, texts []text) answered {
	a := answered{wanted: labelIMEI, isReport: g.ask == askReport, isOnly: len(texts) == 1}
	if g.ask == askIMEISV {
		a.wanted = labelIMEISV
	}
	for _, t := range texts {
		a.hasIMEI = a.hasIMEI || t.label == labelIMEI
		a.isLabelled = a.isLabelled || t.label == a.wanted
		a.ownLabel = a.ownLabel || t.label == a.wanted && t.own
		a.hasNumber = a.hasNumber || t.isNumber()
		a.hasOwn = a.hasOwn || t.own
		a.isTold = a.isTold || t.isTold()
	}
	return a
}

// isCandidate: where lines are labelled the label decides; beside them a number may be the answer, and they a late one to
// another command, unless a report was asked for. Words beside what answers are none.
func (a answered) isCandidate(t text) bool {
	switch {
	case t.label == a.wanted:
		return true
	case t.label != labelNone && a.isLabelled, t.label == labelSVN && a.hasNumber && !t.isTold():
		return false
	case t.label == labelOther && (a.hasIMEI || a.isReport || a.hasOwn && !t.own || a.isTold && !t.isTold()):
		return false
	case isTelephoneNumber(t.value) && !t.own && !a.isOnly:
		return false
	case a.isReport:
		return !a.isLabelled && t.isNumber()
	case a.hasIMEI:
		return t.isNumber() || t.own && !a.ownLabel
	}
	return t.own || t.label != labelNone || !a.isTold || !isWords(t.value)
}
