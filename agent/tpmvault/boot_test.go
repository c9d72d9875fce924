package tpmvault_test

import (
	"crypto/rand"
	"errors"
	"strings"
	"testing"

	"imei-attest/agent"
	"imei-attest/agent/provision"
	"imei-attest/agent/tpmvault"
	"imei-attest/agent/tpmvault/tpmtest"
	"imei-attest/attest"
	"imei-attest/attest/tpmprofile"
)

func TestUnapprovedBootStateIsRefusedAndNamed(t *testing.T) {
	u := newUnit(t)
	result := u.provision(imei1)
	v := u.open()
	u.must(sign(v, []byte("approved")))
	u.must(tpmtest.PCRExtend(u.conn, 4, [32]byte{1}))
	err := sign(v, []byte("another boot loader"))
	if !errors.Is(err, tpmvault.ErrBootState) || !strings.Contains(err.Error(), result.Approval.Name) || !strings.Contains(err.Error(), "sha256:0,2,4,7") {
		t.Errorf("signing in another boot state: %v; want %v that names the approval", err, tpmvault.ErrBootState)
	}
	u.wantClean()
	u.approve(tpmprofile.RolePrimary, "sha256:0,2,4,7")
	u.must(sign(u.open(), []byte("the update was approved")))
}

func TestStandbyBootKeySignsToo(t *testing.T) {
	u := newUnit(t)
	u.provision(imei1)
	u.must(tpmtest.PCRExtend(u.conn, 0, [32]byte{1}))
	u.approve(tpmprofile.RoleStandby, "sha256:0,4")
	u.must(sign(u.open(), []byte("content")))
}

func TestTheApprovalThatFitsIsFound(t *testing.T) {
	u := newUnit(t)
	u.provision(imei1)
	for range 3 {
		u.must(tpmtest.PCRExtend(u.conn, 4, [32]byte{1}))
		u.approve(tpmprofile.RolePrimary, "sha256:0,2,4,7")
	}
	v := u.open()
	u.must(sign(v, []byte("the newest state")))
	u.cutPower() // registers start over: the first approval fits
	u.powerOn()
	u.must(sign(u.open(), []byte("the oldest state")))
}

func TestApprovalsOfAnotherManufacturerDoNotServe(t *testing.T) {
	u := newUnit(t)
	u.provision(imei1)
	u.approvals = []tpmprofile.BootApproval{foreignApproval(u, pcrs(t, "sha256:0,2,4,7"))}
	if _, err := u.tryOpen(); !errors.Is(err, tpmvault.ErrBootState) {
		t.Errorf("Open with a foreign approval: %v; want %v", err, tpmvault.ErrBootState)
	}
	u.approvals = nil
	if _, err := u.tryOpen(); !errors.Is(err, tpmvault.ErrBootState) || !strings.Contains(err.Error(), "install") {
		t.Errorf("Open without approvals: %v; want %v and a remedy", err, tpmvault.ErrBootState)
	}
}

// Approvals are not trusted: the TPM checks the signature again.
func TestForgedApprovalIsRefusedByTheTPM(t *testing.T) {
	u := newUnit(t)
	u.provision(imei1)
	rand.Read(u.approvals[0].Signature[:32])
	if err := sign(u.open(), []byte("content")); err == nil || !strings.Contains(err.Error(), "boot approval") {
		t.Errorf("signing with a forged approval: %v", err)
	}
	u.wantClean()
}

// TPM2_Clear takes the tickets and the persistent key; the platform's record survives, and so does the key.
func TestClearedTPMSignsOn(t *testing.T) {
	u := newUnit(t)
	u.provision(imei1)
	v := u.open()
	u.must(sign(v, []byte("before")))
	u.must(tpmtest.Clear(u.conn))
	u.must(sign(v, []byte("after, same process")))
	u.wantClean()
	u.tpm.Commands()
	u.must(sign(v, []byte("again")))
	if sent := u.tpm.Commands(); len(sent) != 7 {
		t.Errorf("a token after the recovery took %d TPM commands %v, want 7", len(sent), sent)
	}
	u.must(tpmtest.Clear(u.conn))
	u.must(sign(u.open(), []byte("after, new process")))
}

func TestOwnerVariantWhenThePlatformIsClosed(t *testing.T) {
	u := newUnit(t)
	u.must(tpmtest.ClosePlatform(u.conn))
	result := u.provision(imei1)
	if got := result.Credential.Storage.NV; got != attest.NVOwner {
		t.Fatalf("NV variant %d, want %d", got, attest.NVOwner)
	}
	v := u.open()
	u.must(sign(v, []byte("content")))
	u.must(tpmtest.Clear(u.conn))
	if err := sign(v, []byte("content")); !errors.Is(err, tpmvault.ErrRecordChanged) {
		t.Errorf("signing after TPM2_Clear took the owner's record: %v; want %v", err, tpmvault.ErrRecordChanged)
	}
	if _, err := u.tryOpen(); !errors.Is(err, agent.ErrNotProvisioned) {
		t.Errorf("Open: %v; want %v", err, agent.ErrNotProvisioned)
	}
}

func TestBothHierarchiesClosed(t *testing.T) {
	u := newUnit(t)
	u.must(tpmtest.ClosePlatform(u.conn))
	u.must(tpmtest.CloseOwner(u.conn))
	if _, err := u.tryProvision(u.options(), imei1); !errors.Is(err, provision.ErrRefused) || !strings.Contains(err.Error(), "closed") {
		t.Errorf("provisioning: %v; want %v", err, provision.ErrRefused)
	}
	u.wantClean()
}

func TestUnmeasuredBootSaysSo(t *testing.T) {
	u := newUnit(t)
	options := u.options()
	options.PCRs = tpmprofile.PCRSelection{}
	result, err := u.tryProvision(options, imei1)
	u.must(err)
	if result.Credential.Storage.Boot != attest.BootUnmeasured {
		t.Errorf("the credential says boot %d", result.Credential.Storage.Boot)
	}
	u.must(tpmtest.PCRExtend(u.conn, 0, [32]byte{1}))
	v := u.open()
	u.must(sign(v, []byte("content")))
	if v.Describe().BootBound {
		t.Error("the vault claims to be bound to the boot state")
	}
}

func TestRegistersThatNobodyExtendedAreReported(t *testing.T) {
	idle := newUnit(t)
	if result := idle.provision(imei1); !result.NothingMeasured {
		t.Error("registers at their reset values were taken for a measured boot")
	}
	measured := newUnit(t)
	for _, pcr := range []int{0, 2, 4, 7} {
		measured.must(tpmtest.PCRExtend(measured.conn, pcr, [32]byte{1}))
	}
	if result := measured.provision(imei1); result.NothingMeasured {
		t.Error("a measured boot was reported as none")
	}
}
