package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"imei-attest/agent/provision"
	"imei-attest/attest/imei"
)

// progress tells how far a batch is: a bar on a terminal, lines elsewhere. A bar of this size is no reason for a
// dependency.
type progress struct {
	w        io.Writer
	terminal bool
	steps    bool // a line for each step, too
	total    int
	seen     int // units that this run has settled
	worked   int // those of them that took time
	start    time.Time
}

func newProgress(w io.Writer, steps bool, total int) *progress {
	p := &progress{w: w, terminal: isTerminal(w), steps: steps, total: total, start: time.Now()}
	p.draw()
	return p
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
}

func (p *progress) step(u provision.LineUnit, step provision.Step, detail string) {
	if p.steps {
		p.line("row %d  %-16s %s", u.Row, step, detail)
	}
}

func (p *progress) ended(u provision.LineUnit, o provision.Outcome, err error) {
	p.seen++
	switch o {
	case provision.Finished:
		p.worked++
		if !p.terminal {
			p.line("row %d  %s finished, %d of %d", u.Row, u.Slots[0], p.seen, p.total)
		}
	case provision.Failed:
		p.worked++
		p.line("row %d  %s FAILED: %v", u.Row, u.Slots[0], err)
	case provision.Scrapped:
		p.line("row %d  %s was scrapped: give it a serial above %d and another vault", u.Row, u.Slots[0], u.Serial)
	}
	p.draw()
}

func (p *progress) draw() {
	if p.terminal {
		fmt.Fprintf(p.w, "\r\x1b[K%s", p.bar(time.Since(p.start)))
	}
}

// line is one write, so that nothing comes between its parts.
func (p *progress) line(format string, args ...any) {
	text := imei.RedactAll(fmt.Sprintf(format, args...)) + "\n"
	if p.terminal {
		text = "\r\x1b[K" + text
	}
	_, _ = io.WriteString(p.w, text)
}

func (p *progress) bar(elapsed time.Duration) string {
	const width = 30
	full := width * p.seen / max(p.total, 1)
	text := fmt.Sprintf("[%s%s] %d of %d", strings.Repeat("#", full), strings.Repeat("-", width-full), p.seen, p.total)
	if p.worked == 0 {
		return text
	}
	left := elapsed / time.Duration(p.worked) * time.Duration(p.total-p.seen)
	return text + fmt.Sprintf(", %.0f units/h, %s left", perHour(p.worked, elapsed), left.Round(time.Second))
}

func (p *progress) close() {
	if p.terminal {
		fmt.Fprintln(p.w)
	}
}

func perHour(units int, elapsed time.Duration) float64 {
	return float64(units) / max(elapsed.Hours(), 1e-9)
}
