package modemtest

import "strings"

// slotPattern is whose IMEI a modem that alternates tells, answer by answer and from the start again: as irregular as
// field reports of a Quectel RG650V-EU have it, and the same each time.
const slotPattern = "1221121222112"

// slotTold returns the IMEI that is told instead of that of the first slot, or "" for none.
func (e *Emulator) slotTold(upper string) string {
	if !e.profile.Alternates || !strings.HasPrefix(upper, "+CGSN") && !strings.HasPrefix(upper, "+GSN") {
		return ""
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	slot := slotPattern[e.turn%len(slotPattern)]
	e.turn++
	if slot == '1' {
		return ""
	}
	return e.identity.imeis[1]
}
