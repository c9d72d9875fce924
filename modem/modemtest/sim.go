package modemtest

import "strings"

const (
	emulatedPUK = "12345678" // of every emulated card
	pinTries    = 3          // as cards usually have; the standard leaves it to who issues them
	pukTries    = 10
)

// simNeeds is what a card waits for: one of the codes of +CPIN (TS 27.007 clause 8.3).
type simNeeds string

const (
	simReady   simNeeds = "READY"
	simPIN     simNeeds = "SIM PIN"
	simPUK     simNeeds = "SIM PUK"
	simBlocked simNeeds = "blocked" // by wrong PUKs: no such code, +CPIN? fails
)

// sim is the card in the modem.
type sim struct {
	absent bool
	pin    string // 4 to 8 digits; "": it wants none
	needs  simNeeds
	wrong  int // tries in a row, of the code it waits for
}

func newSIM(pin string, absent bool) sim {
	c := sim{pin: pin, absent: absent}
	c.powerUp()
	return c
}

// isPIN reports what a card takes for a PIN.
func isPIN(text string) bool {
	return len(text) >= 4 && len(text) <= 8 && strings.Trim(text, "0123456789") == ""
}

// powerUp makes the card want its PIN again; tries are remembered.
func (c *sim) powerUp() {
	switch {
	case c.needs == simPUK || c.needs == simBlocked:
	case c.pin != "":
		c.needs = simPIN
	default:
		c.needs = simReady
	}
}

// missing is why a command that reads the card fails, nil if it does not.
func (c *sim) missing() error {
	switch {
	case c.absent:
		return cmeNoSIM
	case c.needs == simPIN:
		return cmeWantsPIN
	case c.needs == simPUK:
		return cmeWantsPUK
	case c.needs == simBlocked:
		return cmeSIMFailure
	}
	return nil
}

// status answers +CPIN?.
func (c *sim) status() (string, error) {
	switch {
	case c.absent:
		return "", cmeNoSIM
	case c.needs == simBlocked:
		return "", cmeSIMFailure
	}
	return "+CPIN: " + string(c.needs), nil
}

// enter runs +CPIN=<pin>[,<newpin>]; the second code is the new PIN behind a PUK.
func (c *sim) enter(arguments string) error {
	code, newPIN, _ := strings.Cut(strings.ReplaceAll(arguments, `"`, ""), ",")
	switch {
	case c.absent || c.needs == simBlocked:
		return c.missing()
	case c.needs == simReady:
		return cmeNotAllowed // TS 27.007 clause 8.3: without a request pending, an error
	case c.needs == simPIN && code == c.pin:
		c.needs, c.wrong = simReady, 0
		return nil
	case c.needs == simPUK && !isPIN(newPIN):
		return cmeBadParameters // TS 27.007 clause 8.3: a PUK comes with the new PIN; the card has not been asked
	case c.needs == simPUK && code == emulatedPUK:
		c.pin, c.needs, c.wrong = newPIN, simReady, 0
		return nil
	}
	return c.refuse()
}

// locked answers +CLCK=<fac>,2 (TS 27.007 clause 7.4): whether the card wants a PIN at each start. The lock of the modem to
// a network is never on.
func (c *sim) locked(facility string) (string, error) {
	switch {
	case facility == "PN":
		return "+CLCK: 0", nil
	case facility != "SC":
		return "", cmeNotSupported
	case c.absent || c.needs == simBlocked:
		return "", c.missing()
	case c.pin != "":
		return "+CLCK: 1", nil
	}
	return "+CLCK: 0", nil
}

// refuse counts a wrong code; after too many the card wants its PUK, and at last nothing.
func (c *sim) refuse() error {
	c.wrong++
	switch {
	case c.needs == simPIN && c.wrong >= pinTries:
		c.needs, c.wrong = simPUK, 0
	case c.needs == simPUK && c.wrong >= pukTries:
		c.needs = simBlocked
	}
	return cmeWrongPassword
}

// cardCommands are those that read the card. TS 27.007 clause 8.3 lists +CGMI, +CGMM, +CGMR and +CGSN among those that a
// modem answers while it waits for a PIN.
var cardCommands = []string{"+CIMI", "+CRSM", "+CSIM", "+CCID", "+ICCID", "+CNUM"}

func readsCard(upper string) bool {
	for _, name := range cardCommands {
		if rest, ok := strings.CutPrefix(upper, name); ok && (rest == "" || rest[0] == '=' && rest != "=?") {
			return true
		}
	}
	return false
}

func (e *Emulator) simStatus() (string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.sim.status()
}

func (e *Emulator) lockStatus(facility string) (string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.sim.locked(strings.Trim(facility, `"`))
}

func (e *Emulator) enterPIN(arguments string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.sim.enter(arguments)
}
