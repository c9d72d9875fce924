package attacktest

import (
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"

	"imei-attest/agent/tpmvault/tpmtest"
	"imei-attest/attest/tpmprofile"
)

// keyAttacks are those on the device key.
var keyAttacks = []Attack{
	{
		ID: "A43", Name: "sign_password", setup: provisioned, run: signWithPassword,
		Action: "signs with the device key and its empty password",
		Want:   "TPM2_Sign: TPM_RC_AUTH_UNAVAILABLE",
	},
	{
		ID: "A44", Name: "sign_hmac_session", setup: provisioned, run: signWithHMACSession,
		Action: "signs with the device key in an HMAC session",
		Want:   "TPM2_Sign: TPM_RC_AUTH_UNAVAILABLE",
	},
	{
		ID: "A45", Name: "sign_trial_session", setup: provisioned, run: signWithTrialSession,
		Action: "signs with the device key in a trial session",
		Want:   "TPM2_Sign: TPM_RC_ATTRIBUTES (session 1)",
	},
	{
		ID: "A46", Name: "sign_no_policy", setup: provisioned, run: signWithoutPolicy,
		Action: "signs in a policy session in which nothing was asked",
		Want:   "TPM2_Sign: TPM_RC_POLICY_FAIL (session 1)",
	},
	{
		ID: "A47", Name: "skip_authorize", setup: provisioned, run: skipAuthorize,
		Action: "leaves PolicyAuthorize and PolicyOR out",
		Want:   "TPM2_Sign: TPM_RC_POLICY_FAIL (session 1)",
	},
	{
		ID: "A48", Name: "skip_or", setup: provisioned, run: skipOr,
		Action: "leaves PolicyOR out",
		Want:   "TPM2_Sign: TPM_RC_POLICY_FAIL (session 1)",
	},
	{
		ID: "A49", Name: "skip_nv", setup: provisioned, run: skipNV,
		Action: "leaves PolicyNV out",
		Want:   "TPM2_Sign: TPM_RC_POLICY_FAIL (session 1)",
	},
	{
		ID: "A50", Name: "nv_before_or", setup: provisioned, run: nvBeforeOr,
		Action: "runs PolicyNV before PolicyOR",
		Want:   "TPM2_PolicyOR: TPM_RC_VALUE (parameter 1)",
	},
	{
		ID: "A51", Name: "foreign_branches", setup: provisioned, run: foreignBranches,
		Action: "gives PolicyOR the branches of foreign boot keys",
		Want:   "TPM2_PolicyOR: TPM_RC_VALUE (parameter 1)",
	},
	{
		ID: "A52", Name: "other_binding", setup: provisioned, run: otherBinding,
		Action: "asks PolicyNV for another binding hash",
		Want:   "TPM2_PolicyNV: TPM_RC_POLICY",
	},
	{
		ID: "A53", Name: "session_twice", setup: provisioned, run: useSessionTwice,
		Action: "signs a second time in the same session",
		Want:   "TPM2_Sign: TPM_RC_POLICY_FAIL (session 1)",
	},
	{
		ID: "A54", Name: "attestation_lookalike", setup: provisioned, run: signAttestationLookalike,
		Action: "has a message signed that begins with TPM_GENERATED_VALUE",
		Want:   "TPM2_Sign: TPM_RC_TICKET (parameter 3)",
	},
	{
		ID: "A55", Name: "foreign_digest", setup: provisioned, run: signForeignDigest,
		Action: "signs a digest that the TPM did not compute",
		Want:   "TPM2_Sign: TPM_RC_TICKET (parameter 3)",
	},
	{
		ID: "A56", Name: "ticket_other_digest", setup: provisioned, run: signWithTicketForOther,
		Action: "signs with the hash ticket of another message",
		Want:   "TPM2_Sign: TPM_RC_TICKET (parameter 3)",
	},
	{
		ID: "A57", Name: "ticket_null_hierarchy", setup: provisioned, run: signWithNullTicket,
		Action: "signs with a hash ticket of the null hierarchy",
		Want:   "TPM2_Sign: TPM_RC_TICKET (parameter 3)",
	},
	{
		ID: "A58", Name: "ticket_owner_hierarchy", setup: provisioned, run: signWithOwnersTicket,
		Action: "signs with a hash ticket of the owner hierarchy: it says the same",
		Want:   succeeds,
	},
	{
		ID: "A59", Name: "ticket_before_clear", setup: provisioned, run: hashTicketAfterClear,
		Action: "signs with a hash ticket from before TPM2_Clear",
		Want:   "TPM2_Sign: TPM_RC_TICKET (parameter 3)",
	},
	{
		ID: "A60", Name: "derive_password", setup: provisioned, run: deriveWithPassword,
		Action: "derives the key with USERWITHAUTH",
		Want:   otherKey,
	},
	{
		ID: "A61", Name: "derive_no_policy", setup: provisioned, run: deriveWithoutPolicy,
		Action: "derives the key without policy",
		Want:   otherKey,
	},
	{
		ID: "A62", Name: "derive_unrestricted", setup: provisioned, run: deriveUnrestricted,
		Action: "derives the key unrestricted, to forge attestations with it",
		Want:   otherKey,
	},
	{
		ID: "A63", Name: "derive_duplicable", setup: provisioned, run: deriveDuplicable,
		Action: "derives the key without FIXEDTPM and FIXEDPARENT",
		Want:   otherKey,
	},
	{
		ID: "A64", Name: "derive_owner", setup: provisioned, run: deriveInOwner,
		Action: "derives the key in the owner hierarchy",
		Want:   otherKey,
	},
	{
		ID: "A65", Name: "duplicate", setup: provisioned, run: duplicate,
		Action: "takes the device key out of the TPM with TPM2_Duplicate",
		Want:   "TPM2_Duplicate: TPM_RC_POLICY_FAIL (session 1)",
	},
	{
		ID: "A66", Name: "certify_foreign", setup: provisioned, run: certifyByForeignKey,
		Action: "has the device key certified by a key of its own: anybody can, and it is not the device key that signs",
		Want:   succeeds,
	},
	{
		ID: "A67", Name: "certify_own_key", setup: provisioned, run: certifyOwnKeyWithPassword,
		Action: "certifies a key of its own with the device key's empty password",
		Want:   "TPM2_Certify: TPM_RC_AUTH_UNAVAILABLE",
	},
	{
		ID: "A68", Name: "quote", setup: provisioned, run: quote,
		Action: "quotes registers with the device key in an approved boot: a TPMS_ATTEST, which is never a token",
		Want:   succeeds,
	},
	{
		ID: "A69", Name: "activate_device_key", setup: provisioned, run: activateDeviceKey,
		Action: "answers an enrolment challenge for the device key with its empty password: only this TPM can, and gains no signature",
		Want:   succeeds,
	},
	{
		ID: "A70", Name: "activate_own_key", setup: provisioned, run: activateInPlaceOfDeviceKey,
		Action: "answers that challenge with a key of its own",
		Want:   "TPM2_ActivateCredential: TPM_RC_INTEGRITY (parameter 1)",
	},
	{
		ID: "A71", Name: "activate_with_device_key", setup: provisioned, run: activateWithDeviceKey,
		Action: "decrypts a challenge with the device key",
		Want:   "TPM2_ActivateCredential: TPM_RC_TYPE (handle 2)",
	},
	{
		ID: "A72", Name: "evict_key", setup: provisioned, run: evictKey,
		Action: "removes the persistent device key as owner",
		Want:   succeeds,
	},
	{
		ID: "A73", Name: "evict_key_open_vault", setup: provisioned, run: evictKeyUnderOpenVault,
		Action: "does so while the vault is open, which signs",
		Want:   succeeds,
	},
	{
		ID: "A74", Name: "squat_key_handle", setup: provisioned, run: squatKeyHandle,
		Action: "puts a key of its own at the device key's handle",
		Want:   succeeds,
	},
	{
		ID: "A75", Name: "squat_key_handle_open_vault", setup: provisioned, run: squatKeyHandleUnderOpenVault,
		Action: "does so while the vault is open, which refuses until it is opened again",
		Want:   refusesRecord,
	},
	{
		ID: "A76", Name: "dictionary_lockout", setup: provisioned, run: lockOut,
		Action: "locks the TPM out with wrong passwords for a key of its own: the device key has none and signs on",
		Want:   "TPM2_Sign: TPM_RC_LOCKOUT",
	},
	{
		ID: "A77", Name: "clear", setup: provisioned, run: clearTPM,
		Action: "runs TPM2_Clear: record and key survive",
		Want:   succeeds,
	},
	{
		ID: "A78", Name: "clear_open_vault", setup: provisioned, run: clearUnderOpenVault,
		Action: "does so while the vault is open, which signs",
		Want:   succeeds,
	},
	{
		ID: "A79", Name: "close_owner", setup: provisioned, run: closeOwner,
		Action: "sets the owner's authorisation",
		Want:   succeeds,
	},
	{
		ID: "A80", Name: "close_endorsement", setup: provisioned, run: closeEndorsement,
		Action: "sets the endorsement hierarchy's authorisation: the persistent key signs on",
		Want:   succeeds,
	},
	{
		ID: "A81", Name: "close_endorsement_evict", setup: provisioned, run: closeEndorsementAndEvict,
		Action: "does so and removes the persistent key: it cannot be derived again while that is set",
		Want:   succeeds, After: refusesHierarchy,
	},
	{
		ID: "A82", Name: "endorsement_off_owner", setup: provisioned, run: switchEndorsementOffByOwner,
		Action: "switches the endorsement hierarchy off as owner",
		Want:   "TPM2_HierarchyControl: TPM_RC_AUTH_TYPE",
	},
	{
		ID: "A83", Name: "endorsement_off", setup: provisioned, run: switchEndorsementOff,
		Action: "switches the endorsement hierarchy off as platform: no signature until the next boot",
		Want:   succeeds, After: "TPM2_CreatePrimary: TPM_RC_HIERARCHY (handle 1)", Restart: true,
	},
	{
		ID: "A84", Name: "change_seed", setup: provisioned, run: changeSeed,
		Action: "changes the endorsement seed as platform: the key is gone for good",
		Want:   succeeds, After: refusesKey,
	},
}

// signWith signs with the device key and an authorisation that is not its policy.
func (d *device) signWith(auth func() tpm2.Session) error {
	r := d.honestRun()
	hashed := d.hash(r.content, tpm2.TPMRHEndorsement)
	return r.withKey(func(key tpm2.NamedHandle) error { return d.sign(key, auth(), hashed.OutHash, hashed.Validation) })
}

func signWithPassword(d *device) error {
	return d.signWith(func() tpm2.Session { return tpm2.PasswordAuth(nil) })
}

func signWithHMACSession(d *device) error {
	return d.signWith(func() tpm2.Session { return tpm2.HMAC(tpm2.TPMAlgSHA256, 16) })
}

func signWithTrialSession(d *device) error {
	return d.signWith(func() tpm2.Session {
		session, _, err := tpm2.PolicySession(d.tpm, tpm2.TPMAlgSHA256, 16, tpm2.Trial())
		d.must(err)
		return session
	})
}

func signWithoutPolicy(d *device) error {
	r := d.honestRun()
	r.steps = nil
	return r.sign()
}

func skipAuthorize(d *device) error {
	r := d.honestRun()
	r.steps = []step{(*policyRun).pcr, (*policyRun).nv}
	return r.sign()
}

func skipOr(d *device) error {
	r := d.honestRun()
	r.steps = []step{(*policyRun).pcr, (*policyRun).authorize, (*policyRun).nv}
	return r.sign()
}

func skipNV(d *device) error {
	r := d.honestRun()
	r.steps = r.steps[:3]
	return r.sign()
}

func nvBeforeOr(d *device) error {
	r := d.honestRun()
	r.steps = []step{(*policyRun).pcr, (*policyRun).authorize, (*policyRun).nv, (*policyRun).or}
	return r.sign()
}

func foreignBranches(d *device) error {
	r := d.honestRun()
	r.branches = d.branchesOf(manufacturer("attacker"), 1)
	return r.sign()
}

func otherBinding(d *device) error {
	r := d.honestRun()
	r.binding[0] ^= 1
	return r.sign()
}

// useSessionTwice signs twice in a session whose policy ran once.
func useSessionTwice(d *device) error {
	r := d.honestRun()
	hashed := d.hash(r.content, tpm2.TPMRHEndorsement)
	return r.withPolicy(func(key tpm2.NamedHandle, session tpm2.Session) error {
		if err := d.sign(key, session, hashed.OutHash, hashed.Validation); err != nil {
			return fmt.Errorf("the first signature: %w", err)
		}
		return d.sign(key, session, hashed.OutHash, hashed.Validation)
	})
}

func signAttestationLookalike(d *device) error {
	r := d.honestRun()
	r.content = append([]byte{0xFF, 'T', 'C', 'G'}, make([]byte, 100)...)
	return r.sign()
}

func signForeignDigest(d *device) error {
	r := d.honestRun()
	return r.signDigest(tpm2.TPM2BDigest{Buffer: make([]byte, 32)}, tpm2.TPMTTKHashCheck{Tag: tpm2.TPMSTHashCheck, Hierarchy: tpm2.TPMRHNull})
}

func signWithTicketForOther(d *device) error {
	r := d.honestRun()
	other := d.hash([]byte("other"), tpm2.TPMRHEndorsement)
	return r.signDigest(d.hash(r.content, tpm2.TPMRHEndorsement).OutHash, other.Validation)
}

func signWithNullTicket(d *device) error {
	r := d.honestRun()
	hashed := d.hash(r.content, tpm2.TPMRHNull)
	return r.signDigest(hashed.OutHash, hashed.Validation)
}

func signWithOwnersTicket(d *device) error {
	r := d.honestRun()
	hashed := d.hash(r.content, tpm2.TPMRHOwner)
	return r.signDigest(hashed.OutHash, hashed.Validation)
}

func clearTPM(d *device) error { return tpmtest.Clear(d.tpm) }

func hashTicketAfterClear(d *device) error {
	r := d.honestRun()
	hashed := d.hash(r.content, tpm2.TPMRHEndorsement)
	d.must(clearTPM(d))
	var err error
	r.ticket, err = d.ticket(d.approvals[0])
	d.must(err)
	return r.signDigest(hashed.OutHash, hashed.Validation)
}

func approvalTicketAfterClear(d *device) error {
	r := d.honestRun()
	d.must(clearTPM(d))
	return r.sign()
}

func clearUnderOpenVault(d *device) error {
	v, err := d.open(d.approvals)
	d.must(err)
	defer v.Close()
	d.must(signAndVerify(v))
	d.must(clearTPM(d))
	return signAndVerify(v)
}

var errOtherKey = errors.New(otherKey)

const otherKey = "another key"

// derive makes a primary key of a template and says whether it is the device's.
func (d *device) derive(in tpm2.TPMHandle, change func(*tpm2.TPMTPublic)) error {
	template, err := d.profile().KeyTemplate(d.binding())
	d.must(err)
	change(&template)
	made, err := tpm2.CreatePrimary{PrimaryHandle: in, InPublic: tpm2.New2B(template)}.Execute(d.tpm)
	if err != nil {
		return err
	}
	d.flush(made.ObjectHandle)
	public, err := tpmprofile.Unmarshal[tpm2.TPMTPublic](made.OutPublic.Bytes())
	d.must(err)
	key, err := tpmprofile.PublicKeyOf(public)
	d.must(err)
	if !key.Equal(d.result.Credential.Key) {
		return errOtherKey
	}
	return nil
}

func deriveWithPassword(d *device) error {
	return d.derive(tpm2.TPMRHEndorsement, func(t *tpm2.TPMTPublic) { t.ObjectAttributes.UserWithAuth = true })
}

func deriveWithoutPolicy(d *device) error {
	return d.derive(tpm2.TPMRHEndorsement, func(t *tpm2.TPMTPublic) {
		t.ObjectAttributes.UserWithAuth, t.AuthPolicy = true, tpm2.TPM2BDigest{}
	})
}

func deriveUnrestricted(d *device) error {
	return d.derive(tpm2.TPMRHEndorsement, func(t *tpm2.TPMTPublic) { t.ObjectAttributes.Restricted = false })
}

func deriveDuplicable(d *device) error {
	return d.derive(tpm2.TPMRHEndorsement, func(t *tpm2.TPMTPublic) {
		t.ObjectAttributes.FixedTPM, t.ObjectAttributes.FixedParent = false, false
	})
}

func deriveInOwner(d *device) error { return d.derive(tpm2.TPMRHOwner, func(*tpm2.TPMTPublic) {}) }

func deriveFaithfully(d *device) error {
	return d.derive(tpm2.TPMRHEndorsement, func(*tpm2.TPMTPublic) {})
}

func duplicate(d *device) error {
	r := d.honestRun()
	return r.withPolicy(func(key tpm2.NamedHandle, session tpm2.Session) error {
		_, err := tpm2.Duplicate{
			ObjectHandle:    tpm2.AuthHandle{Handle: key.Handle, Name: key.Name, Auth: session},
			NewParentHandle: tpm2.TPMRHNull, Symmetric: tpm2.TPMTSymDef{Algorithm: tpm2.TPMAlgNull},
		}.Execute(d.tpm)
		return err
	})
}

// ownKey is a restricted signing key that an attacker makes in the device's TPM; it has an empty password.
func (d *device) ownKey(in tpm2.TPMHandle, use func(tpm2.NamedHandle) error) error {
	template := tpmprofile.KeyTemplate(nil)
	template.ObjectAttributes.UserWithAuth = true
	made, err := tpm2.CreatePrimary{PrimaryHandle: in, InPublic: tpm2.New2B(template)}.Execute(d.tpm)
	d.must(err)
	defer d.flush(made.ObjectHandle)
	return use(tpm2.NamedHandle{Handle: made.ObjectHandle, Name: made.Name})
}

func certifyByForeignKey(d *device) error {
	r := d.honestRun()
	return d.ownKey(tpm2.TPMRHOwner, func(own tpm2.NamedHandle) error {
		return r.withKey(func(key tpm2.NamedHandle) error {
			_, err := tpm2.Certify{
				ObjectHandle: passwordOf(key), SignHandle: passwordOf(own), InScheme: tpm2.TPMTSigScheme{Scheme: tpm2.TPMAlgNull},
			}.Execute(d.tpm)
			return err
		})
	})
}

func certifyOwnKeyWithPassword(d *device) error {
	r := d.honestRun()
	return d.ownKey(tpm2.TPMRHOwner, func(own tpm2.NamedHandle) error {
		return r.withKey(func(key tpm2.NamedHandle) error {
			_, err := tpm2.Certify{
				ObjectHandle: passwordOf(own), SignHandle: passwordOf(key), InScheme: tpm2.TPMTSigScheme{Scheme: tpm2.TPMAlgNull},
			}.Execute(d.tpm)
			return err
		})
	})
}

func quote(d *device) error {
	return d.honestRun().withPolicy(func(key tpm2.NamedHandle, session tpm2.Session) error {
		_, err := tpm2.Quote{
			SignHandle: tpm2.AuthHandle{Handle: key.Handle, Name: key.Name, Auth: session},
			InScheme:   tpm2.TPMTSigScheme{Scheme: tpm2.TPMAlgNull}, PCRSelect: measuredPCRs().TPM(),
		}.Execute(d.tpm)
		return err
	})
}

// endorsementKey runs use with the endorsement key, which decrypts challenges.
func (d *device) endorsementKey(use func(tpm2.NamedHandle, *tpm2.TPMTPublic) error) error {
	made, err := tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHEndorsement, InPublic: tpm2.New2B(tpm2.ECCEKTemplate)}.Execute(d.tpm)
	d.must(err)
	defer d.flush(made.ObjectHandle)
	public, err := made.OutPublic.Contents()
	d.must(err)
	return use(tpm2.NamedHandle{Handle: made.ObjectHandle, Name: made.Name}, public)
}

// activate answers a challenge to the endorsement key over a Name with a key of the TPM.
func (d *device) activate(name tpm2.TPM2BName, activated tpm2.NamedHandle) error {
	return d.endorsementKey(func(ek tpm2.NamedHandle, public *tpm2.TPMTPublic) error {
		to, err := tpm2.ImportEncapsulationKey(public)
		d.must(err)
		object, secret, err := tpm2.CreateCredential(rand.Reader, to, name.Buffer, []byte("challenge"))
		d.must(err)
		session, end, err := tpm2.PolicySession(d.tpm, tpm2.TPMAlgSHA256, 16)
		d.must(err)
		defer func() { _ = end() }()
		_, err = tpm2.PolicySecret{AuthHandle: tpm2.TPMRHEndorsement, PolicySession: session.Handle(), NonceTPM: session.NonceTPM()}.Execute(d.tpm)
		d.must(err)
		answer, err := tpm2.ActivateCredential{
			ActivateHandle: passwordOf(activated), KeyHandle: tpm2.AuthHandle{Handle: ek.Handle, Name: ek.Name, Auth: session},
			CredentialBlob: tpm2.TPM2BIDObject{Buffer: object}, Secret: tpm2.TPM2BEncryptedSecret{Buffer: secret},
		}.Execute(d.tpm)
		if err == nil && string(answer.CertInfo.Buffer) != "challenge" {
			return errors.New("another answer")
		}
		return err
	})
}

func activateDeviceKey(d *device) error {
	return d.honestRun().withKey(func(key tpm2.NamedHandle) error { return d.activate(key.Name, key) })
}

func activateInPlaceOfDeviceKey(d *device) error {
	name := tpm2.TPM2BName{Buffer: d.result.Credential.Storage.KeyName}
	return d.ownKey(tpm2.TPMRHEndorsement, func(own tpm2.NamedHandle) error { return d.activate(name, own) })
}

func activateWithDeviceKey(d *device) error {
	r := d.honestRun()
	return d.ownKey(tpm2.TPMRHOwner, func(own tpm2.NamedHandle) error {
		return r.withPolicy(func(key tpm2.NamedHandle, session tpm2.Session) error {
			_, err := tpm2.ActivateCredential{
				ActivateHandle: passwordOf(own), KeyHandle: tpm2.AuthHandle{Handle: key.Handle, Name: key.Name, Auth: session},
				CredentialBlob: tpm2.TPM2BIDObject{Buffer: make([]byte, 50)}, Secret: tpm2.TPM2BEncryptedSecret{Buffer: make([]byte, 68)},
			}.Execute(d.tpm)
			return err
		})
	})
}

func (d *device) evict() {
	key, err := tpm2.ReadPublic{ObjectHandle: tpmprofile.KeyHandle}.Execute(d.tpm)
	d.must(err)
	_, err = tpm2.EvictControl{
		Auth: tpm2.TPMRHOwner, ObjectHandle: tpm2.NamedHandle{Handle: tpmprofile.KeyHandle, Name: key.Name}, PersistentHandle: tpmprofile.KeyHandle,
	}.Execute(d.tpm)
	d.must(err)
}

func evictKey(d *device) error {
	d.evict()
	return nil
}

func evictKeyUnderOpenVault(d *device) error {
	v, err := d.open(d.approvals)
	d.must(err)
	defer v.Close()
	d.must(signAndVerify(v))
	d.evict()
	return signAndVerify(v)
}

func (d *device) squat() {
	d.must(d.ownKey(tpm2.TPMRHOwner, func(own tpm2.NamedHandle) error {
		_, err := tpm2.EvictControl{Auth: tpm2.TPMRHOwner, ObjectHandle: own, PersistentHandle: tpmprofile.KeyHandle}.Execute(d.tpm)
		return err
	}))
}

func squatKeyHandle(d *device) error {
	d.evict()
	d.squat()
	return nil
}

func squatKeyHandleUnderOpenVault(d *device) error {
	v, err := d.open(d.approvals)
	d.must(err)
	defer v.Close()
	d.must(signAndVerify(v))
	d.evict()
	d.squat()
	return signAndVerify(v)
}

// lockOut tries wrong passwords on a key of its own until the TPM has enough.
func lockOut(d *device) error {
	template := tpmprofile.KeyTemplate(nil)
	template.ObjectAttributes.UserWithAuth, template.ObjectAttributes.NoDA = true, false
	made, err := tpm2.CreatePrimary{
		PrimaryHandle: tpm2.TPMRHOwner, InPublic: tpm2.New2B(template),
		InSensitive: tpm2.TPM2BSensitiveCreate{Sensitive: &tpm2.TPMSSensitiveCreate{UserAuth: tpm2.TPM2BAuth{Buffer: []byte("right")}}},
	}.Execute(d.tpm)
	d.must(err)
	defer d.flush(made.ObjectHandle)
	own := tpm2.NamedHandle{Handle: made.ObjectHandle, Name: made.Name}
	hashed := d.hash([]byte("claims"), tpm2.TPMRHOwner)
	for range 64 {
		err = d.sign(own, tpm2.PasswordAuth([]byte("wrong")), hashed.OutHash, hashed.Validation)
		if errors.Is(err, tpm2.TPMRCLockout) {
			return err
		}
	}
	return err
}

func closeEndorsement(d *device) error {
	_, err := tpm2.HierarchyChangeAuth{AuthHandle: tpm2.TPMRHEndorsement, NewAuth: tpm2.TPM2BAuth{Buffer: []byte("closed")}}.Execute(d.tpm)
	return err
}

func closeEndorsementAndEvict(d *device) error {
	d.evict()
	return closeEndorsement(d)
}

func closeOwner(d *device) error { return tpmtest.CloseOwner(d.tpm) }

func switchEndorsementOff(d *device) error {
	return d.bare(tpm2.TPMCCHierarchyControl, []tpm2.TPMHandle{tpm2.TPMRHPlatform}, 1, 0x40, 0, 0, 0x0B, 0)
}

func switchEndorsementOffByOwner(d *device) error {
	return d.bare(tpm2.TPMCCHierarchyControl, []tpm2.TPMHandle{tpm2.TPMRHOwner}, 1, 0x40, 0, 0, 0x0B, 0)
}

func changeSeed(d *device) error {
	return d.bare(tpm2.TPMCCChangeEPS, []tpm2.TPMHandle{tpm2.TPMRHPlatform}, 1)
}
