package peertest

import "time"

// SetVersionPatience returns what undoes it.
func SetVersionPatience(d time.Duration) (undo func()) {
	before := versionPatience
	versionPatience = d
	return func() { versionPatience = before }
}
