package modem

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// drain throws away what the modem sent unasked until no byte has come for quiet, at most for limit. With both 0
// it takes what is already there. What it saw is told by the collector.
func (c *Channel) drain(ctx context.Context, quiet, limit time.Duration) (*collector, error) {
	k := &collector{unanswered: true}
	end := time.Now().Add(limit)
	for c.budget > 0 && k.bytes <= MaxAnswer {
		err := c.fill(ctx, earlier(time.Now().Add(quiet), end))
		if errors.Is(err, ErrTimeout) {
			break
		}
		if err != nil {
			return k, fmt.Errorf("waiting for a quiet line: %w", err)
		}
		k.count = 0 // bytes are counted instead: a drain may see more lines than an answer has
		c.drop(k)
	}
	return k, nil
}

// drop is feed for bytes nobody asked for; overlong lines are no reason to stop.
func (c *Channel) drop(k *collector) {
	for len(c.pending) > 0 && c.budget > 0 && k.bytes <= MaxAnswer {
		k.overrun, k.count = false, 0
		c.feed(k, nil)
	}
}

// resync brings a line into order on which a late answer may still come: drain until quiet, send AT, and believe its OK
// only when nothing else came with it, or behind it for as long as the modem has just needed. A modem answers in
// the order it was asked, so the OK to an earlier AT shows itself by the one that follows it.
func (c *Channel) resync(ctx context.Context) error {
	c.echoes = false
	start := time.Now()
	if !c.left.IsZero() {
		start = c.left
	}
	for range resyncRounds {
		if _, err := c.drain(ctx, quietTime, drainTime); err != nil {
			return err
		}
		c.split.reset()
		clean, err := c.ping(ctx, start)
		if err != nil {
			return err
		}
		if clean {
			c.suspect, c.left = false, time.Time{}
			return nil
		}
	}
	c.lost, c.left = true, time.Time{}
	return nil
}

// settle begins a session behind a cancelled one. A line that cannot be brought into order may be that of a modem that
// is silent for now: waking it is for others to try.
func (c *Channel) settle(ctx context.Context) error {
	err := c.resync(ctx)
	c.suspect, c.lost = c.lost, false
	return err
}

// ping sends AT and reports whether a lone OK came back.
func (c *Channel) ping(ctx context.Context, start time.Time) (clean bool, err error) {
	x, err := c.run(ctx, "AT", min(wakeTimeout, c.timeout))
	if err != nil || !x.done || x.word != "" || len(x.lines)+x.strays+x.results > 0 {
		return false, err
	}
	quiet := min(wakeTimeout, lingerTime+time.Since(start))
	after, err := c.drain(ctx, quiet, 2*quiet)
	return after.strays+after.results == 0, err
}

// wake finds out whether a modem is there at all. Only when it stays silent is a setting changed: result codes may
// have been switched off (V.250 clause 6.2.5).
func (c *Channel) wake(ctx context.Context) (bool, error) {
	for round := range wakeRounds {
		command := "AT"
		if round == wakeRounds-1 {
			command = "ATQ0V1"
		}
		x, err := c.run(ctx, command, min(wakeTimeout, c.timeout))
		if err != nil {
			return false, err
		}
		if x.done {
			return true, nil
		}
		c.split.reset()
	}
	return false, nil
}
