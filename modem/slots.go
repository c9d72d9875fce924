package modem

import (
	"slices"

	"imei-attest/attest/imei"
)

// judgeSlots finds the identity of each slot, and how far the answers agree.
func judgeSlots(answers []Answer) ([]Slot, Agreement) {
	count := slotsAsked(answers)
	if count < 2 {
		slot, agreement := judge(answers)
		slot.Number = 1
		return []Slot{slot}, agreement
	}
	slots, grades := make([]Slot, count), make([]Agreement, count)
	for i := range slots {
		slots[i], grades[i] = judgeOwn(i+1, answers)
	}
	if slices.Contains(grades, AgreementConflict) || isContradicted(slots, answers) {
		return slots, AgreementConflict
	}
	grades = slices.DeleteFunc(grades, func(a Agreement) bool { return a == AgreementNone })
	if len(grades) == 0 {
		return slots, AgreementNone
	}
	return slots, slices.Min(grades)
}

// slotsAsked is how many slots have forms that answer, at least 1. A form that the modem does not know reads no slot, and
// neither does one that tells the IMEISV of an identity told before: vendors number their items differently.
func slotsAsked(answers []Answer) int {
	count := 1
	var told []imei.IMEI
	for _, a := range answers {
		isVersion := a.IMEI.IsZero() && slices.Contains(told, a.IMEISV.IMEI)
		if a.Slot > count && !isPermanent(a.Word) && !isVersion {
			count = a.Slot
		}
		if !a.IMEI.IsZero() {
			told = append(told, a.IMEI)
		}
	}
	return count
}

// judgeOwn judges one of several slots. Its IMEI is what the slot's own form tells, each time. A form that may tell any
// slot's is a further witness when it always told this one's.
func judgeOwn(number int, answers []Answer) (Slot, Agreement) {
	own := slices.DeleteFunc(slices.Clone(answers), func(a Answer) bool { return a.Slot != number })
	slot, agreement := judge(own)
	slot.Number = number
	if agreement == AgreementConflict || slot.IMEI.IsZero() {
		return slot, agreement
	}
	for _, method := range sharedForms {
		if told := toldBy(method, 0, answers); len(told) == 1 && told[0] == slot.IMEI {
			slot.Methods |= method
		}
	}
	ofThis := slices.DeleteFunc(slices.Clone(answers), func(a Answer) bool { return bodyOf(a) != slot.IMEI })
	svn, consistent := svnOf(ofThis, slot.IMEI)
	slot.SVN = svn
	return slot, grade(slot.Methods, consistent, timesTold(own, MethodVendor))
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

// isContradicted reports that a shared form told what is none of the slots' identities. One that cannot be read may be
// any.
func isContradicted(slots []Slot, answers []Answer) bool {
	var known []imei.IMEI
	for _, s := range slots {
		known = append(known, s.IMEI)
	}
	isOpen := slices.Contains(known, imei.IMEI{})
	return slices.ContainsFunc(answers, func(a Answer) bool {
		id := bodyOf(a)
		switch {
		case a.Method == 0 || a.Slot != 0:
			return false
		case id.IsZero():
			return isPlaceholder(a.Word) || a.Word == WordAmbiguous
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
