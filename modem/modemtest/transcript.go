package modemtest

import (
	"encoding/hex"
	"encoding/json"
	"io"
	"sync"
	"time"
)

// Entry is one line of a transcript. The emulator's holds identities in full; that of a [Recording] has made-up ones.
type Entry struct {
	Micros int64  `json:"us"`   // since the emulator was made, or the recording began
	From   string `json:"from"` // "host", "modem", or "relay" for a relay that answered itself
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
