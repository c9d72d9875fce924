package modem

import (
	"slices"
	"strings"

	"imei-attest/attest/imei"
)

// judge finds the identity of slot 1 in the answers of a pass, and how far they agree.
func judge(answers []Answer) (Slot, Agreement) {
	source, stable := sourceOf(answers)
	if !stable {
		return Slot{Word: WordAmbiguous}, AgreementConflict
	}
	if source == nil {
		return worst(answers), AgreementNone
	}
	slot := Slot{IMEI: source.IMEI, Form: source.Form, Word: source.Word, Text: cutText(*source)}
	conflict := false
	for _, a := range answers {
		switch body := bodyOf(a); {
		case a.Method == 0:
		case body == slot.IMEI:
			slot.Methods |= a.Method
		case !body.IsZero(), isPlaceholder(a.Word), tellsAmid(a, slot.IMEI) && a.Method != MethodVendor:
			conflict = true // but a vendor's report that lists the IMEIs of two slots contradicts nothing
		}
	}
	svn, consistent := svnOf(answers, slot.IMEI)
	slot.SVN = svn
	if consistent && svn != "" && succeeded(answers, MethodSNT3) {
		slot.Methods |= MethodSNT3
	}
	if conflict {
		return slot, AgreementConflict
	}
	return slot, grade(slot.Methods, consistent, timesTold(answers, source.Method))
}

// sourceOf returns the answer that gives slot 1 its IMEI: that to +CGSN=1, else that of the other forms when all of
// them agree. stable false: the sources contradict each other and none is preferred.
func sourceOf(answers []Answer) (source *Answer, stable bool) {
	if source, stable = agreed(answers, MethodSNT1); source != nil || !stable {
		return source, stable
	}
	return agreed(answers, MethodCGSN|MethodGSN|MethodVendor)
}

func agreed(answers []Answer, methods Method) (*Answer, bool) {
	var first *Answer
	for i, a := range answers {
		switch {
		case a.Method&methods == 0 || a.IMEI.IsZero():
		case first == nil:
			first = &answers[i]
		case first.IMEI != a.IMEI:
			return nil, false
		}
	}
	return first, true
}

// bodyOf returns the 14 digits an answer tells, as IMEI or within an IMEISV.
func bodyOf(a Answer) imei.IMEI {
	if a.IMEI.IsZero() {
		return a.IMEISV.IMEI
	}
	return a.IMEI
}

// tellsAmid reports an ambiguous answer that holds another identity than the known ones. One that holds something else, such
// as noise beside the IMEI, is no witness and speaks against nobody.
func tellsAmid(a Answer, known ...imei.IMEI) bool {
	if a.Word != WordAmbiguous {
		return false
	}
	for number := range strings.FieldsFuncSeq(a.Text, func(r rune) bool { return r < '0' || r > '9' }) {
		if len(number) < identityDigits {
			continue
		}
		if id, err := imei.FromBody(number[:identityDigits]); err != nil || !slices.Contains(known, id) {
			return true
		}
	}
	return false
}

// isPlaceholder: a form that tells a placeholder contradicts one that tells an IMEI. One that tells a module serial
// does not: the standard leaves the bare form to the manufacturer.
func isPlaceholder(word string) bool {
	return word == string(imei.WordZero) || word == string(imei.WordRepeated)
}

// svnOf returns the software version that the answers for this IMEI tell, if they tell one.
func svnOf(answers []Answer, id imei.IMEI) (svn imei.SVN, consistent bool) {
	for _, a := range answers {
		body := bodyOf(a)
		if a.SVN == "" || !body.IsZero() && body != id {
			continue
		}
		if svn != "" && svn != a.SVN {
			return "", false
		}
		svn = a.SVN
	}
	return svn, true
}

func succeeded(answers []Answer, m Method) bool {
	return slices.ContainsFunc(answers, func(a Answer) bool { return a.Method == m && a.Word == "" })
}

func timesTold(answers []Answer, m Method) (times int) {
	for _, a := range answers {
		if a.Method == m && !a.IMEI.IsZero() {
			times++
		}
	}
	return times
}

func grade(told Method, consistent bool, times int) Agreement {
	identities := told &^ MethodSNT3
	further := told & (MethodCGSN | MethodGSN | MethodVendor)
	switch {
	case consistent && times > 1 && told&MethodSNT1 != 0 && told&MethodSNT2 != 0 && further != 0:
		return AgreementFull
	case identities&(identities-1) != 0: // more than one bit
		return AgreementPartial
	}
	return AgreementSingle
}

// worst picks, where no IMEI was read, the answer that says most about why: one with a text before one without,
// and of those the earliest, so that +CGSN=1 counts most.
func worst(answers []Answer) Slot {
	var best *Answer
	for i := range answers {
		a := &answers[i]
		if a.Method == 0 || a.Method == MethodSNT3 || a.Word == string(imei.WordBlank) && !isCredibleBlank(*a, answers) {
			continue
		}
		if best == nil || rank(*a) > rank(*best) {
			best = a
		}
	}
	if best == nil {
		return Slot{Word: firstFailure(answers)}
	}
	slot := Slot{Word: best.Word, Text: cutText(*best), SVN: best.SVN}
	if best.Word == "" { // an IMEISV is all there is
		slot.Word, slot.Text = string(imei.WordIMEISV), best.IMEISV.Digits()
	}
	return slot
}

// isCredibleBlank: that a modem holds no IMEI is a heavy charge. It is believed of a form of the standard that says so
// in words, of a slot's own form where the slot has no other, or of two forms that say nothing; and only while no form fails in a way that may pass: a busy SIM or a modem
// that is starting is not a blank one. That a form is not known there is no such failure.
func isCredibleBlank(blank Answer, answers []Answer) bool {
	var saying Method
	for _, a := range answers {
		switch {
		case a.Method&identityForms == 0:
		case a.Word == string(imei.WordBlank):
			saying |= a.Method
		case a.Word != "" && !isIdentityWord(a.Word) && !isPermanent(a.Word):
			return false
		}
	}
	isStated := !blank.bare && (blank.Method&standardForms != 0 || !hasStandardForm(answers))
	return isStated || saying&(saying-1) != 0 // more than one bit
}

func hasStandardForm(answers []Answer) bool {
	return slices.ContainsFunc(answers, func(a Answer) bool { return a.Method&standardForms != 0 })
}

// identityForms give an IMEI; the other forms that the plan asks may fail for reasons of their own.
const (
	standardForms = MethodSNT1 | MethodCGSN | MethodGSN
	identityForms = standardForms | MethodVendor
)

// isPermanent reports a failure that says that the form is not known (TS 27.007 clause 9.2), as against one that may
// pass; "operation not allowed" does, when the supply recovers.
func isPermanent(word string) bool {
	switch strings.ToLower(word) {
	case WordError, WordNotSupported, wordCME + "4", wordCME + "operation not supported",
		wordCME + "50", wordCME + "incorrect parameters":
		return true
	}
	return false
}

// isIdentityWord reports a word about a text, as against one about an exchange that failed.
func isIdentityWord(word string) bool {
	switch imei.Word(word) {
	case imei.WordBlank, imei.WordZero, imei.WordRepeated, imei.WordMalformed, imei.WordNotIMEI, imei.WordIMEISV, imei.WordLuhn:
		return true
	}
	return word == WordAmbiguous
}

// firstFailure is the word of the first exchange that failed; a plan that got no answer at all timed out, and one whose
// answers hold nothing failed otherwise.
func firstFailure(answers []Answer) string {
	word := WordTimeout
	for _, a := range answers {
		if a.Method == 0 {
			continue
		}
		if a.Word != "" && !isIdentityWord(a.Word) {
			return a.Word
		}
		word = WordError
	}
	return word
}

// rank orders answers without an IMEI by how much they say about the identity.
func rank(a Answer) int {
	switch {
	case a.IMEISV != (imei.IMEISV{}):
		return 4
	case isPlaceholder(a.Word), a.Word == string(imei.WordBlank):
		return 3
	case a.Word == string(imei.WordMalformed), a.Word == WordAmbiguous, a.Word == WordTooLong:
		return 2
	case a.Word == string(imei.WordNotIMEI) && a.Text != "":
		return 1
	}
	return 0
}
