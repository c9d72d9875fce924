package tpmtest

import (
	"crypto/rand"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// PCRExtend extends a register of the SHA-256 bank, as measured software would.
func PCRExtend(tpm transport.TPM, pcr int, digest [32]byte) error {
	_, err := tpm2.PCRExtend{
		PCRHandle: tpm2.TPMHandle(pcr),
		Digests:   tpm2.TPMLDigestValues{Digests: []tpm2.TPMTHA{{HashAlg: tpm2.TPMAlgSHA256, Digest: digest[:]}}},
	}.Execute(tpm)
	return err
}

// Clear runs TPM2_Clear: owner and endorsement hierarchy lose their proofs, persistent objects and NV indices.
func Clear(tpm transport.TPM) error {
	_, err := tpm2.Clear{AuthHandle: tpm2.TPMRHLockout}.Execute(tpm)
	return err
}

// ClosePlatform gives the platform hierarchy a random authorisation, as boot firmware does before it starts the
// operating system.
func ClosePlatform(tpm transport.TPM) error { return closeHierarchy(tpm, tpm2.TPMRHPlatform) }

// CloseOwner gives the owner hierarchy a random authorisation.
func CloseOwner(tpm transport.TPM) error { return closeHierarchy(tpm, tpm2.TPMRHOwner) }

func closeHierarchy(tpm transport.TPM, hierarchy tpm2.TPMHandle) error {
	auth := make([]byte, 16)
	_, _ = rand.Read(auth) // never fails (crypto/rand)
	_, err := tpm2.HierarchyChangeAuth{AuthHandle: hierarchy, NewAuth: tpm2.TPM2BAuth{Buffer: auth}}.Execute(tpm)
	return err
}

// Loaded counts the transient objects and sessions that occupy the TPM: after an operation there should be none
// more than before.
func Loaded(tpm transport.TPM) (objects, sessions int, err error) {
	if objects, err = handles(tpm, tpm2.TPMHTTransient); err != nil {
		return 0, 0, err
	}
	const loadedSessions = tpm2.TPMHT(0x02) // Part 2 section 7.2, TPM_HT_LOADED_SESSION
	sessions, err = handles(tpm, loadedSessions)
	return objects, sessions, err
}

func handles(tpm transport.TPM, kind tpm2.TPMHT) (int, error) {
	response, err := tpm2.GetCapability{
		Capability: tpm2.TPMCapHandles, Property: uint32(kind) << 24, PropertyCount: 64,
	}.Execute(tpm)
	if err != nil {
		return 0, err
	}
	list, err := response.CapabilityData.Data.Handles()
	if err != nil {
		return 0, err
	}
	return len(list.Handle), nil
}
