//go:build linux

package serialport

// NewPort makes a Port of what was opened, OpenNow is Open without its bound, and OpenWithin that bound alone.
var (
	NewPort    = newPort
	OpenNow    = open
	OpenWithin = openWithin
)

// MaxStuckOpens is how many of them may hang.
const MaxStuckOpens = maxStuckOpens
