//go:build race

package verifier_test

// underRace: the race detector makes sync.Pool forget at random, so that allocations are not counted.
const underRace = true
