package agent

import (
	"imei-attest/attest"
	"imei-attest/attest/imei"
	"imei-attest/modem"
)

// Compare sets the modem's reading against the provisioned IMEIs, slot by slot, on 14 digits
// (TS 22.016 clause 3). There is one result for every slot that either side has, slot 1 first.
func Compare(provisioned []imei.IMEI, reading modem.Reading) []attest.Measurement {
	results := make([]attest.Measurement, max(len(provisioned), len(reading.Slots)))
	for i := range results {
		switch {
		case i >= len(provisioned):
			results[i] = attest.MeasuredNoRef
		case i >= len(reading.Slots) || reading.Slots[i].IMEI.IsZero():
			results[i] = attest.MeasuredNotRun
		case reading.Slots[i].IMEI == provisioned[i]:
			results[i] = attest.MeasuredEqual
		default:
			results[i] = attest.MeasuredDifferent
		}
	}
	return results
}
