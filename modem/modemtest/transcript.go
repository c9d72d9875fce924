package modemtest

import (
	"encoding/hex"
	"encoding/json"
	"io"
	"sync"
	"time"
)

// Entry is one line of a transcript. It holds identities in full: a transcript of a real modem is personal data.
type Entry struct {
	Micros int64  `json:"us"`   // since the emulator was made
	From   string `json:"from"` // "host" or "modem"
	Hex    string `json:"hex"`  // the bytes
	Text   string `json:"text"` // the same for people; foreign bytes are escaped by JSON or lost
}

// transcript writes entries. A writer that fails is not asked again: a lost log must not stop a modem.
type transcript struct {
	mu    sync.Mutex
	to    io.Writer
	start time.Time
}

func (t *transcript) write(from, text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.to == nil {
		return
	}
	line, err := json.Marshal(Entry{time.Since(t.start).Microseconds(), from, hex.EncodeToString([]byte(text)), text})
	if err == nil {
		_, err = t.to.Write(append(line, '\n'))
	}
	if err != nil {
		t.to = nil
	}
}
