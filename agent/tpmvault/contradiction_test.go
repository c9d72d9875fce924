package tpmvault_test

import (
	"crypto/rand"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"imei-attest/agent"
	"imei-attest/agent/provision"
	"imei-attest/agent/tpmvault"
	"imei-attest/agent/tpmvault/tpmtest"
	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/attest/imei"
	"imei-attest/attest/tpmprofile"
)

// A message says what happened and what to do; what the TPM refuses is in the table of attacks.
func TestOpenSaysThatProvisioningWasInterrupted(t *testing.T) {
	u := newUnit(t)
	u.tpm.Fault(tpmtest.Refuse(tpm2.TPMCCNVWriteLock, tpm2.TPMRCFailure))
	if _, err := u.tryProvision(u.options(), imei1); !errors.Is(err, tpm2.TPMRCFailure) {
		t.Fatalf("provisioning without lock: %v", err)
	}
	u.tpm.Fault(nil)
	if _, err := u.tryOpen(); !errors.Is(err, agent.ErrNotProvisioned) || !strings.Contains(err.Error(), "interrupted") {
		t.Errorf("Open: %v; want %v that says it was interrupted", err, agent.ErrNotProvisioned)
	}
}

// The owner can define another index in place of his record, with the same content; its Name is another then.
func TestOpenOverARedefinedIndexNamesTheIndex(t *testing.T) {
	u := newUnit(t)
	options := u.options()
	options.Variant = attest.NVOwner
	_, err := u.tryProvision(options, imei1)
	u.must(err)
	p := u.oem.Profile(attest.NVOwner, attest.BootMeasured)
	_, record, err := u.factory().ReadIndex(t.Context(), p)
	u.must(err)
	raw, err := record.Encode()
	u.must(err)
	_, err = tpm2.NVUndefineSpace{AuthHandle: tpm2.TPMRHOwner, NVIndex: liveIndex(u.conn, p.Index())}.Execute(u.conn)
	u.must(err)
	public, err := p.NVPublic(tpmprofile.IndexDefined)
	u.must(err)
	public.Attributes.AuthWrite = true
	_, err = tpm2.NVDefineSpace{AuthHandle: tpm2.TPMRHOwner, PublicInfo: tpm2.New2B(*public)}.Execute(u.conn)
	u.must(err)
	index := liveIndex(u.conn, p.Index())
	_, err = tpm2.NVWrite{AuthHandle: index, NVIndex: index, Data: tpm2.TPM2BMaxNVBuffer{Buffer: raw}}.Execute(u.conn)
	u.must(err)
	index = liveIndex(u.conn, p.Index())
	_, err = tpm2.NVWriteLock{AuthHandle: index, NVIndex: index}.Execute(u.conn)
	u.must(err)
	if _, err := u.tryOpen(); !errors.Is(err, tpmvault.ErrBootState) || !strings.Contains(err.Error(), "NV index") {
		t.Errorf("Open over a redefined index: %v; want a refusal that names the index", err)
	}
	if _, err := u.tryProvision(options, imei1); !errors.Is(err, provision.ErrRefused) {
		t.Errorf("provisioning over a redefined index: %v; want %v", err, provision.ErrRefused)
	}
	u.wantClean()
}

func (u *unit) signWrite(record []byte) (signature [tpmprofile.SignatureBytes]byte) {
	u.t.Helper()
	content, err := u.oem.Profile(attest.NVPlatform, 0).WriteContent(record)
	u.must(err)
	signer, err := attest.NewSigner(u.oem.NV)
	u.must(err)
	raw, err := signer.Sign(rand.Reader, content)
	u.must(err)
	return [tpmprofile.SignatureBytes]byte(raw)
}

// install puts any record into the platform's index, with the manufacturer's authorisation.
func (u *unit) install(record tpmprofile.Record) {
	u.t.Helper()
	raw, err := record.Encode()
	u.must(err)
	p, f := u.oem.Profile(attest.NVPlatform, 0), u.factory()
	u.must(f.Define(u.t.Context(), p))
	u.must(f.Write(u.t.Context(), p, raw, u.signWrite(raw)))
	lock, err := p.LockContent()
	u.must(err)
	signature, err := attesttest.Signer(attesttest.Key("oem nv")).Sign(nil, lock)
	u.must(err)
	u.must(f.Lock(u.t.Context(), p, [tpmprofile.SignatureBytes]byte(signature)))
}

// Whatever the manufacturer's station did wrong: key and index are those of the Credential each time.
func TestOpenRefusesARecordThatContradictsItself(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(*attest.Credential)
		want  error
		says  string
	}{
		{"nothing is wrong", func(*attest.Credential) {}, nil, ""},
		{"the binding hash is of another IMEI", func(c *attest.Credential) { c.Slots = []imei.IMEI{imei2} }, agent.ErrKeyMismatch, "binding hash"},
		{"the binding hash is of another record", func(c *attest.Credential) { c.Storage.RecordID[0] ^= 1 }, agent.ErrKeyMismatch, "binding hash"},
		{"the credential is for software", func(c *attest.Credential) {
			c.Storage.Kind, c.Storage.NV, c.Storage.KeyName = attest.StorageSoftware, 0, nil
		}, agent.ErrKeyMismatch, "storage kind software"},
		{"the credential is for the owner's index", func(c *attest.Credential) { c.Storage.NV = attest.NVOwner }, agent.ErrKeyMismatch, "the NV index of the owner; it was found in that of the platform"},
	} {
		t.Run(c.name, func(t *testing.T) {
			u := newUnit(t)
			p := u.oem.Profile(attest.NVPlatform, attest.BootMeasured)
			credential := attesttest.Credential()
			credential.Storage.Kind, credential.Storage.NV, credential.Storage.Boot = attest.StorageTPMEmulated, p.Variant, p.Boot
			binding, err := attest.BindingHash(credential.OEMID, credential.Slots, credential.Storage.RecordID)
			u.must(err)
			credential.Key, err = u.factory().CreateKey(t.Context(), p, binding)
			u.must(err)
			credential.Storage.KeyName, err = p.KeyName(credential.Key, binding)
			u.must(err)
			c.spoil(&credential)
			u.install(tpmprofile.Record{Binding: binding, Credential: attesttest.SignedCredential(credential)})
			u.approve(tpmprofile.RolePrimary, "sha256:0,2,4,7")
			if _, err := u.tryOpen(); !errors.Is(err, c.want) || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("Open: %v; want %v with %q", err, c.want, c.says)
			}
		})
	}
}
