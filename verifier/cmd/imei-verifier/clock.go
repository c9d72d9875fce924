package main

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// wallClock is the system's. The tests that set it forward and back put another in its place.
var wallClock = time.Now

const (
	clockLook = time.Second
	// clockSlack is what a clock that is slewed, and a busy machine, may differ in between two looks.
	clockSlack = 2 * time.Second
)

// clockWatch tells when the system's clock is set. Nonces and results carry its time, so a jump of more than their lives ends them: that
// costs honest devices another try, and nobody a false verdict. Used nonces stay used: the store remembers until when it forgot some.
type clockWatch struct {
	log  *slog.Logger
	jump func(by time.Duration) // told of each jump

	mu   sync.Mutex
	last time.Time     // of the wall clock
	ran  time.Duration // by the monotonic clock, at the same time
}

// run looks at the clock until ctx is done.
func (c *clockWatch) run(ctx context.Context) {
	begun := time.Now()
	c.look(wallClock(), 0)
	ticker := time.NewTicker(clockLook)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			c.look(wallClock(), time.Since(begun))
		}
	}
}

// look compares how far both clocks went.
func (c *clockWatch) look(wall time.Time, ran time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	wall = wall.Round(0) // without the monotonic reading
	by := wall.Sub(c.last) - (ran - c.ran)
	first := c.last.IsZero()
	c.last, c.ran = wall, ran
	if first || by.Abs() <= clockSlack {
		return
	}
	c.log.Warn("the system's clock was set: sessions that are open may end, and devices ask again", "seconds", int(by.Seconds()))
	c.jump(by)
}
