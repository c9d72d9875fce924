package provision

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"fmt"

	"imei-attest/attest"
	"imei-attest/attest/imei"
	"imei-attest/attest/tpmprofile"
)

const requestKind = "imei-attest-request"

// Request is what a device asks its manufacturer to sign: whose it is, which storage it has, which key it made. It is
// no secret, but names the IMEIs, and nobody signed it: the way to the manufacturer must be trusted, as a production
// line is, or the request must hold an [TPMIdentity].
type Request struct {
	Unit    Unit
	Storage attest.Storage    // as the line vouches for it
	Engine  tpmprofile.Engine // as the TPM says; EKNameHash stands in Storage
	Key     *ecdsa.PublicKey  // the device key, on P-256
	// Identity is what proves the TPM of a device that is in the field; nil on a production line.
	Identity *TPMIdentity
}

// requestFile is the form of a Request in a file.
type requestFile struct {
	fileHead
	Slots             []string           `cbor:"3,keyasint"` // 15 digits each, slot 1 first
	Model             string             `cbor:"4,keyasint"`
	Serial            uint64             `cbor:"5,keyasint"`
	Class             uint8              `cbor:"6,keyasint"`
	Kind              attest.StorageKind `cbor:"7,keyasint"` // numbers of the storage claim
	Boot              attest.BootKind    `cbor:"8,keyasint"`
	NV                attest.NVVariant   `cbor:"9,keyasint"`
	RollbackProtected bool               `cbor:"10,keyasint"`
	RecordID          []byte             `cbor:"11,keyasint"` // 16 random bytes
	EKNameHash        []byte             `cbor:"12,keyasint"` // SHA-256
	Key               []byte             `cbor:"13,keyasint"` // uncompressed point (SEC 1 section 2.3.3)
	KeyName           []byte             `cbor:"14,keyasint"` // 34 bytes, as the line computed it
	Manufacturer      string             `cbor:"15,keyasint"` // of the TPM
	Firmware          string             `cbor:"16,keyasint"`
	KeyPublic         []byte             `cbor:"17,keyasint,omitempty"` // TPMT_PUBLIC; 17 to 19 are the TPMIdentity
	EKPublic          []byte             `cbor:"18,keyasint,omitempty"` // TPMT_PUBLIC
	EKCertificate     []byte             `cbor:"19,keyasint,omitempty"` // X.509, DER
}

// Encode gives the request's file.
func (r Request) Encode() ([]byte, error) {
	point, err := r.Key.Bytes()
	if err != nil {
		return nil, fmt.Errorf("device key: %w", err)
	}
	f := requestFile{
		fileHead: fileHead{requestKind, fileFormat},
		Model:    r.Unit.Model, Serial: r.Unit.Serial, Class: r.Unit.Class,
		Kind: r.Storage.Kind, Boot: r.Storage.Boot, NV: r.Storage.NV, RollbackProtected: r.Storage.RollbackProtected,
		RecordID: r.Storage.RecordID[:], EKNameHash: r.Storage.EKNameHash, Key: point, KeyName: r.Storage.KeyName,
		Manufacturer: r.Engine.Manufacturer, Firmware: r.Engine.Firmware,
	}
	for _, id := range r.Unit.Slots {
		f.Slots = append(f.Slots, id.Digits())
	}
	if e := r.Identity; e != nil {
		f.KeyPublic, f.EKPublic, f.EKCertificate = e.KeyPublic, e.EKPublic, e.EKCertificate
	}
	return fileEncoding.Marshal(f)
}

// DecodeRequest reads a request's file.
func DecodeRequest(raw []byte) (Request, error) {
	f, err := decodeFile[requestFile](requestKind, raw)
	if err != nil {
		return Request{}, err
	}
	r := Request{
		Unit:   Unit{Model: f.Model, Serial: f.Serial, Class: f.Class},
		Engine: tpmprofile.Engine{Manufacturer: f.Manufacturer, Firmware: f.Firmware},
		Storage: attest.Storage{
			Kind: f.Kind, Boot: f.Boot, NV: f.NV, RollbackProtected: f.RollbackProtected, EKNameHash: f.EKNameHash, KeyName: f.KeyName,
		},
	}
	if copy(r.Storage.RecordID[:], f.RecordID) != len(f.RecordID) || len(f.RecordID) != len(r.Storage.RecordID) {
		return Request{}, fmt.Errorf("%w is no %s: record id of %d bytes", ErrFile, requestKind, len(f.RecordID))
	}
	if r.Key, err = ecdsa.ParseUncompressedPublicKey(elliptic.P256(), f.Key); err != nil {
		return Request{}, fmt.Errorf("%w is no %s: the device key is not a point on P-256", ErrFile, requestKind)
	}
	for _, digits := range f.Slots {
		id, err := imei.Parse(digits)
		if err != nil {
			return Request{}, fmt.Errorf("%w is no %s: %w", ErrFile, requestKind, err)
		}
		r.Unit.Slots = append(r.Unit.Slots, id)
	}
	if f.KeyPublic != nil || f.EKPublic != nil {
		r.Identity = &TPMIdentity{KeyPublic: f.KeyPublic, EKPublic: f.EKPublic, EKCertificate: f.EKCertificate}
	}
	return r, nil
}

// digest names a request in the files that answer it.
func (r Request) digest() ([32]byte, error) {
	raw, err := r.Encode()
	return sha256.Sum256(raw), err
}

// TPMIdentity is what a TPM in the field shows of itself.
type TPMIdentity struct {
	KeyPublic     []byte // TPMT_PUBLIC of the device key (Part 2 section 12.2.4)
	EKPublic      []byte // TPMT_PUBLIC of the endorsement key
	EKCertificate []byte // X.509 in DER, empty where the TPM has none
}
