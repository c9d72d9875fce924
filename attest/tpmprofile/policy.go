package tpmprofile

import (
	"fmt"

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
	if err := p.Check(); err != nil {
		return nil, err
	}
	signer, err := namedKey(p.NVKey)
	if err != nil {
		return nil, err
	}
	digests := make([]tpm2.TPM2BDigest, len(branches))
	for i, b := range branches {
		digest, err := policyDigest(
			tpm2.PolicySigned{AuthObject: signer, PolicyRef: tpm2.TPM2BNonce{Buffer: []byte(b.ref)}},
			tpm2.PolicyCommandCode{Code: b.command})
		if err != nil {
			return nil, err
		}
		digests[i] = tpm2.TPM2BDigest{Buffer: digest}
	}
	return digests, nil
}

func (p Profile) nvPolicy() ([]byte, error) {
	digests, err := p.NVBranches()
	if err != nil {
		return nil, err
	}
	return policyDigest(tpm2.PolicyOr{PHashList: tpm2.TPMLDigest{Digests: digests}})
}

// AuthPolicy is the authPolicy of the device key (32 bytes): a boot state that either boot key approved, and the
// locked index holding the binding hash. See [KeyPolicy].
func (p Profile) AuthPolicy(binding [32]byte) ([]byte, error) {
	index, err := p.NVName(IndexLocked)
	if err != nil {
		return nil, err
	}
	return KeyPolicy(p.BootKeys(), p.Boot, index, binding)
}

// KeyPolicy is the authPolicy of a device key from the Name its NV index has now, for a vault that has read it:
// TPM2_PolicyOR of [BootKeys.Branches], then TPM2_PolicyNV(index, [BindingOffset], EQ, binding) (Part 3 section 23.9).
func KeyPolicy(keys BootKeys, boot attest.BootKind, indexName []byte, binding [32]byte) ([]byte, error) {
	branches, err := keys.Branches(boot)
	if err != nil {
		return nil, err
	}
	return policyDigest(
		tpm2.PolicyOr{PHashList: tpm2.TPMLDigest{Digests: branches}},
		tpm2.PolicyNV{
			NVIndex:   tpm2.NamedHandle{Name: tpm2.TPM2BName{Buffer: indexName}},
			OperandB:  tpm2.TPM2BOperand{Buffer: binding[:]},
			Offset:    BindingOffset,
			Operation: tpm2.TPMEOEq,
		})
}

// Branches are the policy digests of the device key's boot branches, primary first, the list that TPM2_PolicyOR is
// given: each is TPM2_PolicyAuthorize by that key (Part 3 section 23.16).
func (k BootKeys) Branches(boot attest.BootKind) ([]tpm2.TPM2BDigest, error) {
	if err := k.Check(); err != nil {
		return nil, err
	}
	digests := make([]tpm2.TPM2BDigest, 0, 2)
	for _, role := range []BootRole{RolePrimary, RoleStandby} {
		name, err := KeyNameOf(k.Key(role))
		if err != nil {
			return nil, err
		}
		digest, err := policyDigest(tpm2.PolicyAuthorize{
			KeySign:   tpm2.TPM2BName{Buffer: name},
			PolicyRef: tpm2.TPM2BDigest{Buffer: []byte(bootRef(boot))},
		})
		if err != nil {
			return nil, err
		}
		digests = append(digests, tpm2.TPM2BDigest{Buffer: digest})
	}
	return digests, nil
}

func bootRef(boot attest.BootKind) string {
	if boot == attest.BootUnmeasured {
		return RefBootUnmeasured
	}
	return RefBoot
}

// policyDigest computes the policy digest of a session in which the commands ran one after the other, SHA-256.
func policyDigest(commands ...tpm2.PolicyCommand) ([]byte, error) {
	calculator, err := tpm2.NewPolicyCalculator(tpm2.TPMAlgSHA256)
	if err != nil {
		return nil, err
	}
	for _, command := range commands {
		if err := command.Update(calculator); err != nil {
			return nil, fmt.Errorf("computing the policy of %T: %w", command, err)
		}
	}
	return calculator.Hash().Digest, nil
}
