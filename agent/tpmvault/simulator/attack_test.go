//go:build cgo

package simulator

import (
	"testing"

	"imei-attest/agent/tpmvault/attacktest"
	"imei-attest/testbench/peertest"
)

func TestAttack(t *testing.T) {
	row := peertest.Use(t, compiler, asserted)
	row.Version = "rev 1.54"
	attacktest.Run(t, attacktest.Simulator, newEngine)
}
