package modem

import (
	"slices"

	"imei-attest/attest/imei"
)

// judgeSlots finds the identity of each slot, and how far the answers agree. A modem has several slots if its profile
// says so for certain, the known ones, or if the own forms of several told identities of their own.
func judgeSlots(answers []Answer, known int) ([]Slot, Agreement) {
	count := max(known, slotsTold(answers))
	if count < 2 {
		slot, agreement := judge(ofSlots(answers, 0, 1))
		slot.Number, slot.Agreement = 1, agreement
		return []Slot{slot}, agreement
	}
	slots := make([]Slot, count)
	least := AgreementNone
	for i := range slots {
		slots[i] = judgeOwn(i+1, answers)
		if a := slots[i].Agreement; a != AgreementNone && (least == AgreementNone || a < least) {
			least = a
		}
	}
	if isContradicted(slots, answers) {
		least = AgreementConflict
	}
	return slots, least
}

// slotsTold is the highest slot whose own form told an IMEI that none before it told. Vendors number their items
// differently: a form that fails, that holds nothing or that tells the identity of a slot before reads no slot.
func slotsTold(answers []Answer) int {
	var told []imei.IMEI
	count := 1
	for slot := 1; slot <= MaxSlots; slot++ {
		for _, a := range ofSlots(answers, slot) {
			if !a.IMEI.IsZero() && !slices.Contains(told, a.IMEI) {
				told, count = append(told, a.IMEI), slot
			}
		}
	}
	if len(told) < 2 {
		return 1
	}
	return count
}

// ofSlots are the answers of the forms bound to one of the slots; 0 is for those bound to none.
func ofSlots(answers []Answer, slots ...int) []Answer {
	return slices.DeleteFunc(slices.Clone(answers), func(a Answer) bool { return !slices.Contains(slots, a.Slot) })
}

// judgeOwn judges one of several slots. Its IMEI is what the slot's own form told each time it was asked. A form that may
// tell any slot's is a further witness when it always told this one's.
func judgeOwn(number int, answers []Answer) Slot {
	own := ofSlots(answers, number)
	slot, agreement := judge(own)
	slot.Number, slot.Agreement = number, agreement
	if agreement == AgreementConflict || slot.IMEI.IsZero() {
		return slot
	}
	if failed := slices.IndexFunc(own, func(a Answer) bool { return a.IMEI.IsZero() }); failed >= 0 {
		word := own[failed].Word
		isNoise := word == WordAmbiguous && !tellsAmid(own[failed], slot.IMEI)
		if word == "" || isIdentityWord(word) && !isNoise { // it told an IMEI once, and something else once
			return Slot{Number: number, Word: WordAmbiguous, Agreement: AgreementConflict}
		}
		return Slot{Number: number, Word: word}
	}
	for _, method := range sharedForms {
		if told := toldBy(method, 0, answers); len(told) == 1 && told[0] == slot.IMEI {
			slot.Methods |= method
		}
	}
	ofThis := slices.DeleteFunc(slices.Clone(answers), func(a Answer) bool { return bodyOf(a) != slot.IMEI })
	svn, consistent := svnOf(ofThis, slot.IMEI)
	slot.SVN, slot.Agreement = svn, grade(slot.Methods, consistent, timesTold(own, MethodVendor))
	return slot
}

// sharedForms may tell the identity of any slot.
var sharedForms = []Method{MethodSNT1, MethodSNT2, MethodCGSN, MethodGSN}

// toldBy returns the distinct identities that one form told.
func toldBy(method Method, slot int, answers []Answer) (told []imei.IMEI) {
	for _, a := range answers {
		if id := bodyOf(a); a.Method == method && a.Slot == slot && !id.IsZero() && !slices.Contains(told, id) {
			told = append(told, id)
		}
	}
	return told
}

// isContradicted reports that a slot contradicts itself, that two told one identity, or that a shared form told what is
// none of theirs. A slot that could not be read this time may have any.
func isContradicted(slots []Slot, answers []Answer) bool {
	var known []imei.IMEI
	words := make(map[string]bool)
	isOpen := false
	for _, s := range slots {
		if s.Agreement == AgreementConflict || slices.Contains(known, s.IMEI) {
			return true
		}
		words[s.Word] = true
		if s.IMEI.IsZero() {
			isOpen = isOpen || !isIdentityWord(s.Word)
			continue
		}
		known = append(known, s.IMEI)
	}
	return slices.ContainsFunc(ofSlots(answers, 0), func(a Answer) bool {
		id := bodyOf(a)
		switch {
		case a.Method == 0:
			return false
		case a.Word == WordAmbiguous:
			return !isOpen && tellsAmid(a, known...)
		case id.IsZero():
			return isPlaceholder(a.Word) && !words[a.Word]
		}
		return !isOpen && !slices.Contains(known, id)
	})
}

// alternating returns the methods that told one identity and later another.
func alternating(answers []Answer) (methods Method) {
	for _, a := range answers {
		if len(toldBy(a.Method, a.Slot, answers)) > 1 {
			methods |= a.Method
		}
	}
	return methods
}
