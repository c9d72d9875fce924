//go:build linux

package serialport

// NewPort makes a Port of what was opened, and OpenWithin has open(2) replaced.
var (
	NewPort    = newPort
	OpenWithin = openWithin
)

// MaxStuckOpens is how many of them may hang.
const MaxStuckOpens = maxStuckOpens
