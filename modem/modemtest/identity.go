package modemtest

import (
	"strings"

	"imei-attest/attest/imei"
)

// identity is what the modem keeps in memory that lasts, and what guards it.
type identity struct {
	policy     NamedPolicy
	imeis      [2]string // by slot
	slots      int       // of imeis, that the modem has
	lost       bool      // by an update, until all are written again
	unlocked   bool      // by the code of policy weak-code, until a restart
	downgraded bool
}

// write takes text for the identity of a slot, or does not, as the policy has it. A modem that refuses answers
// 3, operation not allowed: it knows the command. With 4, not supported, it would claim not to.
func (id *identity) write(slot int, text string) (answer string, err error) {
	switch {
	case id.policy.echoesOld:
		return id.imeis[slot], nil
	case !id.writable():
		return "", cmeNotAllowed
	case len(text) != imeiDigits || strings.Trim(text, "0123456789") != "":
		return "", cmeBadParameters // any 15 digits will do: modems do not check the last
	}
	id.store(slot, text)
	return "", nil
}

func (id *identity) writable() bool {
	return id.policy.open || id.lost || id.unlocked || id.policy.reopens && id.downgraded
}

func (id *identity) store(slot int, text string) {
	id.imeis[slot] = text
	blank := false
	for _, each := range id.imeis[:id.slots] {
		blank = blank || each == ""
	}
	id.lost = id.lost && blank
}

// unlock runs the command of policy weak-code.
func (id *identity) unlock(code string) error {
	if strings.Trim(code, `"`) != unlockCode {
		return cmeWrongPassword
	}
	id.unlocked = true
	return nil
}

// restart plays what the policy is about, so that any program that can restart a modem can see it.
func (id *identity) restart() {
	id.unlocked = false
	switch {
	case id.policy.reopens && !id.downgraded:
		id.downgraded = true
	case id.policy.reopens || id.policy.loses:
		id.update()
	}
}

func (id *identity) update() {
	id.downgraded = false
	if id.policy.loses {
		id.imeis, id.lost = [2]string{}, true
	}
}

// unreadable reports an answer that would tell what an update has lost: that is a memory failure.
func (id *identity) unreadable(template string) bool {
	for slot, placeholders := range [][2]string{{"{imei}", "{imeisv}"}, {"{imei2}", "{imeisv2}"}} {
		tells := strings.Contains(template, placeholders[0]) || strings.Contains(template, placeholders[1])
		if id.lost && id.imeis[slot] == "" && tells {
			return true
		}
	}
	return false
}

// imeisv makes an IMEISV of the 14 digits and the software version; of a text that is no IMEI it is the text itself.
func imeisv(identity, svn string) string {
	id, _, _ := imei.ParseSent(identity)
	if id.IsZero() {
		return identity
	}
	return imei.IMEISV{IMEI: id, SVN: imei.SVN(svn)}.Digits()
}

// SetIMEI changes the identity of the first slot from the next command on. An emulator may do that; nothing that talks to
// a real modem can.
func (e *Emulator) SetIMEI(text string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.identity.store(0, text)
}

// SetIMEI2 does the same for the second slot. The error names the profiles that have one.
func (e *Emulator) SetIMEI2(text string) error {
	if e.profile.slots() < 2 {
		return errOneSlot()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.identity.store(1, text)
	return nil
}

// Update installs the current firmware: policy loses-on-update loses the identity, downgrade-reopens is locked again.
func (e *Emulator) Update() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.identity.update()
}

// Downgrade installs an old firmware, which the revision shows; policy downgrade-reopens takes writes on it.
func (e *Emulator) Downgrade() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.identity.downgraded = true
}

// guarded runs a command that is about writing the identity; known is false for all others.
func (e *Emulator) guarded(upper string) (text string, known bool, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if code, ok := strings.CutPrefix(upper, unlockCommand+"="); ok && e.identity.policy.hasCode {
		return "", true, e.identity.unlock(code)
	}
	slot, written, known := e.profile.writes(upper)
	if known {
		text, err = e.identity.write(slot, written)
	}
	return text, known, err
}
