package modem

import "testing"

// That a modem holds no IMEI is a heavy charge: it needs an answer that says so, and no other that merely failed.
func TestBlankIsBelievedOnlyWhileNothingFails(t *testing.T) {
	const blank, busy = "blank_imei", "cme:SIM busy"
	nothing := func(m Method) Answer { return Answer{Method: m, Word: blank, bare: true} }
	empty := func(m Method) Answer { return Answer{Method: m, Word: blank} }
	failing := func(m Method, word string) Answer { return Answer{Method: m, Word: word} }
	for _, c := range []struct {
		name    string
		answers []Answer
		want    string
	}{
		{"every form says nothing", []Answer{nothing(MethodSNT1), nothing(MethodCGSN), nothing(MethodGSN)}, blank},
		{"every form says empty", []Answer{empty(MethodSNT1), empty(MethodCGSN)}, blank},
		{"a witness says nothing while the others are busy", []Answer{failing(MethodSNT1, busy), failing(MethodCGSN, busy), nothing(MethodGSN)}, busy},
		{"a witness says empty while the others are busy", []Answer{failing(MethodSNT1, busy), empty(MethodVendor)}, busy},
		{"a witness says empty and one timed out", []Answer{failing(MethodSNT1, WordTimeout), empty(MethodVendor)}, WordTimeout},
		{"two forms say nothing and the others are not known", []Answer{failing(MethodSNT1, WordError), failing(MethodSNT2, WordError), nothing(MethodCGSN), nothing(MethodGSN)}, blank},
		{"all say nothing but the version is not known", []Answer{nothing(MethodSNT1), failing(MethodSNT3, WordError), nothing(MethodCGSN), {Method: MethodVendor, Word: "not_imei"}}, blank},
		{"all say nothing but the vendor's form is not known", []Answer{nothing(MethodSNT1), nothing(MethodCGSN), failing(MethodVendor, WordError)}, blank},
		{"a form says empty and others do not know their parameters", []Answer{{Method: MethodSNT1, Word: blank}, failing(MethodSNT2, "cme:Incorrect parameters"), failing(MethodSNT3, "cme:4")}, blank},
		{"erased memory, and the version fails", []Answer{{Method: MethodSNT1, Word: blank, Text: "FFFFFFFFFFFFFFF"}, failing(MethodSNT3, "cme:memory failure")}, blank},
		{"a vendor's form alone says empty", []Answer{failing(MethodSNT1, WordError), failing(MethodCGSN, WordError), failing(MethodGSN, WordError), empty(MethodVendor)}, WordError},
		{"the first form says nothing and the others fail", []Answer{nothing(MethodSNT1), failing(MethodCGSN, WordError)}, WordError},
		{"the bare form says empty and the others are not known", []Answer{failing(MethodSNT1, WordError), empty(MethodCGSN), failing(MethodGSN, WordNotSupported)}, blank},
		{"erased memory is credible beside forms that are not known", []Answer{failing(MethodSNT1, WordError), {Method: MethodCGSN, Word: blank, Text: "FFFFFFFFFFFFFFF"}}, blank},
		{"a module serial beside a form that says nothing", []Answer{nothing(MethodSNT1), failing(MethodSNT2, WordError), {Method: MethodCGSN, Word: "not_imei", Text: "2623CKLQ0001234"}}, "not_imei"},
	} {
		if slot, agreement := judge(c.answers); slot.Word != c.want || agreement != AgreementNone {
			t.Errorf("%s: %+v, agreement %s, want the word %s", c.name, slot, agreement, c.want)
		}
	}
}
