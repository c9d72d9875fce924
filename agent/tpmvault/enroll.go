package tpmvault

import (
	"bytes"
	"context"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"

	"github.com/google/go-tpm/tpm2"

	"imei-attest/agent"
	"imei-attest/attest/tpmprofile"
)

// EKKind is one of the two endorsement keys of the TCG that nearly every TPM has (EK Credential Profile section B.3:
// templates L-1 and L-2).
type EKKind uint8

// The kinds. Zero takes one that the TPM has a certificate for, else ECC.
const (
	EKRSA EKKind = 1 + iota
	EKECC
)

// endorsementKeys: the template and the NV index of its certificate (EK Credential Profile section 2.2.1.4).
var endorsementKeys = map[EKKind]struct {
	template    tpm2.TPMTPublic
	certificate tpm2.TPMHandle
}{
	EKRSA: {tpm2.RSAEKTemplate, 0x01C00002},
	EKECC: {tpm2.ECCEKTemplate, 0x01C0000A},
}

// EndorsementKey gives the public area of an endorsement key and its certificate in DER, empty where the TPM has none.
func (f *Factory) EndorsementKey(ctx context.Context, kind EKKind) (found EKKind, public, certificate []byte, err error) {
	t := withContext(ctx, f.tpm)
	wanted := []EKKind{EKECC, EKRSA}
	if kind != 0 {
		wanted = []EKKind{kind}
	}
	found = wanted[0]
	for _, kind := range wanted {
		if certificate, err = readCertificate(t, endorsementKeys[kind].certificate); err != nil {
			return 0, nil, nil, err
		}
		if len(certificate) > 0 {
			found = kind
			break
		}
	}
	handle, made, err := createKey(t, endorsementKeys[found].template)
	if err != nil {
		return 0, nil, nil, err
	}
	return found, tpm2.Marshal(made.public), certificate, flush(t.uncancelled(), handle)
}

// readCertificate reads an index and cuts off what pads it behind the certificate.
func readCertificate(t contextTPM, index tpm2.TPMHandle) ([]byte, error) {
	public, name, err := readIndexPublic(t, index)
	if err != nil || public == nil || !public.Attributes.Written {
		return nil, err
	}
	raw, err := readNV(t, tpm2.NamedHandle{Handle: index, Name: tpm2.TPM2BName{Buffer: name}}, public.DataSize)
	if err != nil {
		return nil, err
	}
	var certificate asn1.RawValue
	if _, err := asn1.Unmarshal(raw, &certificate); err != nil {
		return nil, fmt.Errorf("NV index %#x holds no endorsement key certificate: %w", uint32(index), err)
	}
	return certificate.FullBytes, nil
}

// KeyPublic is the public area of the device key as the TPM made it.
func (f *Factory) KeyPublic(ctx context.Context, p tpmprofile.Profile, binding [32]byte) ([]byte, error) {
	t := withContext(ctx, f.tpm)
	template, err := p.KeyTemplate(binding)
	if err != nil {
		return nil, err
	}
	handle, made, err := createKey(t, template)
	if err != nil {
		return nil, err
	}
	return tpm2.Marshal(made.public), flush(t.uncancelled(), handle)
}

// Activate opens a challenge that was made for the device key of a template's Name and an endorsement key (TPM2_ActivateCredential, Part 3
// section 12.5): the TPM gives the secret only if it holds both.
func (f *Factory) Activate(ctx context.Context, p tpmprofile.Profile, binding [32]byte, ekPublic, idObject, encryptedSecret []byte) (secret []byte, err error) {
	t := withContext(ctx, f.tpm)
	template, err := p.KeyTemplate(binding)
	if err != nil {
		return nil, err
	}
	kind, err := f.kindOf(ekPublic)
	if err != nil {
		return nil, err
	}
	device, key, err := createKey(t, template)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, flush(t.uncancelled(), device)) }()
	handle, ek, err := createKey(t, endorsementKeys[kind].template)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, flush(t.uncancelled(), handle)) }()
	if !bytes.Equal(tpm2.Marshal(ek.public), ekPublic) {
		return nil, fmt.Errorf("the challenge is for the endorsement key of another TPM: %w", agent.ErrKeyMismatch)
	}
	policy := func(session tpm2.TPMHandle, nonce []byte) error { // TPM2_PolicySecret(TPM_RH_ENDORSEMENT), EK Credential Profile section B.6.2
		_, err := tpm2.PolicySecret{AuthHandle: tpm2.TPMRHEndorsement, PolicySession: session, NonceTPM: tpm2.TPM2BNonce{Buffer: nonce}}.Execute(t)
		return err
	}
	err = withNoncePolicy(t, policy, func(session tpm2.Session) error {
		response, err := tpm2.ActivateCredential{
			ActivateHandle: tpm2.AuthHandle{Handle: device, Name: tpm2.TPM2BName{Buffer: key.name}, Auth: tpm2.PasswordAuth(nil)},
			KeyHandle:      tpm2.AuthHandle{Handle: handle, Name: tpm2.TPM2BName{Buffer: ek.name}, Auth: session},
			CredentialBlob: tpm2.TPM2BIDObject{Buffer: idObject},
			Secret:         tpm2.TPM2BEncryptedSecret{Buffer: encryptedSecret},
		}.Execute(t)
		if err == nil {
			secret = response.CertInfo.Buffer
		}
		return err
	})
	if slices.ContainsFunc(unopened, func(code tpm2.TPMRC) bool { return errors.Is(err, code) }) {
		return nil, fmt.Errorf("opening the challenge: %w (%w)", agent.ErrKeyMismatch, err)
	}
	return secret, explain("opening the challenge", err)
}

// unopened is what a TPM answers to a challenge for another TPM or device key, or one that was changed (Part 3 section
// 12.5). libtpms calls it a failure when the secret for an RSA key does not decrypt, and works on.
var unopened = []tpm2.TPMRC{tpm2.TPMRCIntegrity, tpm2.TPMRCValue, tpm2.TPMRCSize, tpm2.TPMRCInsufficient, tpm2.TPMRCFailure}

func (f *Factory) kindOf(ekPublic []byte) (EKKind, error) {
	public, err := tpmprofile.Unmarshal[tpm2.TPMTPublic](ekPublic)
	if err != nil {
		return 0, err
	}
	switch public.Type {
	case tpm2.TPMAlgRSA:
		return EKRSA, nil
	case tpm2.TPMAlgECC:
		return EKECC, nil
	}
	return 0, errors.New("the endorsement key is neither RSA nor ECC")
}
