package sipfront

import (
	"sync"
	"time"
)

const (
	// answerLife is how long a request may be sent again over UDP: timer J, 64 times T1 (RFC 3261 section 17.2.2).
	answerLife = 32 * time.Second
	// maxAnswers is that many seconds of 2000 requests. Of the oldest beyond it a retransmission is judged again.
	maxAnswers = 1 << 16
)

// answers remember what was answered over UDP, so that a request that is sent again gets the same answer and is not judged twice.
type answers struct {
	mu    sync.Mutex
	known map[string]*answer
	order []*answer // the oldest first
}

// answer is that of one transaction.
type answer struct {
	key   string
	begun time.Time
	raw   []byte // nil while it is not known
}

func newAnswers() answers { return answers{known: make(map[string]*answer)} }

// begin returns the answer to a transaction, which is to be found if the request is new.
func (a *answers) begin(key string, now time.Time) (found *answer, isNew bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(a.order) > 0 && (len(a.order) >= maxAnswers || now.Sub(a.order[0].begun) >= answerLife) {
		delete(a.known, a.order[0].key)
		a.order[0], a.order = nil, a.order[1:]
	}
	if found = a.known[key]; found != nil {
		return found, false
	}
	found = &answer{key: key, begun: now}
	a.known[key] = found
	a.order = append(a.order, found)
	return found, true
}

func (a *answers) finish(of *answer, raw []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	of.raw = raw
}

// again is the answer to send again, nil while it is not known.
func (a *answers) again(of *answer) []byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	return of.raw
}
