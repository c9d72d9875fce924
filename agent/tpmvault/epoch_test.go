package tpmvault_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"imei-attest/agent/provision"
	"imei-attest/agent/tpmvault"
	"imei-attest/agent/tpmvault/tpmtest"
	"imei-attest/attest"
	"imei-attest/attest/tpmprofile"
)

const bootPCRs = "sha256:0,2,4,7"

func TestEpochEndsAnApprovalInARunningProcess(t *testing.T) {
	u := newUnit(t)
	v := u.openWith(bootPCRs, 1)
	u.must(sign(v, []byte("approved")))
	u.raise(tpmprofile.CounterEpoch, attest.NVPlatform)
	err := sign(v, []byte("revoked"))
	if !errors.Is(err, tpmvault.ErrBootState) || !strings.Contains(err.Error(), "revoked: it ended with epoch 1, and the epoch counter is at 2") {
		t.Errorf("signing after the epoch counter rose: %v; want %v that speaks of the epoch counter", err, tpmvault.ErrBootState)
	}
	if _, err := v.Evidence(t.Context(), [32]byte{}); !errors.Is(err, tpmvault.ErrBootState) {
		t.Errorf("Evidence after the epoch counter rose: %v; want %v", err, tpmvault.ErrBootState)
	}
	u.wantClean()
}

func TestAnotherApprovalServesWhenTheEpochCounterWasRaised(t *testing.T) {
	u := newUnit(t)
	u.openWith(bootPCRs, 1)
	u.approveUntil(tpmprofile.RoleStandby, bootPCRs, 2, attest.NVPlatform)
	v := u.open()
	u.must(sign(v, []byte("the first approval")))
	u.raise(tpmprofile.CounterEpoch, attest.NVPlatform)
	u.must(sign(v, []byte("the second approval")))
	u.tpm.Commands()
	u.must(sign(v, []byte("no more recovery")))
	if sent := u.tpm.Commands(); len(sent) != 8 {
		t.Errorf("a signature after the recovery took %d TPM commands %v, want 8", len(sent), sent)
	}
	u.wantClean()
}

// The counter is raised after the approval was chosen and before the TPM looks: the policy itself fails.
func TestEpochRaisedInTheMiddle(t *testing.T) {
	u := newUnit(t)
	v := u.openWith(bootPCRs, 1)
	raised := false
	u.tpm.Fault(func(sent tpm2.TPMCC) ([]byte, error) {
		if sent == tpm2.TPMCCPolicyPCR && !raised {
			raised = true
			u.raise(tpmprofile.CounterEpoch, attest.NVPlatform)
		}
		return nil, nil
	})
	if err := sign(v, []byte("content")); !errors.Is(err, tpmvault.ErrBootState) || !strings.Contains(err.Error(), "revoked") {
		t.Errorf("signing: %v; want %v", err, tpmvault.ErrBootState)
	}
	u.wantClean()
}

// What the vault would refuse, the TPM refuses too.
func TestRevokedApprovalIsRefusedByTheTPM(t *testing.T) {
	u := newUnit(t)
	result := u.provision(imei1)
	a := u.approveUntil(tpmprofile.RolePrimary, bootPCRs, 1, attest.NVPlatform)
	r := u.attack(attest.NVPlatform, bindingOf(t, result), a)
	if err := r.sign(); err != nil {
		t.Fatalf("the honest run: %v", err)
	}
	u.raise(tpmprofile.CounterEpoch, attest.NVPlatform)
	if err := r.sign(); !errors.Is(err, tpm2.TPMRCPolicy) {
		t.Errorf("after the epoch counter rose the TPM says %v; want %v", err, tpm2.TPMRCPolicy)
	}
	r.epoch = 2
	if err := r.sign(); !errors.Is(err, tpm2.TPMRCValue) {
		t.Errorf("with an epoch that was not approved the TPM says %v; want %v", err, tpm2.TPMRCValue)
	}
	r.epoch = 0
	if err := r.sign(); !errors.Is(err, tpm2.TPMRCValue) {
		t.Errorf("without asking for the epoch the TPM says %v; want %v", err, tpm2.TPMRCValue)
	}
}

// An index of the owner in the counter's place has another Name.
func TestForeignEpochCounterServesNoApproval(t *testing.T) {
	for _, c := range []struct {
		name    string
		foreign bool
		says    string
	}{
		{"deleted", false, "is absent"},
		{"replaced", true, "is foreign"},
	} {
		t.Run(c.name, func(t *testing.T) {
			u := newUnit(t)
			v := u.openWith(bootPCRs, 5)
			u.must(sign(v, []byte("before")))
			u.deleteCounter(tpmprofile.CounterEpoch, attest.NVPlatform)
			if c.foreign {
				u.defineOther(tpmprofile.CounterEpoch, attest.NVPlatform)
			}
			if err := sign(v, []byte("content")); !errors.Is(err, tpmvault.ErrBootState) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("signing: %v; want %v with %q", err, tpmvault.ErrBootState, c.says)
			}
			u.wantClean()
		})
	}
}

// defineOther puts a counter with other attributes into a counter's place, and raises it.
func (u *unit) defineOther(c tpmprofile.Counter, variant attest.NVVariant) {
	u.t.Helper()
	public := c.Public(variant, false)
	public.Attributes.AuthWrite, public.Attributes.Orderly, public.Attributes.OwnerRead = true, false, true
	_, err := tpm2.NVDefineSpace{AuthHandle: hierarchies[variant], PublicInfo: tpm2.New2B(*public)}.Execute(u.conn)
	u.must(err)
	index := liveIndex(u.conn, c.Index(variant))
	_, err = tpm2.NVIncrement{AuthHandle: index, NVIndex: index}.Execute(u.conn)
	u.must(err)
}

func TestOwnersEpoch(t *testing.T) {
	u := newUnit(t)
	u.must(tpmtest.ClosePlatform(u.conn))
	u.provision(imei1)
	u.approvals = nil
	u.approveUntil(tpmprofile.RolePrimary, bootPCRs, 9, attest.NVPlatform)
	if err := sign(u.open(), []byte("content")); !errors.Is(err, tpmvault.ErrBootState) || !strings.Contains(err.Error(), "is absent") {
		t.Errorf("signing with an approval for the platform's counter: %v; want %v", err, tpmvault.ErrBootState)
	}
	u.approveUntil(tpmprofile.RolePrimary, bootPCRs, 1, attest.NVOwner)
	v := u.open()
	u.must(sign(v, []byte("content")))
	u.raise(tpmprofile.CounterEpoch, attest.NVOwner)
	if err := sign(v, []byte("content")); !errors.Is(err, tpmvault.ErrBootState) {
		t.Errorf("signing after the owner raised the epoch: %v; want %v", err, tpmvault.ErrBootState)
	}
}

func TestApprovalWithAnEpochIsUsedAgain(t *testing.T) {
	u := newUnit(t)
	u.provision(imei1)
	u.approvals = nil
	a := u.approveUntil(tpmprofile.RolePrimary, bootPCRs, 1, attest.NVPlatform)
	if result := u.provision(imei1); result.Approval.Name != a.Name || len(u.approvals) != 1 {
		t.Errorf("approval %s of %d was used; want the one with the epoch alone", result.Approval.Name, len(u.approvals))
	}
	u.raise(tpmprofile.CounterEpoch, attest.NVPlatform)
	if _, err := u.tryProvision(u.options(), imei1); !errors.Is(err, provision.ErrRefused) || !strings.Contains(err.Error(), "epoch counter is at 2") {
		t.Errorf("provisioning in a revoked boot state: %v; want %v", err, provision.ErrRefused)
	}
	if len(u.approvals) != 1 {
		t.Error("a revoked boot state was approved anew")
	}
}
