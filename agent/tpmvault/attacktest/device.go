package attacktest

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"imei-attest/agent"
	"imei-attest/agent/provision"
	"imei-attest/agent/tpmvault"
	"imei-attest/agent/tpmvault/tpmtest"
	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/attest/imei"
	"imei-attest/attest/tpmprofile"
)

// device is a device under attack, with its manufacturer and what an honest installation keeps beside the TPM.
type device struct {
	t         testing.TB
	fresh     New
	engine    Engine
	wire      *wire
	tpm       *tpmtest.Spy // before wire
	oem       *provision.OEM
	variant   attest.NVVariant
	approvals []tpmprofile.BootApproval
	result    *provision.Result // nil until provisioned
}

func newDevice(t testing.TB, fresh New) *device {
	t.Helper()
	d := &device{t: t, fresh: fresh, oem: manufacturer("oem"), variant: attest.NVPlatform}
	d.insert(fresh(t))
	return d
}

// insert makes an engine the device's TPM.
func (d *device) insert(e Engine) {
	d.engine, d.wire = e, &wire{TPM: e}
	d.tpm = tpmtest.NewSpy(d.wire)
}

func (d *device) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatalf("before the attack proper: %v", err)
	}
}

// wire remembers which command the TPM refused last, but for flushing a session that the refused command ended.
type wire struct {
	transport.TPM
	refused tpm2.TPMCC
}

// Send implements transport.TPM.
func (w *wire) Send(command []byte) ([]byte, error) {
	response, err := w.TPM.Send(command)
	code := tpm2.TPMCC(binary.BigEndian.Uint32(command[6:]))
	if err == nil && len(response) >= 10 && binary.BigEndian.Uint32(response[6:]) != 0 && code != tpm2.TPMCCFlushContext {
		w.refused = code
	}
	return response, err
}

func manufacturer(name string) *provision.OEM {
	return &provision.OEM{
		Issuer: "tag:example,2026:" + name, ID: attest.PENOEMID(32473), TACs: []string{"*"},
		Development: true, StorageKinds: []attest.StorageKind{attest.StorageTPMEmulated},
		Credential: attesttest.Key(name + " credential"), NV: attesttest.Key(name + " nv"),
		Boot: attesttest.Key(name + " boot"), Standby: attesttest.Key(name + " boot standby"),
		StandbyPublic: &attesttest.Key(name + " boot standby").PublicKey,
	}
}

var imei1, imei2 = attesttest.MustIMEI(attesttest.IMEI1), attesttest.MustIMEI(attesttest.IMEI2)

// measuredPCRs are what the device's boot is bound to.
func measuredPCRs() tpmprofile.PCRSelection {
	selection, err := tpmprofile.ParsePCRs("sha256:0,2,4,7")
	if err != nil {
		panic(err)
	}
	return selection
}

func (d *device) profile() tpmprofile.Profile { return d.oem.Profile(d.variant, attest.BootMeasured) }

func (d *device) factory() *tpmvault.Factory {
	d.t.Helper()
	f, err := tpmvault.NewFactory(d.t.Context(), d.tpm)
	d.must(err)
	return f
}

func (d *device) tryProvision(slots ...imei.IMEI) error {
	result, err := provision.TPM(d.t.Context(), d.factory(), d.oem, provision.Unit{Slots: slots, Model: "bench", Serial: 1, Class: 3}, provision.Options{
		Now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), PCRs: measuredPCRs(), Approvals: d.approvals, Variant: d.variant,
		SaveApproval: func(a tpmprofile.BootApproval) error {
			d.approvals = append(d.approvals, a)
			return nil
		},
		OpenVault: func(ctx context.Context, approvals []tpmprofile.BootApproval) (agent.Vault, error) {
			return tpmvault.Open(ctx, d.tpm, tpmvault.Config{Approvals: approvals})
		},
	})
	if err == nil {
		d.result = result
	}
	return err
}

// The setups of rows: how far an honest manufacturer has come when the attacker arrives.

func provisioned(d *device) { d.must(d.tryProvision(imei1)) }

func provisionedByOwner(d *device) {
	d.variant = attest.NVOwner
	provisioned(d)
}

func defined(d *device)  { d.interrupted(tpm2.TPMCCNVWrite) }
func unlocked(d *device) { d.interrupted(tpm2.TPMCCNVWriteLock) }

func (d *device) interrupted(at tpm2.TPMCC) {
	d.tpm.Fault(tpmtest.Refuse(at, tpm2.TPMRCFailure))
	if err := d.tryProvision(imei1); !errors.Is(err, tpm2.TPMRCFailure) {
		d.t.Fatalf("the provisioning that was to be interrupted: %v", err)
	}
	d.tpm.Fault(nil)
}

// binding is the binding hash in the record.
func (d *device) binding() [32]byte {
	d.t.Helper()
	return d.record().Binding
}

func (d *device) record() tpmprofile.Record {
	d.t.Helper()
	_, record, err := d.factory().ReadIndex(d.t.Context(), d.profile())
	d.must(err)
	return record
}

func (d *device) rawRecord() []byte {
	d.t.Helper()
	raw, err := d.record().Encode()
	d.must(err)
	return raw
}

// index is the record's index with the Name it has now.
func (d *device) index() tpm2.NamedHandle { return d.named(d.profile().Index()) }

func (d *device) named(handle tpm2.TPMHandle) tpm2.NamedHandle {
	index := tpm2.NamedHandle{Handle: handle}
	if public, err := (tpm2.NVReadPublic{NVIndex: handle}).Execute(d.tpm); err == nil {
		index.Name = public.NVName
	}
	return index
}

// honest opens the vault and signs; a device whose provisioning was interrupted is provisioned first.
func (d *device) honest() error {
	if d.result == nil {
		if err := d.tryProvision(imei1); err != nil {
			return err
		}
	}
	v, err := d.open(d.approvals)
	if err != nil {
		return err
	}
	defer v.Close()
	if err := signAndVerify(v); err != nil {
		return err
	}
	if _, err := v.Evidence(d.t.Context(), [32]byte{}); err != nil {
		return err
	}
	if err := signAndVerify(v); err != nil { // in the session of the proof
		return err
	}
	if err := v.Close(); err != nil {
		return err
	}
	if objects, sessions, err := tpmtest.Loaded(d.tpm); err != nil || objects+sessions != 0 {
		return errors.New("the vault leaves slots occupied")
	}
	return nil
}

func (d *device) open(approvals []tpmprofile.BootApproval) (*tpmvault.Vault, error) {
	return tpmvault.Open(d.t.Context(), d.tpm, tpmvault.Config{Approvals: approvals})
}

func signAndVerify(v *tpmvault.Vault) error {
	content := []byte("claims")
	raw, err := v.Signer(context.Background()).Sign(nil, content)
	if err != nil {
		return err
	}
	digest := sha256.Sum256(content)
	if len(raw) != 64 || !ecdsa.Verify(v.Describe().Key, digest[:], new(big.Int).SetBytes(raw[:32]), new(big.Int).SetBytes(raw[32:])) {
		return errors.New("the signature does not verify with the standard library")
	}
	return nil
}

// signed is a signature of one of the manufacturer's keys, or of an attacker's.
func (d *device) signed(key crypto.Signer, content []byte) [tpmprofile.SignatureBytes]byte {
	d.t.Helper()
	signer, err := attest.NewSigner(key)
	d.must(err)
	raw, err := signer.Sign(rand.Reader, content)
	d.must(err)
	return [tpmprofile.SignatureBytes]byte(raw)
}

func passwordOf(handle tpm2.NamedHandle) tpm2.AuthHandle {
	return tpm2.AuthHandle{Handle: handle.Handle, Name: handle.Name, Auth: tpm2.PasswordAuth(nil)}
}

func hierarchy(handle tpm2.TPMHandle) tpm2.NamedHandle {
	return tpm2.NamedHandle{Handle: handle, Name: tpm2.HandleName(handle)}
}

// bare sends a command that go-tpm lacks, authorised with empty passwords.
func (d *device) bare(code tpm2.TPMCC, handles []tpm2.TPMHandle, passwords int, parameters ...byte) error {
	empty := []byte{0x40, 0, 0, 9, 0, 0, 0, 0, 0} // TPM_RS_PW, no nonce, no attributes, no password
	var body []byte
	for _, handle := range handles {
		body = binary.BigEndian.AppendUint32(body, uint32(handle))
	}
	body = binary.BigEndian.AppendUint32(body, uint32(passwords*len(empty)))
	for range passwords {
		body = append(body, empty...)
	}
	body = append(body, parameters...)
	command := binary.BigEndian.AppendUint16(nil, uint16(tpm2.TPMSTSessions))
	command = binary.BigEndian.AppendUint32(command, uint32(10+len(body)))
	command = binary.BigEndian.AppendUint32(command, uint32(code))
	response, err := d.tpm.Send(append(command, body...))
	if err != nil {
		return err
	}
	if rc := tpm2.TPMRC(binary.BigEndian.Uint32(response[6:])); rc != 0 {
		return rc
	}
	return nil
}
