package modem

import (
	"context"
	"errors"
)

// Port carries bytes to and from a modem. Reads and writes may run at the same time and Close at any time; two reads
// may not.
//
// A call ends with [ErrTimeout] when the deadline of its context passes and with [context.Canceled] when the context is
// cancelled. Read delivers bytes that are already there even when the deadline has passed, so that an expired deadline
// means "do not wait".
type Port interface {
	// Read waits for at least one byte. After the peer has gone it ends with [ErrHangup], now and ever after.
	Read(ctx context.Context, p []byte) (int, error)
	// Write sends all of p or says why not; n counts the bytes that were taken.
	Write(ctx context.Context, p []byte) (n int, err error)
	// Close ends running calls with [ErrClosed]. Further calls of Close do nothing.
	Close() error
	// Info says which device this is.
	Info() PortInfo
}

// PortInfo identifies the device behind a Port, so that the evidence can tell when another one has taken its name.
// All but Path is 0 for a port in memory.
type PortInfo struct {
	Path         string // as the caller gave it
	Major, Minor uint32 // device numbers
	Inode        uint64 // of the device node
}

// What a Port fails with. The errors returned wrap these and add cause and remedy for the person who reads them.
var (
	// ErrTimeout: the deadline passed and the line is still up.
	ErrTimeout = errors.New("the modem did not answer in time")
	// ErrHangup: the device is gone, for instance unplugged.
	ErrHangup = errors.New("the modem hung up or was unplugged")
	// ErrClosed: Close was called.
	ErrClosed = errors.New("the port is closed")
	// ErrBusy: another program has the port.
	ErrBusy = errors.New("the port is in use by another program")
	// ErrNotTTY: the path names something that is no serial port.
	ErrNotTTY = errors.New("not a serial port")
	// ErrNoPort: the path names nothing, or a device that is not there.
	ErrNoPort = errors.New("no such port")
	// ErrReplaced: the path named another device after opening than before.
	ErrReplaced = errors.New("the device changed while it was opened")
)
