package tpmvault

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"imei-attest/attest"
	"imei-attest/attest/tpmprofile"
)

// Factory puts the manufacturer's record into a TPM, step by step. Each method does one step that is whole or not
// done at all, so that whoever was interrupted looks at [Factory.ReadIndex] and goes on.
type Factory struct {
	tpm    transport.TPM
	engine tpmprofile.Engine
}

// NewFactory asks the TPM what it is and frees what an earlier program left in it.
func NewFactory(ctx context.Context, tpm transport.TPM) (*Factory, error) {
	t := withContext(ctx, tpm)
	if err := flushLeftovers(t); err != nil {
		return nil, err
	}
	engine, err := readEngine(t)
	if err != nil {
		return nil, err
	}
	if engine.EKNameHash, err = endorsementKey(t); err != nil {
		return nil, err
	}
	return &Factory{tpm: tpm, engine: engine}, nil
}

// endorsementKey derives the endorsement key of the TCG's template and hashes its Name.
func endorsementKey(t contextTPM) ([32]byte, error) {
	handle, made, err := createKey(t, tpm2.ECCEKTemplate)
	if err != nil {
		return [32]byte{}, err
	}
	return sha256.Sum256(made.name), flush(t.uncancelled(), handle)
}

// Engine says what the TPM is.
func (f *Factory) Engine() tpmprofile.Engine { return f.engine }

// IsOpen reports whether this program may use the hierarchy of a variant: boot firmware usually closes the
// platform's. It asks with TPM2_PolicySecret, which changes nothing.
func (f *Factory) IsOpen(ctx context.Context, variant attest.NVVariant) (bool, error) {
	t := withContext(ctx, f.tpm)
	session, end, err := tpm2.PolicySession(t, tpm2.TPMAlgSHA256, nonceBytes)
	if err != nil {
		return false, explain("starting a session", err)
	}
	_, err = tpm2.PolicySecret{AuthHandle: hierarchyOf(variant), PolicySession: session.Handle(), NonceTPM: session.NonceTPM()}.Execute(t)
	if endErr := end(); endErr != nil {
		return false, explain("ending a session", endErr)
	}
	for _, closed := range []tpm2.TPMRC{tpm2.TPMRCBadAuth, tpm2.TPMRCAuthFail, tpm2.TPMRCHierarchy, tpm2.TPMRCAuthUnavailable} {
		if errors.Is(err, closed) {
			return false, nil
		}
	}
	return err == nil, explain("asking whether the hierarchy is open", err)
}

func hierarchyOf(variant attest.NVVariant) tpm2.TPMHandle {
	if variant == attest.NVOwner {
		return tpm2.TPMRHOwner
	}
	return tpm2.TPMRHPlatform
}

// ReadIndex tells how far the index of a Profile has come, with the record once it is written.
func (f *Factory) ReadIndex(ctx context.Context, p tpmprofile.Profile) (tpmprofile.IndexState, tpmprofile.Record, error) {
	t := withContext(ctx, f.tpm)
	public, name, err := readIndexPublic(t, p.Index())
	if err != nil {
		return tpmprofile.IndexForeign, tpmprofile.Record{}, err
	}
	if public == nil {
		return tpmprofile.IndexAbsent, tpmprofile.Record{}, nil
	}
	state, err := p.StateOf(name)
	if err != nil || state < tpmprofile.IndexWritten {
		return state, tpmprofile.Record{}, err
	}
	record, err := readRecord(t, public, name)
	return state, record, err
}

// ReadPCRs returns the digest of the selected registers as they are now.
func (f *Factory) ReadPCRs(ctx context.Context, selection tpmprofile.PCRSelection) ([32]byte, error) {
	return readPCRs(withContext(ctx, f.tpm), selection)
}

// CreateKey derives the device key of a Profile and binding hash; it leaves nothing in the TPM and gives the same
// key every time.
func (f *Factory) CreateKey(ctx context.Context, p tpmprofile.Profile, binding [32]byte) (*ecdsa.PublicKey, error) {
	t := withContext(ctx, f.tpm)
	template, err := p.KeyTemplate(binding)
	if err != nil {
		return nil, err
	}
	response, err := tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHEndorsement, InPublic: tpm2.New2B(template)}.Execute(t)
	if err != nil {
		return nil, explain("deriving the device key", err)
	}
	if err := flush(t.uncancelled(), response.ObjectHandle); err != nil {
		return nil, err
	}
	public, err := tpmprofile.Unmarshal[tpm2.TPMTPublic](response.OutPublic.Bytes())
	if err != nil {
		return nil, err
	}
	key, err := tpmprofile.PublicKeyOf(public)
	if err != nil {
		return nil, err
	}
	return key, checkName(p, key, binding, public)
}

// checkName compares the Name of the key that was made with the one a verifier will compute.
func checkName(p tpmprofile.Profile, key *ecdsa.PublicKey, binding [32]byte, public *tpm2.TPMTPublic) error {
	want, err := p.KeyName(key, binding)
	if err != nil {
		return err
	}
	got, err := tpm2.ObjectName(public)
	if err != nil {
		return err
	}
	if string(got.Buffer) != string(want) {
		return fmt.Errorf("the TPM made a key with the Name %x, a verifier expects %x: it leaves zeros out of the key's coordinates, "+
			"or adds to the template; start again for another key", got.Buffer, want)
	}
	return nil
}

// Persist keeps the device key at its persistent handle, or finds it there already. [ErrAuthClosed] means that the
// owner's authorisation is set; the vault then derives the key each time it opens.
func (f *Factory) Persist(ctx context.Context, p tpmprofile.Profile, binding [32]byte) error {
	t := withContext(ctx, f.tpm)
	template, err := p.KeyTemplate(binding)
	if err != nil {
		return err
	}
	handle, made, err := createKey(t, template)
	if err != nil {
		return err
	}
	there, err := persistentKey(t)
	if err == nil && string(there.name) != string(made.name) {
		err = persist(t, handle, made.name)
	}
	return errors.Join(err, flush(t.uncancelled(), handle))
}
