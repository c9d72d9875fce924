package modemtest

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// Config describes the modem to emulate. What is empty comes from the profile.
type Config struct {
	Profile                       string // see [Profiles]; "" means generic
	IMEI                          string // any text: a broken identity is a use of the emulator
	IMEI2                         string // of the second slot, in profiles that tell one
	SVN                           string // software version, 2 digits
	Policy                        string // towards commands that write its identity, see [NamedPolicies]; "" means locked
	Manufacturer, Model, Revision string
	EchoOff                       bool   // start as after ATE0
	Numeric                       bool   // start as after ATV0
	UCS2                          bool   // start as after AT+CSCS="UCS2"
	PIN                           string // of the SIM card, which then wants it; 4 to 8 digits
	NoSIM                         bool   // there is no SIM card
	Faults                        []Fault
	// Transcript receives each piece of the dialogue as a JSON line, see [Entry]; nil for none.
	Transcript io.Writer
}

// Emulator is one modem. Its methods may be called from several goroutines; it serves one line at a time.
type Emulator struct {
	profile profile
	record  *transcript

	mu       sync.Mutex // guards what follows
	identity identity
	turn     int // answers told by a profile that alternates
	svn      string
	faults   []*faultState
	fun      functionality
	sim      sim

	start settings
}

// settings are what AT commands change of one line.
type settings struct {
	echo    bool // E (V.250 clause 6.2.4)
	verbose bool // V (V.250 clause 6.2.6)
	quiet   bool // Q (V.250 clause 6.2.5)
	cmee    int  // +CMEE (TS 27.007 clause 9.1)
	ucs2    bool // +CSCS (TS 27.007 clause 5.5)
}

// New returns a modem. The error names the profiles there are.
func New(config Config) (*Emulator, error) {
	p, err := profileNamed(config.Profile)
	if err != nil {
		return nil, err
	}
	policy, err := policyFor(config.Policy, p)
	if err != nil {
		return nil, err
	}
	if config.IMEI2 != "" && p.slots() < 2 {
		return nil, errOneSlot()
	}
	pin := cmp.Or(config.PIN, p.PIN)
	if pin != "" && !isPIN(pin) {
		return nil, errors.New("the PIN of a SIM card has 4 to 8 digits")
	}
	p.Manufacturer = cmp.Or(config.Manufacturer, p.Manufacturer)
	p.Model = cmp.Or(config.Model, p.Model)
	p.Revision = cmp.Or(config.Revision, p.Revision)
	e := &Emulator{
		profile:  p,
		record:   &transcript{to: config.Transcript, start: time.Now()},
		identity: identity{policy: policy, imeis: [2]string{cmp.Or(config.IMEI, p.IMEI), cmp.Or(config.IMEI2, p.IMEI2)}, slots: p.slots()},
		svn:      cmp.Or(config.SVN, p.SVN),
		fun:      funFull,
		sim:      newSIM(pin, config.NoSIM || p.NoSIM),
		start:    settings{echo: !config.EchoOff && !p.EchoOff, verbose: !config.Numeric, ucs2: config.UCS2},
	}
	e.SetFaults(config.Faults...)
	return e, nil
}

func errOneSlot() error {
	return fmt.Errorf("the modem of this profile tells no second IMEI; those of %s do", strings.Join(TwoSlotProfiles(), ", "))
}

// SetFaults replaces the faults and starts their counts anew.
func (e *Emulator) SetFaults(faults ...Fault) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.faults = nil
	for _, f := range faults {
		e.faults = append(e.faults, &faultState{Fault: f})
	}
}

// fill puts the identities into a template: for the first that of the slot told, or another, unless that is empty.
func (e *Emulator) fill(template string, told int, other string) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	first, second := e.identity.imeis[told], e.identity.imeis[1]
	if other != "" {
		first = strings.ReplaceAll(other, "{imei}", first)
	}
	revision := e.profile.Revision
	if e.identity.downgraded {
		revision += "-OLD"
	}
	registration, signal := e.network()
	return strings.NewReplacer("{imei}", first, "{imeisv}", imeisv(first, e.svn), "{imei2}", second, "{imeisv2}", imeisv(second, e.svn), "{svn}", e.svn,
		"{manufacturer}", e.profile.Manufacturer, "{model}", e.profile.Model, "{revision}", revision,
		"{registration}", registration, "{signal}", signal,
	).Replace(template)
}

// missing is why a command fails whose answer needs what the card or the memory does not give, nil if it does not. The
// identification by ATI does not fail: it leaves a blank.
func (e *Emulator) missing(upper, template string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if readsCard(upper) {
		return e.sim.missing()
	}
	if upper != "I" && e.identity.unreadable(template) {
		return cmeMemoryFailure
	}
	return nil
}

func (e *Emulator) faultFor(body string) Fault {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.fault(body)
}
