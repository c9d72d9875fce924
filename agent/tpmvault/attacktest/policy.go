package attacktest

import (
	"crypto/sha256"

	"github.com/google/go-tpm/tpm2"

	"imei-attest/agent/provision"
	"imei-attest/attest"
	"imei-attest/attest/tpmprofile"
)

// policyRun runs the device key's policy with bare TPM commands and signs. An attack takes an honest one and spoils it.
type policyRun struct {
	d        *device
	content  []byte
	profile  tpmprofile.Profile
	template tpm2.TPMTPublic // of the device key
	steps    []step

	pcrs     tpmprofile.PCRSelection
	policy   [32]byte // approved
	ref      string
	keyName  []byte // of the boot key that PolicyAuthorize is told
	ticket   tpm2.TPMTTKVerified
	branches []tpm2.TPM2BDigest
	index    tpm2.TPMHandle // that PolicyNV looks at
	binding  [32]byte

	epoch tpm2.PolicyNV // that askEpoch sends

	session tpm2.TPMHandle
	between func() // runs between policy and signature
}

// step is a command of the policy.
type step func(*policyRun) error

// honestRun is a run for the device as it is provisioned, proved to sign.
func (d *device) honestRun() *policyRun {
	d.t.Helper()
	r := d.newRun(d.approvals[0])
	if err := r.sign(); err != nil {
		d.t.Fatalf("the honest run: %v", err)
	}
	return r
}

func (d *device) newRun(a tpmprofile.BootApproval) *policyRun {
	d.t.Helper()
	p := d.profile()
	binding := d.binding()
	template, err := p.KeyTemplate(binding)
	d.must(err)
	branches, err := a.Keys.Branches(a.Boot())
	d.must(err)
	r := &policyRun{
		d: d, content: []byte("claims"), profile: p, template: template,
		steps: []step{(*policyRun).pcr, (*policyRun).authorize, (*policyRun).or, (*policyRun).nv},
		pcrs:  a.PCRs, policy: a.Policy, ref: a.PolicyRef(), branches: branches, index: p.Index(), binding: binding,
	}
	r.name(a.SignedBy)
	r.ticket, err = d.ticket(a)
	d.must(err)
	return r
}

// name tells PolicyAuthorize the Name of one of the manufacturer's boot keys.
func (r *policyRun) name(role tpmprofile.BootRole) {
	name, err := tpmprofile.KeyNameOf(r.d.oem.BootKeys().Key(role))
	r.d.must(err)
	r.keyName = name
}

// ticket has the TPM check an approval.
func (d *device) ticket(a tpmprofile.BootApproval) (tpm2.TPMTTKVerified, error) {
	public, err := tpmprofile.VerificationKey(a.Keys.Key(a.SignedBy))
	d.must(err)
	loaded, err := tpm2.LoadExternal{InPublic: tpm2.New2B(public), Hierarchy: tpm2.TPMRHEndorsement}.Execute(d.tpm)
	d.must(err)
	defer d.flush(loaded.ObjectHandle)
	digest := sha256.Sum256(a.Content())
	verified, err := tpm2.VerifySignature{
		KeyHandle: loaded.ObjectHandle, Digest: tpm2.TPM2BDigest{Buffer: digest[:]}, Signature: tpmprofile.TPMSignature(a.Signature),
	}.Execute(d.tpm)
	if err != nil {
		return tpm2.TPMTTKVerified{}, err
	}
	return verified.Validation, nil
}

func (d *device) flush(handle tpm2.TPMHandle) {
	_, _ = tpm2.FlushContext{FlushHandle: handle}.Execute(d.tpm)
}

// approve signs the registers as they are now with a manufacturer's boot key.
func (d *device) approve(by *provision.OEM, role tpmprofile.BootRole, selection tpmprofile.PCRSelection) tpmprofile.BootApproval {
	d.t.Helper()
	digest, err := d.factory().ReadPCRs(d.t.Context(), selection)
	d.must(err)
	a, err := by.ApproveBoot(role, tpmprofile.BootState{PCRs: selection, Digest: digest})
	d.must(err)
	a.Name = a.FileName()
	return a
}

func unmeasured() tpmprofile.PCRSelection { return tpmprofile.PCRSelection{} }

// withKey runs use with the device key, derived into a slot.
func (r *policyRun) withKey(use func(tpm2.NamedHandle) error) error {
	key, err := tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHEndorsement, InPublic: tpm2.New2B(r.template)}.Execute(r.d.tpm)
	if err != nil {
		return err
	}
	defer r.d.flush(key.ObjectHandle)
	return use(tpm2.NamedHandle{Handle: key.ObjectHandle, Name: key.Name})
}

// withPolicy runs use with the device key and a session in which the policy has run.
func (r *policyRun) withPolicy(use func(key tpm2.NamedHandle, session tpm2.Session) error) error {
	return r.withKey(func(key tpm2.NamedHandle) error {
		session, end, err := tpm2.PolicySession(r.d.tpm, tpm2.TPMAlgSHA256, 16)
		r.d.must(err)
		defer func() { _ = end() }()
		r.session = session.Handle()
		for _, s := range r.steps {
			if err := s(r); err != nil {
				return err
			}
		}
		if r.between != nil {
			r.between()
		}
		return use(key, session)
	})
}

// sign returns what the TPM says.
func (r *policyRun) sign() error {
	hashed := r.d.hash(r.content, tpm2.TPMRHEndorsement)
	return r.signDigest(hashed.OutHash, hashed.Validation)
}

func (d *device) hash(content []byte, in tpm2.TPMHandle) *tpm2.HashResponse {
	d.t.Helper()
	hashed, err := tpm2.Hash{Data: tpm2.TPM2BMaxBuffer{Buffer: content}, HashAlg: tpm2.TPMAlgSHA256, Hierarchy: in}.Execute(d.tpm)
	d.must(err)
	return hashed
}

func (r *policyRun) signDigest(digest tpm2.TPM2BDigest, ticket tpm2.TPMTTKHashCheck) error {
	return r.withPolicy(func(key tpm2.NamedHandle, session tpm2.Session) error {
		return r.d.sign(key, session, digest, ticket)
	})
}

func (d *device) sign(key tpm2.NamedHandle, auth tpm2.Session, digest tpm2.TPM2BDigest, ticket tpm2.TPMTTKHashCheck) error {
	_, err := tpm2.Sign{
		KeyHandle: tpm2.AuthHandle{Handle: key.Handle, Name: key.Name, Auth: auth}, Digest: digest, Validation: ticket,
	}.Execute(d.tpm)
	return err
}

func (r *policyRun) pcr() error {
	_, err := tpm2.PolicyPCR{PolicySession: r.session, Pcrs: r.pcrs.TPM()}.Execute(r.d.tpm)
	return err
}

func (r *policyRun) authorize() error {
	_, err := tpm2.PolicyAuthorize{
		PolicySession: r.session, ApprovedPolicy: tpm2.TPM2BDigest{Buffer: r.policy[:]}, PolicyRef: tpm2.TPM2BDigest{Buffer: []byte(r.ref)},
		KeySign: tpm2.TPM2BName{Buffer: r.keyName}, CheckTicket: r.ticket,
	}.Execute(r.d.tpm)
	return err
}

func (r *policyRun) or() error {
	_, err := tpm2.PolicyOr{PolicySession: r.session, PHashList: tpm2.TPMLDigest{Digests: r.branches}}.Execute(r.d.tpm)
	return err
}

func (r *policyRun) nv() error {
	index := r.d.named(r.index)
	_, err := tpm2.PolicyNV{
		AuthHandle: index, NVIndex: index, PolicySession: r.session, OperandB: tpm2.TPM2BOperand{Buffer: r.binding[:]},
		Offset: tpmprofile.BindingOffset, Operation: tpm2.TPMEOEq,
	}.Execute(r.d.tpm)
	return err
}

// askEpoch is a step of approvals with an epoch.
func (r *policyRun) askEpoch() error {
	r.epoch.PolicySession = r.session
	_, err := r.epoch.Execute(r.d.tpm)
	return err
}

// branchesOf are the branches of a manufacturer's keys for a boot kind.
func (d *device) branchesOf(oem *provision.OEM, boot attest.BootKind) []tpm2.TPM2BDigest {
	d.t.Helper()
	branches, err := oem.BootKeys().Branches(boot)
	d.must(err)
	return branches
}
