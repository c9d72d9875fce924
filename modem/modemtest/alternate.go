package modemtest

import "strings"

// slotPattern is whose IMEI a modem that alternates tells, answer by answer and from the start again: as irregular as
// field reports of a Quectel RG650V-EU have it, and the same each time.
const slotPattern = "1221121222112"

// slotTold returns the slot whose IMEI, which may be empty, is told where others tell that of the first; slots count from 0.
func (e *Emulator) slotTold(upper string) int {
	if !e.profile.Alternates || !strings.HasPrefix(upper, "+CGSN") && !strings.HasPrefix(upper, "+GSN") {
		return 0
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	slot := int(slotPattern[e.turn%len(slotPattern)] - '1')
	e.turn++
	return slot
}
