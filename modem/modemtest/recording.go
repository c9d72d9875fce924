package modemtest

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// Senders in an [Entry].
const (
	fromHost  = "host"
	fromModem = "modem"
	fromRelay = "relay"
)

// maxRecording bounds a recording, in bytes said: a reading takes 3 KiB.
const maxRecording = 4 << 20

// Recording is what a [Relay] heard. It stays in memory until it is exported with other serial digits: an identity may
// come in pieces, and only the whole shows them all.
type Recording struct {
	mu      sync.Mutex
	start   time.Time
	pieces  []piece
	size    int
	dropped int
}

type piece struct {
	at   time.Duration
	from string
	text string
}

// NewRecording returns an empty one; its clock starts.
func NewRecording() *Recording { return &Recording{start: time.Now()} }

// add does nothing to a nil Recording.
func (r *Recording) add(from, text string) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.size+len(text) > maxRecording {
		r.dropped += len(text)
		return
	}
	r.size += len(text)
	r.pieces = append(r.pieces, piece{time.Since(r.start), from, text})
}

// Dropped is how many bytes found no room.
func (r *Recording) Dropped() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.dropped
}

// Len is how many pieces were recorded.
func (r *Recording) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.pieces)
}

// Export writes the recording as JSON lines, see [Entry], with the serial digits replaced. Nothing else is: look at
// it before you show it to anybody.
func (r *Recording) Export(w io.Writer, redactor *Redactor) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	said := make(map[string]string)
	for _, p := range r.pieces {
		said[p.from] += p.text
	}
	for _, from := range []string{fromHost, fromModem, fromRelay} {
		redacted, err := redactor.Redact(said[from])
		if err != nil {
			return fmt.Errorf("replacing serial digits: %w", err)
		}
		said[from] = redacted
	}
	out := bufio.NewWriter(w)
	for _, p := range r.pieces {
		text := said[p.from][:len(p.text)]
		said[p.from] = said[p.from][len(p.text):]
		line, err := json.Marshal(Entry{p.at.Microseconds(), p.from, hex.EncodeToString([]byte(text)), text})
		if err != nil {
			return err
		}
		out.Write(append(line, '\n')) // an error stays until Flush
	}
	return out.Flush()
}

// ReadTranscript reads what a Recording, or an emulator with a transcript, wrote.
func ReadTranscript(r io.Reader) ([]Entry, error) {
	var entries []Entry
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxCorpusLine)
	for n := 1; lines.Scan(); n++ {
		var e Entry
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, notJSON(err))
		}
		if _, err := hex.DecodeString(e.Hex); err != nil {
			return nil, fmt.Errorf("line %d: hex: %w", n, err)
		}
		if e.From != fromHost && e.From != fromModem && e.From != fromRelay {
			return nil, fmt.Errorf("line %d: from %q: want host, modem or relay", n, e.From)
		}
		entries = append(entries, e)
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(entries) == 0 {
		return nil, errors.New("it has no lines")
	}
	return entries, nil
}

// NewReplay returns a modem that answers as the one in the transcript did: to each command line what came after it, in
// order where a line was sent more than once, and the last of these from then on. To lines that are not in it, it answers
// ERROR. It does not reproduce delays; what came late comes with the answer to the line that was sent meanwhile.
func NewReplay(entries []Entry) (*Emulator, error) {
	exchanges, err := exchangesOf(entries)
	if err != nil {
		return nil, err
	}
	last := make(map[string]int)
	for i, x := range exchanges {
		last[strings.ToUpper(x.body)] = i
	}
	var faults []Fault
	for i, x := range exchanges {
		f := Fault{Kind: FaultVerbatim, Command: x.body, Times: 1, Text: x.answer}
		if x.answer == "" {
			f.Kind = FaultSilent
		}
		if last[strings.ToUpper(x.body)] == i {
			f.Times = 0
		}
		faults = append(faults, f)
	}
	return New(Config{Faults: append(faults, Fault{Kind: FaultVerbatim, Command: "*", Text: "\r\nERROR\r\n"})})
}

// exchange is a command line and all that came between its first byte and that of the next.
type exchange struct{ body, answer string }

func exchangesOf(entries []Entry) ([]exchange, error) {
	var found []exchange
	var line []byte
	begun := false // the last of found is being typed or answered
	for _, e := range entries {
		raw, err := hex.DecodeString(e.Hex)
		if err != nil {
			return nil, fmt.Errorf("hex: %w", err)
		}
		if e.From != fromHost {
			if begun {
				found[len(found)-1].answer += string(raw)
			}
			continue
		}
		for _, b := range raw {
			switch {
			case b == '\r':
				if body, ok := bodyOf(string(line)); ok && begun {
					found[len(found)-1].body = body
				} else if len(line) > 0 {
					found = found[:len(found)-1] // no command
					begun = len(found) > 0
				}
				line = nil
			case b == '\n' || b == 0:
			default:
				if len(line) == 0 {
					found, begun = append(found, exchange{}), true
				}
				line = append(line, b)
			}
		}
	}
	if len(line) > 0 { // never ended
		found = found[:len(found)-1]
	}
	if len(found) == 0 {
		return nil, errors.New("the transcript has no command lines of the host")
	}
	return found, nil
}

// bodyOf returns what follows AT; bytes before it are noise.
func bodyOf(line string) (string, bool) {
	at := indexOfAT(line)
	if at < 0 {
		return "", false
	}
	return strings.TrimSpace(line[at+2:]), true
}

// indexOfAT finds AT or at. In capitals a line may have other bytes, or more.
func indexOfAT(line string) int {
	for i := range len(line) - 1 {
		if strings.EqualFold(line[i:i+2], "AT") {
			return i
		}
	}
	return -1
}
