package attacktest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"

	"github.com/google/go-tpm/tpm2"

	"imei-attest/attest/tpmprofile"
)

// recordAttacks are those on the NV index with the record.
var recordAttacks = []Attack{
	{
		ID: "A01", Name: "write_password", setup: defined, run: writeWithIndexPassword,
		Action: "writes the record with the index's empty password",
		Want:   "TPM2_NV_Write: TPM_RC_AUTH_UNAVAILABLE",
	},
	{
		ID: "A02", Name: "write_owner", setup: defined, run: writeWithOwnerPassword,
		Action: "writes the record with the owner's authorisation",
		Want:   "TPM2_NV_Write: TPM_RC_NV_AUTHORIZATION",
	},
	{
		ID: "A03", Name: "write_platform", setup: defined, run: writeWithPlatformPassword,
		Action: "writes the record with the platform's authorisation",
		Want:   "TPM2_NV_Write: TPM_RC_NV_AUTHORIZATION",
	},
	{
		ID: "A04", Name: "write_unsigned", setup: defined, run: writeWithoutSignature,
		Action: "writes the record without a signature",
		Want:   "TPM2_PolicySigned: TPM_RC_SIGNATURE (parameter 5)",
	},
	{
		ID: "A05", Name: "write_signature_of_other_record", setup: defined, run: writeWithSignatureOverOther,
		Action: "writes a record with the manufacturer's signature over another one",
		Want:   "TPM2_PolicySigned: TPM_RC_SIGNATURE (parameter 5)",
	},
	{
		ID: "A06", Name: "write_foreign_key", setup: defined, run: writeByForeignKey,
		Action: "writes the record with an authorisation signed by a foreign key",
		Want:   "TPM2_PolicyOR: TPM_RC_VALUE (parameter 1)",
	},
	{
		ID: "A07", Name: "write_boot_key", setup: defined, run: bootKeyWritesRecord,
		Action: "writes the record with an authorisation signed by the manufacturer's boot key",
		Want:   "TPM2_PolicyOR: TPM_RC_VALUE (parameter 1)",
	},
	{
		ID: "A08", Name: "write_other_data", setup: defined, run: writeOtherData,
		Action: "writes other data in a session that is authorised for a record",
		Want:   "TPM2_NV_Write: TPM_RC_POLICY_FAIL (session 1)",
	},
	{
		ID: "A09", Name: "write_in_lock_session", setup: defined, run: writeWithLockAuthorisation,
		Action: "writes in a session that is authorised for the lock",
		Want:   "TPM2_NV_Write: TPM_RC_POLICY_CC (session 1)",
	},
	{
		ID: "A10", Name: "write_with_lock_signature", setup: defined, run: lockSignatureForWriting,
		Action: "claims that the signature for the lock is for writing",
		Want:   "TPM2_PolicyOR: TPM_RC_VALUE (parameter 1)",
	},
	{
		ID: "A11", Name: "write_twice", setup: unlocked, run: replayFirstWrite,
		Action: "repeats the first write's authorisation before the lock",
		Want:   "TPM2_NV_Write: TPM_RC_POLICY_FAIL (session 1)",
	},
	{
		ID: "A12", Name: "lock_password", setup: unlocked, run: lockWithPassword,
		Action: "locks the record with the index's empty password",
		Want:   "TPM2_NV_WriteLock: TPM_RC_AUTH_UNAVAILABLE",
	},
	{
		ID: "A13", Name: "lock_foreign_key", setup: unlocked, run: lockByForeignKey,
		Action: "locks the record with an authorisation signed by a foreign key",
		Want:   "TPM2_PolicyOR: TPM_RC_VALUE (parameter 1)",
	},
	{
		ID: "A14", Name: "sign_before_lock", setup: unlocked, run: signBeforeLock,
		Action: "signs with the device key before the record is locked",
		Want:   "TPM2_Sign: TPM_RC_POLICY_FAIL (session 1)",
	},
	{
		ID: "A15", Name: "open_before_lock", setup: unlocked, run: openBeforeLock,
		Action: "opens the vault before the record is locked",
		Want:   notProvisioned,
	},
	{
		ID: "A16", Name: "locked_write_password", setup: provisioned, run: writeWithIndexPassword,
		Action: "writes the locked record with the index's empty password",
		Want:   "TPM2_NV_Write: TPM_RC_AUTH_UNAVAILABLE",
	},
	{
		ID: "A17", Name: "locked_write_owner", setup: provisioned, run: writeWithOwnerPassword,
		Action: "writes the locked record with the owner's authorisation",
		Want:   "TPM2_NV_Write: TPM_RC_NV_LOCKED",
	},
	{
		ID: "A18", Name: "locked_write_replay", setup: provisioned, run: replayFirstWrite,
		Action: "repeats the first write's authorisation after the lock",
		Want:   "TPM2_NV_Write: TPM_RC_POLICY_FAIL (session 1)",
	},
	{
		ID: "A19", Name: "locked_write_manufacturer", setup: provisioned, run: writeByManufacturer,
		Action: "writes the locked record with a new authorisation by the manufacturer",
		Want:   "TPM2_NV_Write: TPM_RC_NV_LOCKED",
	},
	{
		ID: "A20", Name: "read_lock", setup: provisioned, run: readLock,
		Action: "locks the record against reading",
		Want:   "TPM2_NV_ReadLock: TPM_RC_ATTRIBUTES (handle 2)",
	},
	{
		ID: "A21", Name: "increment_record", setup: provisioned, run: increment,
		Action: "increments the record as if it were a counter",
		Want:   "TPM2_NV_Increment: TPM_RC_AUTH_UNAVAILABLE",
	},
	{
		ID: "A22", Name: "extend_record", setup: provisioned, run: extend,
		Action: "extends the record as if it were a register",
		Want:   "TPM2_NV_Extend: TPM_RC_AUTH_UNAVAILABLE",
	},
	{
		ID: "A23", Name: "global_write_lock", setup: unlocked, run: globalWriteLock,
		Action: "locks all indices that allow it with the owner's authorisation: the record is not among them",
		Want:   succeeds,
	},
	{
		ID: "A24", Name: "change_index_password", setup: provisioned, run: changeIndexPassword,
		Action: "changes the index's password",
		Want:   "TPM2_NV_ChangeAuth: TPM_RC_AUTH_TYPE",
	},
	{
		ID: "A25", Name: "delete_owner", setup: provisioned, run: deleteByOwner,
		Action: "deletes the record with the owner's authorisation",
		Want:   "TPM2_NV_UndefineSpace: TPM_RC_ATTRIBUTES (handle 2)",
	},
	{
		ID: "A26", Name: "delete_platform", setup: provisioned, run: deleteByPlatform,
		Action: "deletes the record with the platform's authorisation alone",
		Want:   "TPM2_NV_UndefineSpace: TPM_RC_ATTRIBUTES (handle 2)",
	},
	{
		ID: "A27", Name: "delete_platform_closed", setup: provisioned, run: deleteByClosedPlatform,
		Action: "does so after the firmware has closed the platform hierarchy",
		Want:   "TPM2_NV_UndefineSpace: TPM_RC_BAD_AUTH (session 1)",
	},
	{
		ID: "A28", Name: "delete_foreign_key", setup: provisioned, run: deleteByForeignKey,
		Action: "deletes the record with the platform's authorisation and a foreign key's signature",
		Want:   "TPM2_PolicyOR: TPM_RC_VALUE (parameter 1)",
	},
	{
		ID: "A29", Name: "delete_manufacturer_closed", setup: provisioned, run: deleteByManufacturerWithoutPlatform,
		Action: "deletes the record with the manufacturer's signature after the firmware has closed the platform hierarchy",
		Want:   "TPM2_NV_UndefineSpaceSpecial: TPM_RC_BAD_AUTH (session 2)",
	},
	{
		ID: "A30", Name: "delete_manufacturer", setup: provisioned, run: deleteByManufacturer,
		Action: "deletes the record with the manufacturer's signature and the platform's authorisation: the way to provision again",
		Want:   succeeds, After: notProvisioned,
	},
	{
		ID: "A31", Name: "define_again", setup: provisioned, run: defineAgain,
		Action: "defines the index a second time",
		Want:   "TPM2_NV_DefineSpace: TPM_RC_NV_DEFINED",
	},
	{
		ID: "A32", Name: "owner_defines_platform_index", setup: provisioned, run: ownerDefinesPlatformIndex,
		Action: "defines an index with PLATFORMCREATE as owner",
		Want:   "TPM2_NV_DefineSpace: TPM_RC_ATTRIBUTES (handle 1)",
	},
	{
		ID: "A33", Name: "owner_record_beside", setup: provisioned, run: ownersRecordBeside,
		Action: "puts a copy of the record into an index that it may write, and has the policy look there",
		Want:   "TPM2_Sign: TPM_RC_POLICY_FAIL (session 1)",
	},
	{
		ID: "A34", Name: "provision_other_imei", setup: provisioned, run: provisionOtherIMEI,
		Action: "runs the factory's program for another IMEI",
		Want:   refusesRun,
	},
	{
		ID: "A35", Name: "replaced_record", setup: provisioned, run: replaceRecord,
		Action: "signs with the old key after the manufacturer has replaced the record",
		Want:   "TPM2_PolicyNV: TPM_RC_POLICY",
	},
	{
		ID: "A36", Name: "replaced_record_open_vault", setup: provisioned, run: replaceRecordUnderOpenVault,
		Action: "signs with a vault that was open while the manufacturer replaced the record",
		Want:   refusesRecord,
	},
	{
		ID: "A37", Name: "owner_deletes", setup: provisionedByOwner, run: deleteOwnersRecord,
		Action: "owner's variant: deletes the record and signs",
		Want:   "TPM2_PolicyNV: TPM_RC_HANDLE (handle 1)", After: notProvisioned,
	},
	{
		ID: "A38", Name: "owner_redefines_weaker", setup: provisionedByOwner, run: redefineWeaker,
		Action: "owner's variant: defines the index again with the same content and AUTHWRITE, and signs",
		Want:   "TPM2_Sign: TPM_RC_POLICY_FAIL (session 1)", After: refusesBoot,
	},
	{
		ID: "A39", Name: "owner_redefines_weaker_open_vault", setup: provisionedByOwner, run: redefineWeakerUnderOpenVault,
		Action: "owner's variant: does so while the vault is open",
		Want:   refusesRecord, After: refusesBoot,
	},
	{
		ID: "A40", Name: "owner_redefines_faithfully", setup: provisionedByOwner, run: redefineFaithfully,
		Action: "owner's variant: defines the index again as it was and replays the factory's authorisations: the device is as before",
		Want:   succeeds,
	},
	{
		ID: "A41", Name: "owner_redefines_other_record", setup: provisionedByOwner, run: redefineFaithfullyWithOtherRecord,
		Action: "owner's variant: does so with another record",
		Want:   "TPM2_PolicySigned: TPM_RC_SIGNATURE (parameter 5)", After: notProvisioned,
	},
	{
		ID: "A42", Name: "owner_clears", setup: provisionedByOwner, run: clearTPM,
		Action: "owner's variant: runs TPM2_Clear",
		Want:   succeeds, After: notProvisioned,
	},
}

func (d *device) write(auth tpm2.AuthHandle, data []byte) error {
	_, err := tpm2.NVWrite{AuthHandle: auth, NVIndex: d.index(), Data: tpm2.TPM2BMaxNVBuffer{Buffer: data}}.Execute(d.tpm)
	return err
}

var otherRecord = bytes.Repeat([]byte{1}, tpmprofile.RecordSize)

func writeWithIndexPassword(d *device) error { return d.write(passwordOf(d.index()), otherRecord) }

func writeWithOwnerPassword(d *device) error {
	return d.write(passwordOf(hierarchy(tpm2.TPMRHOwner)), otherRecord)
}

func writeWithPlatformPassword(d *device) error {
	return d.write(passwordOf(hierarchy(tpm2.TPMRHPlatform)), otherRecord)
}

// authorized runs use with a session for the index, authorised by key for the command with that cpHash.
func (d *device) authorized(key crypto.Signer, branch tpmprofile.Branch, cpHash [32]byte, use func(tpm2.Session) error) error {
	return d.withNVPolicy(key.Public().(*ecdsa.PublicKey), branch, cpHash, d.signed(key, tpmprofile.AuthorizationContent(branch, cpHash)), branch.Command(), use)
}

// withNVPolicy runs use with a session in which the branch's policy has run, for a signature that somebody gave.
func (d *device) withNVPolicy(by *ecdsa.PublicKey, branch tpmprofile.Branch, cpHash [32]byte, signature [tpmprofile.SignatureBytes]byte,
	command tpm2.TPMCC, use func(tpm2.Session) error,
) error {
	public, err := tpmprofile.VerificationKey(by)
	d.must(err)
	loaded, err := tpm2.LoadExternal{InPublic: tpm2.New2B(public), Hierarchy: tpm2.TPMRHNull}.Execute(d.tpm)
	d.must(err)
	defer d.flush(loaded.ObjectHandle)
	session, end, err := tpm2.PolicySession(d.tpm, tpm2.TPMAlgSHA256, 16)
	d.must(err)
	defer func() { _ = end() }()
	_, err = tpm2.PolicySigned{
		AuthObject: loaded.ObjectHandle, PolicySession: session.Handle(), CPHashA: tpm2.TPM2BDigest{Buffer: cpHash[:]},
		PolicyRef: tpm2.TPM2BNonce{Buffer: []byte(branch.Ref())}, Auth: tpmprofile.TPMSignature(signature),
	}.Execute(d.tpm)
	if err != nil {
		return err
	}
	if _, err := (tpm2.PolicyCommandCode{PolicySession: session.Handle(), Code: command}).Execute(d.tpm); err != nil {
		return err
	}
	branches, err := d.profile().NVBranches()
	d.must(err)
	if _, err := (tpm2.PolicyOr{PolicySession: session.Handle(), PHashList: tpm2.TPMLDigest{Digests: branches}}).Execute(d.tpm); err != nil {
		return err
	}
	return use(session)
}

// writeCPHash is that of TPM2_NV_Write with the Name that the index has now.
func (d *device) writeCPHash(data []byte) [32]byte {
	d.t.Helper()
	hash, err := tpm2.CPHash(tpm2.TPMAlgSHA256, tpm2.NVWrite{AuthHandle: d.index(), NVIndex: d.index(), Data: tpm2.TPM2BMaxNVBuffer{Buffer: data}})
	d.must(err)
	return [32]byte(hash.Buffer)
}

// writeIn writes in a session.
func (d *device) writeIn(data []byte) func(tpm2.Session) error {
	return func(session tpm2.Session) error {
		index := d.index()
		return d.write(tpm2.AuthHandle{Handle: index.Handle, Name: index.Name, Auth: session}, data)
	}
}

func (d *device) lockIn(session tpm2.Session) error {
	index := d.index()
	_, err := tpm2.NVWriteLock{AuthHandle: tpm2.AuthHandle{Handle: index.Handle, Name: index.Name, Auth: session}, NVIndex: index}.Execute(d.tpm)
	return err
}

func writeByForeignKey(d *device) error {
	return d.authorized(manufacturer("attacker").NV, tpmprofile.BranchWrite, d.writeCPHash(otherRecord), d.writeIn(otherRecord))
}

func writeWithoutSignature(d *device) error {
	return d.factory().Write(d.t.Context(), d.profile(), otherRecord, [tpmprofile.SignatureBytes]byte{})
}

func writeWithSignatureOverOther(d *device) error {
	return d.factory().Write(d.t.Context(), d.profile(), otherRecord, d.writeSignature(make([]byte, tpmprofile.RecordSize)))
}

// writeSignature is the manufacturer's authorisation of the first write, as a factory has it.
func (d *device) writeSignature(record []byte) [tpmprofile.SignatureBytes]byte {
	d.t.Helper()
	content, err := d.profile().WriteContent(record)
	d.must(err)
	return d.signed(d.oem.NV, content)
}

func (d *device) lockSignature() [tpmprofile.SignatureBytes]byte {
	d.t.Helper()
	content, err := d.profile().LockContent()
	d.must(err)
	return d.signed(d.oem.NV, content)
}

func writeOtherData(d *device) error {
	allowed := make([]byte, tpmprofile.RecordSize)
	return d.authorized(d.oem.NV, tpmprofile.BranchWrite, d.writeCPHash(allowed), d.writeIn(otherRecord))
}

func writeWithLockAuthorisation(d *device) error {
	hash, err := d.profile().LockCPHash()
	d.must(err)
	return d.authorized(d.oem.NV, tpmprofile.BranchLock, hash, d.writeIn(otherRecord))
}

func lockSignatureForWriting(d *device) error {
	hash, err := d.profile().LockCPHash()
	d.must(err)
	return d.withNVPolicy(d.profile().NVKey, tpmprofile.BranchLock, hash, d.lockSignature(), tpm2.TPMCCNVWrite, d.writeIn(otherRecord))
}

func replayFirstWrite(d *device) error {
	raw := d.rawRecord()
	return d.factory().Write(d.t.Context(), d.profile(), raw, d.writeSignature(raw))
}

// writeByManufacturer is what even the manufacturer cannot do: he signs for the index as it is now.
func writeByManufacturer(d *device) error {
	return d.authorized(d.oem.NV, tpmprofile.BranchWrite, d.writeCPHash(otherRecord), d.writeIn(otherRecord))
}

func lockWithPassword(d *device) error { return d.lockIn(tpm2.PasswordAuth(nil)) }

func lockByForeignKey(d *device) error {
	hash, err := d.profile().LockCPHash()
	d.must(err)
	return d.authorized(manufacturer("attacker").NV, tpmprofile.BranchLock, hash, d.lockIn)
}

func readLock(d *device) error {
	_, err := tpm2.NVReadLock{AuthHandle: d.index(), NVIndex: d.index()}.Execute(d.tpm)
	return err
}

func increment(d *device) error {
	_, err := tpm2.NVIncrement{AuthHandle: d.index(), NVIndex: d.index()}.Execute(d.tpm)
	return err
}

func extend(d *device) error {
	index := d.index().Handle
	return d.bare(tpm2.TPMCCNVExtend, []tpm2.TPMHandle{index, index}, 1, 0, 1, 'x')
}

func globalWriteLock(d *device) error {
	return d.bare(tpm2.TPMCCNVGlobalWriteLock, []tpm2.TPMHandle{tpm2.TPMRHOwner}, 1)
}

func changeIndexPassword(d *device) error {
	return d.bare(tpm2.TPMCCNVChangeAuth, []tpm2.TPMHandle{d.index().Handle}, 1, 0, 1, 'x')
}

func (d *device) undefine(by tpm2.TPMHandle) error {
	_, err := tpm2.NVUndefineSpace{AuthHandle: by, NVIndex: d.index()}.Execute(d.tpm)
	return err
}

func deleteByOwner(d *device) error    { return d.undefine(tpm2.TPMRHOwner) }
func deleteByPlatform(d *device) error { return d.undefine(tpm2.TPMRHPlatform) }

func deleteByClosedPlatform(d *device) error {
	d.must(closePlatform(d))
	return deleteByPlatform(d)
}

// undefineSpecial deletes the platform's index with the word of a key.
func (d *device) undefineSpecial(key crypto.Signer) error {
	index, platform := d.index(), passwordOf(hierarchy(tpm2.TPMRHPlatform))
	hash, err := tpm2.CPHash(tpm2.TPMAlgSHA256, tpm2.NVUndefineSpaceSpecial{NVIndex: index, Platform: platform})
	d.must(err)
	return d.authorized(key, tpmprofile.BranchDelete, [32]byte(hash.Buffer), func(session tpm2.Session) error {
		_, err := tpm2.NVUndefineSpaceSpecial{
			NVIndex: tpm2.AuthHandle{Handle: index.Handle, Name: index.Name, Auth: session}, Platform: platform,
		}.Execute(d.tpm)
		return err
	})
}

func deleteByForeignKey(d *device) error   { return d.undefineSpecial(manufacturer("attacker").NV) }
func deleteByManufacturer(d *device) error { return d.undefineSpecial(d.oem.NV) }

func deleteByManufacturerWithoutPlatform(d *device) error {
	d.must(closePlatform(d))
	return deleteByManufacturer(d)
}

func defineAgain(d *device) error { return d.factory().Define(d.t.Context(), d.profile()) }

func ownerDefinesPlatformIndex(d *device) error {
	public, err := d.profile().NVPublic(tpmprofile.IndexDefined)
	d.must(err)
	public.NVIndex++ // a free handle
	_, err = tpm2.NVDefineSpace{AuthHandle: tpm2.TPMRHOwner, PublicInfo: tpm2.New2B(*public)}.Execute(d.tpm)
	return err
}

// put installs a raw record with the manufacturer's authorisations, replayed: they are the same on every device.
func (d *device) put(raw []byte) error {
	f, p, ctx := d.factory(), d.profile(), d.t.Context()
	if err := f.Define(ctx, p); err != nil {
		return err
	}
	if err := f.Write(ctx, p, raw, d.writeSignature(raw)); err != nil {
		return err
	}
	return f.Lock(ctx, p, d.lockSignature())
}

// putWeakly installs a raw record in an index at the same handle that anybody can write.
func (d *device) putWeakly(raw []byte) {
	d.t.Helper()
	p := d.profile()
	public, err := p.NVPublic(tpmprofile.IndexDefined)
	d.must(err)
	public.Attributes.AuthWrite = true
	_, err = tpm2.NVDefineSpace{AuthHandle: tpm2.TPMRHOwner, PublicInfo: tpm2.New2B(*public)}.Execute(d.tpm)
	d.must(err)
	d.must(d.write(passwordOf(d.index()), raw))
	d.must(d.lockIn(tpm2.PasswordAuth(nil)))
}

func redefineWeaker(d *device) error {
	r, raw := d.honestRun(), d.rawRecord()
	d.must(deleteByOwner(d))
	d.putWeakly(raw)
	return r.sign()
}

func redefineWeakerUnderOpenVault(d *device) error {
	raw := d.rawRecord()
	v, err := d.open(d.approvals)
	d.must(err)
	defer v.Close()
	d.must(signAndVerify(v))
	d.must(deleteByOwner(d))
	d.putWeakly(raw)
	return signAndVerify(v)
}

// redefineFaithfully repeats with the honest authorisations what the factory did: the device is as it was.
func redefineFaithfully(d *device) error {
	r, raw := d.honestRun(), d.rawRecord()
	d.must(deleteByOwner(d))
	d.must(d.put(raw))
	return r.sign()
}

func redefineFaithfullyWithOtherRecord(d *device) error {
	raw := d.rawRecord()
	d.must(deleteByOwner(d))
	f, p := d.factory(), d.profile()
	d.must(f.Define(d.t.Context(), p))
	return f.Write(d.t.Context(), p, otherRecord, d.writeSignature(raw))
}

func deleteOwnersRecord(d *device) error {
	r := d.honestRun()
	d.must(deleteByOwner(d))
	return r.sign()
}

// ownersRecordBeside puts another record where the owner may; the vault looks at the platform's first.
func ownersRecordBeside(d *device) error {
	p := d.oem.Profile(2, 1)
	public, err := p.NVPublic(tpmprofile.IndexDefined)
	d.must(err)
	public.Attributes.AuthWrite = true
	_, err = tpm2.NVDefineSpace{AuthHandle: tpm2.TPMRHOwner, PublicInfo: tpm2.New2B(*public)}.Execute(d.tpm)
	d.must(err)
	index := d.named(p.Index())
	_, err = tpm2.NVWrite{AuthHandle: index, NVIndex: index, Data: tpm2.TPM2BMaxNVBuffer{Buffer: d.rawRecord()}}.Execute(d.tpm)
	d.must(err)
	r := d.honestRun()
	r.index = p.Index()
	return r.sign()
}

func signBeforeLock(d *device) error {
	return d.newRun(d.approve(d.oem, tpmprofile.RolePrimary, measuredPCRs())).sign()
}

func openBeforeLock(d *device) error {
	_, err := d.open([]tpmprofile.BootApproval{d.approve(d.oem, tpmprofile.RolePrimary, measuredPCRs())})
	return err
}

func replaceRecord(d *device) error {
	r := d.honestRun()
	d.must(deleteByManufacturer(d))
	d.must(d.tryProvision(imei2))
	return r.sign()
}

func replaceRecordUnderOpenVault(d *device) error {
	v, err := d.open(d.approvals)
	d.must(err)
	defer v.Close()
	d.must(signAndVerify(v))
	d.must(deleteByManufacturer(d))
	d.must(d.tryProvision(imei2))
	return signAndVerify(v)
}

func provisionOtherIMEI(d *device) error { return d.tryProvision(imei2) }
