package verifier

import "imei-attest/attest"

// Answer is what a front tells the network to do with a Result.
type Answer struct {
	Action    string `json:"action"`     // observe: the result is computed and logged, nobody is refused
	SIPCode   int    `json:"sip_code"`   // RFC 3261 section 21
	EIRStatus string `json:"eir_status"` // TS 29.511 clause 6.1.6
	Label     string `json:"label"`      // status, and the reason that decided it
}

// Observe is the day-one policy: every request is let through with a label, and the equipment is tracked, not
// permitted or barred.
func Observe(r *attest.Result) Answer {
	const sipOK = 200
	return Answer{Action: "observe", SIPCode: sipOK, EIRStatus: "GREYLISTED", Label: label(r)}
}

// label names the status and the first reason with a floor or effect as bad as the status.
func label(r *attest.Result) string {
	status := r.Status()
	for _, reason := range r.Reasons() {
		var alone attest.Submod // what this reason makes of a device that is otherwise in order
		alone.Add(attest.ReasonIMEIConsistent, reason)
		if alone.Status == status {
			return status.String() + ":" + string(reason)
		}
	}
	return status.String()
}
