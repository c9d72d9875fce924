package tpmvault

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"

	"imei-attest/attest/tpmprofile"
)

// Define creates the NV index of a Profile (Part 3 section 31.3). The hierarchy of its variant must be open.
func (f *Factory) Define(ctx context.Context, p tpmprofile.Profile) error {
	public, err := p.NVPublic(tpmprofile.IndexDefined)
	if err != nil {
		return err
	}
	_, err = tpm2.NVDefineSpace{AuthHandle: hierarchyOf(p.Variant), PublicInfo: tpm2.New2B(*public)}.Execute(withContext(ctx, f.tpm))
	return explain(fmt.Sprintf("defining NV index %#x", uint32(p.Index())), err)
}

// Write puts a record into the defined index. The signature is the NV key's over [tpmprofile.Profile.WriteContent] of
// exactly this record.
func (f *Factory) Write(ctx context.Context, p tpmprofile.Profile, record []byte, signature [tpmprofile.SignatureBytes]byte) error {
	hash, err := p.WriteCPHash(record)
	if err != nil {
		return err
	}
	t := withContext(ctx, f.tpm)
	index, err := namedIndex(p, tpmprofile.IndexDefined)
	if err != nil {
		return err
	}
	err = f.authorized(t, p, tpmprofile.BranchWrite, hash, signature, func(session tpm2.Session) error {
		_, err := tpm2.NVWrite{
			AuthHandle: tpm2.AuthHandle{Handle: index.Handle, Name: index.Name, Auth: session},
			NVIndex:    index, Data: tpm2.TPM2BMaxNVBuffer{Buffer: record},
		}.Execute(t)
		return err
	})
	return explain(fmt.Sprintf("writing NV index %#x", uint32(p.Index())), err)
}

// Lock closes the written index for good. The signature is the NV key's over [tpmprofile.Profile.LockContent].
func (f *Factory) Lock(ctx context.Context, p tpmprofile.Profile, signature [tpmprofile.SignatureBytes]byte) error {
	hash, err := p.LockCPHash()
	if err != nil {
		return err
	}
	t := withContext(ctx, f.tpm)
	index, err := namedIndex(p, tpmprofile.IndexWritten)
	if err != nil {
		return err
	}
	err = f.authorized(t, p, tpmprofile.BranchLock, hash, signature, func(session tpm2.Session) error {
		_, err := tpm2.NVWriteLock{
			AuthHandle: tpm2.AuthHandle{Handle: index.Handle, Name: index.Name, Auth: session}, NVIndex: index,
		}.Execute(t)
		return err
	})
	return explain(fmt.Sprintf("locking NV index %#x", uint32(p.Index())), err)
}

// authorized runs use with a session that satisfies one branch of the index's policy.
func (f *Factory) authorized(t contextTPM, p tpmprofile.Profile, branch tpmprofile.Branch, hash [32]byte,
	signature [tpmprofile.SignatureBytes]byte, use func(tpm2.Session) error,
) error {
	branches, err := p.NVBranches()
	if err != nil {
		return err
	}
	policy := func(session tpm2.TPMHandle) error {
		if err := policySigned(t, session, p.NVKey, branch, nil, hash, signature); err != nil {
			return err
		}
		return finishBranch(t, session, branch, branches)
	}
	return withPolicy(t, policy, use)
}

// finishBranch completes the policy of a branch after its signature.
func finishBranch(t contextTPM, session tpm2.TPMHandle, branch tpmprofile.Branch, branches []tpm2.TPM2BDigest) error {
	if _, err := (tpm2.PolicyCommandCode{PolicySession: session, Code: branch.Command()}).Execute(t); err != nil {
		return err
	}
	_, err := tpm2.PolicyOr{PolicySession: session, PHashList: tpm2.TPMLDigest{Digests: branches}}.Execute(t)
	return err
}

// policySigned shows the TPM a signature of the NV key. An empty nonce is one that was signed without.
func policySigned(t contextTPM, session tpm2.TPMHandle, key *ecdsa.PublicKey, branch tpmprofile.Branch, nonce []byte, hash [32]byte,
	signature [tpmprofile.SignatureBytes]byte,
) error {
	handle, _, err := loadVerificationKey(t, key, tpm2.TPMRHNull)
	if err != nil {
		return err
	}
	_, err = tpm2.PolicySigned{
		AuthObject: handle, PolicySession: session, NonceTPM: tpm2.TPM2BNonce{Buffer: nonce},
		CPHashA:   tpm2.TPM2BDigest{Buffer: hash[:]},
		PolicyRef: tpm2.TPM2BNonce{Buffer: []byte(branch.Ref())},
		Auth:      tpmprofile.TPMSignature(signature),
	}.Execute(t)
	return errors.Join(err, flush(t.uncancelled(), handle))
}

// loadVerificationKey loads a public key of the manufacturer into a slot, which the caller frees.
func loadVerificationKey(t contextTPM, key *ecdsa.PublicKey, hierarchy tpm2.TPMHandle) (tpm2.TPMHandle, []byte, error) {
	public, err := tpmprofile.VerificationKey(key)
	if err != nil {
		return 0, nil, err
	}
	response, err := tpm2.LoadExternal{InPublic: tpm2.New2B(public), Hierarchy: hierarchy}.Execute(t)
	if err != nil {
		return 0, nil, explain("loading the manufacturer's public key", err)
	}
	name, err := tpmprofile.KeyNameOf(key)
	return response.ObjectHandle, name, err
}

func namedIndex(p tpmprofile.Profile, state tpmprofile.IndexState) (tpm2.NamedHandle, error) {
	name, err := p.NVName(state)
	return tpm2.NamedHandle{Handle: p.Index(), Name: tpm2.TPM2BName{Buffer: name}}, err
}
