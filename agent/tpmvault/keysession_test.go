package tpmvault_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"imei-attest/agent/tpmvault"
	"imei-attest/agent/tpmvault/tpmtest"
)

// sessions are those that the TPM has loaded.
func (u *unit) sessions() []tpm2.TPMHandle {
	u.t.Helper()
	const loadedSessions = 0x02 << 24 // Part 2 section 7.2, TPM_HT_LOADED_SESSION
	response, err := tpm2.GetCapability{Capability: tpm2.TPMCapHandles, Property: loadedSessions, PropertyCount: 64}.Execute(u.conn)
	u.must(err)
	list, err := response.CapabilityData.Data.Handles()
	u.must(err)
	return list.Handle
}

func (u *unit) flushSessions() {
	u.t.Helper()
	for _, handle := range u.sessions() {
		_, err := tpm2.FlushContext{FlushHandle: handle}.Execute(u.conn)
		u.must(err)
	}
}

// startSession starts somebody else's session.
func (u *unit) startSession(kind tpm2.TPMSE) {
	u.t.Helper()
	_, err := tpm2.StartAuthSession{
		TPMKey: tpm2.TPMRHNull, Bind: tpm2.TPMRHNull, NonceCaller: tpm2.TPM2BNonce{Buffer: make([]byte, 16)},
		SessionType: kind, Symmetric: tpm2.TPMTSymDef{Algorithm: tpm2.TPMAlgNull}, AuthHash: tpm2.TPMAlgSHA256,
	}.Execute(u.conn)
	u.must(err)
}

// mustProve leaves the session of a proof, and nothing else, in the TPM.
func (u *unit) mustProve(v *tpmvault.Vault) {
	u.t.Helper()
	proof, err := v.Evidence(u.t.Context(), [32]byte{1})
	u.must(err)
	if held := u.sessions(); proof == nil || len(held) != 1 {
		u.t.Fatalf("a proof of %d bytes, and sessions %x; want one that stays", len(proof), held)
	}
}

// Whatever happens to the session between proof and signature, there is a signature, and no session afterwards.
func TestSignsWhateverHappensToTheSession(t *testing.T) {
	for _, c := range []struct {
		name    string
		disturb func(*unit, *tpmvault.Vault)
	}{
		{"nothing", func(*unit, *tpmvault.Vault) {}},
		{"somebody flushes it", func(u *unit, _ *tpmvault.Vault) { u.flushSessions() }},
		{"another policy session takes its place", func(u *unit, _ *tpmvault.Vault) { u.flushSessions(); u.startSession(tpm2.TPMSEPolicy) }},
		{"a trial session takes its place", func(u *unit, _ *tpmvault.Vault) { u.flushSessions(); u.startSession(tpm2.TPMSETrial) }},
		{"the TPM is cleared", func(u *unit, _ *tpmvault.Vault) { u.must(tpmtest.Clear(u.conn)) }},
		{"a register moves", func(u *unit, _ *tpmvault.Vault) { u.must(tpmtest.PCRExtend(u.conn, 10, [32]byte{1})) }},
		{"the TPM is restarted", func(u *unit, _ *tpmvault.Vault) { u.cutPower(); u.powerOn() }},
		{"there are two more proofs", func(u *unit, v *tpmvault.Vault) { u.mustProve(v); u.mustProve(v) }},
	} {
		for boot, pcrs := range map[string]string{"measured": bootPCRs, "unmeasured": ""} {
			t.Run(c.name+", "+boot, func(t *testing.T) {
				u := newUnit(t)
				u.openWith(pcrs, 1).Close()
				line := &faulty{TPM: u.conn}
				v, err := tpmvault.Open(t.Context(), line, tpmvault.Config{Approvals: u.approvals})
				u.must(err)
				defer v.Close()
				u.mustProve(v)
				c.disturb(u, v)
				line.TPM = u.conn // after a restart another
				u.must(sign(v, []byte("content")))
				u.wantClean()
				u.mustToken(v, 1)
				u.wantClean()
			})
		}
	}
}

func TestCloseEndsTheSession(t *testing.T) {
	u := newUnit(t)
	u.provision(imei1)
	v := u.open()
	u.mustProve(v)
	u.must(v.Close())
	u.wantClean()
	v = u.open()
	u.mustProve(v)
	u.flushSessions()
	u.must(v.Close()) // that somebody else was first is no failure
}

// A signature that cannot be made ends the session all the same, wherever it fails, and so does a proof.
func TestFailuresEndTheSession(t *testing.T) {
	u := newUnit(t)
	u.provision(imei1)
	v := u.open()
	for what, use := range map[string]func(context.Context) error{
		"signature": func(ctx context.Context) error { _, err := v.Signer(ctx).Sign(nil, nil); return err },
		"proof":     func(ctx context.Context) error { _, err := v.Evidence(ctx, [32]byte{2}); return err },
	} {
		const commands = 6 // of either, with the session that stayed
		for n := range commands {
			for want, spoil := range map[error]func(cancel func()) error{
				errCut:           func(func()) error { return errCut },
				context.Canceled: func(cancel func()) error { cancel(); return context.Canceled },
			} {
				u.mustProve(v)
				ctx, cancel := context.WithCancel(t.Context())
				sent := 0
				u.tpm.Fault(func(tpm2.TPMCC) ([]byte, error) {
					if sent++; sent == n+1 {
						return nil, spoil(cancel)
					}
					return nil, nil
				})
				if err := use(ctx); !errors.Is(err, want) {
					t.Errorf("a %s of which %d commands succeeded: %v; want %v", what, n, err, want)
				}
				cancel()
				u.tpm.Fault(nil)
				u.wantClean()
			}
		}
	}
	u.mustToken(v, 1)
}

func TestCancelledBetweenProofAndSignature(t *testing.T) {
	u := newUnit(t)
	u.provision(imei1)
	v := u.open()
	u.mustProve(v)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := v.Signer(ctx).Sign(nil, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Sign: %v; want %v", err, context.Canceled)
	}
	u.wantClean()
	u.mustToken(v, 1)
}
