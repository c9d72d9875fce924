package modemtest

import (
	"cmp"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"time"
)

// maxCommandLine is the longest command line kept, in bytes; ModemManager's longest is about 80.
const maxCommandLine = 512

// drainLimit is how long a modem that hangs up waits for its last bytes to be read.
const drainLimit = 200 * time.Millisecond

// errHungUp ends serving after FaultHangUp.
var errHungUp = errors.New("the emulated modem hung up as told")

// Serve talks AT on rw until ctx ends or rw fails, and returns nil for both ends of a normal life. If rw has a Close
// method it is called when ctx ends, so that a blocked read returns, and when the modem hangs up.
func (e *Emulator) Serve(ctx context.Context, rw io.ReadWriter) error {
	s := &session{emulator: e, rw: rw, settings: e.start}
	closeLine := func() {
		if c, ok := rw.(io.Closer); ok {
			_ = c.Close()
		}
	}
	s.ctx, s.stop = context.WithCancel(ctx)
	defer context.AfterFunc(ctx, closeLine)()
	err := s.readAll()
	s.stop()
	s.late.Wait()
	if errors.Is(err, errHungUp) {
		if d, ok := rw.(interface{ Drain(time.Duration) }); ok {
			d.Drain(drainLimit)
		}
		closeLine()
		return nil
	}
	if ctx.Err() != nil || errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// session is one line being served: what the modem remembers of it.
type session struct {
	settings
	emulator *Emulator
	rw       io.ReadWriter
	ctx      context.Context
	stop     context.CancelFunc
	line     []byte
	last     string // the last command line, for A/
	identity string // told instead of the modem's own in the answer to this line; "" for none
	restarts bool   // when this line is answered
	writing  sync.Mutex
	late     sync.WaitGroup // stale answers on their way
}

func (s *session) readAll() error {
	chunk := make([]byte, 256)
	for {
		n, err := s.rw.Read(chunk)
		for _, b := range chunk[:n] {
			if err := s.take(b); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
	}
}

// take handles one byte as V.250 clause 5.2 and 5.3 have it: CR ends a line, LF means nothing, backspace and ESC edit,
// A/ repeats at once.
func (s *session) take(b byte) error {
	const backspace, escape = 0x08, 0x1B
	switch b {
	case '\r':
		line := string(s.line)
		s.line = s.line[:0]
		return s.commandLine(line)
	case '\n', 0:
		return nil
	case backspace:
		s.line = s.line[:max(0, len(s.line)-1)]
		return nil
	case escape:
		s.line = s.line[:0]
		return nil
	}
	if len(s.line) < maxCommandLine {
		s.line = append(s.line, b)
	}
	if strings.EqualFold(string(s.line), "A/") {
		s.line = s.line[:0]
		return s.commandLine(s.last)
	}
	return nil
}

// commandLine echoes and answers. Bytes before AT are noise: other text is ignored, as a modem does.
func (s *session) commandLine(line string) error {
	s.emulator.record.write(fromHost, line+"\r")
	body, ok := bodyOf(line)
	if !ok {
		return nil
	}
	line = line[indexOfAT(line):]
	s.last = line
	fault := s.emulator.faultFor(body)
	s.identity = ""
	switch fault.Kind {
	case FaultIdentity:
		s.identity = fault.Text
	case FaultSwap:
		s.emulator.SetIMEI(fault.Text)
	}
	echo := ""
	if s.echo && fault.Kind != FaultVerbatim {
		echo = line + "\r"
	}
	return s.misbehave(fault, echo, func() string { return s.answer(body, fault.Kind == FaultDropOK) })
}

// misbehave sends echo and answer the way the fault says.
func (s *session) misbehave(f Fault, echo string, answer func() string) error {
	switch f.Kind {
	case FaultVerbatim:
		return s.send(f.Text)
	case FaultSilent:
		return nil
	case FaultInstead:
		return s.send(echo + f.Text)
	case FaultGarbage:
		return s.send(f.Text + echo + answer())
	case FaultHangUp:
		if err := s.send(echo + f.Text); err != nil {
			return err
		}
		return errHungUp
	case FaultEndless:
		for s.ctx.Err() == nil {
			if err := s.send(f.Text); err != nil {
				return err
			}
		}
		return nil
	case FaultDelay:
		if err := s.send(echo); err != nil {
			return err
		}
		s.pause(f.Delay)
		return s.send(answer())
	case FaultDrip:
		return s.drip(echo+answer(), f.Delay)
	case FaultNoDrain:
		if !s.stall(f.Delay) {
			return nil
		}
	case FaultStale:
		text := cmp.Or(f.Text, answer())
		s.late.Go(func() {
			if s.pause(f.Delay) {
				_ = s.send(text) // a line that is down needs no late answer
			}
		})
		return s.send(echo)
	}
	return s.send(echo + answer())
}

func (s *session) drip(text string, apart time.Duration) error {
	for i := range len(text) {
		if err := s.send(text[i : i+1]); err != nil || !s.pause(apart) {
			return err
		}
	}
	return nil
}

// stall does nothing for d, or for ever if that is 0; false when the line went down meanwhile.
func (s *session) stall(d time.Duration) bool {
	if d > 0 {
		return s.pause(d)
	}
	<-s.ctx.Done()
	return false
}

// pause waits; false when the line went down meanwhile.
func (s *session) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.ctx.Done():
		return false
	}
}

func (s *session) send(text string) error {
	if text == "" {
		return nil
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	s.emulator.record.write(fromModem, text)
	_, err := io.WriteString(s.rw, text)
	return err
}
