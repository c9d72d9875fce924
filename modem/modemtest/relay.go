package modemtest

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"time"

	"imei-attest/modem"
)

// writePatience is how long a relay waits for programs to read; then bytes are lost, as on a line that nobody reads.
const writePatience = time.Second

// Relay is a man in the middle: it passes bytes between programs on line and the modem behind port, and records them,
// until ctx ends or either side is gone, which is no error. It closes line at the end.
//
// A command line is passed on when it is complete. One that could write an identity is not: it is answered with ERROR here.
// So is one that is longer than 512 bytes. Data calls do not work.
func Relay(ctx context.Context, line io.ReadWriteCloser, port modem.Port, recording *Recording) error {
	return Intercept(ctx, line, port, recording, Tampering{})
}

// Intercept is [Relay] that changes what the modem says. The recording holds what programs were told; it may be nil.
func Intercept(ctx context.Context, line io.ReadWriteCloser, port modem.Port, recording *Recording, t Tampering) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = line.Close() })
	r := &relay{line: line, port: port, recording: recording, delay: t.Delay, rewriter: rewriter{rewrites: t.Rewrites}, memory: memory{after: t.ReplayAfter}}
	ended := make(chan error, 1)
	go func() {
		ended <- r.toModem(ctx)
		cancel()
	}()
	err := r.toHost(ctx)
	cancel()
	err = errors.Join(err, <-ended)
	if stop() {
		_ = line.Close()
	}
	return err
}

type relay struct {
	line      io.ReadWriteCloser
	port      modem.Port
	recording *Recording
	typed     []byte   // not passed on yet
	passed    digitRun // of what was since the last CR: the modem may take it for part of the same line
	tooLong   bool

	delay    time.Duration
	rewriter rewriter
	memory   memory
}

// toHost passes on what the modem says.
func (r *relay) toHost(ctx context.Context) error {
	chunk := make([]byte, 256)
	for {
		text, err := r.hear(ctx, chunk)
		if text != "" {
			r.memory.heard(text)
			if err := r.say(ctx, fromModem, text); err != nil {
				return endOf(ctx, err)
			}
		}
		if err != nil {
			return endOf(ctx, err)
		}
	}
}

// hear returns the next piece of what the modem says, rewritten.
func (r *relay) hear(ctx context.Context, chunk []byte) (string, error) {
	if r.rewriter.held == "" {
		n, err := r.port.Read(ctx, chunk)
		return r.rewriter.feed(string(chunk[:n])), err
	}
	brief, cancel := context.WithTimeout(ctx, holdLimit)
	defer cancel()
	n, err := r.port.Read(brief, chunk)
	text := r.rewriter.feed(string(chunk[:n]))
	if err != nil {
		text += r.rewriter.giveUp()
	}
	if errors.Is(err, modem.ErrTimeout) {
		err = nil
	}
	return text, err
}

// say records and tells, after the delay.
func (r *relay) say(ctx context.Context, from, text string) error {
	if r.delay > 0 {
		select {
		case <-time.After(r.delay):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	r.recording.add(from, text)
	return r.tell(text)
}

// tell writes to the programs, which may not be there to read.
func (r *relay) tell(text string) error {
	if d, ok := r.line.(interface{ SetWriteDeadline(time.Time) error }); ok {
		_ = d.SetWriteDeadline(time.Now().Add(writePatience)) // without one, writing may block until the end
	}
	_, err := io.WriteString(r.line, text)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return err
}

// toModem passes on what programs say, line by line.
func (r *relay) toModem(ctx context.Context) error {
	chunk := make([]byte, 256)
	for {
		n, err := r.line.Read(chunk)
		for _, b := range chunk[:n] {
			if err := r.take(ctx, b); err != nil {
				return endOf(ctx, err)
			}
		}
		if err != nil {
			return endOf(ctx, err)
		}
	}
}

// take keeps bytes until they are a line. What ends one: CR, the Ctrl-Z of a message, ESC, and the second character of A/.
func (r *relay) take(ctx context.Context, b byte) error {
	const controlZ, escape = 0x1A, 0x1B
	isEnd := b == '\r' || b == controlZ || b == escape
	if len(r.typed) >= maxCommandLine && !isEnd {
		r.tooLong = true
		return nil
	}
	r.typed = append(r.typed, b)
	if !isEnd && !strings.EqualFold(strings.Trim(string(r.typed), "\r\n"), "A/") {
		return nil
	}
	text := string(r.typed)
	run := r.passed
	refused := run.goOn(text) || r.tooLong
	switch {
	case refused: // the modem has not heard it
	case b == '\r':
		r.passed = 0
	default:
		r.passed = run
	}
	r.typed, r.tooLong = nil, false
	return r.pass(ctx, text, refused)
}

func (r *relay) pass(ctx context.Context, text string, refused bool) error {
	r.recording.add(fromHost, text)
	if refused {
		const answer = "\r\nERROR\r\n"
		return r.say(ctx, fromRelay, answer)
	}
	if answer, again := r.memory.recall(text); again {
		return r.say(ctx, fromRelay, answer)
	}
	_, err := r.port.Write(ctx, []byte(text))
	if errors.Is(err, modem.ErrTimeout) {
		return nil // a modem that takes no bytes loses them
	}
	return err
}

// endOf tells the ends of a normal life from failures.
func endOf(ctx context.Context, err error) error {
	if ctx.Err() != nil || errors.Is(err, io.EOF) || errors.Is(err, modem.ErrHangup) || errors.Is(err, modem.ErrClosed) {
		return nil
	}
	return err
}

// CouldWriteIdentity reports bytes that hold as many digits, decimal or hex, as an identity has, in one piece or with
// anything but a letter between them: whatever the vendor calls the command, writing an identity needs them. Bytes with
// backspaces could become anything, so they count. There is no exception: dialling a long number, or commands to the SIM
// card, need no recording. It guards against mistakes; whoever wants to write an identity does not need a relay.
func CouldWriteIdentity(bytes string) bool {
	var run digitRun
	return run.goOn(bytes)
}

// digitRun is how many digits the bytes so far end with, as [CouldWriteIdentity] counts them.
type digitRun int

// goOn counts on through more bytes, and reports those that could write an identity.
func (digits *digitRun) goOn(bytes string) bool {
	for _, b := range []byte(strings.ToUpper(bytes)) {
		switch {
		case b == '\b' || b == 0x7f:
			return true
		case b >= '0' && b <= '9', b >= 'A' && b <= 'F':
			*digits++
		case b >= 'G' && b <= 'Z' && b != 'X': // X marks a hex number
			*digits = 0
		}
		if *digits >= bodyDigits {
			return true
		}
	}
	return false
}
