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

// Run asks for as long as it should. The error is that of the first answer which is not as it must be: then nothing was measured.
func (l *Load) Run(ctx context.Context) (*Figures, error) {
	crowd, err := NewCrowd(l.Secret)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	took := make([][]time.Duration, l.Clients)
	begun := time.Now()
	var asking sync.WaitGroup
	for i := range took {
		asking.Go(func() {
			var err error
			if took[i], err = l.ask(ctx, crowd, begun.Add(l.Time)); err != nil {
				stop(err)
			}
		})
	}
	asking.Wait()
	all := slices.Concat(took...)
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, errors.New("no answer came in time")
	}
	return figures(all, time.Since(begun)), nil
}

// ask is one client.
func (l *Load) ask(ctx context.Context, crowd *Crowd, until time.Time) (took []time.Duration, err error) {
	c, err := l.dial(crowd)
	if err != nil {
		return nil, err
	}
	defer c.conn.Close()
	for begun := time.Now(); ctx.Err() == nil && begun.Before(until); begun = time.Now() {
		number := c.random.IntN(l.Devices)
		if err := c.one(number); err != nil {
			return nil, fmt.Errorf("device %d: %w", number, err)
		}
		took = append(took, time.Since(begun))
	}
	return took, nil
}

func (c *client) one(number int) error {
	d, err := c.crowd.device(number)
	if err != nil {
		return err
	}
	if c.load.Check {
		return c.check(d)
	}
	return c.attest(d)
}

func figures(took []time.Duration, all time.Duration) *Figures {
	slices.Sort(took)
	quantile := func(share float64) float64 {
		return float64(took[int(share*float64(len(took)-1))].Microseconds()) / 1000
	}
	return &Figures{Answers: len(took), Seconds: all.Seconds(), PerSecond: float64(len(took)) / all.Seconds(),
		Latency: Latencies{quantile(.5), quantile(.9), quantile(.99), quantile(1)}}
}
