//go:build cgo

package simulator

import (
	"encoding/binary"
	"errors"
	"testing"

	"github.com/google/go-tpm-tools/simulator"

	"imei-attest/agent/tpmvault/attacktest"
)

// engine is the simulator. There is one in a process: a fresh one ends that before it.
type engine struct {
	tpm *simulator.Simulator
}

var current *simulator.Simulator

func newEngine(t testing.TB) attacktest.Engine {
	t.Helper()
	if current != nil && !current.IsClosed() {
		if err := current.Close(); err != nil {
			t.Fatal(err)
		}
	}
	tpm, err := simulator.Get()
	if err != nil {
		t.Fatal(err)
	}
	current = tpm
	return engine{tpm}
}

// Send implements attacktest.Engine.
func (e engine) Send(command []byte) ([]byte, error) {
	if _, err := e.tpm.Write(command); err != nil {
		return nil, err
	}
	const most = 4096 // bytes of a response
	response := make([]byte, most)
	n, err := e.tpm.Read(response)
	if err == nil && (n < 10 || n != int(binary.BigEndian.Uint32(response[2:]))) {
		err = errors.New("the simulator gave a part of a response")
	}
	return response[:n], err
}

// Restart implements attacktest.Engine.
func (e engine) Restart() error { return e.tpm.Reset() }
