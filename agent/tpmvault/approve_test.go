package tpmvault_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"imei-attest/agent/provision"
	"imei-attest/agent/tpmvault/tpmtest"
	"imei-attest/attest"
	"imei-attest/attest/imei"
	"imei-attest/attest/tpmprofile"
)

// outsideALaboratory makes the unit's manufacturer one whose anchor is for operators. It vouches for emulators, so that the rules
// of production can be tried on one.
func (u *unit) outsideALaboratory() { u.oem.Development = false }

// unchanged demands that a refusal came before any command that leaves something in the TPM.
func (u *unit) unchanged() {
	u.t.Helper()
	for _, sent := range u.tpm.Commands() {
		switch sent {
		case tpm2.TPMCCNVDefineSpace, tpm2.TPMCCNVWrite, tpm2.TPMCCNVWriteLock, tpm2.TPMCCNVIncrement, tpm2.TPMCCEvictControl:
			u.t.Errorf("the refused run sent %v", sent)
		}
	}
}

func (u *unit) request() error {
	_, err := provision.NewRequest(u.t.Context(), u.factory(), u.oem, provision.Unit{Slots: []imei.IMEI{imei1}, Model: "bench", Serial: 1, Class: 3}, u.options())
	return err
}

// A TPM in which nothing was measured is refused whoever made it: the vendor that it names decides nothing.
func TestNothingMeasuredIsRefusedOutsideALaboratory(t *testing.T) {
	u := newUnit(t)
	u.outsideALaboratory()
	_, whole := u.tryProvision(u.options(), imei1)
	for by, err := range map[string]error{"device": whole, "request": u.request()} {
		if !errors.Is(err, provision.ErrRefused) || !strings.Contains(err.Error(), "nothing measured") {
			t.Errorf("%s: %v; want %v, because nothing was measured", by, err, provision.ErrRefused)
		}
	}
	u.unchanged()
	if len(u.approvals) != 0 {
		t.Errorf("%d approvals were signed", len(u.approvals))
	}
}

func TestAKindThatTheAnchorDoesNotListIsRefused(t *testing.T) {
	u := newUnit(t)
	u.oem.StorageKinds = []attest.StorageKind{attest.StorageTPMDiscrete, attest.StorageTPMFirmware}
	_, whole := u.tryProvision(u.options(), imei1)
	for by, err := range map[string]error{"device": whole, "request": u.request()} {
		if !errors.Is(err, provision.ErrAnchor) || !strings.Contains(err.Error(), "tpm-emulated") {
			t.Errorf("%s: %v; want %v, which does not list the kind", by, err, provision.ErrAnchor)
		}
	}
	u.unchanged()
}

// Outside a laboratory, who provisions approves nothing: a state that nobody has approved stops the unit.
func TestABootStateThatNobodyApprovedIsRefused(t *testing.T) {
	for _, list := range []string{bootPCRs, ""} {
		u := newUnit(t)
		u.outsideALaboratory()
		u.must(tpmtest.PCRExtend(u.conn, 0, [32]byte{1}))
		options := u.options()
		options.PCRs = pcrs(t, list)
		u.tpm.Commands()
		_, err := u.tryProvision(options, imei1)
		if !errors.Is(err, provision.ErrRefused) || !strings.Contains(err.Error(), "run imei-provision approve-boot --pcrs") {
			t.Errorf("registers %q, without an approval: %v; want %v with the remedy", list, err, provision.ErrRefused)
		}
		u.unchanged()
		u.approve(tpmprofile.RoleStandby, list)
		options.Approvals = u.approvals
		result, err := u.tryProvision(options, imei1)
		u.must(err)
		if len(u.approvals) != 1 || result.NewApproval || result.Approval.SignedBy != tpmprofile.RoleStandby {
			t.Errorf("registers %q: %d approvals, used %q, new: %t; want the one that was there", list, len(u.approvals), result.Approval.Name, result.NewApproval)
		}
		u.must(sign(u.open(), []byte("content")))
	}
}

// In a laboratory the state is approved with the unit, and the result says so.
func TestALaboratorysApprovalIsTold(t *testing.T) {
	first := newUnit(t)
	if result := first.provision(imei1); !result.NewApproval {
		t.Error("a new approval is not told")
	}
	second := newUnit(t)
	second.approvals = first.approvals
	if result := second.provision(imei2); result.NewApproval {
		t.Error("an approval that was there is called new")
	}
}
