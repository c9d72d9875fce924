package modemtest

import (
	"fmt"
	"strings"
	"time"
)

// NamedFault is a way to misbehave that a laboratory chooses by name.
type NamedFault struct {
	Name   string
	Does   string // what the modem does, for people
	Faults []Fault
	// Later: the first reading goes well; it shows in the second.
	Later bool
	// Returns: after it has hung up the modem comes back, see FaultHangUp. That is for who serves the terminal to do.
	Returns bool
}

const (
	otherIMEI = "356938035643809"
	banner    = "\r\nRDY\r\n\r\n+CFUN: 1\r\n"
)

// identityCommands are those of the reading plan that any modem may answer with its identity.
var identityCommands = []string{"+CGSN=1", "+CGSN=2", "+CGSN=3", "+CGSN", "+GSN", "I"}

// onIdentity lets all of them meet the fault.
func onIdentity(f Fault) (faults []Fault) {
	for _, command := range identityCommands {
		f.Command = command
		faults = append(faults, f)
	}
	return faults
}

func on(f Fault) []Fault { return []Fault{f} }

// NamedFaults returns them all, the harmless first. Identities in them are made up; each is deterministic.
func NamedFaults() []NamedFault {
	return []NamedFault{
		{Name: "slow", Does: "answers each command 0.1 s late", Faults: on(Fault{Kind: FaultDelay, Command: "*", Delay: 100 * time.Millisecond})},
		{Name: "drip", Does: "sends each byte 5 ms after the one before", Faults: on(Fault{Kind: FaultDrip, Command: "*", Delay: 5 * time.Millisecond})},
		{Name: "asleep", Does: "does not answer the first two commands", Faults: on(Fault{Kind: FaultSilent, Command: "*", Times: 2})},
		{Name: "urc-storm", Does: "sends 20 network reports before each answer",
			Faults: on(Fault{Kind: FaultGarbage, Command: "*", Text: strings.Repeat("\r\n+CREG: 1,\"00A1\"\r\n", 20)})},
		{Name: "garbage", Does: "sends a line of noise before each answer", Faults: on(Fault{Kind: FaultGarbage, Command: "*", Text: "\a~?x\x7f\r\n"})},
		{Name: "nul", Does: "sends NUL bytes before each answer", Faults: on(Fault{Kind: FaultGarbage, Command: "*", Text: "\x00\x00\x00"})},
		{Name: "duplicate-ok", Does: "sends a second OK after `AT+CGSN=1`, before the next answer",
			Faults: on(Fault{Kind: FaultGarbage, Command: "+CGSN=2", Text: "\r\nOK\r\n"})},
		{Name: "banner", Does: "sends a start-up banner before the answer to `AT+CGSN=2`",
			Faults: on(Fault{Kind: FaultGarbage, Command: "+CGSN=2", Times: 1, Text: banner})},
		{Name: "restart", Does: "forgets `AT+CGSN=2` and sends a start-up banner 1 s later",
			Faults: on(Fault{Kind: FaultStale, Command: "+CGSN=2", Times: 1, Delay: time.Second, Text: banner})},
		{Name: "delay", Does: "answers `AT+CGSN=1` 4 s late, each time", Faults: on(Fault{Kind: FaultDelay, Command: "+CGSN=1", Delay: 4 * time.Second})},
		{Name: "drop-ok", Does: "leaves out the OK after `AT+CGSN=1`", Faults: on(Fault{Kind: FaultDropOK, Command: "+CGSN=1"})},
		{Name: "stale", Does: "answers `AT+CGSN=1` 3.5 s late, the first time, amid other answers",
			Faults: on(Fault{Kind: FaultStale, Command: "+CGSN=1", Times: 1, Delay: 3500 * time.Millisecond})},
		{Name: "stale-other", Does: "the same with another IMEI",
			Faults: on(Fault{Kind: FaultStale, Command: "+CGSN=1", Times: 1, Delay: 3500 * time.Millisecond,
				Text: "\r\n+CGSN: \"" + otherIMEI + "\"\r\n\r\nOK\r\n"})},
		{Name: "long-line", Does: "answers `AT+CGSN=1` with a line of 5 kB",
			Faults: on(Fault{Kind: FaultInstead, Command: "+CGSN=1", Text: "\r\n" + strings.Repeat("9", 5000) + "\r\n\r\nOK\r\n"})},
		{Name: "endless", Does: "answers `AT+CGSN=1` with bytes that do not end", Faults: on(Fault{Kind: FaultEndless, Command: "+CGSN=1", Text: strings.Repeat("9", 256)})},
		{Name: "endless-lines", Does: "answers `AT+CGSN=1` with another IMEI, line after line without end",
			Faults: on(Fault{Kind: FaultEndless, Command: "+CGSN=1", Text: "\r\n" + otherIMEI + "\r\n"})},
		{Name: "silent", Does: "answers nothing", Faults: on(Fault{Kind: FaultSilent, Command: "*"})},
		{Name: "no-drain", Does: "takes no bytes any more after `AT+CGSN=1`", Faults: on(Fault{Kind: FaultNoDrain, Command: "+CGSN=1"})},
		{Name: "hangup", Does: "hangs up amid the answer to `AT+CGSN=1`", Faults: on(Fault{Kind: FaultHangUp, Command: "+CGSN=1", Text: "\r\n+CGSN: \"4901"})},
		{Name: "replug", Does: "hangs up when the second reading begins, and comes back on a new terminal", Later: true, Returns: true,
			Faults: on(Fault{Kind: FaultHangUp, Command: "", Skip: 1, Times: 1})},
		{Name: "error", Does: "answers each question for its identity with `+CME ERROR: memory failure`",
			Faults: onIdentity(Fault{Kind: FaultInstead, Text: "\r\n+CME ERROR: memory failure\r\n"})},
		{Name: "bare-ok", Does: "answers them with OK and nothing else", Faults: onIdentity(Fault{Kind: FaultInstead, Text: "\r\nOK\r\n"})},
		{Name: "no-echo", Does: "answers `AT+CGSN=1` with a bare OK, without the echo it has for others",
			Faults: on(Fault{Kind: FaultVerbatim, Command: "+CGSN=1", Text: "\r\nOK\r\n"})},
		{Name: "truncated", Does: "tells ten digits only", Faults: on(Fault{Kind: FaultIdentity, Command: "*", Text: "4901542032"})},
		{Name: "high-bytes", Does: "tells digits with the eighth bit set", Faults: on(Fault{Kind: FaultIdentity, Command: "*", Text: setHighBits("490154203237518")})},
		{Name: "two-imeis", Does: "answers `AT+CGSN=1` with two IMEIs",
			Faults: on(Fault{Kind: FaultInstead, Command: "+CGSN=1", Text: "\r\n+CGSN: \"490154203237518\",\"" + otherIMEI + "\"\r\n\r\nOK\r\n"})},
		{Name: "contradict", Does: "tells another IMEI after `AT+GSN`", Faults: on(Fault{Kind: FaultIdentity, Command: "+GSN", Text: otherIMEI})},
		{Name: "alternate", Does: "tells another IMEI in each second answer", Faults: on(Fault{Kind: FaultIdentity, Command: "*", Every: 2, Text: otherIMEI})},
		{Name: "swap", Does: "has another IMEI from the second reading on", Later: true, Faults: on(Fault{Kind: FaultSwap, Command: "", Skip: 1, Text: otherIMEI})},
	}
}

func setHighBits(digits string) string {
	out := []byte(digits)
	for i := range out {
		out[i] |= 0x80
	}
	return string(out)
}

// FaultNamed finds one. The error names those there are.
func FaultNamed(name string) (NamedFault, error) {
	var names []string
	for _, f := range NamedFaults() {
		if f.Name == name {
			return f, nil
		}
		names = append(names, f.Name)
	}
	return NamedFault{}, fmt.Errorf("no fault %q; there are %s", name, strings.Join(names, ", "))
}
