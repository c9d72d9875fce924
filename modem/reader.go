package modem

import (
	"context"
	"slices"
	"sync"
)

// Reader reads the identity of the modem on one port, as often as asked.
type Reader struct {
	mu      sync.Mutex // one Read or Ask at a time
	channel *Channel
	config  Config
	// profiles are the caller's, and after them those of this package.
	profiles []Profile
}

// NewReader returns a Reader on port. The caller closes the port when it is done with the Reader.
func NewReader(port Port, config Config) *Reader {
	config = config.withDefaults()
	return &Reader{channel: NewChannel(port, config), config: config, profiles: append(slices.Clone(config.Profiles), ownProfiles()...)}
}

// Ask runs a single command, see [Channel.Ask].
func (r *Reader) Ask(ctx context.Context, command string) (Answer, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.channel.Ask(ctx, command)
}

// Read runs the whole plan. A modem that answers nonsense, or nothing, gives a Reading that says so; the error means
// that no reading was possible: the port failed or ctx was cancelled.
func (r *Reader) Read(ctx context.Context) (Reading, error) { return r.read(ctx, false) }

func (r *Reader) read(ctx context.Context, subscribers bool) (Reading, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, r.config.TotalTimeout)
	defer cancel()
	if err := r.channel.begin(ctx); err != nil {
		return Reading{}, err
	}
	p, err := r.run(ctx)
	if err != nil {
		return Reading{}, err
	}
	reading := p.reading()
	if subscribers {
		p.askSubscribers(ctx, &reading)
	}
	reading.Port = r.channel.port.Info()
	return reading, nil
}

// run walks through the plan, and once more when answers could not be given to their commands for certain.
func (r *Reader) run(ctx context.Context) (*pass, error) {
	p := &pass{channel: r.channel, profiles: r.profiles}
	if err := p.run(ctx); err != nil || !p.mixedUp || r.channel.lost {
		return p, err
	}
	r.channel.suspect = true
	again := &pass{channel: r.channel, profiles: r.profiles, restart: p.restart}
	return again, again.run(ctx)
}
