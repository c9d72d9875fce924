package modem

import (
	"time"

	"imei-attest/attest/imei"
)

// Reading is everything one [Reader.Read] found out.
type Reading struct {
	Slots                         []Slot    // by slot, at least one
	Manufacturer, Model, Revision string    // as the modem says, printable, at most 64 characters; "" if it does not say
	Agreement                     Agreement // that of the slot with the least, of those that told an IMEI
	// Alternating are the methods that told one identity and later another. Modems with two IMEIs exist that answer so
	// (Quectel RG650V); unless each slot has a form of its own that does not, there is no telling which is which.
	Alternating Method
	RestartSeen bool      // a start-up banner was seen: the modem restarted before or during the reading
	Answers     []Answer  // every answer of the plan, in order
	LastAnswer  time.Time // when the last answer about the identity ended; monotonic
	Port        PortInfo
}

// Slot is one identity of the modem. IMEI, Text and SVN are what the modem claims, not what is true.
type Slot struct {
	Number int       // from 1
	IMEI   imei.IMEI // zero if none was read, or if sources disagree
	Form   imei.Form // what stood in the 15th place
	// Text is what was sent when it is no right IMEI: at most 32 bytes of printable ASCII, dots for others.
	Text string
	// Word says what is wrong, see [AnswerError]; "" if the IMEI was read. With luhn the IMEI is set all the same.
	Word    string
	SVN     imei.SVN // "" if not told, or told differently
	Methods Method   // which commands told this IMEI
	IMSI    IMSI     // of the card in the slot, by [Reader.ReadSubscribers]; zero if it was not told
	// Agreement is that of the answers about this slot.
	Agreement Agreement
}

func (s Slot) isTold() bool { return !s.IMEI.IsZero() }

// Method is a set of ways to ask for an IMEI.
type Method uint

// The commands of the plan (TS 27.007 clause 5.4, V.250 clause 6.1.7).
const (
	MethodSNT1   Method = 1 << iota // AT+CGSN=1: the IMEI
	MethodSNT2                      // AT+CGSN=2: the IMEISV
	MethodSNT3                      // AT+CGSN=3: the software version
	MethodCGSN                      // AT+CGSN: a serial number, usually the IMEI
	MethodGSN                       // AT+GSN: V.250's serial number
	MethodVendor                    // the vendor's own read form
)

var methodNames = []string{"cgsn=1", "cgsn=2", "cgsn=3", "cgsn", "gsn", "vendor"}

// Strings returns the names of the methods in the set, in the order of their bits.
func (m Method) Strings() []string {
	var names []string
	for i, name := range methodNames {
		if m&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}

// Agreement says how far the ways to ask told the same 14 digits. All of them are answered by one firmware, so agreement
// shows consistency, not truth; disagreement is the strong signal.
type Agreement uint8

const (
	// AgreementNone: no IMEI was read.
	AgreementNone Agreement = iota
	// AgreementConflict: two sources told different identities, or one changed its mind.
	AgreementConflict
	// AgreementSingle: one way to ask told the IMEI.
	AgreementSingle
	// AgreementPartial: two or more did, but not all that full asks for.
	AgreementPartial
	// AgreementFull: IMEI, IMEISV and a further form agree, the software versions too, and the IMEI was the same when
	// asked again at the end.
	AgreementFull
)

func (a Agreement) String() string {
	names := [...]string{"none", "conflict", "single", "partial", "full"}
	if int(a) >= len(names) {
		return "none"
	}
	return names[a]
}
