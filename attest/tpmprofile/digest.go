package tpmprofile

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/google/go-tpm/tpm2"
)

// policyDigest is the policyDigest of a session, SHA-256, after the policy commands that its methods are named for (Part 3
// section 23). The zero value is that of a session in which nothing was asked.
type policyDigest [sha256.Size]byte

// extend is what every policy command does: H(policyDigest || parts).
func (d policyDigest) extend(parts ...[]byte) policyDigest {
	b := append(make([]byte, 0, 2*longestArea), d[:]...)
	for _, part := range parts {
		b = append(b, part...)
	}
	return sha256.Sum256(b)
}

// signed is TPM2_PolicySigned by the key with that Name (section 23.3).
func (d policyDigest) signed(name []byte, ref string) policyDigest {
	return d.extend(code(tpm2.TPMCCPolicySigned), name).extend([]byte(ref))
}

// commandCode is TPM2_PolicyCommandCode (section 23.11).
func (d policyDigest) commandCode(command tpm2.TPMCC) policyDigest {
	return d.extend(code(tpm2.TPMCCPolicyCommandCode), code(command))
}

// nv is TPM2_PolicyNV: the content of the index with that Name, from offset, compared with operand (section 23.9).
func (d policyDigest) nv(name, operand []byte, offset uint16, operation tpm2.TPMEO) policyDigest {
	asked := sha256.Sum256(appendU16(append(make([]byte, 0, longestArea), operand...), offset, uint16(operation)))
	return d.extend(code(tpm2.TPMCCPolicyNV), asked[:], name)
}

// pcr is TPM2_PolicyPCR for registers whose values have a digest (section 23.7).
func (d policyDigest) pcr(selection PCRSelection, digest [32]byte) policyDigest {
	return d.extend(code(tpm2.TPMCCPolicyPCR), tpm2.Marshal(selection.TPM()), digest[:])
}

// policyOr is TPM2_PolicyOR, which forgets what was asked before it (section 23.6).
func policyOr(branches ...policyDigest) policyDigest {
	list := code(tpm2.TPMCCPolicyOR)
	for _, branch := range branches {
		list = append(list, branch[:]...)
	}
	return policyDigest{}.extend(list)
}

// policyAuthorize is TPM2_PolicyAuthorize by the key with that Name, which forgets what was asked before it (section 23.16).
func policyAuthorize(name []byte, ref string) policyDigest {
	return policyDigest{}.extend(code(tpm2.TPMCCPolicyAuthorize), name).extend([]byte(ref))
}

// listOf is a list of branches as TPM2_PolicyOR takes it.
func listOf(branches []policyDigest) []tpm2.TPM2BDigest {
	list := make([]tpm2.TPM2BDigest, len(branches))
	for i := range branches {
		list[i].Buffer = branches[i][:]
	}
	return list
}

func code(command tpm2.TPMCC) []byte { return binary.BigEndian.AppendUint32(nil, uint32(command)) }
