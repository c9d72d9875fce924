package httpapi

import (
	"sync"

	"imei-attest/attest"
	"imei-attest/verifier"
)

// A verdict that rests on an earlier result may be told many times. It is the same bytes each time, so it is signed and written once.

// retold keeps such answers, in two halves of which the old one is forgotten when the young one is full. Its zero value is empty.
type retold struct {
	mu         sync.Mutex
	young, old map[toldAs][]byte
}

// toldAs is a verdict in a form: a media type.
type toldAs struct {
	id   verifier.DecisionID
	form string
}

// retoldHalf bounds what is kept to about 2 * 8 Ki answers of some 2 KiB.
const retoldHalf = 1 << 13

func (t *retold) find(v *verifier.Verdict, form string) []byte {
	if v.Freshness != attest.Prior {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if body := t.young[toldAs{v.ID, form}]; body != nil {
		return body
	}
	return t.old[toldAs{v.ID, form}]
}

func (t *retold) keep(v *verifier.Verdict, form string, body []byte) {
	if v.Freshness != attest.Prior {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.young == nil || len(t.young) >= retoldHalf {
		t.young, t.old = make(map[toldAs][]byte), t.young
	}
	t.young[toldAs{v.ID, form}] = body
}
