package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Load is what the crowd does to a verifier.
type Load struct {
	Address string        `json:"address"` // HOST:PORT, plain HTTP
	Secret  []byte        `json:"secret"`
	Devices int           `json:"devices"` // those of the crowd that take part
	Clients int           `json:"clients"` // that ask at once, each on a connection of its own
	Time    time.Duration `json:"time_ns"`
	// Check asks POST /v1/registrations/check about re-registrations, which earlier results answer; else the devices attest by
	// challenge and response.
	Check bool `json:"check"`
	// S13 asks over S13 instead, at that address, with some questions of each client under way (TS 29.272 clause 6).
	S13 bool `json:"s13"`
}

// Figures are what was measured. An answer is one verdict: by challenge and response that is two requests, and its time is that from
// the first request to the second answer.
type Figures struct {
	Answers   int       `json:"answers"`
	Seconds   float64   `json:"seconds"`
	PerSecond float64   `json:"per_second"`
	Latency   Latencies `json:"latency_ms"`
}

// Latencies are quantiles in milliseconds.
type Latencies struct {
	P50 float64 `json:"p50"`
	P90 float64 `json:"p90"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// Clients are those of a load, ready to ask.
type Clients struct {
	load *Load
	all  []*client
}

// Prepare draws the devices that will take their turn and makes their keys: a device has its own, and need not derive it from a secret.
func (l *Load) Prepare(ctx context.Context) (*Clients, error) {
	crowd, err := NewCrowd(l.Secret)
	if err != nil {
		return nil, err
	}
	c := &Clients{load: l, all: make([]*client, l.Clients)}
	for i := range c.all {
		c.all[i] = newClient(l, crowd)
	}
	return c, c.each(ctx, func(ctx context.Context, i int) error { return c.all[i].prepare(ctx) })
}

// each lets all clients do something at once. The error is the first one, which stops the others.
func (c *Clients) each(ctx context.Context, do func(ctx context.Context, i int) error) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var doing sync.WaitGroup
	for i := range c.all {
		doing.Go(func() {
			if err := do(ctx, i); err != nil {
				stop(err)
			}
		})
	}
	doing.Wait()
	return context.Cause(ctx)
}

// Ask asks for as long as it should. The error is that of the first answer which is not as it must be: then nothing was measured.
func (c *Clients) Ask(ctx context.Context) (*Figures, error) {
	took := make([][]time.Duration, len(c.all))
	begun := time.Now()
	err := c.each(ctx, func(ctx context.Context, i int) (err error) {
		if c.load.S13 {
			took[i], err = c.all[i].askS13(ctx, i, begun.Add(c.load.Time))
		} else {
			took[i], err = c.all[i].ask(ctx, begun.Add(c.load.Time))
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	all := slices.Concat(took...)
	if len(all) == 0 {
		return nil, errors.New("no answer came in time")
	}
	return figures(all, time.Since(begun)), nil
}

// ask is one client at work.
func (c *client) ask(ctx context.Context, until time.Time) (took []time.Duration, err error) {
	if err := c.dial(); err != nil {
		return nil, err
	}
	defer c.conn.Close()
	for begun := time.Now(); ctx.Err() == nil && begun.Before(until); begun = time.Now() {
		d, err := c.next()
		if err != nil {
			return nil, err
		}
		if c.load.Check {
			err = c.check(d)
		} else {
			err = c.attest(d)
		}
		if err != nil {
			return nil, fmt.Errorf("device %d: %w", d.number, err)
		}
		took = append(took, time.Since(begun))
	}
	return took, nil
}

func figures(took []time.Duration, all time.Duration) *Figures {
	slices.Sort(took)
	quantile := func(share float64) float64 {
		return float64(took[int(share*float64(len(took)-1))].Microseconds()) / 1000
	}
	return &Figures{Answers: len(took), Seconds: all.Seconds(), PerSecond: float64(len(took)) / all.Seconds(),
		Latency: Latencies{quantile(.5), quantile(.9), quantile(.99), quantile(1)}}
}
