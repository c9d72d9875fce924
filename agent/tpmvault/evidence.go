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
// says why. The errors are those of Sign. A session stays in the TPM for the Sign that is to follow; it, the next proof that
// fails or Close ends it.
func (v *Vault) Evidence(ctx context.Context, binding [32]byte) ([]byte, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	t := withContext(ctx, v.tpm)
	proof, err := v.evidence(t, binding)
	if err != nil {
		v.endSession(t) // no Sign follows
	}
	return proof, err
}

func (v *Vault) evidence(t contextTPM, binding [32]byte) ([]byte, error) {
	if v.counter == counterUnseen {
		if err := v.findCounter(t); err != nil {
			return nil, err
		}
	}
	if v.counter == counterMissing {
		return nil, nil
	}
	proof, err := v.proveCounter(t, binding)
	if err != nil {
		return nil, v.unlessCounterIsMissing(t, err)
	}
	return proof.Encode()
}

func (v *Vault) proveCounter(t contextTPM, binding [32]byte) (proof attest.CounterProof, err error) {
	if err := v.attestationCounter().raise(t); err != nil {
		return proof, err
	}
	response, err := v.certifyCounter(t, binding)
	if err != nil {
		return proof, err
	}
	return v.counterProof(binding, response)
}

func (v *Vault) attestationCounter() counter {
	return counter{tpmprofile.CounterAttestation, v.record.variant}
}

func (v *Vault) findCounter(t contextTPM) error {
	state, err := v.attestationCounter().state(t)
	switch {
	case err != nil:
		return err
	case state == tpmprofile.IndexAbsent, state == tpmprofile.IndexForeign:
		v.counter = counterMissing
		v.event(v.missingText(state))
	default:
		v.counter = counterInUse
	}
	return nil
}

func (v *Vault) missingText(state tpmprofile.IndexState) string {
	text := fmt.Sprintf("%s is %s: tokens carry no proof that the storage was not set back", v.attestationCounter(), state)
	if v.record.variant == attest.NVOwner {
		text += "; TPM2_Clear deletes a counter of the owner"
	}
	return text
}

// unlessCounterIsMissing looks after a failure whether the counter is still there. If not, as after TPM2_Clear, the failure
// is none: the TPM refuses an index that is gone, and one whose Name is another.
func (v *Vault) unlessCounterIsMissing(t contextTPM, err error) error {
	if errors.Is(err, ErrBootState) || !errors.As(err, new(tpm2.TPMRC)) && !errors.Is(err, ErrTampered) {
		return err
	}
	if v.findCounter(t) == nil && v.counter == counterMissing {
		return nil
	}
	return err
}

// certifyCounter is TPM2_NV_Certify over the whole counter (Part 3 section 31.16). The counter has an empty password. It returns the
// parameters of the response: a TPM2B_ATTEST and a TPMT_SIGNATURE. The session stays for the signature of the token.
func (v *Vault) certifyCounter(t contextTPM, binding [32]byte) (*answer, error) {
	index, err := v.attestationCounter().handle()
	if err != nil {
		return nil, err
	}
	return v.useKey(t, "certifying the attestation counter", keyCommand{
		code:    tpm2.TPMCCNVCertify,
		session: stays,
		indices: []tpm2.NamedHandle{index, index},
		// qualifyingData, the key's own scheme, size, offset
		parameters: command(nil).sized(binding[:]).algorithm(tpm2.TPMAlgNull).u16(counterBytes).u16(0),
	})
}

// Where in the structure that [tpmprofile.AttestationOf] builds stands what cannot be known beforehand.
const (
	carriedOffset    = 4 + 2 + (2 + tpmprofile.NameBytes) + (2 + 32) // behind magic, type, signer and qualifying data
	counterOffset    = attestationBytes - counterBytes
	attestationBytes = carriedOffset + (8 + 4 + 4 + 1 + 8) + (2 + tpmprofile.NameBytes) + 2 + (2 + counterBytes)
	counterBytes     = 8
)

// counterProof takes clock, firmware version and counter out of what the TPM answered, and nothing else: the rest is built
// again from what was asked, as a verifier does, and has to come out as the same bytes. The signature is verified
// when [Vault.checkSignature] would.
func (v *Vault) counterProof(binding [32]byte, response *answer) (proof attest.CounterProof, err error) {
	const doing = "checking what the TPM certified"
	answered := response.sized()
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
	if proof.Signature, err = readSignature(response); err != nil {
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
	if v.keyProven {
		return proof, nil
	}
	if err := tpmprofile.VerifyCounterProof(c, binding, proof); err != nil {
		return proof, fmt.Errorf("%s: %w: %w", doing, err, agent.ErrKeyMismatch)
	}
	v.keyProven = true
	return proof, nil
}
