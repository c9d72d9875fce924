package agent_test

import (
	"slices"
	"testing"

	"imei-attest/agent"
	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/attest/imei"
	"imei-attest/modem"
)

func TestCompare(t *testing.T) {
	own, second, other := attesttest.MustIMEI(attesttest.IMEI1), attesttest.MustIMEI(attesttest.IMEI2), attesttest.MustIMEI(attesttest.OtherIMEI)
	slots := func(ids ...imei.IMEI) (s []modem.Slot) {
		for i, id := range ids {
			s = append(s, modem.Slot{Number: i + 1, IMEI: id})
		}
		return s
	}
	for _, tt := range []struct {
		name        string
		provisioned []imei.IMEI
		read        []modem.Slot
		want        []attest.Measurement
	}{
		{"equal", []imei.IMEI{own}, slots(own), []attest.Measurement{attest.MeasuredEqual}},
		{"different", []imei.IMEI{own}, slots(other), []attest.Measurement{attest.MeasuredDifferent}},
		{"not read", []imei.IMEI{own}, slots(imei.IMEI{}), []attest.Measurement{attest.MeasuredNotRun}},
		{"no slot read", []imei.IMEI{own}, nil, []attest.Measurement{attest.MeasuredNotRun}},
		{"a slot that was not provisioned", []imei.IMEI{own}, slots(own, other), []attest.Measurement{attest.MeasuredEqual, attest.MeasuredNoRef}},
		{"a slot that was not read", []imei.IMEI{own, second}, slots(own), []attest.Measurement{attest.MeasuredEqual, attest.MeasuredNotRun}},
		{"swapped slots are different, slot by slot", []imei.IMEI{own, second}, slots(second, own), []attest.Measurement{attest.MeasuredDifferent, attest.MeasuredDifferent}},
		{"a wrong check digit does not count", []imei.IMEI{own}, []modem.Slot{{Number: 1, IMEI: own, Form: imei.FormWrongCheckDigit, Word: "luhn"}}, []attest.Measurement{attest.MeasuredEqual}},
	} {
		if got := agent.Compare(tt.provisioned, modem.Reading{Slots: tt.read}); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}
