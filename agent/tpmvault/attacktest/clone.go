package attacktest

import (
	"fmt"

	"github.com/google/go-tpm/tpm2"

	"imei-attest/attest"
	"imei-attest/attest/tpmprofile"
)

// cloneAttacks are those that carry what one TPM holds into another. From the exchange on, the device at hand is the second.
var cloneAttacks = []Attack{
	{
		ID: "A125", Name: "copy_record", setup: provisioned, run: copyRecord,
		Action: "puts record and authorisations of one device into the TPM of another, and opens the vault there",
		Want:   refusesKey, After: refusesKey,
	},
	{
		ID: "A126", Name: "copy_record_owner", setup: provisioned, run: copyRecordToOwner,
		Action: "does so in the owner's index",
		Want:   refusesKey, After: refusesKey,
	},
	{
		ID: "A127", Name: "copy_owners_record", setup: provisionedByOwner, run: copyRecord,
		Action: "owner's variant: puts record and authorisations into another TPM, and opens the vault there",
		Want:   refusesKey, After: refusesKey,
	},
	{
		ID: "A128", Name: "copy_record_weakly", setup: provisionedByOwner, run: copyRecordWeakly,
		Action: "owner's variant: does so in an index of its own making",
		Want:   refusesBoot, After: refusesBoot,
	},
	{
		ID: "A129", Name: "provision_copy", setup: provisioned, run: provisionCopy,
		Action: "runs the factory's program on the copy",
		Want:   refusesRun, After: refusesKey,
	},
	{
		ID: "A130", Name: "sign_copy", setup: provisioned, run: signWithCopy,
		Action: "satisfies the policy beside the copy: what signs is",
		Want:   otherKey, After: refusesKey,
	},
	{
		ID: "A131", Name: "carry_approval_ticket", setup: provisioned, run: carryApprovalTicket,
		Action: "uses an approval's ticket of the first TPM beside the copy",
		Want:   "TPM2_PolicyAuthorize: TPM_RC_VALUE (parameter 4)", After: refusesKey,
	},
	{
		ID: "A132", Name: "carry_hash_ticket", setup: provisioned, run: carryHashTicket,
		Action: "uses a hash ticket of the first TPM beside the copy",
		Want:   "TPM2_Sign: TPM_RC_TICKET (parameter 3)", After: refusesKey,
	},
	{
		ID: "A133", Name: "carry_key_context", setup: provisioned, run: carryKeyContext,
		Action: "loads the device key's saved context into the second TPM",
		Want:   "TPM2_ContextLoad: TPM_RC_INTEGRITY (parameter 1)", After: refusesKey,
	},
	{
		ID: "A134", Name: "restore_snapshot", setup: provisioned, run: restoreSnapshot,
		Action: "puts an older copy of the emulator's whole state back: it signs, and only profile B's counter shows it, which does not rise",
		Want:   succeeds, WantSimulator: notTried,
	},
}

// exchange replaces the TPM and its record's surroundings by a fresh one.
func (d *device) exchange() { d.insert(d.fresh(d.t)) }

func copyRecord(d *device) error {
	raw := d.rawRecord()
	d.exchange()
	d.must(d.put(raw))
	return d.honest()
}

func copyRecordToOwner(d *device) error {
	raw := d.rawRecord()
	d.exchange()
	d.variant = attest.NVOwner
	d.must(d.put(raw))
	return d.honest()
}

func copyRecordWeakly(d *device) error {
	raw := d.rawRecord()
	d.exchange()
	d.variant = attest.NVOwner
	d.putWeakly(raw)
	return d.honest()
}

func provisionCopy(d *device) error {
	raw := d.rawRecord()
	d.exchange()
	d.must(d.put(raw))
	return d.tryProvision(imei1)
}

// signWithCopy satisfies the policy in the second TPM: the key that signs there is another.
func signWithCopy(d *device) error {
	raw := d.rawRecord()
	d.exchange()
	d.must(d.put(raw))
	if err := d.newRun(d.approvals[0]).sign(); err != nil {
		return err
	}
	return deriveFaithfully(d)
}

func carryApprovalTicket(d *device) error {
	r, raw := d.honestRun(), d.rawRecord()
	d.exchange()
	d.must(d.put(raw))
	return r.sign()
}

func carryHashTicket(d *device) error {
	r, raw := d.honestRun(), d.rawRecord()
	hashed := d.hash(r.content, tpm2.TPMRHEndorsement)
	d.exchange()
	d.must(d.put(raw))
	return d.newRun(d.approvals[0]).signDigest(hashed.OutHash, hashed.Validation)
}

func carryKeyContext(d *device) error {
	r := d.honestRun()
	var saved *tpm2.ContextSaveResponse
	d.must(r.withKey(func(key tpm2.NamedHandle) (err error) {
		saved, err = tpm2.ContextSave{SaveHandle: key.Handle}.Execute(d.tpm)
		return err
	}))
	raw := d.rawRecord()
	d.exchange()
	d.must(d.put(raw))
	_, err := tpm2.ContextLoad{Context: saved.Context}.Execute(d.tpm)
	return err
}

func restoreSnapshot(d *device) error {
	e, ok := d.engine.(Snapshots)
	if !ok {
		d.t.Fatal("the engine has no snapshots")
	}
	d.defineCounter(tpmprofile.CounterAttestation)
	restore, err := e.Snapshot()
	d.must(err)
	d.must(d.raiseHonestly(tpmprofile.CounterAttestation))
	d.must(d.honest())
	seen := d.counter(tpmprofile.CounterAttestation) // by a verifier
	d.must(restore())
	d.must(d.raiseHonestly(tpmprofile.CounterAttestation))
	if now := d.counter(tpmprofile.CounterAttestation); now > seen {
		return fmt.Errorf("the counter rose from %d to %d: nobody sees the copy", seen, now)
	}
	return d.honest()
}
