package modemtest

import (
	"strings"
	"sync"
	"time"

	"imei-attest/modem"
)

// Tampering is what a man in the middle makes of what the modem says. What programs say is never changed. The zero value
// changes nothing.
type Tampering struct {
	Rewrites []Rewrite
	// Delay each piece of what the modem says comes late, at least.
	Delay time.Duration
	// ReplayAfter so many command lines, a line that was sent before does not reach the modem any more: it gets the answer
	// it got the last time. 0 means never.
	ReplayAfter int
}

// Rewrite replaces each From by To, of any length, also where From comes in pieces. It compares bytes: a modem with
// +CSCS="UCS2" writes digits otherwise.
type Rewrite struct{ From, To string }

// holdLimit is how long the beginning of a From is kept back for the rest of it to come; a byte takes 1 ms at 9600 bit/s.
const holdLimit = 200 * time.Millisecond

// rewriter replaces texts in a stream.
type rewriter struct {
	rewrites []Rewrite
	held     string // the beginning of a From, perhaps
}

// feed takes the next piece and returns what of it can be passed on.
func (w *rewriter) feed(piece string) string {
	w.held += piece
	var out strings.Builder
	for w.held != "" {
		from, to, isWhole := w.whole()
		switch {
		case isWhole:
			out.WriteString(to)
		case w.mayBegin():
			return out.String()
		default:
			from = w.held[:1]
			out.WriteString(from)
		}
		w.held = w.held[len(from):]
	}
	return out.String()
}

// whole finds the rewrite for what is held.
func (w *rewriter) whole() (from, to string, ok bool) {
	for _, r := range w.rewrites {
		if r.From != "" && strings.HasPrefix(w.held, r.From) {
			return r.From, r.To, true
		}
	}
	return "", "", false
}

// mayBegin reports that what is held could become a From.
func (w *rewriter) mayBegin() bool {
	for _, r := range w.rewrites {
		if strings.HasPrefix(r.From, w.held) {
			return true
		}
	}
	return false
}

// giveUp returns what was kept back in vain.
func (w *rewriter) giveUp() string {
	held := w.held
	w.held = ""
	return held
}

// maxRemembered is how many different command lines are answered again; a reading has fewer than 40. Others reach the
// modem each time.
const maxRemembered = 1000

// memory is the answers that were given so far. It keeps nothing where nothing is answered again.
type memory struct {
	after int // see Tampering.ReplayAfter

	mu      sync.Mutex
	lines   int               // that reached the modem
	asked   string            // the last of them; "" where its answer is not kept
	answers map[string]string // by command line, in capitals
}

// recall returns the answer that a line gets again; if it gets none, the modem is asked.
func (m *memory) recall(line string) (answer string, again bool) {
	if m.after <= 0 {
		return "", false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	line = strings.ToUpper(strings.TrimSpace(line))
	answer, known := m.answers[line]
	if m.lines >= m.after && answer != "" {
		return answer, true
	}
	if m.answers == nil {
		m.answers = make(map[string]string)
	}
	m.lines++
	m.asked = ""
	if known || len(m.answers) < maxRemembered {
		m.asked, m.answers[line] = line, ""
	}
	return "", false
}

func (m *memory) heard(text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.asked != "" && len(m.answers[m.asked]) < modem.MaxAnswer {
		m.answers[m.asked] += text
	}
}
