package provision

import (
	"bytes"
	"fmt"
	"time"

	"imei-attest/attest"
	"imei-attest/attest/tpmprofile"
)

const packageKind = "imei-attest-package"

// Package is the manufacturer's answer to a [Request]: all that [Install] and [Lock] need. It serves one device only,
// for the Credential names its key, and is no secret, but names the IMEIs.
type Package struct {
	Request    [32]byte                        // SHA-256 of the request's file
	Credential []byte                          // COSE_Sign1 of the credential key
	Write      [tpmprofile.SignatureBytes]byte // of the NV key: this record may be written
	Lock       [tpmprofile.SignatureBytes]byte // of the NV key: it may be locked
}

// packageFile is the form of a Package in a file.
type packageFile struct {
	fileHead
	Request    []byte `cbor:"3,keyasint"`
	Credential []byte `cbor:"4,keyasint"`
	Write      []byte `cbor:"5,keyasint"` // R||S
	Lock       []byte `cbor:"6,keyasint"` // R||S
}

// Encode gives the package's file.
func (p Package) Encode() ([]byte, error) {
	return fileEncoding.Marshal(packageFile{
		fileHead: fileHead{packageKind, fileFormat}, Request: p.Request[:], Credential: p.Credential, Write: p.Write[:], Lock: p.Lock[:],
	})
}

// DecodePackage reads a package's file. The signatures are not checked; [Install] does.
func DecodePackage(raw []byte) (p Package, err error) {
	f, err := decodeFile[packageFile](packageKind, raw)
	if err != nil {
		return p, err
	}
	if len(f.Request) != len(p.Request) || len(f.Write) != len(p.Write) || len(f.Lock) != len(p.Lock) {
		return p, fmt.Errorf("%w is no %s: signatures of %d and %d bytes", ErrFile, packageKind, len(f.Write), len(f.Lock))
	}
	p.Request, p.Write, p.Lock = [32]byte(f.Request), [tpmprofile.SignatureBytes]byte(f.Write), [tpmprofile.SignatureBytes]byte(f.Lock)
	p.Credential = f.Credential
	return p, nil
}

// Sign answers a request that came over a trusted way. It needs the credential key and the NV key, and no TPM: what the
// line computed is computed again.
func (o *OEM) Sign(r Request, now time.Time) (p Package, err error) {
	profile, binding, err := o.check(r)
	if err != nil {
		return p, err
	}
	c := o.credential(r.Unit, now)
	c.Storage, c.Key = r.Storage, r.Key
	if p.Credential, err = o.signCredential(c); err != nil {
		return p, err
	}
	if p.Request, err = r.digest(); err != nil {
		return p, err
	}
	raw, err := tpmprofile.Record{Binding: binding, Credential: p.Credential}.Encode()
	if err != nil {
		return p, err
	}
	content, err := profile.WriteContent(raw)
	if err != nil {
		return p, err
	}
	if p.Write, err = o.signNV(content); err != nil {
		return p, err
	}
	p.Lock, err = o.signLock(profile)
	return p, err
}

// check refuses a request that is not for devices of this manufacturer, or whose key is bound to something else.
func (o *OEM) check(r Request) (p tpmprofile.Profile, binding [32]byte, err error) {
	if err := r.Unit.Check(); err != nil {
		return p, binding, err
	}
	if err := o.checkTACs(r.Unit); err != nil {
		return p, binding, err
	}
	if !r.Storage.Kind.IsTPM() {
		return p, binding, fmt.Errorf("%w: a request for storage kind %s", ErrRefused, r.Storage.Kind)
	}
	if r.Engine.IsEmulator() && (r.Storage.Kind != attest.StorageTPMEmulated || r.Storage.RollbackProtected) {
		return p, binding, fmt.Errorf("%w: the TPM of maker %q is an emulator, and the request calls it %s", ErrRefused, r.Engine.Manufacturer, r.Storage.Kind)
	}
	p = o.Profile(r.Storage.NV, r.Storage.Boot)
	if binding, err = attest.BindingHash(o.ID, r.Unit.Slots, r.Storage.RecordID); err != nil {
		return p, binding, err
	}
	name, err := p.KeyName(r.Key, binding)
	if err != nil {
		return p, binding, err
	}
	if !bytes.Equal(name, r.Storage.KeyName) {
		return p, binding, fmt.Errorf("%w: the request's key has the Name %x, with this manufacturer's keys it is %x: was it made with another %s?",
			ErrRefused, r.Storage.KeyName, name, AnchorFile)
	}
	return p, binding, nil
}

// signLock allows to lock a written record; see [tpmprofile.Profile.LockContent].
func (o *OEM) signLock(p tpmprofile.Profile) (signature [tpmprofile.SignatureBytes]byte, err error) {
	content, err := p.LockContent()
	if err != nil {
		return signature, err
	}
	return o.signNV(content)
}
