package modemtest

import (
	"fmt"
	"strings"
)

// functionality is <fun> of +CFUN (TS 27.007 clause 8.2).
type functionality string

const (
	funMinimum functionality = "0"
	funFull    functionality = "1"
	funFlight  functionality = "4" // neither sends nor receives
)

// setFunctionality runs +CFUN=<fun>[,<rst>]; with <rst> 1 the modem restarts.
func (e *Emulator) setFunctionality(arguments string) (restarts bool, err error) {
	fun, reset, hasReset := strings.Cut(arguments, ",")
	switch functionality(fun) {
	case funMinimum, funFull, funFlight:
	default:
		return false, cmeBadParameters
	}
	if hasReset && reset != "0" && reset != "1" {
		return false, cmeBadParameters
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.fun = functionality(fun)
	return reset == "1", nil
}

func (e *Emulator) functionality() functionality {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.fun
}

// restart is what +CFUN=<fun>,1 does to the modem, but for the settings of the line. The line stays up, as a UART does. It
// returns what the modem says when it is back.
func (e *Emulator) restart() (banner string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sim.powerUp()
	e.identity.restart()
	return fmt.Sprintf("\r\nRDY\r\n\r\n+CFUN: %s\r\n", e.fun)
}

// network is what the radio tells: <stat> of +CREG, which is 1 for registered at home, and <rssi> of +CSQ, which is 99
// for not known (TS 27.007 clauses 7.2 and 8.5). The caller holds mu.
func (e *Emulator) network() (registration, signal string) {
	switch {
	case e.fun != funFull:
		return "0", "99"
	case e.sim.missing() != nil:
		return "0", "20"
	}
	return "1", "20"
}
