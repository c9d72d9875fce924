//go:build !race

package verifier_test

const underRace = false
