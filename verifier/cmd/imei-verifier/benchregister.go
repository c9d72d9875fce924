package main

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/schollz/progressbar/v3"

	"imei-attest/verifier"
	"imei-attest/verifier/bench"
)

const (
	// benchStep is how many devices are registered before that is written down: so many may be registered again after an interruption,
	// which does no harm.
	benchStep = 2000
	// registering is how many devices register at once, so that they share transactions.
	registering = 256
)

// register makes the devices known that are not yet. They are judged as any others are, only not over HTTP.
func (b *benchRun) register(ctx context.Context, v *verifier.Verifier) error {
	crowd, err := bench.NewCrowd(b.folder.secret)
	if err != nil {
		return err
	}
	known := b.folder.Registered
	if b.check || b.s13 { // an earlier result counts for a day
		if err := registerRange(ctx, crowd, v, 0, min(known, b.asked), func() {}); err != nil {
			return err
		}
	}
	if known == b.devices {
		return nil
	}
	shown := progressbar.NewOptions(b.devices, progressbar.OptionSetWriter(b.stderr), progressbar.OptionSetVisibility(isTerminal(b.stderr)),
		progressbar.OptionSetDescription("registering devices"), progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionClearOnFinish())
	defer shown.Exit()
	step := func() { _ = shown.Add(1) } // a terminal that is gone shows nothing
	_ = shown.Set(known)
	for ; known < b.devices; known = b.folder.Registered {
		b.folder.Registered = min(known+benchStep, b.devices)
		if err := registerRange(ctx, crowd, v, known, b.folder.Registered, step); err != nil {
			return err
		}
		if err := b.folder.save(); err != nil {
			return err
		}
	}
	return nil
}

// registerRange registers the devices from one number up to another.
func registerRange(ctx context.Context, crowd *bench.Crowd, v *verifier.Verifier, from, to int, step func()) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var next atomic.Int64
	next.Store(int64(from))
	var workers sync.WaitGroup
	for range registering {
		workers.Go(func() {
			for i := int(next.Add(1)) - 1; i < to && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				if err := crowd.Register(ctx, v, i, wallClock()); err != nil {
					stop(err)
				}
				step()
			}
		})
	}
	workers.Wait()
	return context.Cause(ctx)
}
