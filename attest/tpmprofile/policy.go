package tpmprofile

import (
	"crypto/ecdsa"

	"github.com/google/go-tpm/tpm2"

	"imei-attest/attest"
)

// Branch is one of the three things the manufacturer's NV key may allow to be done to the record.
type Branch uint8

// The branches, in the order they have in the policy of the index.
const (
	BranchWrite Branch = iota
	BranchDelete
	BranchLock
)

var branches = [...]struct {
	ref     string
	command tpm2.TPMCC
}{
	BranchWrite:  {RefWrite, tpm2.TPMCCNVWrite},
	BranchDelete: {RefDelete, tpm2.TPMCCNVUndefineSpaceSpecial},
	BranchLock:   {RefLock, tpm2.TPMCCNVWriteLock},
}

// Ref is the policyRef of the branch.
func (b Branch) Ref() string { return branches[b].ref }

// Command is the one command that the branch allows.
func (b Branch) Command() tpm2.TPMCC { return branches[b].command }

// NVBranches are the policy digests of the index's branches, the list that TPM2_PolicyOR is given: each is
// TPM2_PolicySigned by the NV key with the branch's policyRef, then TPM2_PolicyCommandCode (Part 3 sections 23.3 and 23.11).
func (p Profile) NVBranches() ([]tpm2.TPM2BDigest, error) {
	digests, err := p.nvBranches()
	if err != nil {
		return nil, err
	}
	return listOf(digests[:]), nil
}

func (p Profile) nvBranches() (digests [len(branches)]policyDigest, err error) {
	if err := p.Check(); err != nil {
		return digests, err
	}
	signer, err := KeyNameOf(p.NVKey)
	for i, b := range branches {
		digests[i] = policyDigest{}.signed(signer, b.ref).commandCode(b.command)
	}
	return digests, err
}

// AuthPolicy is the authPolicy of the device key (32 bytes): a boot state that either boot key approved, and the
// locked index holding the binding hash. See [KeyPolicy].
func (p Profile) AuthPolicy(binding [32]byte) ([]byte, error) {
	fleet, err := p.Fleet()
	if err != nil {
		return nil, err
	}
	return fleet.authPolicy(binding), nil
}

// Fleet is what all devices of a Profile have in common: of the two dozen hashes in the Name of a device key, all but four.
// Who checks many devices keeps it.
type Fleet struct {
	boot  policyDigest // either boot key's approval
	index []byte       // Name of the locked index
}

// Fleet computes what the devices have in common.
func (p Profile) Fleet() (Fleet, error) {
	index, err := p.NVName(IndexLocked)
	if err != nil {
		return Fleet{}, err
	}
	branches, err := p.BootKeys().branches(p.Boot)
	return Fleet{policyOr(branches[:]...), index}, err
}

func (f Fleet) authPolicy(binding [32]byte) []byte {
	policy := f.boot.nv(f.index, binding[:], BindingOffset, tpm2.TPMEOEq)
	return policy[:]
}

// KeyName is [Profile.KeyName].
func (f Fleet) KeyName(device *ecdsa.PublicKey, binding [32]byte) ([]byte, error) {
	return DeviceKeyName(device, f.authPolicy(binding))
}

// KeyPolicy is the authPolicy of a device key from the Name its NV index has now, for a vault that has read it:
// TPM2_PolicyOR of [BootKeys.Branches], then TPM2_PolicyNV(index, [BindingOffset], EQ, binding) (Part 3 section 23.9).
func KeyPolicy(keys BootKeys, boot attest.BootKind, indexName []byte, binding [32]byte) ([]byte, error) {
	branches, err := keys.branches(boot)
	if err != nil {
		return nil, err
	}
	return Fleet{policyOr(branches[:]...), indexName}.authPolicy(binding), nil
}

// Branches are the policy digests of the device key's boot branches, primary first, the list that TPM2_PolicyOR is
// given: each is TPM2_PolicyAuthorize by that key (Part 3 section 23.16).
func (k BootKeys) Branches(boot attest.BootKind) ([]tpm2.TPM2BDigest, error) {
	digests, err := k.branches(boot)
	if err != nil {
		return nil, err
	}
	return listOf(digests[:]), nil
}

func (k BootKeys) branches(boot attest.BootKind) (digests [2]policyDigest, err error) {
	if err := k.Check(); err != nil {
		return digests, err
	}
	for i, key := range []*ecdsa.PublicKey{k.Primary, k.Standby} {
		name, err := KeyNameOf(key)
		if err != nil {
			return digests, err
		}
		digests[i] = policyAuthorize(name, bootRef(boot))
	}
	return digests, nil
}

func bootRef(boot attest.BootKind) string {
	if boot == attest.BootUnmeasured {
		return RefBootUnmeasured
	}
	return RefBoot
}
