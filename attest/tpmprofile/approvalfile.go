package tpmprofile

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
)

// ApprovalSuffix ends the name of an approval's file.
const ApprovalSuffix = ".approval.json"

const (
	approvalFormat   = 1
	maxApprovalBytes = 4 << 10 // a file has about 700
	maxApprovals     = 64      // firmware releases one device accepts at a time
)

// approvalFile is the text form of a BootApproval: JSON with these members in this order, keys as uncompressed
// points (SEC 1 section 2.3.3) in hex.
type approvalFile struct {
	Format    int      `json:"format"`
	Primary   string   `json:"boot_key"`
	Standby   string   `json:"boot_key_standby"`
	PCRs      string   `json:"pcrs"`
	PolicyRef string   `json:"policy_ref"`
	Policy    string   `json:"policy"`
	SignedBy  BootRole `json:"signed_by"`
	Signature string   `json:"signature"`
}

// Encode gives the approval's file.
func (a BootApproval) Encode() ([]byte, error) {
	if err := a.Keys.Check(); err != nil {
		return nil, err
	}
	raw, err := json.MarshalIndent(approvalFile{
		Format:  approvalFormat,
		Primary: pointText(a.Keys.Primary), Standby: pointText(a.Keys.Standby),
		PCRs: a.PCRs.String(), PolicyRef: a.PolicyRef(), Policy: hex.EncodeToString(a.Policy[:]),
		SignedBy: a.SignedBy, Signature: hex.EncodeToString(a.Signature[:]),
	}, "", "  ")
	if err != nil {
		return nil, err
	}
	return append(raw, '\n'), nil
}

// DecodeApproval reads an approval's file and checks the signature. It takes only the very bytes that
// [BootApproval.Encode] writes: no unknown, repeated or reordered member, nothing behind the object.
func DecodeApproval(raw []byte) (BootApproval, error) {
	if len(raw) > maxApprovalBytes {
		return BootApproval{}, fmt.Errorf("%d bytes, at most %d are looked at", len(raw), maxApprovalBytes)
	}
	var f approvalFile
	if err := json.Unmarshal(raw, &f); err != nil {
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
		return BootApproval{}, errors.New("boot approval is not in the form this program writes: was it edited by hand?")
	}
	return a, a.Verify()
}

func (f approvalFile) approval() (a BootApproval, err error) {
	a.SignedBy = f.SignedBy
	if a.Keys.Primary, err = parsePoint(f.Primary); err != nil {
		return a, fmt.Errorf("boot_key: %w", err)
	}
	if a.Keys.Standby, err = parsePoint(f.Standby); err != nil {
		return a, fmt.Errorf("boot_key_standby: %w", err)
	}
	if a.PCRs, err = ParsePCRs(f.PCRs); err != nil {
		return a, err
	}
	if err := parseHex(a.Policy[:], f.Policy); err != nil {
		return a, fmt.Errorf("policy: %w", err)
	}
	if err := parseHex(a.Signature[:], f.Signature); err != nil {
		return a, fmt.Errorf("signature: %w", err)
	}
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

func pointText(key *ecdsa.PublicKey) string {
	raw, err := key.Bytes()
	if err != nil {
		return ""
	}
	return hex.EncodeToString(raw)
}

func parsePoint(text string) (*ecdsa.PublicKey, error) {
	raw, err := hex.DecodeString(text)
	if err != nil {
		return nil, errors.New("not hex")
	}
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), raw)
	if err != nil {
		return nil, errors.New("not an uncompressed point on P-256")
	}
	return key, nil
}

func parseHex(into []byte, text string) error {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != len(into) {
		return fmt.Errorf("want %d bytes in hex", len(into))
	}
	copy(into, raw)
	return nil
}
