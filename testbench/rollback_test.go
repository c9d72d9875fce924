package testbench_test

import (
	"context"
	"os"
	"slices"
	"testing"

	"imei-attest/agent/tpmvault/tpmtest"
	"imei-attest/attest"
	"imei-attest/attest/imei"
	"imei-attest/testbench"
	"imei-attest/verifier"
)

// What a TPM engine does when its state is copied, and when it is cleared, is taken from the engine, not from a model of it.

// counted is a device whose TPM proved its counter to the verifier.
type counted struct {
	*testing.T
	world  *testbench.World
	device *testbench.Device
}

func newCounted(t *testing.T) *counted {
	t.Helper()
	tpmtest.New(t) // skips or fails where there is no engine
	w, err := testbench.NewWorld(t.Context(), t.TempDir(), testbench.VaultTPM)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	id, err := imei.Parse("490154203237518")
	if err != nil {
		t.Fatal(err)
	}
	d, err := w.NewDevice(context.Background(), "counted", id)
	if err != nil {
		t.Fatal(err)
	}
	return &counted{t, w, d}
}

// want asks the device to attest.
func (c *counted) want(when string, status attest.Status, reasons ...attest.Reason) {
	c.Helper()
	nonce, err := c.world.Nonce(c.Context())
	if err != nil {
		c.Fatal(err)
	}
	token, err := c.device.Attest(c.Context(), nonce)
	if err != nil {
		c.Fatalf("%s: %v", when, err)
	}
	verdict, err := c.world.Ask(c.Context(), token, verifier.Registration{InstanceID: "<" + c.device.IMEI.URN() + ">"})
	if err != nil {
		c.Fatal(err)
	}
	if verdict.Status != status {
		c.Errorf("%s: %s %v, want %s", when, verdict.Status, verdict.Reasons, status)
	}
	for _, r := range []attest.Reason{attest.ReasonStateRegressed, attest.ReasonTPMCleared, attest.ReasonRollbackUnknown} {
		if slices.Contains(verdict.Reasons, r) != slices.Contains(reasons, r) {
			c.Errorf("%s: reasons %v, want of those about the state %v", when, verdict.Reasons, reasons)
		}
	}
}

func (c *counted) powerCycle(meanwhile func(state string) error) {
	c.Helper()
	if err := c.device.PowerCycle(context.Background(), meanwhile); err != nil {
		c.Fatal(err)
	}
}

// TestAnOlderCopyOfTheTPMStateIsCaught with its first token.
func TestAnOlderCopyOfTheTPMStateIsCaught(t *testing.T) {
	c, older := newCounted(t), t.TempDir()
	c.want("new", attest.StatusAffirming)
	c.powerCycle(func(state string) error { return os.CopyFS(older, os.DirFS(state)) })
	c.want("switched on again", attest.StatusAffirming)
	c.powerCycle(func(state string) error {
		if err := os.RemoveAll(state); err != nil {
			return err
		}
		return os.CopyFS(state, os.DirFS(older))
	})
	c.want("set back", attest.StatusContraindicated, attest.ReasonStateRegressed)
}

// TestAClearedTPMIsNoClone: resets and clock begin anew, the platform's counter goes on.
func TestAClearedTPMIsNoClone(t *testing.T) {
	c := newCounted(t)
	c.want("new", attest.StatusAffirming)
	if err := tpmtest.Clear(c.device.TPM); err != nil {
		t.Fatal(err)
	}
	c.want("cleared", attest.StatusAffirming, attest.ReasonTPMCleared)
	c.want("after that", attest.StatusAffirming)
	c.powerCycle(func(string) error { return nil })
	c.want("switched on again", attest.StatusAffirming)
}
