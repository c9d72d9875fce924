// Package policy reads the operator's appraisal policy, a YAML file, and explains it. Start with [Load]; [Default] is
// the policy of who has none yet.
//
// A file with a mistake is no policy: half of one would refuse honest people or let everybody in. The error is an
// [*Error], which lists every mistake.
package policy

import (
	"crypto/sha256"
	"embed"
	"fmt"
	"os"
	"strings"
	"time"

	"imei-attest/verifier"
)

//go:embed observe.yaml enforce.yaml
var shipped embed.FS

// The policies that are shipped.
const (
	Observe = "observe" // refuses nobody
	Enforce = "enforce" // does what the table of reasons says
)

// Shipped returns the file of a shipped policy, to start from.
func Shipped(name string) (text []byte, found bool) {
	text, err := shipped.ReadFile(name + ".yaml")
	return text, err == nil
}

// Default is the policy of an operator who has none: [Observe].
func Default() *verifier.Policy { return mustParse(Observe) }

func mustParse(name string) *verifier.Policy {
	text, _ := Shipped(name)
	p, _, err := Parse(text, time.Time{})
	if err != nil {
		panic(err) // a test reads the shipped files
	}
	return p
}

// Load reads the policy in a file. The warnings say what has come to an end by now.
func Load(path string, now time.Time) (p *verifier.Policy, warnings []string, err error) {
	text, err := read(path)
	if err != nil {
		return nil, nil, err
	}
	return parseFile(path, text, now)
}

func read(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the policy: %w: imei-verifier policy show prints one to start from", err)
	}
	return text, nil
}

func parseFile(path string, text []byte, now time.Time) (p *verifier.Policy, warnings []string, err error) {
	if p, warnings, err = Parse(text, now); err != nil {
		return nil, nil, fmt.Errorf("policy file %s: %w", path, err)
	}
	return p, warnings, nil
}

// Parse reads a policy. The error is an [*Error].
func Parse(text []byte, now time.Time) (p *verifier.Policy, warnings []string, err error) {
	r := &reader{now: now}
	if root := r.document(text); root != nil {
		p = r.policy(root)
	}
	if len(r.mistakes) > 0 {
		return nil, nil, &Error{r.mistakes}
	}
	p.Digest = digest(text)
	return p, r.warnings, nil
}

func digest(text []byte) [32]byte { return sha256.Sum256(text) }

// Error is why a text is no policy.
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
