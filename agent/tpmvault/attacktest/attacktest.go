// Package attacktest attacks a provisioned TPM in every way the project knows, and says for each what the TPM or the
// vault must answer. The attacks are rows of one table, [Table]; each engine of TPMs runs all of it.
//
// Start with [Run], from a test of an engine. The rows send bare TPM commands, as an attacker does who is not held up by
// the vault's own checks: what they show is what the TPM refuses, whatever program asks. Only tests may import this
// package.
package attacktest

import (
	"cmp"
	"testing"

	"github.com/google/go-tpm/tpm2/transport"
)

// Engine is a TPM on the bench, switched on and started.
type Engine interface {
	transport.TPM
	// Restart shuts the TPM down in good order and starts it again, as a reboot of the device does.
	Restart() error
}

// Snapshots is an engine whose whole state can be copied aside and put back.
type Snapshots interface {
	Engine
	// Snapshot copies the state; restore starts the engine with the copy.
	Snapshot() (restore func() error, err error)
}

// Column is an engine's column of the table.
type Column int

// The engines.
const (
	SWTPM     Column = iota // swtpm with libtpms
	Simulator               // Microsoft's reference code
)

// New gives a fresh TPM. It may end the one it gave before: no row needs two at a time.
type New func(testing.TB) Engine

// Attack is a row of the table.
type Attack struct {
	ID, Name string
	Action   string // in words, as a sentence without subject: "writes the record ..."
	Want     string // the outcome, as [outcome] says it
	// WantSimulator is the outcome on the Simulator where it is another one; "-" means that it cannot be tried there.
	WantSimulator string
	After         string // what the honest vault says afterwards; "" means that it signs
	Restart       bool   // the honest vault signs again after a restart of the device
	setup         func(*device)
	run           func(*device) error
}

const notTried = "-"

func (a Attack) want(c Column) string {
	if c == Simulator {
		return cmp.Or(a.WantSimulator, a.Want)
	}
	return a.Want
}

// Run attacks TPMs of an engine, a subtest for each row. Each row has a TPM of its own, which an honest manufacturer has
// provisioned; after the attack the honest vault is opened.
func Run(t *testing.T, c Column, fresh New) {
	for _, a := range Table {
		t.Run(a.ID+"_"+a.Name, func(t *testing.T) {
			if a.want(c) == notTried {
				t.Skip("this engine's state cannot be copied")
			}
			d := newDevice(t, fresh)
			a.setup(d)
			if got, want := d.outcome(a.run(d)), a.want(c); got != want {
				t.Errorf("%s: the outcome is %q, want %q", a.Action, got, want)
			}
			d.checkAfter("afterwards", cmp.Or(a.After, signs))
			if a.Restart {
				d.must(d.engine.Restart())
				d.checkAfter("after a restart", signs)
			}
		})
	}
}

func (d *device) checkAfter(when, want string) {
	d.t.Helper()
	got := signs
	if err := d.honest(); err != nil {
		got = d.outcome(err)
	}
	if got != want {
		d.t.Errorf("the honest vault %s: %q, want %q", when, got, want)
	}
}
