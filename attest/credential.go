package attest

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"imei-attest/attest/imei"
)

// StorageKind is the kind of secure storage a manufacturer vouches for. It grades the evidence; what a TPM says of
// itself does not.
type StorageKind uint8

// The kinds of label 1 in the storage claim.
const (
	StorageTPMDiscrete StorageKind = 1
	StorageTPMFirmware StorageKind = 2
	StorageSoftware    StorageKind = 3
	StorageOther       StorageKind = 4
	StorageTPMEmulated StorageKind = 5
)

var storageNames = []string{StorageTPMDiscrete: "tpm-discrete", StorageTPMFirmware: "tpm-firmware", StorageSoftware: "software",
	StorageOther: "other", StorageTPMEmulated: "tpm-emulated"}

// String is the name that trust files use.
func (k StorageKind) String() string {
	if k == 0 || int(k) >= len(storageNames) {
		return "kind " + strconv.Itoa(int(k))
	}
	return storageNames[k]
}

// ParseStorageKind reads the name that String writes.
func ParseStorageKind(name string) (StorageKind, error) {
	for k, n := range storageNames {
		if n == name && n != "" {
			return StorageKind(k), nil
		}
	}
	return 0, fmt.Errorf("storage kind %q: want one of %q", name, storageNames[1:])
}

// IsTPM reports a kind whose key is bound to TPM storage, so that its Name can be recomputed.
func (k StorageKind) IsTPM() bool {
	return k == StorageTPMDiscrete || k == StorageTPMFirmware || k == StorageTPMEmulated
}

// BootKind says whether the device key is bound to a measured boot.
type BootKind uint8

// The values of label 2 in the storage claim.
const (
	BootMeasured   BootKind = 1
	BootUnmeasured BootKind = 2
)

// String is a word for people.
func (k BootKind) String() string {
	switch k {
	case BootMeasured:
		return "measured"
	case BootUnmeasured:
		return "unmeasured"
	}
	return "kind " + strconv.Itoa(int(k))
}

// NVVariant says who created the NV index: the platform, or the owner on devices whose platform hierarchy is closed.
type NVVariant uint8

// The values of label 3 in the storage claim.
const (
	NVPlatform NVVariant = 1
	NVOwner    NVVariant = 2
)

// String is a word for people, as the flag --nv takes it.
func (v NVVariant) String() string {
	switch v {
	case NVPlatform:
		return "platform"
	case NVOwner:
		return "owner"
	}
	return "variant " + strconv.Itoa(int(v))
}

// Storage describes the secure storage as the manufacturer vouches for it.
type Storage struct {
	Kind StorageKind
	Boot BootKind
	NV   NVVariant // 0 unless Kind is a TPM
	// EKNameHash is the SHA-256 of the TPM Name of the endorsement key, 32 bytes; empty when not recorded.
	EKNameHash        []byte
	RecordID          [16]byte // random, one per provisioning
	RollbackProtected bool
	// KeyName is the TPM Name of the device key, 34 bytes (TPM 2.0 Part 1 section 16). It covers the key's attributes
	// and policy, so a verifier that computes it again knows both. Present if and only if Kind is a TPM.
	KeyName []byte
}

// Credential is the manufacturer's statement that a device key belongs to a set of IMEIs: a CWT (RFC 8392) whose cnf
// is the device key (RFC 8747).
type Credential struct {
	Issuer      string    // URI of the manufacturer, 1..64 bytes
	IssuedAt    time.Time // UTC, whole seconds
	Key         *ecdsa.PublicKey
	Slots       []imei.IMEI // 1..4, slot 1 first
	OEMID       OEMID
	HWModel     []byte // 1..32 bytes
	Serial      uint64 // rising for one set of IMEIs: the higher supersedes the lower
	Storage     Storage
	ClientClass uint8 // 1, 2 or 3: IMS client classes 2.1, 2.2, 2.3
}

// SignedCredential is a decoded Credential with its signature; nobody has checked it unless [KeySet.VerifyCredential]
// returned it without an error.
type SignedCredential struct {
	Credential
	KeyID       KeyID // hint at the manufacturer's key
	DeviceKeyID KeyID // of Key, as [KeyIDOf] gives it
	// Raw is the message as received.
	Raw     []byte
	message message
}

// wireCredential is the payload of a Credential.
type wireCredential struct {
	Issuer       string                `cbor:"1,keyasint"`
	IssuedAt     int64                 `cbor:"6,keyasint"`
	Confirmation wireConfirmation      `cbor:"8,keyasint"`
	UEID         ueid                  `cbor:"256,keyasint"`
	OEMID        OEMID                 `cbor:"258,keyasint"`
	HWModel      []byte                `cbor:"259,keyasint"`
	Submods      map[string]wireSubmod `cbor:"266,keyasint,omitempty"`
	Serial       uint64                `cbor:"-70011,keyasint"`
	Storage      wireStorage           `cbor:"-70012,keyasint"`
	ClientClass  uint8                 `cbor:"-70013,keyasint"`
}

// ueid has the length that it must have: decodeStrict refuses any other.
type ueid [imei.UEIDLen]byte

type wireConfirmation struct {
	Key coseKey `cbor:"1,keyasint"`
}

// wireSubmod is one further slot: one entity has one UEID (RFC 9711 section 4.2.1).
type wireSubmod struct {
	UEID ueid `cbor:"256,keyasint"`
}

type wireStorage struct {
	Kind              StorageKind `cbor:"1,keyasint"`
	Boot              BootKind    `cbor:"2,keyasint"`
	NV                NVVariant   `cbor:"3,keyasint,omitempty"`
	EKNameHash        []byte      `cbor:"4,keyasint,omitempty"`
	RecordID          []byte      `cbor:"5,keyasint"`
	RollbackProtected bool        `cbor:"6,keyasint,omitempty"`
	KeyName           []byte      `cbor:"7,keyasint,omitempty"`
}

// SignCredential signs c with the manufacturer's key whose key id is kid.
func SignCredential(rand io.Reader, c Credential, signer Signer, kid KeyID) ([]byte, error) {
	w, err := c.wire()
	if err != nil {
		return nil, err
	}
	raw, err := signMessage(rand, signer, protectedHeader{KeyID: kid[:]}, nil, w)
	if err != nil {
		return nil, err
	}
	if len(raw) > MaxCredentialBytes {
		return nil, fmt.Errorf("the Credential has %d bytes, %d fit the secure storage: shorten issuer or model", len(raw), MaxCredentialBytes)
	}
	return raw, nil
}

func (c Credential) wire() (*wireCredential, error) {
	key, err := newCOSEKey(c.Key)
	if err != nil {
		return nil, fmt.Errorf("device key: %w", err)
	}
	w := &wireCredential{
		Issuer: c.Issuer, IssuedAt: c.IssuedAt.Unix(), Confirmation: wireConfirmation{Key: key},
		OEMID: c.OEMID, HWModel: c.HWModel, Serial: c.Serial, ClientClass: c.ClientClass,
		Storage: wireStorage{Kind: c.Storage.Kind, Boot: c.Storage.Boot, NV: c.Storage.NV, EKNameHash: c.Storage.EKNameHash,
			RecordID: c.Storage.RecordID[:], RollbackProtected: c.Storage.RollbackProtected, KeyName: c.Storage.KeyName},
	}
	if w.UEID, w.Submods, err = encodeSlots(c.Slots); err != nil {
		return nil, err
	}
	_, err = w.credential()
	return w, err
}

// DecodeCredential reads a Credential strictly. The signature is not checked. What it returns is made of parts of raw, which must not
// change any more. The error is a [*FormatError].
func DecodeCredential(raw []byte) (*SignedCredential, error) {
	if len(raw) > MaxCredentialBytes {
		return nil, formatError(ClassOversized, "credential", "%d bytes, at most %d", len(raw), MaxCredentialBytes)
	}
	s := &SignedCredential{Raw: raw}
	if err := s.message.decode(raw); err != nil {
		return nil, err
	}
	w, err := decodeCredential(s.message.Payload)
	if err != nil {
		return nil, err
	}
	if s.Credential, err = w.credential(); err != nil {
		return nil, err
	}
	s.KeyID, s.DeviceKeyID = s.message.keyID, w.Confirmation.Key.id()
	return s, nil
}

func decodeCredential(payload []byte) (wireCredential, error) {
	if w, isUsual := usualCredential(payload); isUsual {
		return w, nil
	}
	var w wireCredential
	err := decodeStrict("credential", decMode, payload, &w)
	return w, err
}

// Verify checks the signature under the manufacturer's key.
func (c *SignedCredential) Verify(key *ecdsa.PublicKey) error { return c.message.verify(key) }

func (w *wireCredential) credential() (c Credential, err error) {
	const part = "credential"
	c = Credential{
		Issuer: w.Issuer, IssuedAt: time.Unix(w.IssuedAt, 0).UTC(), OEMID: w.OEMID, HWModel: w.HWModel,
		Serial: w.Serial, ClientClass: w.ClientClass,
	}
	switch {
	case w.Issuer == "" || len(w.Issuer) > maxIssuerBytes:
		return c, formatError(ClassClaim, part, "iss must have 1 to %d bytes, not %d", maxIssuerBytes, len(w.Issuer))
	case w.IssuedAt <= 0:
		return c, formatError(ClassClaim, part, "iat is missing")
	case w.OEMID.IsZero():
		return c, formatError(ClassClaim, part, "oemid is missing")
	case len(w.HWModel) == 0 || len(w.HWModel) > maxHWModelBytes:
		return c, formatError(ClassClaim, part, "hwmodel must have 1 to %d bytes, not %d", maxHWModelBytes, len(w.HWModel))
	case w.ClientClass < 1 || w.ClientClass > 3:
		return c, formatError(ClassClaim, part, "client class must be 1, 2 or 3, not %d", w.ClientClass)
	}
	if c.Key, err = w.Confirmation.Key.publicKey(); err != nil {
		return c, formatError(ClassClaim, part, "cnf: %v", err)
	}
	if c.Slots, err = decodeSlots(part, w.UEID, w.Submods); err != nil {
		return c, err
	}
	c.Storage, err = w.Storage.storage()
	return c, err
}

func (w *wireStorage) storage() (Storage, error) {
	const (
		part         = "credential storage"
		tpmNameBytes = 34 // algorithm and SHA-256
	)
	s := Storage{Kind: w.Kind, Boot: w.Boot, NV: w.NV, EKNameHash: w.EKNameHash, RollbackProtected: w.RollbackProtected, KeyName: w.KeyName}
	switch {
	case w.Kind < StorageTPMDiscrete || w.Kind > StorageTPMEmulated:
		return s, formatError(ClassClaim, part, "kind %d is not of this profile", w.Kind)
	case w.Boot != BootMeasured && w.Boot != BootUnmeasured:
		return s, formatError(ClassClaim, part, "boot must be 1 (measured) or 2, not %d", w.Boot)
	case w.NV > NVOwner || (w.NV != 0) != w.Kind.IsTPM():
		return s, formatError(ClassClaim, part, "NV variant %d does not fit kind %s", w.NV, w.Kind)
	case len(w.RecordID) != len(s.RecordID):
		return s, formatError(ClassClaim, part, "record id of %d bytes, want %d", len(w.RecordID), len(s.RecordID))
	case len(w.EKNameHash) != 0 && len(w.EKNameHash) != sha256.Size:
		return s, formatError(ClassClaim, part, "EK Name hash of %d bytes, want %d", len(w.EKNameHash), sha256.Size)
	case w.Kind.IsTPM() && len(w.KeyName) != tpmNameBytes, !w.Kind.IsTPM() && len(w.KeyName) != 0:
		return s, formatError(ClassClaim, part, "key Name of %d bytes does not fit kind %s", len(w.KeyName), w.Kind)
	}
	s.RecordID = [16]byte(w.RecordID)
	return s, nil
}

func slotName(number int) string {
	if number >= 1 && number <= MaxSlots {
		return slotNames[number-1]
	}
	return slotPrefix + strconv.Itoa(number)
}

var slotNames = [MaxSlots]string{slotPrefix + "1", slotPrefix + "2", slotPrefix + "3", slotPrefix + "4"}

// encodeSlots gives slot 1 as UEID and the others as submodules "slot2", ...
func encodeSlots(slots []imei.IMEI) (first ueid, submods map[string]wireSubmod, err error) {
	if len(slots) == 0 || len(slots) > MaxSlots {
		return first, nil, fmt.Errorf("%d IMEIs: a device has 1 to %d", len(slots), MaxSlots)
	}
	for i, id := range slots {
		switch {
		case id.IsZero():
			return first, nil, fmt.Errorf("slot %d has no IMEI", i+1)
		case i == 0:
			first = ueid(id.UEID())
		case submods == nil:
			submods = make(map[string]wireSubmod)
			fallthrough
		default:
			submods[slotName(i+1)] = wireSubmod{UEID: ueid(id.UEID())}
		}
	}
	return first, submods, nil
}

// decodeSlots reads what encodeSlots wrote; the slots must be numbered without a gap and all different.
func decodeSlots(part string, slot ueid, submods map[string]wireSubmod) ([]imei.IMEI, error) {
	if len(submods) >= MaxSlots {
		return nil, formatError(ClassClaim, part, "submods: a device has at most %d slots", MaxSlots)
	}
	slots := make([]imei.IMEI, 0, 1+len(submods))
	for number := 1; number <= 1+len(submods); number++ {
		if number > 1 {
			sub, ok := submods[slotName(number)]
			if !ok {
				return nil, formatError(ClassClaim, part, "submods: %s is missing", slotName(number))
			}
			slot = sub.UEID
		}
		id, err := imei.FromUEID(slot[:])
		if err != nil {
			return nil, formatError(ClassClaim, part, "ueid of %s: %v", slotName(number), err)
		}
		for _, earlier := range slots {
			if earlier == id {
				return nil, formatError(ClassClaim, part, "%s repeats the IMEI of another slot", slotName(number))
			}
		}
		slots = append(slots, id)
	}
	return slots, nil
}

// BindingHash is what the secure storage and the policy of the device key hold of a Credential: SHA-256 over
// deterministic CBOR ["imei-attest-nv-v1", oemid, [UEID of slot 1, ...], record id]. It covers neither the
// manufacturer's key nor the serial nor cnf, so those may change without killing the device key; an IMEI may not.
func BindingHash(oemid OEMID, slots []imei.IMEI, recordID [16]byte) ([32]byte, error) {
	if oemid.IsZero() {
		return [32]byte{}, errors.New("binding hash: no OEM id")
	}
	if _, _, err := encodeSlots(slots); err != nil {
		return [32]byte{}, fmt.Errorf("binding hash: %w", err)
	}
	oem, err := oemid.MarshalCBOR()
	if err != nil {
		return [32]byte{}, fmt.Errorf("binding hash: %w", err)
	}
	const start = "\x84\x71imei-attest-nv-v1" // an array of four, and a text of 17 bytes
	b := append(append(make([]byte, 0, 128), start...), oem...)
	b = append(b, majorArray<<5|byte(len(slots)))
	for _, id := range slots {
		b = appendBytes(b, id.UEID())
	}
	return sha256.Sum256(appendBytes(b, recordID[:])), nil
}
