package tpmvault

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"

	"imei-attest/agent"
	"imei-attest/attest"
	"imei-attest/attest/tpmprofile"
)

// counterUse says whether proofs are made with the attestation counter.
type counterUse uint8

const (
	counterUnseen  counterUse = iota // nobody looked yet
	counterInUse                     // it is there
	counterMissing                   // it is not there, or another index is; not looked for again
)

// Evidence implements [agent.Vault]: the attestation counter rises by one, and the device key certifies its value
// together with binding (profile B). Without an attestation counter it returns nil, and the token is of profile A; an event
// says why. The errors are those of Sign.
func (v *Vault) Evidence(ctx context.Context, binding [32]byte) ([]byte, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	t := withContext(ctx, v.tpm)
	if raised, err := v.raiseCounter(t); err != nil || !raised {
		return nil, err
	}
	response, err := v.certifyCounter(t, binding)
	if isAbsent(err) {
		v.missCounter("was deleted")
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	proof, err := v.counterProof(binding, response)
	if err != nil {
		v.counter = counterUnseen // another index may have its place
		return nil, err
	}
	return proof.Encode()
}

func (v *Vault) attestationCounter() counter {
	return counter{tpmprofile.CounterAttestation, v.record.variant}
}

// raiseCounter raises the attestation counter, or reports that there is none.
func (v *Vault) raiseCounter(t contextTPM) (raised bool, err error) {
	if v.counter == counterUnseen {
		if err := v.findCounter(t); err != nil {
			return false, err
		}
	}
	if v.counter == counterMissing {
		return false, nil
	}
	err = v.attestationCounter().raise(t)
	if isAbsent(err) {
		v.missCounter("was deleted")
		return false, nil
	}
	return err == nil, err
}

func (v *Vault) findCounter(t contextTPM) error {
	state, err := v.attestationCounter().state(t)
	switch {
	case err != nil:
		return err
	case state == tpmprofile.IndexAbsent, state == tpmprofile.IndexForeign:
		v.missCounter("is " + state.String())
	default:
		v.counter = counterInUse
	}
	return nil
}

func (v *Vault) missCounter(how string) {
	v.counter = counterMissing
	text := fmt.Sprintf("%s %s: tokens carry no proof that the storage was not set back", v.attestationCounter(), how)
	if v.record.variant == attest.NVOwner {
		text += "; TPM2_Clear deletes a counter of the owner"
	}
	v.event(text)
}

// certifyCounter is TPM2_NV_Certify over the whole counter (Part 3 section 31.16). The counter has an empty password.
func (v *Vault) certifyCounter(t contextTPM, binding [32]byte) (response *tpm2.NVCertifyResponse, err error) {
	index, err := v.attestationCounter().handle()
	if err != nil {
		return nil, err
	}
	err = v.useKey(t, "certifying the attestation counter", func(key tpm2.AuthHandle) error {
		response, err = tpm2.NVCertify{
			SignHandle: key, AuthHandle: index, NVIndex: index,
			QualifyingData: tpm2.TPM2BData{Buffer: binding[:]}, Size: counterBytes,
		}.Execute(t)
		return err
	})
	return response, err
}

// Where in the structure that [tpmprofile.AttestationOf] builds stands what cannot be known beforehand.
const (
	carriedOffset    = 4 + 2 + (2 + tpmprofile.NameBytes) + (2 + 32) // behind magic, type, signer and qualifying data
	counterOffset    = attestationBytes - counterBytes
	attestationBytes = carriedOffset + (8 + 4 + 4 + 1 + 8) + (2 + tpmprofile.NameBytes) + 2 + (2 + counterBytes)
	counterBytes     = 8
)

// counterProof takes clock, firmware version and counter out of what the TPM answered, and nothing else: the rest is built
// again from what was asked, as a verifier does, and has to come out as the same bytes under a signature that verifies.
func (v *Vault) counterProof(binding [32]byte, response *tpm2.NVCertifyResponse) (proof attest.CounterProof, err error) {
	const doing = "checking what the TPM certified"
	answered := response.CertifyInfo.Bytes()
	if len(answered) != attestationBytes {
		return proof, fmt.Errorf("%s: %d bytes, want %d: %w", doing, len(answered), attestationBytes, ErrTampered)
	}
	carried := answered[carriedOffset:]
	proof.Clock = binary.BigEndian.Uint64(carried)
	proof.ResetCount = binary.BigEndian.Uint32(carried[8:])
	proof.RestartCount = binary.BigEndian.Uint32(carried[12:])
	proof.Safe = carried[16] != 0
	proof.Firmware = binary.BigEndian.Uint64(carried[17:])
	proof.Counter = binary.BigEndian.Uint64(answered[counterOffset:])
	if proof.Signature, err = tpmprofile.SignatureOf(&response.Signature); err != nil {
		return proof, fmt.Errorf("%s: %w", doing, errors.Join(ErrTampered, err))
	}
	c := &v.credential.Credential
	rebuilt, err := tpmprofile.AttestationOf(c.Storage.KeyName, c.Storage.NV, binding, proof)
	if err != nil {
		return proof, err
	}
	if !bytes.Equal(rebuilt, answered) {
		return proof, fmt.Errorf("%s: %w", doing, ErrTampered)
	}
	if err := tpmprofile.VerifyCounterProof(c, binding, proof); err != nil {
		return proof, fmt.Errorf("%s: %w: %w", doing, err, agent.ErrKeyMismatch)
	}
	return proof, nil
}
