package attacktest

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"

	"imei-attest/agent/tpmvault/tpmtest"
	"imei-attest/attest"
	"imei-attest/attest/tpmprofile"
)

// bootAttacks are those on what the manufacturer's boot keys approved.
var bootAttacks = []Attack{
	{
		ID: "A85", Name: "other_boot", setup: provisioned, run: bootOtherSoftware,
		Action: "boots other software (PCR 4) and signs",
		Want:   "TPM2_PolicyAuthorize: TPM_RC_VALUE (parameter 1)", After: refusesBoot, Restart: true,
	},
	{
		ID: "A86", Name: "other_boot_vault", setup: provisioned, run: bootOtherSoftwareAndOpen,
		Action: "does so with the vault",
		Want:   refusesBoot, After: refusesBoot, Restart: true,
	},
	{
		ID: "A87", Name: "skip_pcrs", setup: provisioned, run: skipPCRs,
		Action: "boots other software and leaves PolicyPCR out",
		Want:   "TPM2_PolicyAuthorize: TPM_RC_VALUE (parameter 1)", After: refusesBoot, Restart: true,
	},
	{
		ID: "A88", Name: "fewer_pcrs", setup: provisioned, run: fewerPCRs,
		Action: "boots other software and asks PolicyPCR for another register",
		Want:   "TPM2_PolicyAuthorize: TPM_RC_VALUE (parameter 1)", After: refusesBoot, Restart: true,
	},
	{
		ID: "A89", Name: "pcr4_after_policy", setup: provisioned, run: betweenPolicyAndSign(4),
		Action: "extends PCR 4 between policy and signature",
		Want:   "TPM2_Sign: TPM_RC_PCR_CHANGED", After: refusesBoot, Restart: true,
	},
	{
		ID: "A90", Name: "pcr_8_10_15_after_policy", setup: provisioned, run: betweenPolicyAndSign(8, 10, 15),
		Action: "extends PCR 8, 10 and 15, which no approval is about, between policy and signature",
		Want:   "TPM2_Sign: TPM_RC_PCR_CHANGED",
	},
	{
		ID: "A91", Name: "pcr16_after_policy", setup: provisioned, run: betweenPolicyAndSign(16),
		Action: "extends PCR 16, for debugging, between policy and signature",
		Want:   succeeds, WantSimulator: "TPM2_Sign: TPM_RC_PCR_CHANGED",
	},
	{
		ID: "A92", Name: "pcr23_after_policy", setup: provisioned, run: betweenPolicyAndSign(23),
		Action: "extends PCR 23, for applications, between policy and signature",
		Want:   succeeds, WantSimulator: "TPM2_Sign: TPM_RC_PCR_CHANGED",
	},
	{
		ID: "A93", Name: "approve_debug_pcrs", setup: provisioned, run: approveDebugPCRs,
		Action: "has PCR 16, 21, 22 or 23 approved",
		Want:   refusesPCRs,
	},
	{
		ID: "A94", Name: "reset_boot_pcr", setup: provisioned, run: resetBootPCR,
		Action: "resets PCR 4",
		Want:   "TPM2_PCR_Reset: TPM_RC_LOCALITY",
	},
	{
		ID: "A95", Name: "reset_debug_pcr", setup: provisioned, run: resetDebugPCR,
		Action: "resets PCR 16: anybody may, which is why no approval is about it",
		Want:   succeeds,
	},
	{
		ID: "A96", Name: "startup_again", setup: provisioned, run: startupAgain,
		Action: "sends TPM2_Startup(CLEAR) to a TPM that runs",
		Want:   "TPM2_Startup: TPM_RC_INITIALIZE",
	},
	{
		ID: "A97", Name: "reset_tpm_alone", setup: provisioned, run: resetTPMAlone,
		Action: "boots other software, then resets the TPM without the processor and measures what was approved: a TPM cannot see it",
		Want:   succeeds,
	},
	{
		ID: "A98", Name: "foreign_ticket", setup: provisioned, run: foreignTicket,
		Action: "gives PolicyAuthorize the ticket of a foreign key's approval",
		Want:   "TPM2_PolicyAuthorize: TPM_RC_VALUE (parameter 4)",
	},
	{
		ID: "A99", Name: "foreign_key_honest_branches", setup: provisioned, run: foreignKeyHonestBranches,
		Action: "names that foreign key too",
		Want:   "TPM2_PolicyOR: TPM_RC_VALUE (parameter 1)",
	},
	{
		ID: "A100", Name: "foreign_key_foreign_branches", setup: provisioned, run: foreignKeyForeignBranches,
		Action: "and gives PolicyOR the branches of foreign keys",
		Want:   "TPM2_Sign: TPM_RC_POLICY_FAIL (session 1)",
	},
	{
		ID: "A101", Name: "foreign_approval_vault", setup: provisioned, run: foreignApprovalToVault,
		Action: "installs an approval by foreign keys",
		Want:   refusesBoot,
	},
	{
		ID: "A102", Name: "forged_approval", setup: provisioned, run: forgeApproval,
		Action: "asks for the ticket of an approval with another signature",
		Want:   "TPM2_VerifySignature: TPM_RC_SIGNATURE (parameter 2)",
	},
	{
		ID: "A103", Name: "forged_ticket", setup: provisioned, run: forgeTicket,
		Action: "changes a bit of the ticket",
		Want:   "TPM2_PolicyAuthorize: TPM_RC_VALUE (parameter 4)",
	},
	{
		ID: "A104", Name: "nv_key_approves", setup: provisioned, run: nvKeyApprovesBoot,
		Action: "approves a boot state with the manufacturer's NV key",
		Want:   "TPM2_PolicyAuthorize: TPM_RC_VALUE (parameter 4)",
	},
	{
		ID: "A105", Name: "standby_ticket_primary", setup: provisioned, run: standbyTicketForPrimary,
		Action: "uses a ticket of the standby key on the primary's branch",
		Want:   "TPM2_PolicyAuthorize: TPM_RC_VALUE (parameter 4)",
	},
	{
		ID: "A106", Name: "primary_ticket_standby", setup: provisioned, run: primaryTicketForStandby,
		Action: "uses a ticket of the primary key on the standby's branch",
		Want:   "TPM2_PolicyAuthorize: TPM_RC_VALUE (parameter 4)",
	},
	{
		ID: "A107", Name: "standby_approves", setup: provisioned, run: standbyApproves,
		Action: "signs with an approval of the standby key: it may approve",
		Want:   succeeds,
	},
	{
		ID: "A108", Name: "other_policy_ref", setup: provisioned, run: otherPolicyRef,
		Action: "uses the ticket with the policyRef of unmeasured boots",
		Want:   "TPM2_PolicyAuthorize: TPM_RC_VALUE (parameter 4)",
	},
	{
		ID: "A109", Name: "unmeasured_approval", setup: provisioned, run: unmeasuredOnMeasured,
		Action: "uses the manufacturer's approval for unmeasured boots on a device with a measured one",
		Want:   "TPM2_Sign: TPM_RC_POLICY_FAIL (session 1)",
	},
	{
		ID: "A110", Name: "unmeasured_approval_branches", setup: provisioned, run: unmeasuredOnMeasuredBranches,
		Action: "does so with the branches of measured boots",
		Want:   "TPM2_PolicyOR: TPM_RC_VALUE (parameter 1)",
	},
	{
		ID: "A111", Name: "unmeasured_approval_vault", setup: provisioned, run: unmeasuredToVault,
		Action: "installs that approval alone",
		Want:   refusesBoot,
	},
	{
		ID: "A112", Name: "approval_ticket_before_clear", setup: provisioned, run: approvalTicketAfterClear,
		Action: "uses an approval's ticket from before TPM2_Clear",
		Want:   "TPM2_PolicyAuthorize: TPM_RC_VALUE (parameter 4)",
	},
	{
		ID: "A113", Name: "old_epoch", setup: provisioned, run: oldApprovalAfterEpochBump,
		Action: "uses an approval after the epoch counter was raised above it",
		Want:   "TPM2_PolicyNV: TPM_RC_POLICY",
	},
	{
		ID: "A114", Name: "new_epoch", setup: provisioned, run: newApprovalAfterEpochBump,
		Action: "uses an approval for the new epoch: the same key signs",
		Want:   succeeds,
	},
	{
		ID: "A115", Name: "epoch_left_out", setup: provisioned, run: epochLeftOut,
		Action: "uses an approval with an epoch and does not ask the counter",
		Want:   "TPM2_PolicyAuthorize: TPM_RC_VALUE (parameter 1)",
	},
	{
		ID: "A135", Name: "other_epoch", setup: provisioned, run: otherEpoch,
		Action: "asks the counter for an epoch that was not approved",
		Want:   "TPM2_PolicyAuthorize: TPM_RC_VALUE (parameter 1)",
	},
	{
		ID: "A136", Name: "delete_epoch_platform", setup: provisioned, run: deleteEpochByPlatform,
		Action: "deletes the epoch counter as platform, and uses an approval with an epoch: others still serve",
		Want:   "TPM2_PolicyNV: TPM_RC_HANDLE (handle 1)",
	},
	{
		ID: "A137", Name: "replace_epoch", setup: provisioned, run: replaceEpoch,
		Action: "does so and asks a counter of its own making in that place",
		Want:   "TPM2_PolicyAuthorize: TPM_RC_VALUE (parameter 1)",
	},
}

func closePlatform(d *device) error { return tpmtest.ClosePlatform(d.tpm) }

func (d *device) extendPCR(n int) { d.must(tpmtest.PCRExtend(d.tpm, n, [32]byte{1})) }

func bootOtherSoftware(d *device) error {
	r := d.honestRun()
	d.extendPCR(4)
	return r.sign()
}

func bootOtherSoftwareAndOpen(d *device) error {
	d.extendPCR(4)
	return d.honest()
}

func skipPCRs(d *device) error {
	r := d.honestRun()
	d.extendPCR(4)
	r.steps = r.steps[1:]
	return r.sign()
}

// fewerPCRs asks for a register that is as it was, out of those that are not.
func fewerPCRs(d *device) error {
	r := d.honestRun()
	d.extendPCR(4)
	selection, err := tpmprofile.ParsePCRs("sha256:0")
	d.must(err)
	r.pcrs = selection
	return r.sign()
}

// betweenPolicyAndSign extends each of the registers between policy and signature, and gives the first outcome that
// differs from the others.
func betweenPolicyAndSign(registers ...int) func(*device) error {
	return func(d *device) (err error) {
		for i, n := range registers {
			r := d.honestRun()
			r.between = func() { d.extendPCR(n) }
			got := r.sign()
			if i > 0 && !errors.Is(got, err) {
				return fmt.Errorf("PCR %d: %w", n, got)
			}
			err = got
		}
		return err
	}
}

func resetBootPCR(d *device) error {
	_, err := tpm2.PCRReset{PCRHandle: tpm2.TPMHandle(4)}.Execute(d.tpm)
	return err
}

func resetDebugPCR(d *device) error {
	_, err := tpm2.PCRReset{PCRHandle: tpm2.TPMHandle(16)}.Execute(d.tpm)
	return err
}

func approveDebugPCRs(*device) error {
	for _, n := range []int{16, 21, 22, 23} {
		if _, err := tpmprofile.ParsePCRs(fmt.Sprint("sha256:0,", n)); err == nil {
			return nil
		}
	}
	return errors.New(refusesPCRs)
}

const refusesPCRs = "`tpmprofile.ParsePCRs` refuses"

func resetTPMAlone(d *device) error {
	d.extendPCR(4)
	if err := d.honest(); err == nil {
		return errors.New("the boot state was approved")
	}
	d.must(d.engine.Restart())
	return d.honest()
}

func startupAgain(d *device) error {
	_, err := tpm2.Startup{StartupType: tpm2.TPMSUClear}.Execute(d.tpm)
	return err
}

// foreignTicket has a ticket of another manufacturer's boot key, and names the right one.
func foreignTicket(d *device) error {
	r := d.honestRun()
	var err error
	r.ticket, err = d.ticket(d.approve(manufacturer("attacker"), tpmprofile.RolePrimary, measuredPCRs()))
	d.must(err)
	return r.sign()
}

func (d *device) foreignRun() *policyRun {
	d.honestRun()
	other := manufacturer("attacker")
	a := d.approve(other, tpmprofile.RolePrimary, measuredPCRs())
	r := d.newRun(a)
	name, err := tpmprofile.KeyNameOf(other.BootKeys().Primary)
	d.must(err)
	r.keyName = name
	return r
}

func foreignKeyHonestBranches(d *device) error {
	r := d.foreignRun()
	r.branches = d.branchesOf(d.oem, attest.BootMeasured)
	return r.sign()
}

func foreignKeyForeignBranches(d *device) error { return d.foreignRun().sign() }

func foreignApprovalToVault(d *device) error {
	_, err := d.open([]tpmprofile.BootApproval{d.approve(manufacturer("attacker"), tpmprofile.RolePrimary, measuredPCRs())})
	return err
}

func forgeApproval(d *device) error {
	a := d.approvals[0]
	a.Signature[0] ^= 1
	_, err := d.ticket(a)
	return err
}

func forgeTicket(d *device) error {
	r := d.honestRun()
	r.ticket.Digest.Buffer[0] ^= 1
	return r.sign()
}

func standbyTicketForPrimary(d *device) error {
	r := d.honestRun()
	var err error
	r.ticket, err = d.ticket(d.approve(d.oem, tpmprofile.RoleStandby, measuredPCRs()))
	d.must(err)
	return r.sign()
}

func primaryTicketForStandby(d *device) error {
	r := d.honestRun()
	r.name(tpmprofile.RoleStandby)
	return r.sign()
}

func standbyApproves(d *device) error {
	return d.newRun(d.approve(d.oem, tpmprofile.RoleStandby, measuredPCRs())).sign()
}

func otherPolicyRef(d *device) error {
	r := d.honestRun()
	r.ref = tpmprofile.RefBootUnmeasured
	return r.sign()
}

// unmeasuredOnMeasured has the honest manufacturer's approval for devices that measure nothing.
func unmeasuredOnMeasured(d *device) error {
	d.honestRun()
	a := d.approve(d.oem, tpmprofile.RolePrimary, unmeasured())
	r := d.newRun(a)
	r.steps = r.steps[1:]
	return r.sign()
}

func unmeasuredOnMeasuredBranches(d *device) error {
	d.honestRun()
	r := d.newRun(d.approve(d.oem, tpmprofile.RolePrimary, unmeasured()))
	r.steps = r.steps[1:]
	r.branches = d.branchesOf(d.oem, attest.BootMeasured)
	return r.sign()
}

func unmeasuredToVault(d *device) error {
	_, err := d.open([]tpmprofile.BootApproval{d.approve(d.oem, tpmprofile.RolePrimary, unmeasured())})
	return err
}

// bootKeyWritesRecord has the boot key sign what only the NV key may.
func bootKeyWritesRecord(d *device) error {
	return d.authorized(d.oem.Boot, tpmprofile.BranchWrite, d.writeCPHash(otherRecord), d.writeIn(otherRecord))
}

func nvKeyApprovesBoot(d *device) error {
	r := d.honestRun()
	a := d.approvals[0]
	a.Keys.Primary = d.profile().NVKey
	a.Signature = d.signed(d.oem.NV, a.Content())
	var err error
	r.ticket, err = d.ticket(a)
	d.must(err)
	return r.sign()
}

// epochRun is a run with an approval that is good while the epoch counter is not above limit.
func (d *device) epochRun(limit uint64) *policyRun {
	d.t.Helper()
	r := d.honestRun()
	name, err := tpmprofile.CounterEpoch.Name(d.variant, true)
	d.must(err)
	counter := tpm2.NamedHandle{Handle: tpmprofile.CounterEpoch.Index(d.variant), Name: tpm2.TPM2BName{Buffer: name}}
	r.epoch = tpm2.PolicyNV{
		AuthHandle: counter, NVIndex: counter, OperandB: tpm2.TPM2BOperand{Buffer: binary.BigEndian.AppendUint64(nil, limit)},
		Operation: tpm2.TPMEOUnsignedLE,
	}
	digest, err := d.factory().ReadPCRs(d.t.Context(), r.pcrs)
	d.must(err)
	calculator, err := tpm2.NewPolicyCalculator(tpm2.TPMAlgSHA256)
	d.must(err)
	d.must(tpm2.PolicyPCR{PcrDigest: tpm2.TPM2BDigest{Buffer: digest[:]}, Pcrs: r.pcrs.TPM()}.Update(calculator))
	d.must(r.epoch.Update(calculator))
	a := d.approvals[0]
	a.Policy = [32]byte(calculator.Hash().Digest)
	a.Signature = d.signed(d.oem.Boot, a.Content())
	r.policy = a.Policy
	r.ticket, err = d.ticket(a)
	d.must(err)
	r.steps = []step{(*policyRun).pcr, (*policyRun).askEpoch, (*policyRun).authorize, (*policyRun).or, (*policyRun).nv}
	return r
}

func oldApprovalAfterEpochBump(d *device) error {
	d.defineCounter(tpmprofile.CounterEpoch)
	r := d.epochRun(d.counter(tpmprofile.CounterEpoch))
	if err := r.sign(); err != nil {
		return fmt.Errorf("before the counter was raised: %w", err)
	}
	d.must(d.raise(tpmprofile.CounterEpoch, tpm2.TPMRHPlatform))
	return r.sign()
}

func newApprovalAfterEpochBump(d *device) error {
	d.defineCounter(tpmprofile.CounterEpoch)
	d.must(d.raise(tpmprofile.CounterEpoch, tpm2.TPMRHPlatform))
	return d.epochRun(d.counter(tpmprofile.CounterEpoch)).sign()
}

// otherEpoch asks the counter for an epoch that nobody approved, and that it has.
func otherEpoch(d *device) error {
	d.defineCounter(tpmprofile.CounterEpoch)
	r := d.epochRun(d.counter(tpmprofile.CounterEpoch))
	d.must(d.raise(tpmprofile.CounterEpoch, tpm2.TPMRHPlatform))
	r.epoch.OperandB.Buffer = binary.BigEndian.AppendUint64(nil, d.counter(tpmprofile.CounterEpoch))
	return r.sign()
}

func deleteEpochByPlatform(d *device) error {
	d.defineCounter(tpmprofile.CounterEpoch)
	r := d.epochRun(d.counter(tpmprofile.CounterEpoch))
	_, err := tpm2.NVUndefineSpace{AuthHandle: tpm2.TPMRHPlatform, NVIndex: r.epoch.NVIndex}.Execute(d.tpm)
	d.must(err)
	return r.sign()
}

// replaceEpoch puts a counter that anybody can raise into the place of the epoch counter, and asks that.
func replaceEpoch(d *device) error {
	d.defineCounter(tpmprofile.CounterEpoch)
	r := d.epochRun(1 << 32)
	_, err := tpm2.NVUndefineSpace{AuthHandle: tpm2.TPMRHPlatform, NVIndex: r.epoch.NVIndex}.Execute(d.tpm)
	d.must(err)
	public := tpmprofile.CounterEpoch.Public(d.variant, false)
	public.Attributes.AuthWrite = true
	_, err = tpm2.NVDefineSpace{AuthHandle: tpm2.TPMRHPlatform, PublicInfo: tpm2.New2B(*public)}.Execute(d.tpm)
	d.must(err)
	d.must(d.raise(tpmprofile.CounterEpoch, public.NVIndex))
	index := d.named(public.NVIndex)
	r.epoch.AuthHandle, r.epoch.NVIndex = index, index
	return r.sign()
}

// epochLeftOut runs the approval with an epoch without asking the counter.
func epochLeftOut(d *device) error {
	d.defineCounter(tpmprofile.CounterEpoch)
	r := d.epochRun(d.counter(tpmprofile.CounterEpoch))
	r.steps = append(r.steps[:1:1], r.steps[2:]...)
	return r.sign()
}
