package tpmvault_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"imei-attest/agent"
	"imei-attest/agent/provision"
	"imei-attest/agent/tpmvault"
	"imei-attest/attest"
	"imei-attest/attest/imei"
	"imei-attest/attest/tpmprofile"
)

// signed asks for a package and has it signed.
func (u *unit) signed(variant attest.NVVariant) provision.Package {
	u.t.Helper()
	options := u.options()
	options.Variant = variant
	r, err := provision.NewRequest(u.t.Context(), u.factory(), u.oem, provision.Unit{Slots: []imei.IMEI{imei1}, Model: "bench", Serial: 1, Class: 3}, options)
	u.must(err)
	p, err := u.oem.Sign(r, options.Now)
	u.must(err)
	return p
}

// installAndLock are the two steps of the line, from a new start of the program.
func (u *unit) installAndLock(p provision.Package) error {
	factory, err := tpmvault.NewFactory(u.t.Context(), u.tpm)
	if err != nil {
		return err
	}
	if _, err := provision.Install(u.t.Context(), factory, u.oem, p, provision.Options{}); err != nil {
		return err
	}
	_, err = provision.Lock(u.t.Context(), factory, u.oem, p, provision.Options{})
	return err
}

func (u *unit) verify() (*provision.Inspection, error) {
	return provision.Verify(u.t.Context(), u.factory(), u.oem, provision.Inspect{
		Slots: []imei.IMEI{imei1}, Nonce: []byte("12345678"),
		OpenVault: func(ctx context.Context) (agent.Vault, error) {
			return tpmvault.Open(ctx, u.tpm, tpmvault.Config{Approvals: u.approvals})
		},
	})
}

// Install and lock are interrupted after every single TPM command; run again, they complete.
func TestInterruptedInstallCompletes(t *testing.T) {
	for n := 0; ; n++ {
		u := newUnit(t)
		p := u.signed(0)
		fault, cut := cutAfter(n)
		u.tpm.Fault(fault)
		err := u.installAndLock(p)
		u.tpm.Fault(nil)
		if !*cut {
			u.must(err)
			if n < 20 {
				t.Errorf("install and lock took %d commands; were they interrupted at all?", n)
			}
			return
		}
		u.must(u.installAndLock(p))
		u.approve(tpmprofile.RolePrimary, "sha256:0,2,4,7")
		found, err := u.verify()
		u.must(err)
		if !found.OK() {
			t.Errorf("interrupted after %d commands: %+v", n, found.Checks)
		}
		u.wantClean()
		u.conn.Close()
		u.must(u.engine.Stop())
	}
}

// Nothing is sent that changes the TPM when one signature of a package is wrong.
func TestSpoiledPackagesAreRefusedBeforeTheTPMIsChanged(t *testing.T) {
	u := newUnit(t)
	good := u.signed(0)
	u.tpm.Commands()
	for what, spoil := range map[string]func(*provision.Package){
		"the credential":             func(p *provision.Package) { p.Credential = append([]byte{}, p.Credential...); p.Credential[200] ^= 1 },
		"the authorisation to write": func(p *provision.Package) { p.Write[5] ^= 1 },
		"the authorisation to lock":  func(p *provision.Package) { p.Lock[5] ^= 1 },
		"both, exchanged":            func(p *provision.Package) { p.Write, p.Lock = p.Lock, p.Write },
	} {
		p := good
		spoil(&p)
		if _, err := provision.Install(t.Context(), u.factory(), u.oem, p, provision.Options{}); !errors.Is(err, provision.ErrRefused) {
			t.Errorf("a package with %s spoiled: %v; want %v", what, err, provision.ErrRefused)
		}
	}
	for _, sent := range u.tpm.Commands() {
		if sent == tpm2.TPMCCNVDefineSpace || sent == tpm2.TPMCCNVWrite {
			t.Errorf("a refused package sent %v", sent)
		}
	}
}

func (u *unit) retire() error {
	factory, err := tpmvault.NewFactory(u.t.Context(), u.tpm)
	if err != nil {
		return err
	}
	h, err := provision.FindHolding(u.t.Context(), factory, u.oem)
	if err != nil {
		return err
	}
	return provision.Retire(u.t.Context(), factory, u.oem, h, func(provision.Step, string) error { return nil })
}

// A retired device holds nothing, its old key is dead, and it can be provisioned again; interrupted, it goes on.
func TestRetire(t *testing.T) {
	for _, variant := range []attest.NVVariant{attest.NVPlatform, attest.NVOwner} {
		for n := 0; ; n++ {
			u := newUnit(t)
			u.must(u.installAndLock(u.signed(variant)))
			fault, cut := cutAfter(n)
			u.tpm.Fault(fault)
			err := u.retire()
			u.tpm.Fault(nil)
			if !*cut {
				u.must(err)
			} else if err := u.retire(); err != nil && !errors.Is(err, provision.ErrRefused) { // refused: the cut came after the deletion
				t.Errorf("variant %d, second run after %d commands: %v", variant, n, err)
			}
			if _, err := provision.FindHolding(t.Context(), u.factory(), u.oem); !errors.Is(err, provision.ErrRefused) {
				t.Errorf("variant %d: something is left: %v", variant, err)
			}
			if _, err := (tpm2.ReadPublic{ObjectHandle: tpmprofile.KeyHandle}).Execute(u.conn); !errors.Is(err, tpm2.TPMRCHandle) {
				t.Errorf("variant %d: the persistent key is left: %v", variant, err)
			}
			u.wantClean()
			u.must(u.installAndLock(u.signed(variant)))
			u.conn.Close()
			u.must(u.engine.Stop())
			if !*cut {
				break
			}
		}
	}
}

// The signature that retired one device retires no other: it holds the nonce of a session that is gone.
func TestADeletionIsGoodOnce(t *testing.T) {
	u := newUnit(t)
	u.must(u.installAndLock(u.signed(attest.NVPlatform)))
	h, err := provision.FindHolding(t.Context(), u.factory(), u.oem)
	u.must(err)
	signer, err := attest.NewSigner(u.oem.NV)
	u.must(err)
	content, err := h.Profile.DeleteContent(h.State, []byte("a nonce of before"))
	u.must(err)
	old, err := signer.Sign(nil, content)
	u.must(err)
	replay := func([]byte) ([tpmprofile.SignatureBytes]byte, error) {
		return [tpmprofile.SignatureBytes]byte(old), nil
	}
	if err := u.factory().Delete(t.Context(), h.Profile, h.State, replay); !errors.Is(err, tpm2.TPMRCSignature) && !errors.Is(err, tpm2.TPMRCValue) {
		t.Errorf("an old authorisation: %v; want a refusal of the TPM", err)
	}
	u.wantClean()
	u.must(u.retire())
}

// The vault looks for the platform's record first: an owner's beside it would never be used.
func TestNoOwnersRecordBesideThePlatforms(t *testing.T) {
	u := newUnit(t)
	u.must(u.installAndLock(u.signed(attest.NVPlatform)))
	options := u.options()
	options.Variant = attest.NVOwner
	_, err := provision.NewRequest(t.Context(), u.factory(), u.oem, provision.Unit{Slots: []imei.IMEI{imei1}, Model: "bench", Serial: 1, Class: 3}, options)
	if !errors.Is(err, provision.ErrRefused) || !strings.Contains(err.Error(), "retire") {
		t.Errorf("a request for the owner's index: %v; want %v with a remedy", err, provision.ErrRefused)
	}
}

// Nor the platform's beside an owner's: the TPM would have two keys and two IMEIs.
func TestNoPlatformsRecordBesideAnOwners(t *testing.T) {
	u := newUnit(t)
	u.must(u.installAndLock(u.signed(attest.NVOwner)))
	options := u.options()
	options.Variant = attest.NVPlatform
	_, err := provision.TPM(t.Context(), u.factory(), u.oem, provision.Unit{Slots: []imei.IMEI{imei2}, Model: "bench", Serial: 1, Class: 3}, options)
	if !errors.Is(err, provision.ErrRefused) || !strings.Contains(err.Error(), "retire") {
		t.Errorf("a second record: %v; want %v with a remedy", err, provision.ErrRefused)
	}
}

// The counters beside the record are shown; another index in their place is told.
func TestVerifyReadsCounters(t *testing.T) {
	u := newUnit(t)
	u.must(u.installAndLock(u.signed(attest.NVPlatform)))
	u.approve(tpmprofile.RolePrimary, "sha256:0,2,4,7")
	right := liveIndex(u.conn, tpmprofile.CounterEpoch.Index(attest.NVPlatform))
	_, err := tpm2.NVUndefineSpace{AuthHandle: tpm2.TPMRHPlatform, NVIndex: right}.Execute(u.conn)
	u.must(err)
	epoch := tpmprofile.CounterEpoch.Public(attest.NVPlatform, false)
	epoch.Attributes.AuthWrite = true // anybody could raise it
	_, err = tpm2.NVDefineSpace{AuthHandle: tpm2.TPMRHPlatform, PublicInfo: tpm2.New2B(*epoch)}.Execute(u.conn)
	u.must(err)
	found, err := u.verify()
	u.must(err)
	if value, ok, err := u.factory().CounterValue(t.Context(), tpmprofile.CounterAttestation, attest.NVPlatform); value == 0 || !ok || err != nil {
		t.Errorf("attestation counter: %d, %v, %v", value, ok, err)
	}
	for _, c := range found.Checks {
		if want := c.Name != "epoch counter"; c.OK != want {
			t.Errorf("check %+v, want OK = %v", c, want)
		}
	}
}
