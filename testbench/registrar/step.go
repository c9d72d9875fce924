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

func (o Observer) see(s Step) {
	if o == nil {
		return
	}
	s.What = imei.RedactAll(s.What)
	for i := range s.Details {
		s.Details[i] = imei.RedactAll(s.Details[i])
	}
	o(s)
}
