package strictyaml

import (
	"fmt"
	"strings"
)

// Error is why a file is not used.
type Error struct {
	Mistakes []Mistake // at least one, in the order in which they were met
}

// Mistake is one thing to mend. No IMEI is in it in full.
type Mistake struct {
	Line    int    `json:"line"` // counted from 1; 0 is the file as a whole
	Key     string `json:"key"`  // such as reasons.imei-tampered or exceptions[2].until
	Problem string `json:"problem"`
}

func (m Mistake) String() string {
	where := m.Key
	if m.Line > 0 {
		where = strings.TrimSuffix(fmt.Sprintf("line %d, %s", m.Line, m.Key), ", ")
	}
	return strings.TrimPrefix(where+": "+m.Problem, ": ")
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("it is not used until this is mended:")
	for _, m := range e.Mistakes {
		b.WriteString("\n  " + m.String())
	}
	return b.String()
}

// Err is nil for a file without mistakes, else an [*Error].
func (r *Reader) Err() error {
	if len(r.Mistakes) == 0 {
		return nil
	}
	return &Error{r.Mistakes}
}
