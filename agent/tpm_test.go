package agent_test

import (
	"context"
	"testing"
	"time"

	"imei-attest/agent"
	"imei-attest/agent/provision"
	"imei-attest/agent/tpmvault"
	"imei-attest/agent/tpmvault/tpmdev"
	"imei-attest/agent/tpmvault/tpmtest"
	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/attest/imei"
	"imei-attest/attest/tpmprofile"
	"imei-attest/modem"
)

// bench is a device with a real engine, as its mains put it together.
type bench struct {
	t         *testing.T
	folder    string
	engine    *tpmtest.Engine
	conn      *tpmdev.Conn
	approvals []tpmprofile.BootApproval
}

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) powerOn() {
	b.t.Helper()
	b.engine = tpmtest.NewIn(b.t, b.folder)
	var err error
	b.conn, err = tpmdev.Open(b.t.Context(), b.engine.Spec())
	b.must(err)
	b.t.Cleanup(func() { b.conn.Close() })
}

func (b *bench) reboot() {
	b.t.Helper()
	b.must(b.conn.Close())
	b.must(b.engine.Stop())
	b.powerOn()
}

func (b *bench) provision(variant attest.NVVariant) *attest.SignedCredential {
	b.t.Helper()
	oem := &provision.OEM{
		Issuer: "tag:example,2026:oem", ID: attest.PENOEMID(32473), TACs: []string{"*"},
		Development: true, StorageKinds: []attest.StorageKind{attest.StorageTPMEmulated},
		Credential: attesttest.Key("oem credential"), NV: attesttest.Key("oem nv"), Boot: attesttest.Key("oem boot"),
		Standby: attesttest.Key("oem boot standby"), StandbyPublic: &attesttest.Key("oem boot standby").PublicKey,
	}
	registers, err := tpmprofile.ParsePCRs("sha256:0,2,4,7")
	b.must(err)
	factory, err := tpmvault.NewFactory(b.t.Context(), b.conn)
	b.must(err)
	result, err := provision.TPM(b.t.Context(), factory, oem, provision.Unit{Slots: []imei.IMEI{own}, Model: "bench", Serial: 1, Class: 3}, provision.Options{
		Now: attesttest.Now, PCRs: registers, Variant: variant,
		SaveApproval: func(a tpmprofile.BootApproval) error {
			b.approvals = append(b.approvals, a)
			return nil
		},
		OpenVault: func(ctx context.Context, approvals []tpmprofile.BootApproval) (agent.Vault, error) {
			return tpmvault.Open(ctx, b.conn, tpmvault.Config{Approvals: approvals})
		},
	})
	b.must(err)
	return result.Credential
}

// attest opens the vault, answers one challenge, and checks the token as a verifier that knows the Credential.
func (b *bench) attest(c *attest.SignedCredential, inBand bool) *attest.CounterProof {
	b.t.Helper()
	vault, err := tpmvault.Open(b.t.Context(), b.conn, tpmvault.Config{Approvals: b.approvals})
	b.must(err)
	defer vault.Close()
	a, err := agent.New(agent.Config{Reader: read(modem.Slot{Number: 1, IMEI: own}), Vault: vault, Now: time.Now})
	b.must(err)
	made, err := a.Attest(b.t.Context(), agent.Request{Nonce: attesttest.Nonce(), InBand: inBand})
	b.must(err)
	evidence, err := attest.DecodeEvidence(made.Token)
	b.must(err)
	b.must(evidence.Verify(c.Key))
	if evidence.TPMProof == nil {
		return nil
	}
	proof, err := attest.DecodeCounterProof(evidence.TPMProof)
	b.must(err)
	b.must(tpmprofile.VerifyCounterProof(&c.Credential, evidence.Binding(), proof))
	return &proof
}

// From token to token the counter of the proof rises, whatever befalls the device between them.
func TestProofOnADeviceWithATPM(t *testing.T) {
	b := &bench{t: t, folder: t.TempDir()}
	b.powerOn()
	c := b.provision(attest.NVPlatform)
	last := uint64(1)
	for _, step := range []struct {
		name    string
		between func()
	}{
		{"the first token", func() {}},
		{"the next", func() {}},
		{"after a reboot", b.reboot},
		{"after TPM2_Clear", func() { b.must(tpmtest.Clear(b.conn)) }},
		{"after Clear and a reboot", func() { b.must(tpmtest.Clear(b.conn)); b.reboot() }},
		{"after a power failure", func() {
			b.must(b.conn.Close())
			b.must(b.engine.Kill())
			b.powerOn()
		}},
	} {
		step.between()
		proof := b.attest(c, false)
		if proof == nil || proof.Counter <= last {
			t.Fatalf("%s: proof %v after counter %d", step.name, proof, last)
		}
		last = proof.Counter
	}
	if proof := b.attest(c, true); proof != nil {
		t.Errorf("an in-band token carries the proof %s", proof)
	}
}

func TestProofWithTheOwnersCounter(t *testing.T) {
	b := &bench{t: t, folder: t.TempDir()}
	b.powerOn()
	c := b.provision(attest.NVOwner)
	first := b.attest(c, false)
	b.reboot()
	if next := b.attest(c, false); first == nil || next == nil || next.Counter <= first.Counter {
		t.Errorf("proofs %v and %v; want two that rise", first, next)
	}
}
