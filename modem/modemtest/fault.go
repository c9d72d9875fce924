package modemtest

import (
	"strings"
	"time"
)

// FaultKind is one way in which a modem misbehaves.
type FaultKind uint8

const (
	// FaultNone does nothing.
	FaultNone FaultKind = iota
	// FaultDelay: the answer comes Delay late; the modem does nothing else meanwhile.
	FaultDelay
	// FaultDropOK: the final result code is missing.
	FaultDropOK
	// FaultStale: the answer, or Text if there is one, comes Delay late, between the answers to commands sent meanwhile.
	FaultStale
	// FaultEndless: Text is repeated until the line goes down.
	FaultEndless
	// FaultHangUp: the line goes down after Text.
	FaultHangUp
	// FaultGarbage: Text comes before the answer.
	FaultGarbage
	// FaultVerbatim: Text is all that comes, instead of the answer.
	FaultVerbatim
	// FaultSilent: nothing comes.
	FaultSilent
	// FaultInstead: the echo comes, and Text instead of the answer.
	FaultInstead
	// FaultIdentity: this answer, and no other, tells Text as the IMEI; {imei} in it is the true one.
	FaultIdentity
	// FaultSwap: from this command on the IMEI is Text.
	FaultSwap
	// FaultDrip: echo and answer come one byte at a time, Delay apart.
	FaultDrip
	// FaultNoDrain: for Delay, or for ever if that is 0, the modem takes no bytes from the line, so that what is written backs
	// up; then it goes on with this command.
	FaultNoDrain
)

// Fault makes the emulator misbehave on a command. Faults are deterministic: the same commands meet the same faults.
type Fault struct {
	Kind    FaultKind
	Command string        // without AT, such as "+CGSN=1", in any case; "*" for every command
	Skip    int           // matching commands that are answered properly first
	Times   int           // matching commands that meet the fault then; 0 means all
	Every   int           // of these only each second, third and so on; 0 and 1 mean each
	Delay   time.Duration // for FaultDelay, FaultStale, FaultDrip and FaultNoDrain
	Text    string        // bytes, sent as they are
}

// faultState counts how often a fault matched.
type faultState struct {
	Fault
	seen int
}

func (f *faultState) matches(body string) bool {
	if f.Command != "*" && !strings.EqualFold(f.Command, body) {
		return false
	}
	f.seen++
	return f.seen > f.Skip && (f.Times == 0 || f.seen <= f.Skip+f.Times) && (f.Every == 0 || (f.seen-f.Skip)%f.Every == 0)
}

// fault returns the first fault that the command line meets.
func (e *Emulator) fault(body string) Fault {
	for _, f := range e.faults {
		if f.matches(body) {
			return f.Fault
		}
	}
	return Fault{}
}
