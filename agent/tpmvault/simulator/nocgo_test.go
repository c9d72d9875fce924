//go:build !cgo

package simulator

import (
	"testing"

	"imei-attest/testbench/peertest"
)

func TestAttack(t *testing.T) {
	peertest.Use(t, compiler, asserted).Version = "-"
	peertest.Unavailable(t, compiler, "it was built without cgo")
}
