package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"imei-attest/verifier"
	"imei-attest/verifier/policy"
)

// try is the policy try command: recorded decisions, made under another policy.
type try struct {
	policy, against, decisions string
	asJSON                     bool
}

func newPolicyTry() *cobra.Command {
	var t try
	c := &cobra.Command{
		Use:   "try --policy FILE --decisions FILE",
		Short: "Say which recorded decisions a policy would change",
		Long: `Make recorded decisions again under another policy, and say which of them change, from which action to which, for
which reason and for how many devices. Exceptions of that policy are not looked at: the records name nobody.`,
		Example: "  imei-verifier policy try --policy new.yaml --against old.yaml --decisions decisions.jsonl",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return t.run(c.InOrStdin(), c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	c.Flags().StringVar(&t.policy, "policy", "", "`file` of the policy to try")
	c.Flags().StringVar(&t.against, "against", "", "`file` of the policy to compare it with; without it, compare with what was decided")
	c.Flags().StringVar(&t.decisions, "decisions", "", "`file` of recorded decisions, one JSON object a line; - reads standard input")
	c.Flags().BoolVar(&t.asJSON, "json", false, "print JSON")
	for _, name := range []string{"policy", "decisions"} {
		if err := c.MarkFlagRequired(name); err != nil {
			panic(err) // a misspelt name in the line above
		}
	}
	return c
}

func (t *try) run(stdin io.Reader, stdout, stderr io.Writer) error {
	candidate, err := loadPolicy(t.policy, stderr)
	if err != nil {
		return fail(exitUsage, fmt.Errorf("--policy: %w", err))
	}
	var against *verifier.Policy
	if t.against != "" {
		if against, err = loadPolicy(t.against, stderr); err != nil {
			return fail(exitUsage, fmt.Errorf("--against: %w", err))
		}
	}
	trial := policy.NewTrial(candidate, against)
	if err := t.read(stdin, stderr, trial); err != nil {
		return fail(exitUsage, fmt.Errorf("--decisions: %w", err))
	}
	report := trial.Report()
	if !t.asJSON {
		_, err = io.WriteString(stdout, report.String())
	} else {
		encoder := json.NewEncoder(stdout)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(report)
	}
	if err != nil {
		return fail(exitFailed, err)
	}
	return nil
}

// loadPolicy reads a policy and prints what has come to an end in it.
func loadPolicy(path string, stderr io.Writer) (*verifier.Policy, error) {
	p, warnings, err := policy.Load(path, time.Now())
	for _, w := range warnings {
		fmt.Fprintf(stderr, "imei-verifier: warning: %s\n", w)
	}
	return p, err
}

// read tries the policy on every line.
func (t *try) read(stdin io.Reader, stderr io.Writer, trial *policy.Trial) error {
	from, size := stdin, int64(0)
	if t.decisions != "-" {
		f, err := os.Open(t.decisions)
		if err != nil {
			return err
		}
		defer f.Close()
		if info, err := f.Stat(); err == nil {
			size = info.Size()
		}
		from = f
	}
	shown := progress{w: stderr, on: isTerminal(stderr), size: size}
	defer shown.end()
	const longest = 1 << 20 // a record has some kilobytes
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, longest)
	number := 0
	for lines.Scan() {
		number++
		var r verifier.Record
		if err := decodeRecord(lines.Bytes(), &r); err != nil {
			return fmt.Errorf("line %d is no recorded decision of this version: %w", number, err)
		}
		trial.Add(&r)
		shown.line(len(lines.Bytes()))
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return fmt.Errorf("line %d is longer than any record: want one JSON object a line", number+1)
	case err != nil:
		return fmt.Errorf("after line %d: %w", number, err)
	case number == 0:
		return errors.New("there is no recorded decision in it")
	}
	return nil
}

func decodeRecord(line []byte, r *verifier.Record) error {
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(r)
	var mistyped *json.UnmarshalTypeError
	switch {
	case errors.As(err, &mistyped):
		return fmt.Errorf("%s is not to be a %s", mistyped.Field, mistyped.Value)
	case err != nil:
		return err
	case decoder.More():
		return errors.New("something follows the record")
	}
	return nil
}

// progress tells on a terminal how far the reading is.
type progress struct {
	w          io.Writer
	on         bool
	size, read int64 // bytes; size 0 is not known
	lines      int
}

func (p *progress) line(bytes int) {
	const each = 1000 // some milliseconds of work
	p.lines++
	p.read += int64(bytes) + 1
	if !p.on || p.lines%each != 0 {
		return
	}
	text := fmt.Sprintf("%d decisions", p.lines)
	if p.size > 0 {
		text += fmt.Sprintf(", %d %%", min(100*p.read/p.size, 100))
	}
	fmt.Fprint(p.w, "\r\x1b[K"+text)
}

// end leaves nothing behind.
func (p *progress) end() {
	if p.on {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
}
