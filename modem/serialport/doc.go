// Package serialport opens the serial port of a modem on Linux and tells apart what a plain file does not: a timeout,
// a hang-up, a port another program has, a path that names something else.
//
// Start with [Open]. A [Port] promises: reads and writes end when their context says, to the millisecond and within 5 ms
// of a cancellation; a device that was unplugged gives modem.ErrHangup at once and ever after; a peer that takes no bytes
// blocks no write for longer than its deadline; while the port is open no other program that respects flock or
// TIOCEXCL gets it; Close ends running calls, restores the line settings and never waits for output to drain.
//
// The modem lines DTR and RTS are up while the port is open, and Close puts down what Open had to raise. Ports without
// such lines, as pseudo-terminals are, and drivers that refuse them are used as they are; no line from the modem is looked at.
//
// All bytes go through github.com/tarm/serial. By itself its time-outs are rounded to 0.1 s and look like a hang-up, its Close and
// Write can block for ever, and it locks nothing. So a second descriptor of the same terminal does the waiting, the locking and the
// settings, and tarm/serial reads and writes only what poll has said is there. To open it a second time takes /proc.
//
// It works on Linux only: elsewhere there is no TIOCEXCL with hang-up reported by poll, and the build says so.
package serialport
