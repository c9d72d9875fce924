package registrar

import "imei-attest/attest/imei"

// Step is one message of a registration, for people who watch it: identities are redacted in it.
type Step struct {
	From, To string
	What     string   // the request or answer, in a line
	Details  []string // the parts that matter
}

// Observer is told each message; it is called from several goroutines. A nil one is told nothing.
type Observer func(Step)

// See tells it of a message. Identities may stand in it in full.
func (o Observer) See(from, to, what string, details ...string) {
	if o == nil {
		return
	}
	s := Step{From: from, To: to, What: imei.RedactAll(what)}
	for _, d := range details {
		s.Details = append(s.Details, imei.RedactAll(d))
	}
	o(s)
}
