// Package tpmdev opens TPMs: character devices of Linux and the unix socket of a swtpm. It is the only place of this
// project that does.
//
// Start with [Open]. A [Conn] is a transport of go-tpm's package tpm2 with its own framing: every response is read
// to the length it announces, every command ends by a deadline, and a TPM that keeps saying "retry" gives an error.
// After a command that broke off, the Conn is closed: the late response must never be taken for the next one's.
package tpmdev

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Conditions a caller tells apart. The message beside them says what to do.
var (
	// ErrSpec: the text names no TPM.
	ErrSpec = errors.New("not a TPM")
	// ErrAbsent: there is no TPM at this place, or nobody listens.
	ErrAbsent = errors.New("no TPM")
	// ErrBusy: another program holds the TPM.
	ErrBusy = errors.New("TPM busy")
	// ErrPermission: this user may not open it.
	ErrPermission = errors.New("TPM not permitted")
	// ErrTimeout: no response before the deadline.
	ErrTimeout = errors.New("TPM does not answer")
	// ErrBroken: the TPM answered what is no response, or the connection ended.
	ErrBroken = errors.New("TPM connection broken")
)

// Sizes of a response in bytes: the header (Part 1 section 18, tag, size, code) and the longest response of a TPM, as the Linux
// driver has it (TPM_BUFSIZE).
const (
	headerSize  = 10
	maxResponse = 4096
)

// CommandTimeout bounds one command. The slowest that this project sends is TPM2_CreatePrimary on P-256; Linux itself
// waits up to 5 minutes for RSA keys and 2 s for most other commands (drivers/char/tpm/tpm2-cmd.c).
const CommandTimeout = 20 * time.Second

// exchanger sends one command and reads one response; what it returns may still be anything.
type exchanger interface {
	exchange(command []byte, deadline time.Time) ([]byte, error)
	close() error
}

// Conn is an open TPM. Its methods may be called from several goroutines; one command runs at a time.
type Conn struct {
	spec    string
	mu      sync.Mutex
	link    exchanger // nil once closed
	timeout time.Duration
	backoff time.Duration // before the first repetition
}

func newConn(spec string, link exchanger) *Conn {
	return &Conn{spec: spec, link: link, timeout: CommandTimeout, backoff: firstBackoff}
}

// String is the text the TPM was opened with.
func (c *Conn) String() string { return c.spec }

// Close ends the connection. The TPM keeps what is in it.
func (c *Conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closeLocked()
}

func (c *Conn) closeLocked() error {
	if c.link == nil {
		return nil
	}
	link := c.link
	c.link = nil
	return link.close()
}

// Send is [Conn.SendContext] without a context; it makes a Conn a transport.TPM.
func (c *Conn) Send(command []byte) ([]byte, error) {
	return c.SendContext(context.Background(), command)
}

// SendContext runs one command. It ends by [CommandTimeout] or by the deadline of ctx, whichever is first; a ctx
// cancelled while the TPM works takes effect with the response, because a TPM cannot be interrupted safely.
func (c *Conn) SendContext(ctx context.Context, command []byte) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	deadline := time.Now().Add(c.timeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	for wait := c.backoff; ; wait = min(2*wait, maxBackoff) {
		response, err := c.once(ctx, command, deadline)
		if err != nil || !isRetry(response) {
			return response, err
		}
		if time.Until(deadline) < wait {
			return nil, fmt.Errorf("%s: %w: it keeps asking to repeat the command (code %#x); another program may be using it, or it is testing itself",
				c.spec, ErrBusy, responseCode(response))
		}
		if err := sleep(ctx, wait); err != nil {
			return nil, err
		}
	}
}

func (c *Conn) once(ctx context.Context, command []byte, deadline time.Time) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if c.link == nil {
		return nil, fmt.Errorf("%s: %w: it was closed, or an earlier command broke off; open it again", c.spec, ErrBroken)
	}
	response, err := c.link.exchange(command, deadline)
	if err == nil {
		err = checkResponse(response)
	}
	if err != nil {
		// A response may still come: it would answer the next command.
		_ = c.closeLocked()
		return nil, fmt.Errorf("%s: %w", c.spec, err)
	}
	return response, nil
}

// Tags of a response (Part 2 section 6.9, TPM_ST).
const (
	tagNoSessions = 0x8001
	tagSessions   = 0x8002
	tagRspCommand = 0x00C4 // a TPM that did not understand the tag, or a TPM 1.2
)

func checkResponse(response []byte) error {
	if len(response) < headerSize {
		return fmt.Errorf("%w: response of %d bytes, a header has %d", ErrBroken, len(response), headerSize)
	}
	if size := responseSize(response); size != len(response) {
		return fmt.Errorf("%w: response of %d bytes says it has %d", ErrBroken, len(response), size)
	}
	switch tag := binary.BigEndian.Uint16(response); tag {
	case tagNoSessions, tagSessions:
		return nil
	case tagRspCommand:
		return fmt.Errorf("%w: it does not understand TPM 2.0 commands: a TPM 1.2?", ErrBroken)
	default:
		return fmt.Errorf("%w: response with tag %#04x", ErrBroken, tag)
	}
}

// responseSize is the length that a header announces.
func responseSize(header []byte) int { return int(binary.BigEndian.Uint32(header[2:])) }

func responseCode(header []byte) uint32 { return binary.BigEndian.Uint32(header[6:]) }
