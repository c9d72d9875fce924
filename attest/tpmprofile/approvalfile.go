package tpmprofile

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"github.com/fxamacker/cbor/v2"

	"imei-attest/attest"
)

// ApprovalSuffix ends the name of an approval's file.
const ApprovalSuffix = ".approval.cbor"

const (
	approvalFormat   = 2       // 1 had no epoch
	maxApprovalBytes = 4 << 10 // a file has about 300
	maxApprovals     = 64      // firmware releases one device accepts at a time
)

// approvalFile is the form of a BootApproval in a file: a CBOR map in deterministic encoding (RFC 8949 section 4.2.1),
// keys as uncompressed points (SEC 1 section 2.3.3). CBOR, because the agent has no other use for JSON.
type approvalFile struct {
	Format    int              `cbor:"1,keyasint"`
	Primary   []byte           `cbor:"2,keyasint"`
	Standby   []byte           `cbor:"3,keyasint"`
	PCRs      string           `cbor:"4,keyasint"` // as ParsePCRs reads it
	PolicyRef string           `cbor:"5,keyasint"`
	Policy    []byte           `cbor:"6,keyasint"`
	SignedBy  BootRole         `cbor:"7,keyasint"`
	Signature []byte           `cbor:"8,keyasint"`
	Epoch     uint64           `cbor:"9,keyasint"`  // 0: none
	Variant   attest.NVVariant `cbor:"10,keyasint"` // 0: none
}

// approvalEncoding is fixed, so it cannot fail to be made.
var approvalEncoding, _ = cbor.CoreDetEncOptions().EncMode()

// Encode gives the approval's file.
func (a BootApproval) Encode() ([]byte, error) {
	if err := a.Keys.Check(); err != nil {
		return nil, err
	}
	primary, err := a.Keys.Primary.Bytes()
	if err != nil {
		return nil, fmt.Errorf("boot key: %w", err)
	}
	standby, err := a.Keys.Standby.Bytes()
	if err != nil {
		return nil, fmt.Errorf("standby boot key: %w", err)
	}
	return approvalEncoding.Marshal(approvalFile{
		Format: approvalFormat, Primary: primary, Standby: standby, PCRs: a.PCRs.String(), PolicyRef: a.PolicyRef(),
		Policy: a.Policy[:], SignedBy: a.SignedBy, Signature: a.Signature[:], Epoch: a.Epoch, Variant: a.Variant,
	})
}

// DecodeApproval reads an approval's file and checks the signature. It takes only the very bytes that
// [BootApproval.Encode] writes: no unknown, repeated or reordered entry, nothing behind the map.
func DecodeApproval(raw []byte) (BootApproval, error) {
	if len(raw) > maxApprovalBytes {
		return BootApproval{}, fmt.Errorf("%d bytes, at most %d are looked at", len(raw), maxApprovalBytes)
	}
	var f approvalFile
	if err := cbor.Unmarshal(raw, &f); err != nil {
		return BootApproval{}, fmt.Errorf("not a boot approval: %w", err)
	}
	if f.Format != approvalFormat {
		return BootApproval{}, fmt.Errorf("boot approval of format %d, this program knows %d", f.Format, approvalFormat)
	}
	a, err := f.approval()
	if err != nil {
		return BootApproval{}, err
	}
	if again, err := a.Encode(); err != nil || !bytes.Equal(again, raw) {
		return BootApproval{}, errors.New("boot approval is not in the form this program writes: was the file changed?")
	}
	return a, a.Verify()
}

func (f approvalFile) approval() (a BootApproval, err error) {
	a.SignedBy, a.Epoch, a.Variant = f.SignedBy, f.Epoch, f.Variant
	if a.Keys.Primary, err = parsePoint(f.Primary); err != nil {
		return a, fmt.Errorf("boot key: %w", err)
	}
	if a.Keys.Standby, err = parsePoint(f.Standby); err != nil {
		return a, fmt.Errorf("standby boot key: %w", err)
	}
	if a.PCRs, err = ParsePCRs(f.PCRs); err != nil {
		return a, err
	}
	if len(f.Policy) != len(a.Policy) || len(f.Signature) != len(a.Signature) {
		return a, fmt.Errorf("policy of %d bytes and signature of %d, want %d and %d", len(f.Policy), len(f.Signature), len(a.Policy), len(a.Signature))
	}
	copy(a.Policy[:], f.Policy)
	copy(a.Signature[:], f.Signature)
	return a, nil
}

// LoadApprovals reads every approval in a folder, in the order of their names; other files are left alone. One that
// cannot be read fails the whole folder: it would go unnoticed until the boot state that needs it.
func LoadApprovals(folder fs.FS) ([]BootApproval, error) {
	names, err := fs.Glob(folder, "*"+ApprovalSuffix)
	if err != nil {
		return nil, err
	}
	if len(names) > maxApprovals {
		return nil, fmt.Errorf("%d boot approvals: at most %d are looked at; remove those of retired firmware", len(names), maxApprovals)
	}
	approvals := make([]BootApproval, 0, len(names))
	for _, name := range names {
		raw, err := fs.ReadFile(folder, name)
		if err != nil {
			return nil, fmt.Errorf("reading a boot approval: %w", err)
		}
		a, err := DecodeApproval(raw)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		a.Name = path.Base(name)
		approvals = append(approvals, a)
	}
	return approvals, nil
}

// FileName is the name under which an approval is kept: the same boot state by the same key gives the same name.
func (a BootApproval) FileName() string {
	return fmt.Sprintf("boot-%x-%s%s", a.Policy[:8], a.SignedBy, ApprovalSuffix)
}

func parsePoint(raw []byte) (*ecdsa.PublicKey, error) {
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), raw)
	if err != nil {
		return nil, errors.New("not a point of P-256")
	}
	return key, nil
}
