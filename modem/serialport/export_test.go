//go:build linux

package serialport

// NewPort makes a Port of what was opened.
var NewPort = newPort
