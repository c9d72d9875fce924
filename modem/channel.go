package modem

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"time"
)

// Channel runs AT commands one after the other on a [Port] it owns. It changes no setting of the modem: echo on or off,
// verbose or numeric result codes, any +CMEE and +CSCS are understood as they are found. Not for concurrent use.
//
// An answer is given to the command it belongs to by its echo. Without echo, a line that is quiet before the command
// and a text of the right kind are the evidence, and [Reader] adds a command with a known answer.
type Channel struct {
	port    Port
	timeout time.Duration
	split   splitter
	chunk   [256]byte
	pending []byte    // part of chunk: read, but behind the final result code
	budget  int       // bytes the modem may still send until the next begin
	echoes  bool      // the last answer began with the echo
	opened  bool      // the line has been drained since the session began
	left    time.Time // when the command was sent whose answer a cancelled call did not wait for; zero if there is none
	suspect bool      // a late answer may still come: resynchronise before the next command
	lost    bool      // resynchronising failed; nothing more is asked until the next begin
	restart bool      // a banner was seen since the last answer
}

// NewChannel returns a Channel on port. The caller closes the port.
func NewChannel(port Port, config Config) *Channel {
	return &Channel{port: port, timeout: config.withDefaults().CommandTimeout, budget: MaxSession}
}

// exchange is one command and the lines it was answered with.
type exchange struct {
	*collector
	raw  [sha256.Size]byte
	took time.Duration
	end  time.Time
}

// begin starts a session: a new budget, and a line that is quiet or has had [drainTime] to become so.
func (c *Channel) begin(ctx context.Context) error {
	c.budget, c.suspect, c.lost, c.restart, c.echoes = MaxSession, false, false, false, false
	c.opened = true
	if !c.left.IsZero() {
		return c.settle(ctx)
	}
	_, err := c.drain(ctx, quietTime, drainTime)
	return err
}

// Ask runs one command that reads and judges its answer. An error means the port failed, ctx was cancelled, or the
// command is none that reads ([ErrNotRead]); everything the modem says or does not say is in the Answer.
// Each call is a session of its own as far as [MaxSession] goes.
func (c *Channel) Ask(ctx context.Context, command string) (Answer, error) {
	c.budget = MaxSession
	c.opened = c.opened && !c.lost
	a, _, err := c.ask(ctx, command)
	return a, err
}

// ask also reports whether a line that could hold an identity came outside the answer: some earlier command was then
// perhaps given another one's answer.
func (c *Channel) ask(ctx context.Context, command string) (a Answer, late bool, err error) {
	if err := checkReads(command); err != nil {
		return Answer{}, false, err
	}
	x, err := c.exchange(ctx, command, c.timeout)
	if err != nil {
		return Answer{}, false, err
	}
	a = Answer{Command: command, Word: x.word, Raw: x.raw, Took: x.took, Ended: x.end, Restart: x.restart, echoed: x.echoed}
	if x.grammar.ask == askIMSI {
		a.Raw = [sha256.Size]byte{} // whoever tries all subscribers finds the one in it
	}
	switch {
	case x.overrun:
		a.Word = WordTooLong
	case x.timedOut:
		a.Word = WordTimeout
	case x.word == "":
		a.judge(x.grammar, x.lines)
	}
	return a, x.late > 0, nil
}

// exchange brings the line into order, sends the command and collects its answer.
func (c *Channel) exchange(ctx context.Context, command string, timeout time.Duration) (exchange, error) {
	if !c.opened {
		if err := c.begin(ctx); err != nil {
			return exchange{}, err
		}
	}
	if c.suspect && !c.lost {
		if err := c.resync(ctx); err != nil {
			return exchange{}, err
		}
	}
	before, err := c.drain(ctx, 0, 0)
	if err != nil {
		return exchange{}, err
	}
	x, err := c.run(ctx, command, timeout)
	if err != nil {
		return exchange{}, err
	}
	x.strays += before.strays
	x.late += before.late
	x.restart = x.restart || c.restart
	c.restart = false
	return x, nil
}

// run sends the command and collects its answer, whatever the state of the line.
func (c *Channel) run(ctx context.Context, command string, timeout time.Duration) (exchange, error) {
	k := &collector{grammar: grammarOf(command), needsEcho: c.echoes}
	digest := sha256.New()
	start := time.Now()
	deadline := start.Add(timeout)
	if err := ctx.Err(); errors.Is(err, context.Canceled) {
		return exchange{}, err
	} else if err != nil || c.lost || c.budget <= 0 {
		// Nothing is sent any more, lest its answer be met by the next session.
		k.timedOut, k.overrun = c.budget > 0, c.budget <= 0
	} else if err := c.sendAndCollect(ctx, k, command, deadline, digest); err != nil {
		c.leave(start)
		return exchange{}, err
	}
	end := time.Now()
	c.suspect = c.suspect || k.timedOut || k.overrun
	if k.done {
		c.echoes = k.echoed
	}
	x := exchange{collector: k, took: end.Sub(start), end: end}
	digest.Sum(x.raw[:0])
	return x, nil
}

// leave notes that the answer to a command sent at that time may still come.
func (c *Channel) leave(sent time.Time) {
	c.suspect = true
	if c.left.IsZero() {
		c.left = sent
	}
}

func (c *Channel) sendAndCollect(ctx context.Context, k *collector, command string, deadline time.Time, digest hash.Hash) error {
	if err := c.send(ctx, k, command, deadline); err != nil {
		return err
	}
	return c.collect(ctx, k, deadline, digest)
}

func (c *Channel) send(ctx context.Context, k *collector, command string, deadline time.Time) error {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	_, err := c.port.Write(ctx, append([]byte(command), '\r'))
	if errors.Is(err, ErrTimeout) {
		k.timedOut = true // a modem that takes no bytes
		return nil
	}
	if err != nil {
		return fmt.Errorf("sending %s: %w", command, err)
	}
	return nil
}

// collect feeds the collector until it is done, over a limit or out of time.
func (c *Channel) collect(ctx context.Context, k *collector, deadline time.Time, digest hash.Hash) error {
	for !k.done && !k.overrun && !k.timedOut {
		until := deadline
		if k.wasLateOK && len(k.lines) == 0 {
			until = earlier(deadline, time.Now().Add(lingerTime))
		}
		if err := c.fill(ctx, until); errors.Is(err, ErrTimeout) {
			// Nothing followed a bare OK: it was the answer.
			k.done = k.wasLateOK && len(k.lines) == 0
			k.timedOut = !k.done
		} else if err != nil {
			return fmt.Errorf("waiting for the answer to %s: %w", k.grammar.command, err)
		}
		c.feed(k, digest)
	}
	return nil
}

// fill reads more bytes unless there are some left.
func (c *Channel) fill(ctx context.Context, deadline time.Time) error {
	if len(c.pending) > 0 {
		return nil
	}
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	n, err := c.port.Read(ctx, c.chunk[:])
	if n > 0 {
		err = nil // what came before the line went down counts; the next read tells
	}
	c.pending = c.chunk[:n]
	return err
}

// feed moves pending bytes through the splitter into the collector and stops behind the final result code.
func (c *Channel) feed(k *collector, digest hash.Hash) {
	used := 0
	for _, b := range c.pending {
		used++
		k.bytes++
		line, complete, tooLong := c.split.push(b)
		if complete {
			k.take(line)
		}
		if c.budget--; tooLong || k.bytes > MaxAnswer || c.budget <= 0 {
			k.overrun = true
		}
		if k.overrun || k.done && !k.lingers() {
			break
		}
	}
	if digest != nil {
		digest.Write(c.pending[:used])
	}
	c.pending = c.pending[used:]
	c.restart = c.restart || k.restart
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
