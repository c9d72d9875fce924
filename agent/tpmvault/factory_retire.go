package tpmvault

import (
	"bytes"
	"context"
	"fmt"

	"github.com/google/go-tpm/tpm2"

	"imei-attest/attest"
	"imei-attest/attest/tpmprofile"
)

// Evict removes the persistent copy of the device key of a Profile and binding hash; false if the handle holds none or
// another key. The key itself cannot be destroyed: without its record it signs nothing.
func (f *Factory) Evict(ctx context.Context, p tpmprofile.Profile, binding [32]byte) (bool, error) {
	t := withContext(ctx, f.tpm)
	template, err := p.KeyTemplate(binding)
	if err != nil {
		return false, err
	}
	handle, made, err := createKey(t, template)
	if err != nil {
		return false, err
	}
	if err := flush(t.uncancelled(), handle); err != nil {
		return false, err
	}
	there, err := persistentKey(t)
	if err != nil || !bytes.Equal(there.name, made.name) {
		return false, err
	}
	_, err = tpm2.EvictControl{
		Auth:             tpm2.TPMRHOwner,
		ObjectHandle:     tpm2.NamedHandle{Handle: tpmprofile.KeyHandle, Name: tpm2.TPM2BName{Buffer: made.name}},
		PersistentHandle: tpmprofile.KeyHandle,
	}.Execute(t)
	return err == nil, explain("removing the persistent device key", err)
}

// Delete deletes the index of a Profile in the state it has. The owner's needs the owner's authorisation only
// (TPM2_NV_UndefineSpace, Part 3 section 31.4); the platform's (TPM2_NV_UndefineSpaceSpecial, section 31.5) the
// platform's and the NV key's signature over [tpmprofile.Profile.DeleteContent], which sign gives for the nonce of this
// one session.
func (f *Factory) Delete(ctx context.Context, p tpmprofile.Profile, state tpmprofile.IndexState,
	sign func(nonceTPM []byte) ([tpmprofile.SignatureBytes]byte, error),
) error {
	t := withContext(ctx, f.tpm)
	index, err := namedIndex(p, state)
	if err != nil {
		return err
	}
	if p.Variant == attest.NVOwner {
		_, err = tpm2.NVUndefineSpace{AuthHandle: tpm2.TPMRHOwner, NVIndex: index}.Execute(t)
	} else {
		err = f.deleteSpecial(t, p, index, state, sign)
	}
	return explain(fmt.Sprintf("deleting NV index %#x", uint32(p.Index())), err)
}

func (f *Factory) deleteSpecial(t contextTPM, p tpmprofile.Profile, index tpm2.NamedHandle, state tpmprofile.IndexState,
	sign func([]byte) ([tpmprofile.SignatureBytes]byte, error),
) error {
	hash, err := p.DeleteCPHash(state)
	if err != nil {
		return err
	}
	branches, err := p.NVBranches()
	if err != nil {
		return err
	}
	policy := func(session tpm2.TPMHandle, nonce []byte) error {
		signature, err := sign(nonce)
		if err != nil {
			return err
		}
		if err := policySigned(t, session, p.NVKey, tpmprofile.BranchDelete, nonce, hash, signature); err != nil {
			return err
		}
		return finishBranch(t, session, tpmprofile.BranchDelete, branches)
	}
	return withNoncePolicy(t, policy, func(session tpm2.Session) error {
		_, err := tpm2.NVUndefineSpaceSpecial{
			NVIndex:  tpm2.AuthHandle{Handle: index.Handle, Name: index.Name, Auth: session},
			Platform: tpm2.AuthHandle{Handle: tpm2.TPMRHPlatform, Name: tpm2.HandleName(tpm2.TPMRHPlatform), Auth: tpm2.PasswordAuth(nil)},
		}.Execute(t)
		return err
	})
}
