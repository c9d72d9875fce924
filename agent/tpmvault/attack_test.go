package tpmvault_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"imei-attest/agent"
	"imei-attest/agent/provision"
	"imei-attest/agent/tpmvault"
	"imei-attest/agent/tpmvault/tpmtest"
	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/attest/imei"
	"imei-attest/attest/tpmprofile"
)

// rawSigner runs the device key's policy with bare TPM commands, as an attacker does who is not held up by the
// vault's own checks.
type rawSigner struct {
	u        *unit
	profile  tpmprofile.Profile
	binding  [32]byte
	template tpm2.TPMTPublic
	ref      string
	branches []tpm2.TPM2BDigest
	role     tpmprofile.BootRole // whose Name PolicyAuthorize is given
	ticket   tpm2.TPMTTKVerified
	policy   [32]byte
	pcrs     tpmprofile.PCRSelection
	epoch    uint64 // that PolicyNV is given; 0 for no PolicyNV
	between  func() // runs between policy and signature
}

// attack prepares to sign for a binding hash with the approval a.
func (u *unit) attack(variant attest.NVVariant, binding [32]byte, a tpmprofile.BootApproval) *rawSigner {
	u.t.Helper()
	p := u.oem.Profile(variant, a.Boot())
	template, err := p.KeyTemplate(binding)
	u.must(err)
	branches, err := u.oem.BootKeys().Branches(a.Boot())
	u.must(err)
	return &rawSigner{
		u: u, profile: p, binding: binding, template: template, ref: a.PolicyRef(), branches: branches,
		role: a.SignedBy, ticket: u.ticket(a), policy: a.Policy, pcrs: a.PCRs,
		epoch: a.Epoch,
	}
}

// ticket has the TPM check an approval.
func (u *unit) ticket(a tpmprofile.BootApproval) tpm2.TPMTTKVerified {
	u.t.Helper()
	key, err := tpmprofile.VerificationKey(a.Keys.Key(a.SignedBy))
	u.must(err)
	loaded, err := tpm2.LoadExternal{InPublic: tpm2.New2B(key), Hierarchy: tpm2.TPMRHEndorsement}.Execute(u.conn)
	u.must(err)
	defer tpm2.FlushContext{FlushHandle: loaded.ObjectHandle}.Execute(u.conn)
	verified, err := tpm2.VerifySignature{
		KeyHandle: loaded.ObjectHandle, Digest: tpm2.TPM2BDigest{Buffer: sum(a.Content())}, Signature: tpmprofile.TPMSignature(a.Signature),
	}.Execute(u.conn)
	u.must(err)
	return verified.Validation
}

// sign returns what the TPM says.
func (r *rawSigner) sign() error {
	t := r.u.conn
	key, err := tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHEndorsement, InPublic: tpm2.New2B(r.template)}.Execute(t)
	r.u.must(err)
	defer tpm2.FlushContext{FlushHandle: key.ObjectHandle}.Execute(t)
	hashed, err := tpm2.Hash{Data: tpm2.TPM2BMaxBuffer{Buffer: []byte("claims")}, HashAlg: tpm2.TPMAlgSHA256, Hierarchy: tpm2.TPMRHEndorsement}.Execute(t)
	r.u.must(err)
	session, end, err := tpm2.PolicySession(t, tpm2.TPMAlgSHA256, 16)
	r.u.must(err)
	defer end()
	if err := r.runPolicy(session.Handle()); err != nil {
		return err
	}
	if r.between != nil {
		r.between()
	}
	_, err = tpm2.Sign{
		KeyHandle: tpm2.AuthHandle{Handle: key.ObjectHandle, Name: key.Name, Auth: session},
		Digest:    hashed.OutHash, Validation: hashed.Validation,
	}.Execute(t)
	return err
}

func (r *rawSigner) runPolicy(session tpm2.TPMHandle) error {
	t := r.u.conn
	if !r.pcrs.IsEmpty() {
		if _, err := (tpm2.PolicyPCR{PolicySession: session, Pcrs: r.pcrs.TPM()}).Execute(t); err != nil {
			return err
		}
	}
	if r.epoch != 0 {
		ask, err := tpmprofile.EpochPolicy(r.epoch, r.profile.Variant)
		r.u.must(err)
		ask.PolicySession = session
		if _, err := ask.Execute(t); err != nil {
			return err
		}
	}
	name, err := tpmprofile.KeyNameOf(r.u.oem.BootKeys().Key(r.role))
	r.u.must(err)
	_, err = tpm2.PolicyAuthorize{
		PolicySession: session, ApprovedPolicy: tpm2.TPM2BDigest{Buffer: r.policy[:]}, PolicyRef: tpm2.TPM2BDigest{Buffer: []byte(r.ref)},
		KeySign: tpm2.TPM2BName{Buffer: name}, CheckTicket: r.ticket,
	}.Execute(t)
	if err != nil {
		return err
	}
	if _, err := (tpm2.PolicyOr{PolicySession: session, PHashList: tpm2.TPMLDigest{Digests: r.branches}}).Execute(t); err != nil {
		return err
	}
	index := liveIndex(t, r.profile.Index())
	_, err = tpm2.PolicyNV{
		AuthHandle: index, NVIndex: index, PolicySession: session, OperandB: tpm2.TPM2BOperand{Buffer: r.binding[:]},
		Offset: tpmprofile.BindingOffset, Operation: tpm2.TPMEOEq,
	}.Execute(t)
	return err
}

// liveIndex is an index with the Name it has now.
func liveIndex(t transport.TPM, handle tpm2.TPMHandle) tpm2.NamedHandle {
	index := tpm2.NamedHandle{Handle: handle}
	if public, err := (tpm2.NVReadPublic{NVIndex: handle}).Execute(t); err == nil {
		index.Name = public.NVName
	}
	return index
}

// attackPrepared provisions and prepares an honest signature, which an attack then spoils.
func attackPrepared(t *testing.T) *rawSigner {
	t.Helper()
	u := newUnit(t)
	result := u.provision(imei1)
	binding := bindingOf(t, result)
	r := u.attack(attest.NVPlatform, binding, result.Approval)
	if err := r.sign(); err != nil {
		t.Fatalf("the honest run: %v", err)
	}
	return r
}

func bindingOf(t *testing.T, result *provision.Result) [32]byte {
	t.Helper()
	c := result.Credential
	binding, err := attest.BindingHash(c.OEMID, c.Slots, c.Storage.RecordID)
	if err != nil {
		t.Fatal(err)
	}
	return binding
}

// The TPM itself refuses each of these, whatever program asks.
func TestAttacksOnTheKey(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(*rawSigner)
		want  tpm2.TPMRC
	}{
		{"a register was extended", func(r *rawSigner) { r.u.must(tpmtest.PCRExtend(r.u.conn, 4, [32]byte{1})) }, tpm2.TPMRCValue},
		{"no register is looked at", func(r *rawSigner) { r.pcrs = tpmprofile.PCRSelection{} }, tpm2.TPMRCValue},
		{"a register is extended after the policy", func(r *rawSigner) {
			r.between = func() { r.u.must(tpmtest.PCRExtend(r.u.conn, 7, [32]byte{1})) }
		}, tpm2.TPMRCPCRChanged},
		{"a policy that nobody signed", func(r *rawSigner) { r.policy = [32]byte{}; r.pcrs = tpmprofile.PCRSelection{} }, tpm2.TPMRCValue},
		{"a ticket of the primary on the standby's branch", func(r *rawSigner) { r.role = tpmprofile.RoleStandby }, tpm2.TPMRCValue},
		{"a ticket for another purpose", func(r *rawSigner) { r.ref = tpmprofile.RefBootUnmeasured }, tpm2.TPMRCValue},
		{"an approval by a foreign key", func(r *rawSigner) {
			r.ticket = r.u.ticket(foreignApproval(r.u, r.pcrs))
		}, tpm2.TPMRCValue},
		{"another binding hash", func(r *rawSigner) { r.binding[0] ^= 1 }, tpm2.TPMRCPolicy},
		{"branches of other keys", func(r *rawSigner) {
			branches, err := manufacturer("attacker").BootKeys().Branches(attest.BootMeasured)
			r.u.must(err)
			r.branches = branches
		}, tpm2.TPMRCValue},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := attackPrepared(t)
			c.spoil(r)
			if err := r.sign(); !errors.Is(err, c.want) {
				t.Errorf("the TPM says %v; want %v", err, c.want)
			}
		})
	}
}

// foreignApproval is an approval of the state now, by keys that are not the device's.
func foreignApproval(u *unit, selection tpmprofile.PCRSelection) tpmprofile.BootApproval {
	u.t.Helper()
	factory, err := tpmvault.NewFactory(u.t.Context(), u.conn)
	u.must(err)
	digest, err := factory.ReadPCRs(u.t.Context(), selection)
	u.must(err)
	a, err := manufacturer("attacker").ApproveBoot(tpmprofile.RolePrimary, selection, digest)
	u.must(err)
	return a
}

func TestKeyWantsItsPolicy(t *testing.T) {
	u := newUnit(t)
	u.provision(imei1)
	public, err := tpm2.ReadPublic{ObjectHandle: tpmprofile.KeyHandle}.Execute(u.conn)
	u.must(err)
	_, err = tpm2.Sign{
		KeyHandle:  tpm2.AuthHandle{Handle: tpmprofile.KeyHandle, Name: public.Name, Auth: tpm2.PasswordAuth(nil)},
		Digest:     tpm2.TPM2BDigest{Buffer: make([]byte, 32)},
		Validation: tpm2.TPMTTKHashCheck{Tag: tpm2.TPMSTHashCheck},
	}.Execute(u.conn)
	if !errors.Is(err, tpm2.TPMRCAuthUnavailable) {
		t.Errorf("signing with the empty password: %v; want %v", err, tpm2.TPMRCAuthUnavailable)
	}
}

// An approval that asks for no register opens devices with an unmeasured boot, and no others.
func TestUnmeasuredApprovalOpensNoMeasuredDevice(t *testing.T) {
	u := newUnit(t)
	result := u.provision(imei1)
	u.approvals = nil
	u.approve(tpmprofile.RolePrimary, "")
	if _, err := u.tryOpen(); !errors.Is(err, tpmvault.ErrBootState) {
		t.Errorf("Open with an unmeasured approval: %v; want %v", err, tpmvault.ErrBootState)
	}
	r := u.attack(attest.NVPlatform, bindingOf(t, result), u.approvals[0])
	measured := u.oem.Profile(attest.NVPlatform, attest.BootMeasured)
	var err error
	r.template, err = measured.KeyTemplate(r.binding)
	u.must(err)
	if err := r.sign(); !errors.Is(err, tpm2.TPMRCPolicyFail) {
		t.Errorf("the TPM says %v; want %v", err, tpm2.TPMRCPolicyFail)
	}
}

func TestKeyIsDeadBeforeTheLock(t *testing.T) {
	u := newUnit(t)
	u.tpm.Fault(tpmtest.Refuse(tpm2.TPMCCNVWriteLock, tpm2.TPMRCFailure))
	if _, err := u.tryProvision(u.options(), imei1); !errors.Is(err, tpm2.TPMRCFailure) {
		t.Fatalf("provisioning without lock: %v", err)
	}
	u.tpm.Fault(nil)
	if _, err := u.tryOpen(); !errors.Is(err, agent.ErrNotProvisioned) || !strings.Contains(err.Error(), "interrupted") {
		t.Errorf("Open: %v; want %v that says it was interrupted", err, agent.ErrNotProvisioned)
	}
	u.approve(tpmprofile.RolePrimary, "sha256:0,2,4,7")
	state, record, err := u.factory().ReadIndex(t.Context(), u.oem.Profile(attest.NVPlatform, 0))
	u.must(err)
	if state != tpmprofile.IndexWritten {
		t.Fatalf("the index is %s", state)
	}
	if err := u.attack(attest.NVPlatform, record.Binding, u.approvals[0]).sign(); !errors.Is(err, tpm2.TPMRCPolicyFail) {
		t.Errorf("signing before the lock: %v; want %v", err, tpm2.TPMRCPolicyFail)
	}
}

func (u *unit) factory() *tpmvault.Factory {
	u.t.Helper()
	f, err := tpmvault.NewFactory(u.t.Context(), u.tpm)
	u.must(err)
	return f
}

func TestRecordRefusesEveryoneElse(t *testing.T) {
	u := newUnit(t)
	u.provision(imei1)
	index := liveIndex(u.conn, tpmprofile.PlatformIndex)
	write := func(auth tpm2.TPMHandle) error {
		named := tpm2.NamedHandle{Handle: auth, Name: tpm2.HandleName(auth)}
		if auth == index.Handle {
			named = index
		}
		_, err := tpm2.NVWrite{AuthHandle: named, NVIndex: index, Data: tpm2.TPM2BMaxNVBuffer{Buffer: make([]byte, tpmprofile.RecordSize)}}.Execute(u.conn)
		return err
	}
	for name, c := range map[string]struct {
		do   func() error
		want tpm2.TPMRC
	}{
		"write with the index's empty password": {func() error { return write(index.Handle) }, tpm2.TPMRCAuthUnavailable},
		"write with owner authorisation":        {func() error { return write(tpm2.TPMRHOwner) }, tpm2.TPMRCNVLocked},
		"the owner deletes the platform's index": {func() error {
			_, err := tpm2.NVUndefineSpace{AuthHandle: tpm2.TPMRHOwner, NVIndex: index}.Execute(u.conn)
			return err
		}, tpm2.TPMRCAttributes},
		"the platform deletes without the manufacturer": {func() error {
			_, err := tpm2.NVUndefineSpace{AuthHandle: tpm2.TPMRHPlatform, NVIndex: index}.Execute(u.conn)
			return err
		}, tpm2.TPMRCAttributes},
		"the manufacturer's own key writes again": {func() error {
			record := bytes.Repeat([]byte{1}, tpmprofile.RecordSize)
			return u.factory().Write(t.Context(), u.oem.Profile(attest.NVPlatform, 0), record, u.signWrite(u.oem, record))
		}, tpm2.TPMRCPolicyFail},
	} {
		if err := c.do(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v; want %v", name, err, c.want)
		}
	}
	u.wantClean()
}

func (u *unit) signWrite(oem *provision.OEM, record []byte) (signature [tpmprofile.SignatureBytes]byte) {
	u.t.Helper()
	content, err := oem.Profile(attest.NVPlatform, 0).WriteContent(record)
	u.must(err)
	signer, err := attest.NewSigner(oem.NV)
	u.must(err)
	raw, err := signer.Sign(rand.Reader, content)
	u.must(err)
	return [tpmprofile.SignatureBytes]byte(raw)
}

func TestWriteNeedsTheManufacturersWordForExactlyThisRecord(t *testing.T) {
	u := newUnit(t)
	p := u.oem.Profile(attest.NVPlatform, 0)
	u.must(u.factory().Define(t.Context(), p))
	record, other := make([]byte, tpmprofile.RecordSize), bytes.Repeat([]byte{1}, tpmprofile.RecordSize)
	for name, c := range map[string]struct {
		signature [tpmprofile.SignatureBytes]byte
		want      tpm2.TPMRC
	}{
		"signature over another record": {u.signWrite(u.oem, other), tpm2.TPMRCSignature},
		"signature by another NV key":   {u.signWrite(manufacturer("attacker"), record), tpm2.TPMRCSignature},
		"no signature":                  {[tpmprofile.SignatureBytes]byte{}, tpm2.TPMRCSignature},
	} {
		if err := u.factory().Write(t.Context(), p, record, c.signature); !errors.Is(err, c.want) {
			t.Errorf("%s: %v; want %v", name, err, c.want)
		}
	}
	signature := u.signWrite(u.oem, record)
	u.must(u.factory().Write(t.Context(), p, record, signature))
	if err := u.factory().Write(t.Context(), p, record, signature); !errors.Is(err, tpm2.TPMRCPolicyFail) {
		t.Errorf("the first write's authorisation used twice: %v; want %v", err, tpm2.TPMRCPolicyFail)
	}
	u.wantClean()
}

// deleteRecord deletes the platform's index with the manufacturer's authorisation.
func (u *unit) deleteRecord() {
	u.t.Helper()
	p := u.oem.Profile(attest.NVPlatform, 0)
	index := liveIndex(u.conn, p.Index())
	platform := tpm2.AuthHandle{Handle: tpm2.TPMRHPlatform, Name: tpm2.HandleName(tpm2.TPMRHPlatform), Auth: tpm2.PasswordAuth(nil)}
	hash, err := tpm2.CPHash(tpm2.TPMAlgSHA256, tpm2.NVUndefineSpaceSpecial{NVIndex: index, Platform: platform})
	u.must(err)
	signer, err := attest.NewSigner(u.oem.NV)
	u.must(err)
	raw, err := signer.Sign(rand.Reader, tpmprofile.AuthorizationContent(tpmprofile.BranchDelete, [32]byte(hash.Buffer)))
	u.must(err)
	key, err := tpmprofile.VerificationKey(p.NVKey)
	u.must(err)
	loaded, err := tpm2.LoadExternal{InPublic: tpm2.New2B(key), Hierarchy: tpm2.TPMRHNull}.Execute(u.conn)
	u.must(err)
	session, _, err := tpm2.PolicySession(u.conn, tpm2.TPMAlgSHA256, 16)
	u.must(err)
	branches, err := p.NVBranches()
	u.must(err)
	_, err = tpm2.PolicySigned{
		AuthObject: loaded.ObjectHandle, PolicySession: session.Handle(), CPHashA: *hash,
		PolicyRef: tpm2.TPM2BNonce{Buffer: []byte(tpmprofile.RefDelete)}, Auth: tpmprofile.TPMSignature([tpmprofile.SignatureBytes]byte(raw)),
	}.Execute(u.conn)
	u.must(err)
	_, err = tpm2.PolicyCommandCode{PolicySession: session.Handle(), Code: tpm2.TPMCCNVUndefineSpaceSpecial}.Execute(u.conn)
	u.must(err)
	_, err = tpm2.PolicyOr{PolicySession: session.Handle(), PHashList: tpm2.TPMLDigest{Digests: branches}}.Execute(u.conn)
	u.must(err)
	_, err = tpm2.NVUndefineSpaceSpecial{NVIndex: tpm2.AuthHandle{Handle: index.Handle, Name: index.Name, Auth: session}, Platform: platform}.Execute(u.conn)
	u.must(err)
}

// Provisioning a device again kills the old key: nobody has to revoke it.
func TestReplacedRecordKillsTheOldKey(t *testing.T) {
	u := newUnit(t)
	old := u.provision(imei1)
	v := u.open()
	u.must(sign(v, []byte("before")))
	u.deleteRecord()
	if err := sign(v, []byte("deleted")); !errors.Is(err, tpmvault.ErrRecordChanged) {
		t.Errorf("signing after the record was deleted: %v; want %v", err, tpmvault.ErrRecordChanged)
	}
	u.provision(imei2)
	if err := sign(v, []byte("replaced")); !errors.Is(err, tpmvault.ErrRecordChanged) {
		t.Errorf("signing after the record was replaced: %v; want %v", err, tpmvault.ErrRecordChanged)
	}
	if err := u.attack(attest.NVPlatform, bindingOf(t, old), old.Approval).sign(); !errors.Is(err, tpm2.TPMRCPolicy) {
		t.Errorf("the old key with bare commands: %v; want %v", err, tpm2.TPMRCPolicy)
	}
	u.must(sign(u.open(), []byte("the new key")))
}

// install puts any record into the platform's index, with the manufacturer's authorisation.
func (u *unit) install(record tpmprofile.Record) {
	u.t.Helper()
	raw, err := record.Encode()
	u.must(err)
	p, f := u.oem.Profile(attest.NVPlatform, 0), u.factory()
	u.must(f.Define(u.t.Context(), p))
	u.must(f.Write(u.t.Context(), p, raw, u.signWrite(u.oem, raw)))
	lock, err := p.LockContent()
	u.must(err)
	signature, err := attesttest.Signer(attesttest.Key("oem nv")).Sign(nil, lock)
	u.must(err)
	u.must(f.Lock(u.t.Context(), p, [tpmprofile.SignatureBytes]byte(signature)))
}

// Whatever the manufacturer's station did wrong: key and index are those of the Credential each time.
func TestOpenRefusesARecordThatContradictsItself(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(*attest.Credential)
		want  error
		says  string
	}{
		{"nothing is wrong", func(*attest.Credential) {}, nil, ""},
		{"the binding hash is of another IMEI", func(c *attest.Credential) { c.Slots = []imei.IMEI{imei2} }, agent.ErrKeyMismatch, "binding hash"},
		{"the binding hash is of another record", func(c *attest.Credential) { c.Storage.RecordID[0] ^= 1 }, agent.ErrKeyMismatch, "binding hash"},
		{"the credential is for software", func(c *attest.Credential) {
			c.Storage.Kind, c.Storage.NV, c.Storage.KeyName = attest.StorageSoftware, 0, nil
		}, agent.ErrKeyMismatch, "storage kind software"},
		{"the credential is for the owner's index", func(c *attest.Credential) { c.Storage.NV = attest.NVOwner }, agent.ErrKeyMismatch, "NV variant 2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			u := newUnit(t)
			p := u.oem.Profile(attest.NVPlatform, attest.BootMeasured)
			credential := attesttest.Credential()
			credential.Storage.Kind, credential.Storage.NV, credential.Storage.Boot = attest.StorageTPMEmulated, p.Variant, p.Boot
			binding, err := attest.BindingHash(credential.OEMID, credential.Slots, credential.Storage.RecordID)
			u.must(err)
			credential.Key, err = u.factory().CreateKey(t.Context(), p, binding)
			u.must(err)
			credential.Storage.KeyName, err = p.KeyName(credential.Key, binding)
			u.must(err)
			c.spoil(&credential)
			u.install(tpmprofile.Record{Binding: binding, Credential: attesttest.SignedCredential(credential)})
			u.approve(tpmprofile.RolePrimary, "sha256:0,2,4,7")
			if _, err := u.tryOpen(); !errors.Is(err, c.want) || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("Open: %v; want %v with %q", err, c.want, c.says)
			}
		})
	}
}

func TestCopiedRecordIsOfNoUseInAnotherTPM(t *testing.T) {
	first := newUnit(t)
	first.provision(imei1)
	p := first.oem.Profile(attest.NVPlatform, 0)
	_, record, err := first.factory().ReadIndex(t.Context(), p)
	first.must(err)

	second := newUnit(t)
	second.approvals = first.approvals
	second.install(record)
	if _, err := second.tryOpen(); !errors.Is(err, agent.ErrKeyMismatch) {
		t.Errorf("Open: %v; want %v", err, agent.ErrKeyMismatch)
	}
	if _, err := second.tryProvision(second.options(), imei1); !errors.Is(err, provision.ErrRefused) || !errors.Is(err, agent.ErrKeyMismatch) {
		t.Errorf("provisioning the copy: %v; want %v", err, agent.ErrKeyMismatch)
	}
	second.wantClean()
}

// The owner can delete the owner's record and define another index in its place, with the same content and weaker
// attributes; its Name is another then, and the key stays dead.
func TestRedefinedIndexKillsTheKey(t *testing.T) {
	u := newUnit(t)
	options := u.options()
	options.Variant = attest.NVOwner
	result, err := u.tryProvision(options, imei1)
	u.must(err)
	v := u.open()
	u.must(sign(v, []byte("before")))
	p := u.oem.Profile(attest.NVOwner, attest.BootMeasured)
	_, record, err := u.factory().ReadIndex(t.Context(), p)
	u.must(err)
	raw, err := record.Encode()
	u.must(err)
	_, err = tpm2.NVUndefineSpace{AuthHandle: tpm2.TPMRHOwner, NVIndex: liveIndex(u.conn, p.Index())}.Execute(u.conn)
	u.must(err)
	public, err := p.NVPublic(tpmprofile.IndexDefined)
	u.must(err)
	public.Attributes.AuthWrite = true
	_, err = tpm2.NVDefineSpace{AuthHandle: tpm2.TPMRHOwner, PublicInfo: tpm2.New2B(*public)}.Execute(u.conn)
	u.must(err)
	index := liveIndex(u.conn, p.Index())
	_, err = tpm2.NVWrite{AuthHandle: index, NVIndex: index, Data: tpm2.TPM2BMaxNVBuffer{Buffer: raw}}.Execute(u.conn)
	u.must(err)
	index = liveIndex(u.conn, p.Index())
	_, err = tpm2.NVWriteLock{AuthHandle: index, NVIndex: index}.Execute(u.conn)
	u.must(err)

	if err := sign(v, []byte("content")); !errors.Is(err, tpmvault.ErrRecordChanged) {
		t.Errorf("signing over a redefined index: %v; want %v", err, tpmvault.ErrRecordChanged)
	}
	if err := u.attack(attest.NVOwner, bindingOf(t, result), result.Approval).sign(); !errors.Is(err, tpm2.TPMRCPolicyFail) {
		t.Errorf("the TPM says %v; want %v", err, tpm2.TPMRCPolicyFail)
	}
	if _, err := u.tryOpen(); !errors.Is(err, tpmvault.ErrBootState) || !strings.Contains(err.Error(), "NV index") {
		t.Errorf("Open over a redefined index: %v; want a refusal that names the index", err)
	}
	if _, err := u.tryProvision(options, imei1); !errors.Is(err, provision.ErrRefused) {
		t.Errorf("provisioning over a redefined index: %v; want %v", err, provision.ErrRefused)
	}
	u.wantClean()
}
