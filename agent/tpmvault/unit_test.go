package tpmvault_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"

	"imei-attest/agent"
	"imei-attest/agent/provision"
	"imei-attest/agent/tpmvault"
	"imei-attest/agent/tpmvault/tpmdev"
	"imei-attest/agent/tpmvault/tpmtest"
	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/attest/imei"
	"imei-attest/attest/tpmprofile"
)

// unit is a device on the bench: an engine, a connection that can be watched and spoiled, and a manufacturer.
type unit struct {
	t         testing.TB
	folder    string
	engine    *tpmtest.Engine
	conn      *tpmdev.Conn
	tpm       *tpmtest.Spy
	oem       *provision.OEM
	approvals []tpmprofile.BootApproval
	events    []string // that the vaults told
}

func newUnit(t testing.TB) *unit {
	t.Helper()
	u := &unit{t: t, folder: t.TempDir(), oem: manufacturer("oem")}
	u.powerOn()
	return u
}

// powerOn starts the engine with the state it had.
func (u *unit) powerOn() {
	u.t.Helper()
	u.engine = tpmtest.NewIn(u.t, u.folder)
	conn, err := tpmdev.Open(u.t.Context(), u.engine.Spec())
	u.must(err)
	u.t.Cleanup(func() { conn.Close() })
	u.conn, u.tpm = conn, tpmtest.NewSpy(conn)
}

// cutPower ends the engine as a power failure does.
func (u *unit) cutPower() {
	u.t.Helper()
	u.conn.Close()
	u.must(u.engine.Kill())
}

func (u *unit) must(err error) {
	u.t.Helper()
	if err != nil {
		u.t.Fatal(err)
	}
}

func manufacturer(name string) *provision.OEM {
	return &provision.OEM{
		Issuer: "tag:example,2026:" + name, ID: attest.PENOEMID(32473), TACs: []string{"*"},
		Development: true, StorageKinds: []attest.StorageKind{attest.StorageTPMEmulated},
		Credential: attesttest.Key(name + " credential"), NV: attesttest.Key(name + " nv"),
		Boot: attesttest.Key(name + " boot"), Standby: attesttest.Key(name + " boot standby"),
		StandbyPublic: &attesttest.Key(name + " boot standby").PublicKey,
	}
}

var imei1, imei2 = attesttest.MustIMEI(attesttest.IMEI1), attesttest.MustIMEI(attesttest.IMEI2)

func pcrs(t testing.TB, list string) tpmprofile.PCRSelection {
	t.Helper()
	selection, err := tpmprofile.ParsePCRs(list)
	if err != nil {
		t.Fatal(err)
	}
	return selection
}

func (u *unit) options() provision.Options {
	return provision.Options{
		Now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), PCRs: pcrs(u.t, "sha256:0,2,4,7"), Approvals: u.approvals,
		SaveApproval: func(a tpmprofile.BootApproval) error {
			u.approvals = append(u.approvals, a)
			return nil
		},
		OpenVault: func(ctx context.Context, approvals []tpmprofile.BootApproval) (agent.Vault, error) {
			return tpmvault.Open(ctx, u.tpm, tpmvault.Config{Approvals: approvals})
		},
	}
}

func (u *unit) tryProvision(options provision.Options, slots ...imei.IMEI) (*provision.Result, error) {
	factory, err := tpmvault.NewFactory(u.t.Context(), u.tpm)
	if err != nil {
		return nil, err
	}
	return provision.TPM(u.t.Context(), factory, u.oem, provision.Unit{Slots: slots, Model: "bench", Serial: 1, Class: 3}, options)
}

func (u *unit) provision(slots ...imei.IMEI) *provision.Result {
	u.t.Helper()
	result, err := u.tryProvision(u.options(), slots...)
	u.must(err)
	return result
}

func (u *unit) tryOpen() (*tpmvault.Vault, error) {
	v, err := tpmvault.Open(u.t.Context(), u.tpm, tpmvault.Config{
		Approvals: u.approvals, Event: func(text string) { u.events = append(u.events, text) },
	})
	if err == nil {
		u.t.Cleanup(func() { v.Close() })
	}
	return v, err
}

func (u *unit) open() *tpmvault.Vault {
	u.t.Helper()
	v, err := u.tryOpen()
	u.must(err)
	return v
}

// openWith provisions a unit and opens it with one approval, of these registers and this epoch.
func (u *unit) openWith(list string, epoch uint64) *tpmvault.Vault {
	u.t.Helper()
	options := u.options()
	options.PCRs = pcrs(u.t, list)
	_, err := u.tryProvision(options, imei1)
	u.must(err)
	u.approvals = nil
	u.approveUntil(tpmprofile.RolePrimary, list, epoch, attest.NVPlatform)
	return u.open()
}

// approve adds an approval of the registers as they are now.
func (u *unit) approve(role tpmprofile.BootRole, list string) tpmprofile.BootApproval {
	u.t.Helper()
	return u.approveUntil(role, list, 0, 0)
}

// approveUntil is approve with an epoch, 0 for none.
func (u *unit) approveUntil(role tpmprofile.BootRole, list string, epoch uint64, variant attest.NVVariant) tpmprofile.BootApproval {
	u.t.Helper()
	factory, err := tpmvault.NewFactory(u.t.Context(), u.tpm)
	u.must(err)
	state := tpmprofile.BootState{PCRs: pcrs(u.t, list), Epoch: epoch}
	if epoch != 0 {
		state.Variant = variant
	}
	state.Digest, err = factory.ReadPCRs(u.t.Context(), state.PCRs)
	u.must(err)
	key := u.oem.Boot
	if role == tpmprofile.RoleStandby {
		key = u.oem.Standby
	}
	signer, err := attest.NewSigner(key)
	u.must(err)
	a, err := tpmprofile.Approve(rand.Reader, u.oem.BootKeys(), role, signer, state)
	u.must(err)
	a.Name = a.FileName()
	u.approvals = append(u.approvals, a)
	return a
}

// token has the vault sign evidence with its proof, and verifies both as a verifier does. The proof is nil in profile A.
func token(v *tpmvault.Vault) (*attest.CounterProof, error) {
	return tokenWith(context.Background(), v)
}

func tokenWith(ctx context.Context, v *tpmvault.Vault) (*attest.CounterProof, error) {
	raw, err := v.Credential(ctx)
	if err != nil {
		return nil, err
	}
	credential, err := attest.DecodeCredential(raw)
	if err != nil {
		return nil, err
	}
	signed, err := attest.SignEvidence(nil, attesttest.Claims(), v.Signer(ctx), attest.KeyIDOf(credential.Key), attest.Enclosure{
		Credential: raw, Prove: func(binding [32]byte) ([]byte, error) { return v.Evidence(ctx, binding) },
	})
	if err != nil {
		return nil, err
	}
	proof, err := appraise(signed, credential)
	if err != nil {
		return nil, errors.Join(errBadToken, err)
	}
	return proof, nil
}

// errBadToken: a token left the vault that no verifier takes.
var errBadToken = errors.New("the vault's token does not verify")

func appraise(signed []byte, credential *attest.SignedCredential) (*attest.CounterProof, error) {
	evidence, err := attest.DecodeEvidence(signed)
	if err != nil {
		return nil, err
	}
	if err := evidence.Verify(credential.Key); err != nil || evidence.TPMProof == nil {
		return nil, err
	}
	proof, err := attest.DecodeCounterProof(evidence.TPMProof)
	if err != nil {
		return nil, err
	}
	return &proof, tpmprofile.VerifyCounterProof(&credential.Credential, evidence.Binding(), proof)
}

// raise raises a counter as boot firmware, or anybody, does.
func (u *unit) raise(c tpmprofile.Counter, variant attest.NVVariant) {
	u.t.Helper()
	index := liveIndex(u.conn, c.Index(variant))
	command := tpm2.NVIncrement{AuthHandle: index, NVIndex: index}
	if c == tpmprofile.CounterEpoch {
		command.AuthHandle = hierarchies[variant]
	}
	_, err := command.Execute(u.conn)
	u.must(err)
}

// deleteCounter deletes a counter as its creator can.
func (u *unit) deleteCounter(c tpmprofile.Counter, variant attest.NVVariant) {
	u.t.Helper()
	_, err := tpm2.NVUndefineSpace{AuthHandle: hierarchies[variant], NVIndex: liveIndex(u.conn, c.Index(variant))}.Execute(u.conn)
	u.must(err)
}

var hierarchies = map[attest.NVVariant]tpm2.TPMHandle{attest.NVPlatform: tpm2.TPMRHPlatform, attest.NVOwner: tpm2.TPMRHOwner}

func sign(v *tpmvault.Vault, content []byte) error {
	raw, err := v.Signer(context.Background()).Sign(nil, content)
	if err != nil {
		return err
	}
	return verify(v.Describe().Key, content, raw)
}

func verify(key *ecdsa.PublicKey, content, raw []byte) error {
	digest := sha256.Sum256(content)
	if len(raw) != 64 || !ecdsa.Verify(key, digest[:], new(big.Int).SetBytes(raw[:32]), new(big.Int).SetBytes(raw[32:])) {
		return errors.New("the signature does not verify with the standard library")
	}
	return nil
}

// wantClean reports what an operation left in the TPM's slots.
func (u *unit) wantClean() {
	u.t.Helper()
	objects, sessions, err := tpmtest.Loaded(u.conn)
	if err != nil || objects != 0 || sessions != 0 {
		u.t.Errorf("%d objects and %d sessions were left in the TPM, %v", objects, sessions, err)
	}
}

var _ agent.Vault = (*tpmvault.Vault)(nil)
