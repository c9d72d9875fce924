//go:build !linux

package serialport

// The build fails here on purpose, with this sentence as the error.
const _ int = "package modem/serialport works on Linux only: its locking and its telling of hang-ups need Linux"
