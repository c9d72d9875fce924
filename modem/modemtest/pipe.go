package modemtest

import (
	"context"
	"errors"
	"io"
	"sync"

	"imei-attest/modem"
)

// Pipe starts the emulator on a line in memory and returns the host's end. Closing the port ends the emulator; it returns
// when its goroutine has ended.
func (e *Emulator) Pipe() modem.Port {
	host, line := NewPipe()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = e.Serve(ctx, line) // ends with the port, or as a fault says
		_ = line.Close()
	}()
	return &emulatedPort{Port: host, stop: func() { cancel(); <-done }}
}

// emulatedPort ends its emulator when closed.
type emulatedPort struct {
	modem.Port
	once sync.Once
	stop func()
}

func (p *emulatedPort) Close() error {
	err := p.Port.Close()
	p.once.Do(p.stop)
	return err
}

// NewPipe returns a serial line in memory: the port of the host and the other end. Each direction holds 4 KiB, as a
// terminal does; beyond that writing waits for the reader.
func NewPipe() (modem.Port, io.ReadWriteCloser) {
	toModem, toHost := newHalf(), newHalf()
	return &hostEnd{in: toHost, out: toModem}, &modemEnd{in: toModem, out: toHost}
}

type hostEnd struct{ in, out *half }

func (h *hostEnd) Read(ctx context.Context, p []byte) (int, error) {
	n, err := h.in.read(ctx, p)
	return n, h.explain(err)
}

func (h *hostEnd) Write(ctx context.Context, p []byte) (int, error) {
	n, err := h.out.write(ctx, p)
	return n, h.explain(err)
}

func (h *hostEnd) Close() error {
	h.in.close(modem.ErrClosed)
	h.out.close(modem.ErrClosed)
	return nil
}

func (h *hostEnd) Info() modem.PortInfo { return modem.PortInfo{Path: "memory"} }

func (h *hostEnd) explain(err error) error {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return modem.ErrTimeout
	case errors.Is(err, io.EOF):
		return modem.ErrHangup
	}
	return err
}

type modemEnd struct{ in, out *half }

func (m *modemEnd) Read(p []byte) (int, error) {
	n, err := m.in.read(context.Background(), p)
	return n, eofForClosed(err)
}

func (m *modemEnd) Write(p []byte) (int, error) {
	n, err := m.out.write(context.Background(), p)
	return n, eofForClosed(err)
}

func (m *modemEnd) Close() error {
	m.in.close(io.EOF)
	m.out.close(io.EOF)
	return nil
}

func eofForClosed(err error) error {
	if errors.Is(err, modem.ErrClosed) {
		return io.EOF
	}
	return err
}

// halfSize is what a Linux terminal buffers for one direction, in bytes.
const halfSize = 4096

// half is one direction. What was written before closing can still be read.
type half struct {
	mu      sync.Mutex
	data    []byte
	closed  error
	changed chan struct{} // closed and replaced at every change
}

func newHalf() *half { return &half{changed: make(chan struct{})} }

func (h *half) read(ctx context.Context, p []byte) (int, error) {
	for {
		if err := ctx.Err(); errors.Is(err, context.Canceled) {
			return 0, err
		}
		n, changed, err := h.take(p)
		if n > 0 || err != nil {
			return n, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// take moves what is there into p. A half that its reader closed has nothing; one that its writer closed is read empty first.
func (h *half) take(p []byte) (n int, changed <-chan struct{}, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if errors.Is(h.closed, modem.ErrClosed) {
		return 0, nil, h.closed
	}
	if n = copy(p, h.data); n > 0 {
		h.data = h.data[:copy(h.data, h.data[n:])]
		h.announce()
		return n, nil, nil
	}
	return 0, h.changed, h.closed
}

func (h *half) write(ctx context.Context, p []byte) (n int, err error) {
	for {
		h.mu.Lock()
		err := h.closed
		if sent := min(len(p)-n, halfSize-len(h.data)); err == nil && sent > 0 {
			h.data = append(h.data, p[n:n+sent]...)
			n += sent
			h.announce()
		}
		changed := h.changed // after announcing: a writer does not wake itself, or a full line would keep it busy
		h.mu.Unlock()
		switch {
		case err != nil:
			return n, err
		case errors.Is(ctx.Err(), context.Canceled):
			return n, ctx.Err()
		case n == len(p):
			return n, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return n, ctx.Err()
		}
	}
}

func (h *half) close(why error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed == nil || errors.Is(why, modem.ErrClosed) {
		h.closed = why
		h.announce()
	}
}

// announce wakes everybody who waits. The caller holds mu.
func (h *half) announce() {
	close(h.changed)
	h.changed = make(chan struct{})
}
